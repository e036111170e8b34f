"""Symbols out of place and incomplete statements are refused at once, in words."""

import math
import re

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import OcnetError, ProblemError, SymbolError


class Stated:
    """A small problem to state wrong things about, and another one whose symbols are foreign to it."""

    def __init__(self, horizon=None):
        self.problem = oc.Problem("net", horizon=horizon or oc.Finite(2.0))
        self.x = self.problem.state("x", 2, initial=[0.0, 1.0])
        self.Z = self.problem.state("Z", (2, 3))
        self.u = self.problem.control("u", lower=-1.0, upper=1.0)
        self.p = self.problem.parameter("p", value=1.0)
        self.q = self.problem.unknown("q", guess=0.0)
        other = oc.Problem("other", horizon=oc.Finite(1.0))
        self.foreign, self.twin = other.state("y", 2), other.state("x", 2)
        self.foreign_parameter = other.parameter("r", value=1.0)

    def complete(self):
        """State the dynamics, so that the problem can be frozen."""
        self.problem.dynamics(self.x, -self.x)
        self.problem.dynamics(self.Z, -self.Z)
        return self.problem


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
    return message


def problem():
    return oc.Problem("net", horizon=oc.Finite(1.0))


def new_state(*args, **kwargs):
    return lambda: problem().state(*args, **kwargs)


def new_control(*args, **kwargs):
    return lambda: problem().control(*args, **kwargs)


SYMBOLS = {
    "a foreign symbol in dynamics": (
        stated(lambda s: s.problem.dynamics(s.x, s.x + s.foreign)),
        r"'x', dynamics: the symbol 'y' does not belong to this problem; expected its own: x, Z, u, p, q,",
    ),
    "a foreign symbol of the same name": (
        stated(lambda s: s.problem.dynamics(s.x, s.twin)),
        r"'x', dynamics: the symbol 'x' \(the symbol of that name in another problem\?\) does not belong",
    ),
    "a foreign symbol in the cost": (
        stated(lambda s: s.problem.minimize(stage=ca.sumsqr(s.foreign))),
        r"Problem 'net', stage cost: the symbol 'y' does not belong to this problem; expected its own",
    ),
    "a foreign symbol in a constraint": (
        stated(lambda s: s.problem.constrain(s.foreign, lower=0, name="box")),
        r"Problem 'net', box: the symbol 'y' does not belong to this problem; expected its own",
    ),
    "a foreign symbol in bounds": (
        stated(lambda s: s.problem.control("w", lower=s.foreign_parameter)),
        r"'w', lower: the symbol 'r' does not belong to this problem; expected its own",
    ),
    "a free symbol": (
        stated(lambda s: s.problem.minimize(stage=ca.MX.sym("alpha") * s.u)),
        r"stage cost: the symbol 'alpha' does not belong to this problem; expected its own",
    ),
    "a state in bounds": (
        stated(lambda s: s.problem.control("w", upper=s.x[0])),
        r"'w', upper: the state 'x' may not appear here; expected only parameters\.",
    ),
    "time in an end": (
        stated(lambda s: s.problem.state("y", initial=s.problem.time)),
        r"'y', initial: time may not appear here; expected only parameters\.",
    ),
    "a control in the terminal cost": (
        stated(lambda s: s.problem.minimize(terminal=s.u**2)),
        r"terminal cost: the control 'u' may not appear here; expected only states, parameters, unknowns and",
    ),
    "a control in a data term": (
        stated(lambda s: s.problem.cost_at(1.0, s.u)),
        r"cost_at\(1\.0\): the control 'u' may not appear here; expected only states, parameters, unknowns",
    ),
    "a control in a final constraint": (
        stated(lambda s: s.problem.constrain(s.u, lower=0, at="final")),
        r"constraint 1: the control 'u' may not appear here; expected only states",
    ),
    "a derivative in dynamics": (
        stated(lambda s: s.problem.dynamics(s.x, s.problem.derivative(s.x))),
        r"'x', dynamics: the derivative of 'x' may not appear here; expected it only in stage costs and path",
    ),
    "a derivative in the terminal cost": (
        stated(lambda s: s.problem.minimize(terminal=ca.sumsqr(s.problem.derivative(s.x)))),
        r"terminal cost: the derivative of 'x' may not appear here; expected it only in stage costs",
    ),
    "a derivative in an initial constraint": (
        stated(lambda s: s.problem.constrain(s.problem.derivative(s.x), lower=0, at="initial")),
        r"constraint 1: the derivative of 'x' may not appear here; expected it only in stage costs",
    ),
    "dynamics of a control": (
        stated(lambda s: s.problem.dynamics(s.u, s.x)),
        r"Problem 'net', dynamics: got .*u.*; expected what problem\.state\(\.\.\.\) returned for one of",
    ),
    "dynamics of a component": (
        stated(lambda s: s.problem.dynamics(s.x[0], s.x[1])),
        r"dynamics: got .*x\[0\].*; expected what problem\.state\(\.\.\.\) returned .* whole and unchanged",
    ),
    "dynamics of a name": (
        stated(lambda s: s.problem.dynamics("x", -s.x)),
        r"dynamics: got 'x'; expected what problem\.state\(\.\.\.\) returned",
    ),
    "the derivative of a parameter": (
        stated(lambda s: s.problem.derivative(s.p)),
        r"derivative: got .*p.*; expected what problem\.state\(\.\.\.\) returned",
    ),
    "an SX expression": (
        stated(lambda s: s.problem.dynamics(s.x, ca.SX.sym("a", 2))),
        r"'x', dynamics: got a CasADi SX expression; expected MX: build it from what problem\.state",
    ),
    "an SX bound": (
        stated(lambda s: s.problem.control("w", lower=ca.SX.sym("a"))),
        r"'w', lower: got SX .*; expected numbers of shape \(1,\)",
    ),
    "a numpy array of objects": (
        stated(lambda s: s.problem.dynamics(s.x, np.array([ca.tanh(s.u), 1.0], dtype=object))),
        r"'x', dynamics: got a numpy array of objects, .*; expected a CasADi expression: stack with",
    ),
    "a string as expression": (
        stated(lambda s: s.problem.dynamics(s.x, "-x")),
        r"'x', dynamics: got str \('-x'\); expected a CasADi expression or numbers",
    ),
    "a string that looks like a number": (
        stated(lambda s: s.problem.minimize(stage="1.0")),
        r"stage cost: got str \('1\.0'\); expected a CasADi expression or numbers",
    ),
    "None as expression": (
        stated(lambda s: s.problem.minimize(stage=None)),
        r"stage cost: got NoneType \(None\); expected a CasADi expression or numbers",
    ),
    "a function as expression": (
        stated(lambda s: s.problem.minimize(stage=lambda x: x)),
        r"stage cost: got function .*; expected a CasADi expression or numbers",
    ),
    "a list with a string": (
        stated(lambda s: s.problem.dynamics(s.x, [ca.tanh(s.u), "a"])),
        r"'x', dynamics: the entries of the list .* cannot be stacked; expected scalars or columns",
    ),
    "a nested list of symbols": (
        stated(lambda s: s.problem.dynamics(s.x, [[s.u, 1], [s.u, 2]])),
        r"'x', dynamics: got list .*; expected a CasADi expression or numbers",
    ),
    "numbers as strings": (
        new_state("x", 2, initial=["1", "2"]),
        r"'x', initial: got list \(\['1', '2'\]\); expected numbers of shape \(2,\)",
    ),
    "None as a value": (
        lambda: problem().parameter("a", value=None),
        r"'a', value: got NoneType \(None\); expected numbers of shape \(1,\)",
    ),
    "a complex number": (new_state("x", initial=1j), r"'x', initial: got complex \(1j\); expected numbers"),
    "a ragged list": (
        new_state("x", (2, 2), initial=[[1, 2], [3]]),
        r"'x', initial: got list .*; expected numbers of shape \(2, 2\)",
    ),
    "a ragged list with free components": (
        new_state("x", (2, 2), initial=[[1, None], [3]]),
        r"'x', initial: got list .*; expected numbers of shape \(2, 2\)",
    ),
    "a dictionary as bounds": (
        new_state("x", 2, lower={"a": 1}),
        r"'x', lower: got dict .*; expected numbers of shape \(2,\)",
    ),
    "None among bounds": (
        new_state("x", 2, lower=[None, 1.0]),
        r"'x', lower: got list \(\[None, 1\.0\]\); expected numbers of shape \(2,\)",
    ),
    "a comparison as constraint": (
        stated(lambda s: s.problem.constrain(s.x[0] <= 1)),
        r"constraint 1: got the comparison .*; expected the expression .* constrain\(b - a, lower=0\)",
    ),
    "the truth value": (
        stated(lambda s: 1 if s.x[0] > 0 else 2),
        r"truth value of .*0<x\[0\].* was asked for .*: write ca\.if_else",
    ),
    "and": (stated(lambda s: s.x[0] and s.u), r"truth value .*: write ca\.if_else"),
    "a chain of comparisons": (stated(lambda s: 0 < s.u < 1), r"truth value .*: write ca\.if_else"),
    "max": (stated(lambda s: max(s.u, 0)), r"truth value .* ca\.fmax or ca\.fmin"),
    "float": (stated(lambda s: float(s.u)), r"'u' was turned into a number .*: use the CasADi function"),
    "math.sin": (stated(lambda s: math.sin(s.u)), r"'u' was turned into a number .*such as ca\.sin"),
    "int": (stated(lambda s: int(s.u)), r"'u' was turned into a number .*: use the CasADi function"),
    "len": (
        stated(lambda s: len(s.x)),
        r"len\(\) of the symbolic expression 'x' .*; use \.shape, which is \(2, 1\)",
    ),
    "for": (stated(lambda s: list(s.x)), r"'x' was iterated over .*; write x\[i\] with i in range\(2\)"),
    "unpacking": (stated(lambda s: (lambda a, b: a)(*s.x)), r"'x' was iterated over .*; write x\[i\]"),
    "sum": (stated(lambda s: sum(s.x)), r"'x' was iterated over .*ca\.sum1"),
    "an index too large": (
        stated(lambda s: s.x[5]),
        r"the index 5 does not fit .*'x'; expected integers or slices inside its shape \(2, 1\)",
    ),
    "a name as index": (stated(lambda s: s.x["a"]), r"the index 'a' does not fit .*'x'; expected integers"),
    "assignment to a symbol": (
        stated(lambda s: s.x.__setitem__(0, 1.0)),
        r"a component of the symbol 'x' was assigned to; .* such as ca\.vertcat\(a, b\)",
    ),
    "x.sum()": (stated(lambda s: s.x.sum()), r"no method \.sum\(\): 'x' is .*; use ca\.sum1"),
    "x.flatten()": (stated(lambda s: s.x.flatten()), r"no method \.flatten\(\): .*ca\.vec"),
    "x.max()": (stated(lambda s: (2 * s.x).max()), r"no method \.max\(\): .*ca\.mmax"),
    "np.sum": (stated(lambda s: np.sum(s.x)), r"numpy's sum does not work .*: ca\.sum1"),
    "np.dot": (stated(lambda s: np.dot(s.x, s.x)), r"numpy's dot does not work .*ca\.dot"),
    "np.dot with an array": (
        stated(lambda s: np.dot(np.eye(2), s.x)),
        r"numpy's dot does not work .*ca\.dot",
    ),
    "np.linalg.norm": (stated(lambda s: np.linalg.norm(s.x)), r"numpy's norm does not work .*ca\.norm_2"),
    "np.where": (stated(lambda s: np.where(s.x > 0, s.x, 0)), r"numpy's where does not work .*ca\.if_else"),
    "np.concatenate": (stated(lambda s: np.concatenate([s.x, s.x])), r"numpy's concatenate .*ca\.vertcat"),
    "np.array": (
        stated(lambda s: np.array([s.x[0], s.u])),
        r"needs numbers; .*ca\.vertcat instead of np\.array",
    ),
    "np.asarray": (stated(lambda s: np.asarray(s.x)), r"'x' was given to a function that needs numbers"),
    "np.add.reduce": (stated(lambda s: np.add.reduce(s.x)), r"numpy's add\.reduce does not work"),
    "np.heaviside": (stated(lambda s: np.heaviside(s.x, 0)), r"numpy's heaviside does not work"),
}

STATEMENTS = {
    "a problem without a name": (
        lambda: oc.Problem("", horizon=oc.Finite(1.0)),
        r"Problem: name is ''; expected a non-empty string",
    ),
    "a problem whose name is a number": (
        lambda: oc.Problem(3, horizon=oc.Finite(1.0)),
        r"Problem: name is 3; expected a non-empty string",
    ),
    "a number as horizon": (
        lambda: oc.Problem("net", horizon=10.0),
        r"Problem 'net': horizon is 10\.0; expected Finite, FreeTime, Discounted or Steps",
    ),
    "a class as horizon": (
        lambda: oc.Problem("net", horizon=oc.Finite),
        r"Problem 'net': horizon is <class .*; expected Finite, FreeTime, Discounted or Steps",
    ),
    "an empty name": (
        new_state(""),
        r"Problem 'net': the name of a state is ''; expected a non-empty string",
    ),
    "a number as name": (
        new_control(1),
        r"Problem 'net': the name of a control is 1; expected a non-empty string",
    ),
    "a name that cannot stand in a file": (
        new_state("a/b"),
        r"the name of a state is 'a/b'; expected a non-empty string without '/'",
    ),
    "the name of time": (new_state("time"), r"the name 'time' of a state is reserved .*; choose another"),
    "the name of the mesh": (
        new_control("mesh"),
        r"the name 'mesh' of a control is reserved .*; choose another",
    ),
    "a name in use": (
        stated(lambda s: s.problem.control("x")),
        r"Problem 'net': the name 'x' of a control is already in use by a state; names are unique",
    ),
    "a parameter's name in use": (
        stated(lambda s: s.problem.parameter("u", value=1.0)),
        r"the name 'u' of a parameter is already in use by a control",
    ),
    "no state": (lambda: problem().freeze(), r"Problem 'net': it has no state; add one with problem\.state"),
    "a state without dynamics": (
        stated(lambda s: (s.problem.dynamics(s.x, -s.x), s.problem.freeze())),
        r"Problem 'net': there are no dynamics for the states \['Z'\]; expected one equation for each",
    ),
    "dynamics twice": (
        stated(lambda s: [s.problem.dynamics(s.x, -s.x) for _ in range(2)]),
        r"Problem 'net', 'x', dynamics: given a second time; a state has exactly one equation",
    ),
    "minimize twice": (
        stated(lambda s: [s.problem.minimize(stage=s.u**2) for _ in range(2)]),
        r"Problem 'net': minimize was called a second time; state the cost once",
    ),
    "a terminal cost on a discounted horizon": (
        stated(lambda s: s.problem.minimize(terminal=s.x[0]), oc.Discounted(0.1)),
        r"Problem 'net': got the terminal cost x\[0\] on an infinite horizon, .*; expected only a stage cost",
    ),
    "a terminal cost on infinitely many steps": (
        stated(lambda s: s.problem.minimize(terminal=1.0), oc.Steps(None, 0.1)),
        r"Problem 'net': got the terminal cost 1\.0 on an infinite horizon, .*; expected only a stage cost",
    ),
    "a constraint without bounds": (
        stated(lambda s: s.problem.constrain(s.x, name="box")),
        r"Problem 'net', box: neither lower nor upper was given; expected at least one of them",
    ),
    "a constraint at a wrong place": (
        stated(lambda s: s.problem.constrain(s.x, lower=0, at="end")),
        r"Problem 'net', constraint 1: at is 'end'; expected 'path', 'initial' or 'final'",
    ),
    "a constraint whose name is a number": (
        stated(lambda s: s.problem.constrain(s.x, lower=0, name=7)),
        r"the name of a constraint is 7; expected a non-empty string",
    ),
    "a data term with free final time": (
        stated(lambda s: s.problem.cost_at(1.0, s.x[0]), oc.FreeTime(1, 3, 2)),
        r"Problem 'net', cost_at\(1\.0\): sample times need a fixed horizon; got FreeTime, expected Finite",
    ),
    "a data term at a string": (
        stated(lambda s: s.problem.cost_at("1.0", s.x[0])),
        r"cost_at\('1\.0'\): got str; expected a number for the time",
    ),
    "a data term at many times": (
        stated(lambda s: s.problem.cost_at([0.5, 1.0], s.x[0])),
        r"cost_at\(\[0\.5, 1\.0\]\): got list; expected a number for the time",
    ),
    "an unknown parameter": (
        stated(lambda s: s.problem.parameter_values({"gain": 1.0})),
        r"Problem 'net': the parameters \['gain'\] are unknown; it has \['p'\]",
    ),
    "a state as parameter": (
        stated(lambda s: s.problem.parameter_values({"x": [1.0, 2.0]})),
        r"Problem 'net': the parameters \['x'\] are unknown; it has \['p'\]",
    ),
    "parameters that are no mapping": (
        stated(lambda s: s.problem.parameter_values([1.0])),
        r"Problem 'net': parameters is \[1\.0\]; expected values by name in a dict",
    ),
    "final time before initial time": (
        lambda: oc.Finite(1.0, t0=2.0),
        r"Finite: tf is 1\.0 and t0 is 2\.0; expected tf > t0",
    ),
    "final time 0": (lambda: oc.Finite(0.0), r"Finite: tf is 0\.0 and t0 is 0\.0; expected tf > t0"),
    "final time as string": (lambda: oc.Finite("10"), r"Finite: tf is '10'; expected a real number"),
    "final time None": (lambda: oc.Finite(None), r"Finite: tf is None; expected a real number"),
    "negative discount": (
        lambda: oc.Finite(1.0, discount=-0.1),
        r"Finite: discount is -0\.1; expected a discount rate of at least 0",
    ),
    "negative discount of steps": (
        lambda: oc.Steps(3, discount=-1),
        r"Steps: discount is -1\.0; expected a discount rate of at least 0",
    ),
    "no discount on an infinite horizon": (
        lambda: oc.Discounted(0.0),
        r"Discounted: rate is 0\.0; an infinite horizon needs a positive discount rate",
    ),
    "negative rate": (
        lambda: oc.Discounted(-1),
        r"Discounted: rate is -1\.0; an infinite horizon needs a positive discount rate",
    ),
    "no step": (
        lambda: oc.Steps(0),
        r"Steps: n is 0; expected a positive integer, or None for infinitely many",
    ),
    "half a step": (lambda: oc.Steps(2.5), r"Steps: n is 2\.5; expected a positive integer, or None"),
    "True steps": (lambda: oc.Steps(True), r"Steps: n is True; expected a positive integer, or None"),
    "infinitely many steps without discount": (
        lambda: oc.Steps(None),
        r"Steps: discount is 0\.0; infinitely many steps need a positive discount rate",
    ),
    "free time with crossed bounds": (
        lambda: oc.FreeTime(3.0, 1.0, 2.0),
        r"FreeTime: bounds are \(3\.0, 1\.0\); expected 0 < lower < upper",
    ),
    "free time from 0": (
        lambda: oc.FreeTime(0.0, 1.0, 0.5),
        r"bounds are \(0\.0, 1\.0\); expected 0 < lower",
    ),
    "free time with a guess outside": (
        lambda: oc.FreeTime(1.0, 2.0, 3.0),
        r"FreeTime: guess is 3\.0; expected a value in \[1\.0, 2\.0\]",
    ),
}

CASES = {SymbolError: SYMBOLS, ProblemError: STATEMENTS}


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


CHANGES = {
    "state": lambda s: s.problem.state("y"),
    "control": lambda s: s.problem.control("w"),
    "parameter": lambda s: s.problem.parameter("r", value=1.0),
    "unknown": lambda s: s.problem.unknown("b", guess=1.0),
    "derivative": lambda s: s.problem.derivative(s.x),
    "dynamics": lambda s: s.problem.dynamics(s.x, -s.x),
    "minimize": lambda s: s.problem.minimize(stage=s.u**2),
    "cost_at": lambda s: s.problem.cost_at(1.0, s.x[0]),
    "constrain": lambda s: s.problem.constrain(s.x, lower=0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_frozen_problem_does_not_change(change):
    s = Stated()
    s.complete().freeze()
    refused(lambda: CHANGES[change](s), ProblemError, r"'net' was already solved .*; state a new one")


def test_every_error_can_be_caught_as_value_error():
    assert all(issubclass(error, ValueError) for error in CASES)
    assert issubclass(SymbolError, TypeError)


def test_messages_do_not_show_whole_arrays():
    message = refused(
        stated(lambda s: s.problem.minimize(stage={i: i for i in range(1000)})),
        SymbolError,
        "stage cost: got dict",
    )
    assert len(message) < 200
    assert not re.search(r"0x[0-9a-f]{6,}", message)
