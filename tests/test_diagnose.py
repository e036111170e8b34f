"""What is said before a solve that cannot work, and after one that did not."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.diagnose import failure_text, violations
from ocnet.errors import DataError, OptionError, ProblemError, SolveError, SymbolError
from ocnet.solution import Status
from ocnet.trajectory import Interpolant
from tests.extremals import exact_integrator, polynomials, solution

FIXED = oc.Collocation(intervals=4, refine_to=None)


def steered(horizon=None, final=None):
    """A matrix state, a control, and constraints of all places."""
    problem = oc.Problem("steered", horizon=horizon or oc.Finite(1.0))
    Z = problem.state("Z", (1, 2), initial=[[0.0, 1.0]], final=final, lower=-0.5, upper=2.0)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(Z, ca.horzcat(u, 0))
    problem.constrain(Z[0, 0] + u, upper=1.5, name="sum")
    problem.constrain(Z, lower=-9.0, at="initial", name="start")
    problem.constrain(Z[0, 0], upper=0.7, at="final", name="end")
    problem.minimize(stage=u**2)
    return problem


def drawn(z, u, breaks=(0.0, 0.5, 1.0), **changes):
    """A solution of it with these functions of time."""
    x = polynomials(lambda t: np.column_stack(z(t)), breaks)
    return solution(steered(final=changes.pop("final", None)), 0.0, x, polynomials(u, breaks), **changes)


def test_nothing_is_violated_by_an_extremal():
    assert violations(exact_integrator(), smallest=1e-9) == []
    assert violations(drawn(lambda t: (t / 2, 1 + 0 * t), lambda t: 0.5 + 0 * t)) == []


VIOLATED = {
    "bound of state": (
        (lambda t: (-t, 1 + 0 * t), lambda t: -1 + 0 * t),
        ["bound of state Z[0, 0] at t = 1: off by 5.00e-01"],
    ),
    "bound of control, path, end": (
        (lambda t: (1.25 * t, 1 + 0 * t), lambda t: 1.25 + 0 * t),
        [
            "path constraint sum at t = 1: off by 1.00e+00",
            "final constraint end at t = 1: off by 5.50e-01",
            "bound of control u at t = ",
        ],
    ),
    "dynamics, relative to their size": (
        (lambda t: (0 * t, 1 - t / 4), lambda t: 0 * t), ["dynamics of Z[0, 1] at t = "],
    ),
    "initial value": (
        (lambda t: (0 * t, 1.25 + 0 * t), lambda t: 0 * t),
        ["initial value of Z[0, 1] at t = 0: off by 2.50e-01"],
    ),
    "final value": (
        (lambda t: (0 * t, 1 + 0 * t), lambda t: 0 * t, [[None, 1.5]]),
        ["final value of Z[0, 1] at t = 1: off by 5.00e-01"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VIOLATED)
def test_violations_name_what_where_and_how_much(name):
    (z, u, *final), expected = VIOLATED[name]
    found = violations(drawn(z, u, final=final[0] if final else None))
    assert len(found) == len(expected)
    for text, start in zip(found, expected, strict=True):
        assert text.startswith(start)


def test_how_many_and_how_small():
    bad = drawn(lambda t: (1.25 * t, 1 + 0 * t), lambda t: 1.25 + 0 * t)
    assert len(violations(bad, most=2)) == 2
    assert [text.split(" at")[0] for text in violations(bad, smallest=0.3)] == [
        "path constraint sum", "final constraint end",
    ]  # fmt: skip
    assert violations(bad, smallest=2.0) == []


def test_sizes_are_compared_as_numbers_not_as_text():
    """0.3 is worse than 0.02, and 10 than 9."""
    problem = oc.Problem("two", horizon=oc.Finite(1.0))
    x = problem.state("x", 3, initial=0.0, upper=[0.1, 0.1, 0.1])
    problem.dynamics(x, ca.DM([9.1, 10.1, 0.12]))
    problem.minimize(terminal=x[0])
    path = polynomials(lambda t: np.column_stack([9.1 * t, 10.1 * t, 0.12 * t]), [0, 1.0])
    names = [text.split(" at")[0] for text in violations(solution(problem, 0.0, path))]
    assert names == [f"bound of state x[{i}]" for i in (1, 0, 2)]


def test_discrete_time_counts_steps():
    x = Interpolant.sequence(np.arange(4.0), np.array([[0.0, 1.0], [0.5, 0], [0.75, 0], [0.6, 0]]))
    u = Interpolant.sequence(np.arange(3.0), np.array([[0.5], [0.5], [0.6]]))
    found = violations(solution(steered(oc.Steps(3)), 0.0, x, u))
    assert found == ["dynamics of Z[0, 0] at k = 1: off by 1.67e-01"]


def test_values_that_are_not_finite_do_not_hide_the_others():
    bad = drawn(lambda t: (np.where(t > 0.9, np.nan, -t), 1 + 0 * t), lambda t: -1 + 0 * t)
    assert any(text.startswith("bound of state Z[0, 0]") for text in violations(bad))


@pytest.mark.parametrize("status", list(Status))
def test_the_text_gives_the_status_and_advice(status):
    text = failure_text(exact_integrator(status=status, message="no optimum: because (Some_Reason)"))
    assert text.startswith(f"Problem 'integrator': {status.value} (Some_Reason).")
    assert ("Try this: " in text) == (not status.success)
    assert text.endswith(".")
    assert ("The estimated error of the states is 0.00e+00." in text) == (status is Status.REFINEMENT_LIMIT)


def test_the_text_lists_the_worst():
    bad = drawn(lambda t: (-t, 1 + 0 * t), lambda t: -1 + 0 * t, status=Status.INFEASIBLE, message="no (X)")
    assert (
        "(X). Largest violations: bound of state Z[0, 0] at t = 1: off by 5.00e-01. Try this:"
        in failure_text(bad)
    )


def test_a_loaded_solution_has_no_problem_to_compare_with():
    bad = drawn(lambda t: (-t, 1 + 0 * t), lambda t: -1 + 0 * t)
    bad.problem = None
    assert violations(bad) == []


# ---------------------------------------------------------------------- in words, by solve


BAD_GUESSES = {
    "times that are not numbers": ({"u": (["a", "b"], [1.0, 2.0])}, DataError, r"'u': got .*'a'.*of numbers"),
    "values that are not numbers": ({"u": ([0.0, 1.0], ["a", "b"])}, DataError, r"'u': got .*of numbers"),
    "ragged times": ({"u": ([0.0, [1.0]], [1.0, 2.0])}, SymbolError, r"'u': got tuple .*expected numbers"),
    "a function of nothing": ({"u": lambda: 1.0}, ProblemError, r"'u': too many .*one argument, the time"),
    "a function of two": ({"u": lambda t, x: t}, ProblemError, r"'u': missing .*one argument, the time"),
    "a negative final time": (
        {"time": -1.0},
        DataError,
        r"final time is -1\.0; expected a time in \[0\.5, 3",
    ),
    "too late a final time": ({"time": 4.0}, DataError, r"final time is 4\.0; expected a time in \[0\.5, 3"),
    "a final time that is no number": ({"time": "late"}, SymbolError, r"final time: got str \('late'\)"),
}


@pytest.mark.parametrize("name", BAD_GUESSES)
def test_bad_guesses_are_refused_with_the_problem_s_name(name):
    guess, error, pattern = BAD_GUESSES[name]
    with pytest.raises(error, match=rf"^Problem 'steered', guess of (the )?{pattern}"):
        oc.solve(steered(oc.FreeTime(0.5, 3.0, 1.0)), FIXED, guess=guess)


@pytest.mark.parametrize("rng", ["seed", -1, 1.5])
def test_bad_seeds_are_refused(rng):
    with pytest.raises(OptionError, match=rf"solve: rng is '?{rng}'?; expected a numpy Generator, a seed"):
        oc.solve(steered(), FIXED, rng=rng)


def test_the_class_of_a_method_is_refused():
    with pytest.raises(OptionError, match=r"method is the class Collocation; .* write Collocation\(\)\.$"):
        oc.solve(steered(), oc.Collocation)


def test_infeasible_problems_name_what_is_worst():
    problem = oc.Problem("walled", horizon=oc.Finite(1.0))
    x = problem.state("x", 2, initial=0.0)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, ca.vertcat(x[1], u))
    problem.constrain(x, lower=[2.0, -9.0], upper=9.0, name="wall")
    problem.minimize(stage=u**2)
    with pytest.raises(SolveError, match=r"^Problem 'walled': no point that satisfies the constraints") as e:
        oc.solve(problem)
    worst = str(e.value).split("Largest violations: ")[1].split(";")[0]
    assert worst.startswith(("path constraint wall[0] at t = ", "dynamics of x["))
    solution = oc.solve(problem, throw=False)
    assert not solution.success
    assert solution.status is Status.INFEASIBLE
    assert np.isfinite(solution.x.values).all()


@pytest.mark.parametrize(
    "flow",
    [lambda x, u: ca.log(x - 2) + u, lambda x, u: ca.sqrt(-1 - x**2) + u, lambda x, u: ca.sqrt(x) - 2 + u],
)
def test_dynamics_that_are_not_finite_never_end_as_a_success(flow):
    problem = oc.Problem("undefined", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0, final=-1.0)
    u = problem.control("u")
    problem.dynamics(x, flow(x, u))
    problem.minimize(stage=u**2)
    for method in (FIXED, None):
        solution = oc.solve(problem, method, throw=False)
        assert not solution.success
        with pytest.raises(SolveError, match="Problem 'undefined': "):
            oc.solve(problem, method)
