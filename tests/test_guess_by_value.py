"""Open-loop methods that start from a value function, and costs compared with it."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import ProblemError
from problems import synaptic_control
from tests.hjb_problems import two_wells

A = np.array([[1.5, 0.6], [-0.6, 1.5]])


def problem(initial):
    return synaptic_control.problem(A, initial, bounds=(0.1, 1.0), discount=0.5)


@pytest.fixture(scope="module")
def value():
    return oc.solve_hjb(problem([1.0, -0.8]), oc.Grid([-3, -3], [3, 3], (121, 121)))


@pytest.mark.parametrize("method", [oc.Pontryagin(), oc.Collocation(refine_to=1e-4)])
def test_the_feedback_is_a_guess(value, method):
    solution = oc.solve(problem([1.0, -0.8]), method, guess=value)
    assert solution.success
    assert solution.stats["starts"] >= 1
    assert solution.cost == pytest.approx(value([1.0, -0.8]), rel=1e-4)


def test_near_the_unstable_equilibrium_several_basins_are_tried(value):
    near = problem([0.05, 0.02])
    solution = oc.solve(near, oc.Pontryagin(), guess=value)
    assert solution.stats["starts"] > 1
    assert solution.cost <= oc.solve(near, oc.Pontryagin()).cost * (1 + 1e-8)


def test_a_certificate_compares_with_the_value_function(value):
    solution = oc.solve(problem([1.0, -0.8]), oc.Pontryagin())
    certificate = oc.verify(solution, value=value)
    assert abs(certificate.value_gap) < 1e-4
    assert "value gap" in str(certificate)
    assert oc.verify(solution).value_gap is None
    error = f"{value.refined([1.0, -0.8]).error:.1e}"
    assert f"its own error at the initial state as {error}" in " ".join(certificate.notes)


def test_beside_a_kink_a_certificate_compares_with_the_refined_value():
    """0.05 lies beside a Skiba point: the grid is off by 4e-3, and the path to the other well by 1e-1."""
    made, _ = two_wells(initial=0.05)
    value = oc.solve_hjb(made, oc.Grid(-1.7, 1.9, 61))
    times = [0.0, 1.0, 2.0, 30.0]
    guesses = [{"x": (times, [0.05, 0.8 * end, end, end])} for end in (1.0, -1.0)]
    paths = [oc.solve(made, oc.Pontryagin(), guess=guess) for guess in guesses]
    assert abs(paths[0].cost - value([0.05])) > 1e-3
    near, far = (oc.verify(path, value=value).value_gap for path in paths)
    assert abs(near) < 1e-5
    assert far == pytest.approx(paths[1].cost - paths[0].cost, abs=1e-5)


def test_where_values_cannot_be_refined_a_certificate_takes_them_as_they_are(value, tmp_path):
    value.save(tmp_path / "value.nc")
    solution = oc.solve(problem([1.0, -0.8]), oc.Pontryagin())
    loaded = oc.ValueFunction.load(tmp_path / "value.nc")
    assert oc.verify(solution, value=loaded).value_gap == solution.cost - loaded([1.0, -0.8])


def test_a_certificate_refuses_a_value_function_from_elsewhere(value):
    solution = oc.solve(problem([3.5, 0.0]), oc.Pontryagin())
    with pytest.raises(ProblemError, match=r"the box from \(-3\.0, -3\.0\) .* starts at \[3\.5"):
        oc.verify(solution, value=value)
    three = synaptic_control.problem(np.eye(3), np.ones(3), bounds=(0.1, 1.0), discount=0.5)
    with pytest.raises(ProblemError, match="has 2 states; the solution has 3"):
        oc.verify(oc.solve(three, oc.Pontryagin()), value=value)


def test_a_wrong_guess_names_the_value_function_among_the_right_ones():
    with pytest.raises(ProblemError, match="a ValueFunction or None"):
        oc.solve(problem([1.0, -0.8]), oc.Pontryagin(), guess=3.0)


def test_a_free_initial_state_is_refused(value):
    free = oc.Problem("free start", oc.Discounted(0.5))
    x = free.state("x", 2)
    u = free.control("u", lower=-1, upper=1)
    free.dynamics(x, -x + u)
    free.minimize(stage=x[0] ** 2 + u**2)
    with pytest.raises(ProblemError, match=r"x\[0\] is free at the start"):
        oc.solve(free, oc.Pontryagin(), guess=value)
