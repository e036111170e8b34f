"""Wrong shapes and wrong numbers are refused at once, with what was got, what was expected, and where."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OcnetError, ShapeError

NAN, INF = float("nan"), float("inf")


class Stated:
    """A small problem to state wrong things about."""

    def __init__(self, horizon=None):
        self.problem = oc.Problem("net", horizon=horizon or oc.Finite(2.0))
        self.x = self.problem.state("x", 2, initial=[0.0, 1.0])
        self.Z = self.problem.state("Z", (2, 3))
        self.u = self.problem.control("u", lower=-1.0, upper=1.0)
        self.p = self.problem.parameter("p", value=1.0)


def stated(statement, horizon=None):
    """A test case that makes a wrong statement about a small problem."""
    return lambda: statement(Stated(horizon))


def refused(case, error, pattern):
    """Run a case; its error is of exactly this class, and its message one line that matches."""
    with pytest.raises(error, match=pattern) as caught:
        case()
    message = str(caught.value)
    assert isinstance(caught.value, OcnetError)
    assert type(caught.value) is error
    assert message.endswith(".")
    assert "\n" not in message


def problem():
    return oc.Problem("net", horizon=oc.Finite(1.0))


def new_state(*args, **kwargs):
    return lambda: problem().state(*args, **kwargs)


def new_control(*args, **kwargs):
    return lambda: problem().control(*args, **kwargs)


SHAPES = {
    "dynamics of another length": (
        stated(lambda s: s.problem.dynamics(s.x, ca.vertcat(s.x, s.u))),
        r"Problem 'net', 'x', dynamics: got an expression of shape \(3, 1\); expected \(2, 1\)",
    ),
    "dynamics as a row": (
        stated(lambda s: s.problem.dynamics(s.x, s.x.T)),
        r"'x', dynamics: got an expression of shape \(1, 2\); expected \(2, 1\) \(transpose it with \.T\)",
    ),
    "dynamics from '*' in the place of '@'": (
        stated(lambda s: s.problem.dynamics(s.x, np.eye(2) * s.x)),
        r"'x', dynamics: got an expression of shape \(2, 2\); expected \(2, 1\) .*'@' is the matrix product",
    ),
    "dynamics of a matrix as a vector": (
        stated(lambda s: s.problem.dynamics(s.Z, ca.vec(s.Z))),
        r"'Z', dynamics: got an expression of shape \(6, 1\); expected \(2, 3\)",
    ),
    "a scalar for a vector": (
        stated(lambda s: s.problem.dynamics(s.x, 0)),
        r"'x', dynamics: got an expression of shape \(1, 1\); expected \(2, 1\)",
    ),
    "initial of another length": (
        new_state("x", 2, initial=[1, 2, 3]),
        r"'x', initial: got an array of shape \(3,\); expected a scalar or shape \(2,\)",
    ),
    "initial as a row": (
        new_state("x", 2, initial=[[1.0, 2.0]]),
        r"'x', initial: got an array of shape \(1, 2\); expected a scalar or shape \(2,\)",
    ),
    "initial of a transposed matrix": (
        new_state("Z", (2, 3), initial=np.zeros((3, 2))),
        r"'Z', initial: got an array of shape \(3, 2\); expected a scalar or shape \(2, 3\)",
    ),
    "initial with free components, of another length": (
        new_state("x", 2, initial=[1.0, None, 2.0]),
        r"'x', initial: got an array of shape \(3,\); expected a scalar or shape \(2,\)",
    ),
    "final of another length": (
        new_state("x", 3, final=[1.0, 2.0]),
        r"'x', final: got an array of shape \(2,\); expected a scalar or shape \(3,\)",
    ),
    "bounds of another length": (
        new_state("x", 2, lower=[0.0, 0.0, 0.0]),
        r"'x', lower: got an array of shape \(3,\); expected a scalar or shape \(2,\)",
    ),
    "bounds of a matrix as a vector": (
        new_control("W", (2, 2), upper=[1.0, 2.0]),
        r"'W', upper: got an array of shape \(2,\); expected a scalar or shape \(2, 2\)",
    ),
    "parametric bounds of another length": (
        stated(lambda s: s.problem.control("w", 3, upper=ca.vertcat(s.p, s.p))),
        r"'w', upper: got an expression of shape \(2, 1\); expected \(3, 1\)",
    ),
    "parametric initial as a row": (
        stated(lambda s: s.problem.state("y", 2, initial=ca.horzcat(s.p, s.p))),
        r"'y', initial: got an expression of shape \(1, 2\); expected \(2, 1\) \(transpose it",
    ),
    "a parameter's value": (
        lambda: problem().parameter("A", (2, 2), value=np.eye(3)),
        r"'A', value: got an array of shape \(3, 3\); expected a scalar or shape \(2, 2\)",
    ),
    "an unknown's guess": (
        lambda: problem().unknown("a", 2, guess=[1.0, 2.0, 3.0]),
        r"'a', guess: got an array of shape \(3,\); expected a scalar or shape \(2,\)",
    ),
    "a changed parameter's value": (
        stated(lambda s: s.problem.parameter_values({"p": [1.0, 2.0]})),
        r"'p', value: got an array of shape \(2,\); expected a scalar or shape \(1,\)",
    ),
    "a vector as stage cost": (
        stated(lambda s: s.problem.minimize(stage=s.x**2)),
        r"Problem 'net', stage cost: got an expression of shape \(2, 1\); expected a scalar",
    ),
    "a vector as terminal cost": (
        stated(lambda s: s.problem.minimize(terminal=s.x)),
        r"Problem 'net', terminal cost: got an expression of shape \(2, 1\); expected a scalar",
    ),
    "a vector as data term": (
        stated(lambda s: s.problem.cost_at(1.0, s.x)),
        r"Problem 'net', cost_at\(1\.0\): got an expression of shape \(2, 1\); expected a scalar",
    ),
    "bounds of a constraint": (
        stated(lambda s: s.problem.constrain(s.x, lower=[0, 0, 0], name="cone")),
        r"Problem 'net', 'cone', lower: got an array of shape \(3,\); expected a scalar or shape \(2,\)",
    ),
    "shape 0": (new_state("x", 0), r"'x', state: shape is 0; expected a positive integer n or a pair"),
    "shape negative": (new_state("x", -2), r"'x', state: shape is -2; expected a positive integer"),
    "shape float": (new_control("u", 2.0), r"'u', control: shape is 2\.0; expected a positive integer"),
    "shape bool": (new_state("x", True), r"'x', state: shape is True; expected a positive integer"),
    "shape None": (new_state("x", None), r"'x', state: shape is None; expected a positive integer"),
    "shape string": (new_state("x", "2"), r"'x', state: shape is '2'; expected a positive integer"),
    "shape triple": (
        new_state("x", (2, 2, 2)),
        r"shape is \(2, 2, 2\); expected .* a pair \(rows, columns\)",
    ),
    "shape with a zero": (
        new_state("x", (2, 0)),
        r"'x', state: shape is \(2, 0\); expected a positive integer",
    ),
    "shape empty": (new_state("x", ()), r"'x', state: shape is \(\); expected a positive integer"),
    "two columns multiplied by '@'": (
        stated(lambda s: s.x @ s.x),
        r"'@' between shapes \(2, 1\) and \(2, 1\): write ca\.dot\(a, b\) for the inner product",
    ),
    "an array and a column multiplied by '@'": (
        stated(lambda s: np.array([1.0, 2.0]) @ s.x),
        r"'@' between shapes \(2, 1\) and \(2, 1\): write ca\.dot",
    ),
    "a column and an array multiplied by '@'": (
        stated(lambda s: s.x @ np.array([1.0, 2.0])),
        r"'@' between shapes \(2, 1\) and \(2,\): write ca\.dot",
    ),
    "matrices that do not fit": (
        stated(lambda s: np.eye(3) @ s.x),
        r"'@' between shapes \(3, 3\) and \(2, 1\): expected as many columns on the left as rows on the",
    ),
    "a sum of different shapes": (
        stated(lambda s: s.x + np.array([1.0, 2.0, 3.0])),
        r"'\+' between shapes \(2, 1\) and \(3,\): expected equal shapes, or a scalar",
    ),
    "a difference of different shapes, in the order of writing": (
        stated(lambda s: np.ones((3, 3)) - s.Z),
        r"'-' between shapes \(3, 3\) and \(2, 3\): expected equal shapes, or a scalar",
    ),
}

DATA = {
    "NaN in initial": (
        new_state("x", 2, initial=[0.0, NAN]),
        r"Problem 'net', 'x', initial: component \[1\] is nan; expected finite numbers, or None where .*",
    ),
    "inf in initial": (
        new_state("Z", (2, 2), initial=[[0, 1], [INF, 2]]),
        r"'Z', initial: component \[1, 0\] is inf; expected finite numbers",
    ),
    "NaN in final": (
        new_state("x", final=NAN),
        r"'x', final: component \[0\] is nan; expected finite numbers",
    ),
    "NaN beside a free component": (
        new_state("x", 2, final=[None, NAN]),
        r"'x', final: component \[1\] is nan; expected finite numbers",
    ),
    "NaN in a bound": (
        new_state("x", lower=NAN),
        r"'x', lower: component \[0\] is nan; expected numbers or infinities",
    ),
    "NaN in a value": (
        lambda: problem().parameter("A", (2, 2), value=[[1, 2], [NAN, 4]]),
        r"'A', value: component \[1, 0\] is nan; expected finite numbers",
    ),
    "inf in a value": (
        lambda: problem().parameter("a", value=-INF),
        r"'a', value: component \[0\] is -inf; expected finite numbers",
    ),
    "NaN in a guess": (
        lambda: problem().unknown("a", guess=NAN),
        r"'a', guess: component \[0\] is nan; expected finite numbers",
    ),
    "NaN in a changed value": (
        stated(lambda s: s.problem.parameter_values({"p": NAN})),
        r"'p', value: component \[0\] is nan; expected finite numbers",
    ),
    "NaN in dynamics": (
        stated(lambda s: s.problem.dynamics(s.x, s.x + NAN)),
        r"'x', dynamics: the expression contains a constant that is NaN or infinite; expected finite",
    ),
    "inf in a stage cost": (
        stated(lambda s: s.problem.minimize(stage=INF * s.u**2)),
        r"stage cost: the expression contains a constant that is NaN or infinite; expected finite",
    ),
    "NaN in an array of a constraint": (
        stated(lambda s: s.problem.constrain(s.x * np.array([1.0, NAN]), lower=0)),
        r"constraint 1: the expression contains a constant that is NaN or infinite; expected finite",
    ),
    "NaN alone as dynamics": (
        stated(lambda s: s.problem.dynamics(s.x, [NAN, 0.0])),
        r"'x', dynamics: the constant .* is not finite; expected finite numbers",
    ),
    "inf in a parametric bound": (
        stated(lambda s: s.problem.control("w", lower=s.p * INF)),
        r"'w', lower: the expression contains a constant that is NaN or infinite",
    ),
    "empty initial": (
        new_state("x", 2, initial=[]),
        r"'x', initial: the data are empty; expected shape \(2,\)",
    ),
    "empty value": (
        lambda: problem().parameter("A", (2, 2), value=np.zeros((0, 2))),
        r"'A', value: the data are empty; expected shape \(2, 2\)",
    ),
    "empty expression": (
        stated(lambda s: s.problem.constrain(s.x[2:], lower=0)),
        r"constraint 1: got an empty expression of shape \(0, 1\); expected at least one entry",
    ),
    "lower above upper": (
        new_control("u", lower=2.0, upper=1.0),
        r"Problem 'net', 'u', bounds: component \[0\] has lower bound 2\.0 and upper bound 1\.0; expected",
    ),
    "lower above upper in one component": (
        new_control("W", (2, 2), lower=0.0, upper=[[1, 1], [-1, 1]]),
        r"'W', bounds: component \[1, 0\] has lower bound 0\.0 and upper bound -1\.0; expected lower <=",
    ),
    "lower above upper of a constraint": (
        stated(lambda s: s.problem.constrain(s.x, lower=[0, 5], upper=1, name="box")),
        r"Problem 'net', box: component \[1\] has lower bound 5\.0 and upper bound 1\.0; expected lower <=",
    ),
    "lower +inf": (
        new_state("x", 2, lower=[0.0, INF]),
        r"'x', lower: component \[1\] is inf, which no value satisfies; expected a number, or -inf \(or",
    ),
    "upper -inf": (
        new_control("u", upper=-INF),
        r"'u', upper: component \[0\] is -inf, which no value satisfies; expected a number, or inf \(or",
    ),
    "initial below the lower bound": (
        new_state("x", 2, initial=[1.0, -3.0], lower=-2.0),
        r"'x', initial: component \[1\] is -3\.0, outside the lower bound -2\.0; expected a value within",
    ),
    "final above the upper bound": (
        new_state("x", 2, final=[None, 3.0], upper=2.0),
        r"'x', final: component \[1\] is 3\.0, outside the upper bound 2\.0; expected a value within",
    ),
    "guess outside the bounds": (
        lambda: problem().unknown("a", lower=0.0, upper=1.0, guess=1.5),
        r"'a', guess: component \[0\] is 1\.5, outside the upper bound 1\.0; expected a value within",
    ),
    "data term before the horizon": (
        stated(lambda s: s.problem.cost_at(-0.5, s.x[0])),
        r"Problem 'net', cost_at\(-0\.5\): the time lies outside the horizon; expected a value in \[0\.0,",
    ),
    "data term after the horizon": (
        stated(lambda s: s.problem.cost_at(2.5, s.x[0])),
        r"cost_at\(2\.5\): the time lies outside the horizon; expected a value in \[0\.0, 2\.0\]",
    ),
    "data term after a horizon that ends at 0": (
        stated(lambda s: s.problem.cost_at(0.5, s.x[0]), oc.Finite(0.0, t0=-1.0)),
        r"cost_at\(0\.5\): the time lies outside the horizon; expected a value in \[-1\.0, 0\.0\]",
    ),
    "data term after the last step": (
        stated(lambda s: s.problem.cost_at(6, s.x[0]), oc.Steps(5)),
        r"cost_at\(6\): the time lies outside the horizon; expected a value in \[0\.0, 5\]",
    ),
    "data term between two steps": (
        stated(lambda s: s.problem.cost_at(1.5, s.x[0]), oc.Steps(5)),
        r"cost_at\(1\.5\): the horizon is Steps; expected a whole number of steps",
    ),
    "data term at NaN": (
        stated(lambda s: s.problem.cost_at(NAN, s.x[0])),
        r"cost_at\(nan\): the time lies outside the horizon; expected a value in",
    ),
    "data term at infinity": (
        stated(lambda s: s.problem.cost_at(INF, s.x[0]), oc.Discounted(0.1)),
        r"cost_at\(inf\): the time lies outside the horizon; expected a value in \[0\.0, inf\]",
    ),
    "final time infinite": (lambda: oc.Finite(INF), r"Finite: tf is inf; expected a finite number"),
    "initial time NaN": (lambda: oc.Finite(1.0, t0=NAN), r"Finite: t0 is nan; expected a finite number"),
    "free time infinite": (
        lambda: oc.FreeTime(1, INF, 2),
        r"FreeTime: upper is inf; expected a finite number",
    ),
    "discount NaN": (lambda: oc.Discounted(NAN), r"Discounted: rate is nan; expected a finite number"),
    "parametric bounds crossed": (
        lambda: crossed("control"),
        r"Problem 'net', u\[1\]: lower bound 0\.0 and upper bound -2\.0 for these parameters; expected",
    ),
    "parametric bounds of a constraint crossed": (
        lambda: crossed("constraint"),
        r"Problem 'net', box\[0\]: lower bound 0\.0 and upper bound -2\.0 for these parameters; expected",
    ),
    "parametric initial value outside the bounds": (
        lambda: crossed("initial"),
        r"Problem 'net', x\[1\], initial: got -2\.0; expected a finite value in \[-1\.0, 1\.0\] for these",
    ),
    "parametric final value infinite": (
        lambda: crossed("final"),
        r"Problem 'net', y, final: got inf; expected a finite value in \[-inf, inf\] for these parameters",
    ),
}


def crossed(what):
    """Bounds or ends that contain a parameter, whose value -2 (or 0) makes them inconsistent."""
    p = problem()
    top = p.parameter("top", value=1.0)
    x = p.state("x", 2, initial=ca.vertcat(0, top) if what == "initial" else None, lower=-1.0, upper=1.0)
    y = p.state("y", final=1 / (top + 2) if what == "final" else None)
    p.control("u", 2, lower=0.0, upper=ca.vertcat(1, top) if what == "control" else None)
    if what == "constraint":
        p.constrain(x, lower=0.0, upper=ca.vertcat(top, 1), name="box")
    p.dynamics(x, -x)
    p.dynamics(y, 0)
    p.functions.bounds(np.array([1.0]))
    p.functions.bounds(np.array([-2.0]))


CASES = {
    ShapeError: SHAPES,
    DataError: DATA,
}


@pytest.mark.parametrize(
    ("case", "error", "pattern"),
    [
        pytest.param(case, error, pattern, id=f"{error.__name__}-{name}".replace(" ", "_"))
        for error, cases in CASES.items()
        for name, (case, pattern) in cases.items()
    ],
)
def test_refused_in_words(case, error, pattern):
    refused(case, error, pattern)
