"""What Pontryagin's road refuses, in words and before any work, and how it reports what it cannot solve."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SolveError, UnsupportedError
from ocnet.solution import Status
from problems import synaptic_control

NAN, INF = float("nan"), float("inf")


def integrator(horizon=None, *, cost=True, final=None, extra=None):
    """Double integrator; `extra` adds to the statement."""
    problem = oc.Problem("net", horizon=horizon or oc.Finite(1.0))
    x = problem.state("x", 2, initial=[0.0, 1.0], final=final)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, ca.vertcat(x[1], u))
    if cost:
        problem.minimize(stage=ca.sumsqr(x) + u**2)
    if extra:
        extra(problem, x, u)
    return problem


def unknown(problem, x, u):
    problem.unknown("q", lower=0.0, upper=2.0, guess=1.0)


REFUSED = {
    "free final time": (
        lambda: integrator(oc.FreeTime(0.5, 3.0, 1.0)),
        UnsupportedError,
        r"Problem 'net': Pontryagin cannot treat a free final time; use ocnet\.Collocation",
    ),
    "infinitely many steps": (
        lambda: integrator(oc.Steps(None, discount=0.1)),
        UnsupportedError,
        r"Problem 'net': Pontryagin cannot treat infinitely many steps; use ocnet\.Collocation",
    ),
    "unknown constants": (
        lambda: integrator(extra=unknown),
        UnsupportedError,
        r"Pontryagin cannot treat unknown constants \(q\)",
    ),
    "a path constraint": (
        lambda: integrator(extra=lambda s, x, u: s.constrain(x[0] + x[1], upper=3.0, name="cap")),
        UnsupportedError,
        r"Pontryagin cannot treat constraints \(cap\)",
    ),
    "a final constraint": (
        lambda: integrator(
            extra=lambda s, x, u: s.constrain(ca.sumsqr(x), upper=3.0, at="final", name="ring")
        ),
        UnsupportedError,
        r"Pontryagin cannot treat constraints \(ring\)",
    ),
    "data terms": (
        lambda: integrator(extra=lambda s, x, u: s.cost_at(0.5, ca.sumsqr(x))),
        UnsupportedError,
        r"Pontryagin cannot treat data terms at sample times",
    ),
    "final values on an infinite horizon": (
        lambda: integrator(oc.Discounted(1.0), final=0.0),
        UnsupportedError,
        r"Pontryagin cannot treat final values on an infinite horizon",
    ),
    "no cost": (
        lambda: integrator(cost=False),
        ProblemError,
        r"Problem 'net': it has no cost; call problem\.minimize before solve",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_problems_that_are_refused(case):
    build, error, message = REFUSED[case]
    problem = build()
    for act in (oc.prepare, oc.solve):
        with pytest.raises(error, match=message):
            act(problem, oc.Pontryagin())


OPTIONS = [
    ({"intervals": 1}, r"intervals is 1; expected an integer from 2"),
    ({"intervals": 0}, r"intervals is 0; expected an integer from 2"),
    ({"intervals": -3}, r"intervals is -3"),
    ({"intervals": 8.0}, r"intervals is 8\.0; expected an integer"),
    ({"intervals": True}, r"intervals is True; expected an integer"),
    ({"intervals": "8"}, r"intervals is '8'; expected an integer"),
    ({"intervals": 10**7}, r"intervals is 10000000; expected an integer from 2 to 1000000"),
    ({"refine_to": 0}, r"refine_to is 0; expected None or a number in \[1e-12, 1\)"),
    ({"refine_to": 1.0}, r"refine_to is 1\.0; expected None"),
    ({"refine_to": 1e-13}, r"refine_to is 1e-13; expected None"),
    ({"refine_to": -1e-6}, r"refine_to is -1e-06; expected None"),
    ({"refine_to": NAN}, r"refine_to is nan; expected None"),
    ({"refine_to": INF}, r"refine_to is inf; expected None"),
    ({"refine_to": "1e-6"}, r"refine_to is '1e-6'; expected None"),
    ({"refine_to": True}, r"refine_to is True; expected None"),
    ({"max_refinements": 0}, r"max_refinements is 0; expected an integer from 1"),
    ({"max_refinements": None}, r"max_refinements is None; expected an integer from 1"),
    ({"max_refinements": 2.5}, r"max_refinements is 2\.5"),
    ({"max_refinements": 10**5}, r"max_refinements is 100000; expected an integer from 1 to 10000"),
    ({"max_intervals": 1}, r"max_intervals is 1; expected an integer from 2"),
    ({"max_intervals": NAN}, r"max_intervals is nan; expected an integer"),
    ({"max_intervals": None}, r"max_intervals is None; expected an integer"),
    ({"memory": 0}, r"memory is 0; expected a positive number of bytes"),
    ({"memory": -1e9}, r"memory is -1000000000\.0; expected a positive"),
    ({"memory": NAN}, r"memory is nan; expected a positive"),
    ({"memory": "1GB"}, r"memory is '1GB'; expected a positive number of bytes"),
    ({"threads": 0}, r"threads is 0; expected an integer from 1 to 1024"),
    ({"threads": 1.0}, r"threads is 1\.0; expected an integer"),
    ({"threads": None}, r"threads is None; expected an integer"),
    ({"threads": True}, r"threads is True; expected an integer"),
    ({"threads": 4096}, r"threads is 4096; expected an integer from 1 to 1024"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=lambda case: str(case)[:40])
def test_options_that_are_refused(options, message):
    with pytest.raises(OptionError, match="Pontryagin: " + message):
        oc.Pontryagin(**options)


def test_options_that_do_not_exist():
    with pytest.raises(TypeError, match="degree"):
        oc.Pontryagin(degree=3)


def test_the_class_in_place_of_an_object():
    with pytest.raises(OptionError, match=r"method is the class Pontryagin.*write Pontryagin\(\)"):
        oc.solve(integrator(), oc.Pontryagin)


def test_numpy_integers_are_integers():
    method = oc.Pontryagin(intervals=np.int64(5), threads=np.int32(1))
    assert oc.solve(integrator(), method).success
    assert method.label.startswith("Pontryagin's conditions")
    assert "fixed mesh" in oc.Pontryagin(refine_to=None).label


def test_too_little_memory():
    message = r"Problem 'net': 8 intervals with 2 states take .* GiB are free; give a larger memory="
    with pytest.raises(UnsupportedError, match=message):
        oc.solve(integrator(), oc.Pontryagin(memory=1000.0))
    assert oc.solve(integrator(), oc.Pontryagin(memory=1e8)).success


# ---------------------------------------------------------------------- Hamiltonians without a minimum


def scalar(stage, lower=-INF, upper=INF):
    problem = oc.Problem("scalar", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u", lower=lower, upper=upper)
    problem.dynamics(x, u)
    problem.minimize(stage=stage(x, u))
    return problem


def test_a_hamiltonian_that_is_concave_in_the_controls():
    problem = scalar(lambda x, u: x**2 - u**2, -1.0, 1.0)
    with pytest.raises(UnsupportedError, match=r"Hamiltonian of 'scalar'.*not convex"):
        oc.solve(problem, oc.Pontryagin())


def test_a_hamiltonian_without_a_minimum():
    problem = scalar(lambda x, u: x**2 + u)
    with pytest.raises(UnsupportedError, match=r"Hamiltonian of 'scalar'"):
        oc.solve(problem, oc.Pontryagin())


# ---------------------------------------------------------------------- guesses


@pytest.mark.parametrize(("guess", "error", "message"), [
    ({"x": [NAN, 0.0]}, DataError, r"guess of 'x'"),
    ({"x": ([0.0, 1.0], [[0.0, NAN], [0.0, 1.0]])}, DataError, r"guess of 'x': the arrays contain NaN"),
    ({"x": lambda t: [t, NAN]}, DataError, r"guess of 'x' at time"),
    ({"u": INF}, DataError, r"guess of 'u'"),
    ({"y": 1.0}, ProblemError, r"\['y'\] are not variables of the problem"),
    ({"time": 1.0}, ProblemError, r"\['time'\] are not variables"),
    ({"x": [1.0, 2.0, 3.0]}, ShapeError, r"guess of 'x'"),
    ({"x": lambda: 0.0}, ProblemError, r"expected a function of one argument"),
    (3.0, ProblemError, r"guess is a float; expected a mapping"),
])  # fmt: skip
def test_bad_guesses(guess, error, message):
    with pytest.raises(error, match=message):
        oc.solve(integrator(), oc.Pontryagin(), guess=guess)


def test_the_solution_of_another_problem_is_no_guess():
    other = oc.solve(scalar(lambda x, u: x**2 + u**2), oc.Pontryagin())
    with pytest.raises(ShapeError, match="the trajectory has"):
        oc.solve(integrator(), oc.Pontryagin(), guess=other)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"multistart": 0}, "multistart is 0"),
    ({"tolerance": 0.0}, "tolerance is 0.0"),
    ({"tolerance": NAN}, "tolerance is nan"),
    ({"rng": "seed"}, "rng is 'seed'"),
])  # fmt: skip
def test_bad_arguments_of_solve(arguments, message):
    with pytest.raises(OptionError, match=message):
        oc.solve(integrator(), oc.Pontryagin(), **arguments)


@pytest.mark.parametrize("parameters", [{"gain": 1.0}, {"initial": [1.0, 2.0, 3.0]}])
def test_bad_parameters(parameters):
    problem = synaptic_control.problem(np.eye(2), [1.0, 1.0], bounds=(0.1, 0.1), discount=0.5)
    with pytest.raises(ProblemError):
        oc.solve(problem, oc.Pontryagin(), parameters=parameters)


# ---------------------------------------------------------------------- failures


def test_a_failed_solve_raises_and_carries_its_last_iterate():
    """Escape in finite time, whatever the control does."""
    problem = oc.Problem("escape", horizon=oc.Finite(5.0))
    x = problem.state("x", initial=2.0)
    u = problem.control("u", lower=-0.1, upper=0.1)
    problem.dynamics(x, x**3 + u)
    problem.minimize(stage=x**2 + u**2)
    solver = oc.prepare(problem, oc.Pontryagin(refine_to=None, intervals=5))
    with pytest.raises(SolveError) as caught:
        solver.solve()
    solution = caught.value.solution
    assert not solution.success
    assert "no optimum" in solution.message
    again = solver.solve(throw=False)
    assert again.status is solution.status
    str(again)  # and it prints


def test_a_mesh_that_may_not_grow():
    method = oc.Pontryagin(intervals=4, refine_to=1e-10, max_refinements=1)
    solution = oc.solve(integrator(), method, throw=False)
    assert solution.status is Status.REFINEMENT_LIMIT
    assert solution.mesh_error > 1e-10 or solution.stats["meshes"][-1]["error"] > 1e-10
    assert not solution.success
    assert len(solution.stats["meshes"]) <= 2
    few = oc.solve(integrator(), oc.Pontryagin(refine_to=1e-10, max_intervals=10), throw=False)
    assert few.status is Status.REFINEMENT_LIMIT


def test_bounds_of_states_that_matter_are_not_passed_over():
    problem = oc.Problem("wall", horizon=oc.Finite(1.0))
    x = problem.state("x", 2, initial=[0.0, 1.0], final=[0.0, -1.0], upper=[1 / 9, 5.0])
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[1], u))
    problem.minimize(stage=u**2 / 2)
    solution = oc.solve(problem, oc.Pontryagin(), throw=False)
    assert solution.status is Status.INFEASIBLE
    assert "bound of x[0]" in solution.message
    assert "Collocation" in solution.message
    with pytest.raises(SolveError):
        oc.solve(problem, oc.Pontryagin())


def test_bounds_of_states_that_do_not_matter():
    problem = oc.Problem("far wall", horizon=oc.Finite(1.0))
    x = problem.state("x", 2, initial=[0.0, 1.0], final=[0.0, -1.0], upper=5.0)
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[1], u))
    problem.minimize(stage=u**2 / 2)
    assert oc.solve(problem, oc.Pontryagin()).cost == pytest.approx(2.0, rel=1e-9)
