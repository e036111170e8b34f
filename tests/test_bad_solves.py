"""A solve that is asked for wrongly is refused in words, before any work."""

import re

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import (
    DataError,
    OcnetError,
    OptionError,
    ProblemError,
    ShapeError,
    SolveError,
    SymbolError,
    UnsupportedError,
)

NAN, INF = float("nan"), float("inf")
FIXED = oc.Collocation(intervals=2, degree=2, refine_to=None)


def integrator(horizon=None, *, cost=True, final=None):
    """Double integrator with a parameter and an unknown."""
    problem = oc.Problem("net", horizon=horizon or oc.Finite(1.0))
    x = problem.state("x", 2, initial=[0.0, 1.0], final=final)
    u = problem.control("u", lower=-1.0, upper=1.0)
    gain = problem.parameter("gain", value=1.0)
    q = problem.unknown("q", lower=0.0, upper=2.0, guess=1.0)
    problem.dynamics(x, gain * ca.vertcat(x[1], u))
    if cost:
        problem.minimize(stage=ca.sumsqr(x) + u**2 + (q - 1) ** 2)
    return problem


def solving(horizon=None, **arguments):
    """A case that solves the double integrator with these arguments."""
    return lambda: oc.solve(integrator(horizon), FIXED, **arguments)


def guessing(horizon=None, **guess):
    return solving(horizon, guess=guess)


def options(**values):
    """A case that asks for collocation with these options."""
    return lambda: oc.Collocation(**values)


def other_solution():
    """The solution of a problem with other states."""
    problem = oc.Problem("other", horizon=oc.Finite(1.0))
    z = problem.state("z", 3, initial=1.0)
    u = problem.control("u")
    problem.dynamics(z, -z + u)
    problem.minimize(stage=ca.sumsqr(z) + u**2)
    return oc.solve(problem, FIXED)


CASES = {
    # what is solved, and how
    "no cost": (
        lambda: oc.solve(integrator(cost=False), FIXED),
        ProblemError,
        r"Problem 'net': it has no cost; call problem\.minimize",
    ),
    "no state": (
        lambda: oc.solve(oc.Problem("net", horizon=oc.Finite(1.0)), FIXED),
        ProblemError,
        r"Problem 'net': it has no",
    ),
    "no dynamics": (
        lambda: oc.solve(without_dynamics(), FIXED),
        ProblemError,
        r"Problem 'net': there are no dynamics for the states \['x'\]; expected one equation for each",
    ),
    "a name for the problem": (
        lambda: oc.solve("net"),
        ProblemError,
        r"solve: got a str; expected a Problem",
    ),
    "None for the problem": (lambda: oc.solve(None), ProblemError, r"got a NoneType; expected a Problem"),
    "prepare without a problem": (lambda: oc.prepare(3), ProblemError, r"got a int; expected a Problem"),
    "infinitely many steps": (
        lambda: oc.solve(integrator(oc.Steps(None, discount=0.1))),
        UnsupportedError,
        r"Problem 'net': collocation cannot treat infinitely many steps; state a finite number",
    ),
    "final values on an infinite horizon": (
        lambda: oc.solve(integrator(oc.Discounted(1.0), final=0.0)),
        UnsupportedError,
        r"Problem 'net': final values and constraints on an infinite horizon are not supported",
    ),
    "a string as method": (
        lambda: oc.solve(integrator(), "collocation"),
        OptionError,
        r"method is 'collocation'; expected a method such as Collocation\(\)",
    ),
    "a number as method": (lambda: oc.solve(integrator(), 3), OptionError, r"method is 3; expected a method"),
    "a dictionary as method": (
        lambda: oc.prepare(integrator(), {"intervals": 3}),
        OptionError,
        r"method is .*; expected a method such as Collocation",
    ),
    # options of collocation
    "intervals 0": (options(intervals=0), OptionError, r"intervals is 0; expected an integer from 1"),
    "intervals float": (
        options(intervals=2.5),
        OptionError,
        r"intervals is 2\.5; expected an integer from 1",
    ),
    "intervals bool": (options(intervals=True), OptionError, r"intervals is True; expected an integer"),
    "degree 0": (options(degree=0), OptionError, r"degree is 0; expected an integer from 1"),
    "degree string": (options(degree="3"), OptionError, r"degree is '3'; expected an integer from 1"),
    "unknown scheme": (
        options(scheme="lobatto"),
        OptionError,
        r"scheme is 'lobatto'; expected one of .*radau",
    ),
    "refine_to 0": (options(refine_to=0), OptionError, r"refine_to is 0; expected None or a number in"),
    "refine_to 1": (options(refine_to=1.0), OptionError, r"refine_to is 1\.0; expected None or a number in"),
    "refine_to NaN": (options(refine_to=NAN), OptionError, r"refine_to is nan; expected None or a number in"),
    "refine_to string": (options(refine_to="1e-6"), OptionError, r"refine_to is '1e-6'; expected None or a"),
    "max_refinements 0": (
        options(max_refinements=0),
        OptionError,
        r"max_refinements is 0; expected an integer",
    ),
    "max_points negative": (options(max_points=-1), OptionError, r"max_points is -1; expected an integer"),
    "unknown solver": (
        options(solver="snopt"),
        OptionError,
        r"solver is 'snopt'; expected 'ipopt' or 'fatrop'",
    ),
    "unknown option": (
        options(options={"max_itr": 3}),
        OptionError,
        r"options: ipopt does not accept 'max_itr' = 3",
    ),
    "option of a wrong type": (
        options(options={"max_iter": "many"}),
        OptionError,
        r"options: ipopt does not accept 'max_iter' = 'many'",
    ),
    "options in a list": (
        options(options=["max_iter"]),
        OptionError,
        r"options is \['max_iter'\]; expected a map",
    ),
    "a linear solver that is not shipped": (
        options(options={"linear_solver": "ma27"}),
        OptionError,
        r"linear_solver is 'ma27'; this build has \['mumps', 'spral'\]",
    ),
    # arguments of solve
    "multistart 0": (
        solving(multistart=0),
        OptionError,
        r"multistart is 0; expected a positive number of starts",
    ),
    "multistart negative": (
        solving(multistart=-2),
        OptionError,
        r"multistart is -2; expected a positive number",
    ),
    "multistart float": (
        solving(multistart=1.5),
        OptionError,
        r"multistart is 1\.5; expected a positive number",
    ),
    "multistart bool": (
        solving(multistart=True),
        OptionError,
        r"multistart is True; expected a positive number",
    ),
    "tolerance 0": (solving(tolerance=0), OptionError, r"tolerance is 0; expected a number in \(0, 1e-2\]"),
    "tolerance negative": (
        solving(tolerance=-1e-8),
        OptionError,
        r"tolerance is -1e-08; expected a number in",
    ),
    "tolerance large": (solving(tolerance=0.1), OptionError, r"tolerance is 0\.1; expected a number in"),
    "tolerance NaN": (solving(tolerance=NAN), OptionError, r"tolerance is nan; expected a number in"),
    "tolerance string": (
        solving(tolerance="1e-8"),
        OptionError,
        r"tolerance is '1e-8'; expected a number in",
    ),
    "tolerance of a prepared solver": (
        lambda: oc.prepare(integrator(), FIXED).solve(tolerance=5),
        OptionError,
        r"tolerance is 5; expected a number in",
    ),
    # parameters
    "an unknown parameter": (
        solving(parameters={"gian": 1.0}),
        ProblemError,
        r"Problem 'net': the parameters \['gian'\] are unknown; it has \['gain'\]",
    ),
    "a state as parameter": (
        solving(parameters={"x": 1.0}),
        ProblemError,
        r"the parameters \['x'\] are unknown; it has \['gain'\]",
    ),
    "a parameter's shape": (
        solving(parameters={"gain": [1.0, 2.0]}),
        ShapeError,
        r"'gain', value: got an array of shape \(2,\); expected a scalar or shape \(1,\)",
    ),
    "NaN for a parameter": (
        solving(parameters={"gain": NAN}),
        DataError,
        r"'gain', value: component \[0\] is nan; expected finite numbers",
    ),
    "a string for a parameter": (
        solving(parameters={"gain": "high"}),
        SymbolError,
        r"'gain', value: got str \('high'\); expected numbers",
    ),
    "parameters in a list": (
        solving(parameters=[1.0]),
        ProblemError,
        r"parameters is \[1\.0\]; expected values by name in a dict",
    ),
    # guesses
    "a number as guess": (solving(guess=3), ProblemError, r"guess is a int; expected a mapping"),
    "an array as guess": (
        solving(guess=np.zeros(3)),
        ProblemError,
        r"guess is a ndarray; expected a mapping",
    ),
    "an unknown name in the guess": (
        guessing(y=1.0),
        ProblemError,
        r"guess: \['y'\] are not variables of the problem; it has \['x', 'u', 'q'\]",
    ),
    "a parameter in the guess": (guessing(gain=1.0), ProblemError, r"guess: \['gain'\] are not variables"),
    "a fixed final time in the guess": (
        guessing(time=2.0),
        ProblemError,
        r"guess: \['time'\] are not variables",
    ),
    "a constant guess of another shape": (
        guessing(x=[1.0, 2.0, 3.0]),
        ShapeError,
        r"guess of 'x': got an array of shape \(3,\); expected a scalar or shape \(2,\)",
    ),
    "an unknown's guess of another shape": (
        guessing(q=[1.0, 2.0]),
        ShapeError,
        r"guess of 'q': got an array of shape \(2,\); expected a scalar or shape \(1,\)",
    ),
    "NaN in a constant guess": (
        guessing(x=[1.0, NAN]),
        DataError,
        r"guess of 'x': component \[1\] is nan; expected finite numbers",
    ),
    "a string as guess": (
        guessing(u="fast"),
        SymbolError,
        r"guess of 'u': got str \('fast'\); expected numbers",
    ),
    "None as guess": (
        guessing(u=None),
        SymbolError,
        r"guess of 'u': got NoneType \(None\); expected numbers",
    ),
    "a function that gives another shape": (
        guessing(u=lambda t: [1.0, 2.0]),
        ShapeError,
        r"guess of 'u' at time 0\.0: got an array of shape \(2,\); expected a scalar or shape \(1,\)",
    ),
    "a function that gives NaN": (
        guessing(u=lambda t: NAN),
        DataError,
        r"guess of 'u' at time 0\.0: component \[0\] is nan; expected finite numbers",
    ),
    "a function that gives NaN later": (
        guessing(u=lambda t: NAN if t > 0.5 else 0.0, x=0.0),
        DataError,
        r"guess of 'u' at time .*: component \[0\] is nan; expected finite numbers",
    ),
    "more values than times": (
        guessing(u=([0.0, 1.0], [1.0, 2.0, 3.0])),
        ShapeError,
        r"guess of 'u': got values of shape \(3,\); expected \(2, 1\)",
    ),
    "values of another shape": (
        guessing(x=([0.0, 1.0], np.zeros((2, 3)))),
        ShapeError,
        r"guess of 'x': got values of shape \(2, 3\); expected \(2, 2\)",
    ),
    "times that descend": (
        guessing(u=([1.0, 0.0], [1.0, 2.0])),
        DataError,
        r"guess of 'u': the times must be ascending; got \[1\. 0\.\]",
    ),
    "no times": (guessing(u=([], [])), DataError, r"guess of 'u': the times must be ascending; got \[\]"),
    "NaN among the values": (
        guessing(u=([0.0, 1.0], [1.0, NAN])),
        DataError,
        r"guess of 'u': .*NaN or infinities; expected finite numbers",
    ),
    "infinity among the times": (
        guessing(u=([0.0, INF], [1.0, 2.0])),
        DataError,
        r"guess of 'u': .*NaN or infinities; expected finite numbers",
    ),
    "NaN as final time": (
        guessing(oc.FreeTime(1.0, 3.0, 2.0), time=NAN),
        DataError,
        r"guess of the final time: component \[0\] is nan; expected finite numbers",
    ),
    "the solution of another problem as guess": (
        lambda: oc.solve(integrator(), FIXED, guess=other_solution()),
        ShapeError,
        r"guess: the trajectory has .*'z', \(3,\).*; expected .*'x', \(2,\)",
    ),
}


def without_dynamics():
    problem = oc.Problem("net", horizon=oc.Finite(1.0))
    problem.minimize(stage=problem.state("x") ** 2)
    return problem


@pytest.mark.parametrize(
    ("case", "error", "pattern"),
    [pytest.param(*case, id=name.replace(" ", "_")) for name, case in CASES.items()],
)
def test_refused_in_words(case, error, pattern):
    with pytest.raises(error, match=pattern) as caught:
        case()
    assert isinstance(caught.value, OcnetError)
    assert type(caught.value) is error
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 400
    assert not re.search(r"0x[0-9a-f]{6,}", message)


def test_a_refused_solve_can_be_repeated_correctly():
    problem = integrator()
    solver = oc.prepare(problem, FIXED)
    with pytest.raises(ProblemError):
        solver.solve(guess={"y": 1.0})
    with pytest.raises(DataError):
        solver.solve(parameters={"gain": NAN})
    assert solver.solve().success


def test_bounds_that_contradict_a_parameter():
    problem = oc.Problem("net", horizon=oc.Finite(1.0))
    top = problem.parameter("top", value=1.0)
    x = problem.state("x", initial=0.0)
    u = problem.control("u", 2, lower=0.0, upper=ca.vertcat(top, 1))
    problem.dynamics(x, ca.sum1(u))
    problem.minimize(stage=x**2 + ca.sumsqr(u))
    with pytest.raises(
        DataError, match=r"Problem 'net', u\[0\]: lower bound 0\.0 and upper bound -1\.0 for these"
    ):
        oc.solve(problem, FIXED, parameters={"top": -1.0})


def test_a_problem_that_has_no_solution_is_not_a_success():
    problem = integrator(final=[9.0, 0.0])
    with pytest.raises(SolveError, match=r"Problem 'net': .*Largest violations: .*x\[.*Try this: ") as caught:
        oc.solve(problem, FIXED)
    assert not caught.value.solution.success
    quiet = oc.solve(problem, FIXED, throw=False)
    assert not quiet.success
    assert "SOLVED" not in quiet.status.name


ASKED = {
    "an unknown state": (lambda s: s.state("u", 0.0), r"'net' has no state 'u'; it has \['x'\]"),
    "an unknown control": (lambda s: s.control("x", 0.5), r"'net' has no control 'x'; it has \['u'\]"),
    "an unknown costate": (lambda s: s.costate("u", 0.5), r"'net' has no .* 'u'; it has \['x'\]"),
    "an unknown parameter": (lambda s: s.sensitivity("x"), r"'net' has no parameter 'x'; it has \['gain'\]"),
    "a time outside": (lambda s: s.state("x", 5.0), r"time 5\.0 lies outside the trajectory \[0\.0, 1\.0\]"),
    "NaN as time": (lambda s: s.state("x", [0.0, NAN]), r"time nan lies outside the trajectory"),
}


@pytest.mark.parametrize("name", ASKED)
def test_asking_a_solution_wrongly(solution, name):
    ask, pattern = ASKED[name]
    with pytest.raises(ProblemError, match=pattern):
        ask(solution)


@pytest.fixture(scope="module")
def solution():
    return oc.solve(integrator(), FIXED)
