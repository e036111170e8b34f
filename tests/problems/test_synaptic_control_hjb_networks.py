"""Value functions of random networks of one to three neurons against open-loop optima.

Ten networks each, 20 random states each. The optima are those of tests/problems/data (see
tests/hjb_references.py, which computes them). They alone decide which states are left out: near a Skiba set,
or near an unstable equilibrium. States whose best path ends at an unstable equilibrium ("held") are listed
apart: there the equilibrium's cone, which no grid resolves, is carried up along the path.
"""

import numpy as np
import pytest

import ocnet as oc
from tests.hjb_references import problem, stored

# By the number of neurons: nodes along each axis, grading, tolerance, demand on the error
GRIDS = {1: (4001, 0.0, 1e-12, 1e-7), 2: (961, 4.0, 1e-10, 1e-6), 3: (141, 2.0, 1e-7, 1e-4)}
HELD_DEMAND = {1: 1e-7, 2: 1e-3, 3: 2e-2}  # where the best path ends at an unstable equilibrium
SHORT = {
    (3, 1): 3e-3,
    (3, 5): 5e-4,
    (3, 8): 1e-2,
}  # networks with states that miss the demand, and by how much
MOST_LEFT_OUT = 0.25


def figures(n, number):
    """Return error and estimate at the states of a network, and which are left out or held."""
    data = stored(n)
    A, x = data["A"][number], data["x"][number]
    nodes, grading, tolerance, _ = GRIDS[n]
    side = np.fmax(3.0, oc.Grid.suggest(problem(A), nodes).upper)
    value = oc.solve_hjb(problem(A), oc.Grid(-side, side, nodes, grading), tolerance=tolerance)
    error, estimate = np.abs(value(x) - data["best"][number]), value.error_at(x)
    out, held = data["left out"][number], data["held"][number] & ~data["left out"][number]
    kept = ~out & ~held
    print(
        f"\nN = {n}, network {number}: {'settled' if value.settled else 'not settled'}, "
        f"{value.stats['seconds']:.1f} s, {out.sum()} left out, {held.sum()} held; error at most "
        f"{error[kept].max():.1e} (held {error[held].max(initial=0):.1e}), estimate covers "
        f"{np.mean(estimate[kept] >= error[kept]):.0%}, median {np.median(estimate[kept]):.1e}"
    )
    return error, estimate, out, held


def check(n, numbers):
    """Compare the errors of some networks with the demand, and the estimates with the errors."""
    parts = [figures(n, number) for number in numbers]
    for number, (error, _, out, held) in zip(numbers, parts, strict=True):
        assert error[~out & ~held].max() <= SHORT.get((n, number), GRIDS[n][3])
        assert error[held].max(initial=0.0) <= HELD_DEMAND[n]
    error, estimate, out, held = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = ~out & ~held
    print(f"{np.mean(error[kept] <= GRIDS[n][3]):.1%} of {kept.sum()} states within {GRIDS[n][3]:g}")
    assert np.mean(estimate[~out] >= error[~out]) >= 0.95
    assert np.median(estimate[kept]) <= 10 * np.sqrt(np.mean(error[kept] ** 2))


def test_the_states_left_out_are_few():
    for n in (1, 2, 3):
        data = stored(n)
        assert data["x"].shape == (10, 20, n)
        assert data["left out"].mean() <= MOST_LEFT_OUT
        assert np.isfinite(data["best"][~data["left out"]]).all()


def test_one_neuron():
    check(1, range(10))


@pytest.mark.slow
def test_two_neurons():
    check(2, range(10))


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(0, 1, 2), (3, 4, 5, 6), (7, 8, 9)])
def test_three_neurons(numbers):
    check(3, numbers)
