"""Dynamics of control against their fixed points: sorting, argmax, summits; windows that sum to 1."""

import numpy as np
import pytest

from ocnet.attention import Benefit, Clock, ControlCosts, Network, RollingWindow
from ocnet.attention.independent import assignment, assignment_benefits, largest, output
from ocnet.attention.jumping import competition
from ocnet.attention.rolling import best_place, box_sums, climb, roll
from ocnet.attention.virtual import Virtual
from ocnet.attention.window import Geometry, smoothstep

COSTS = ControlCosts()


@pytest.mark.parametrize("seed", range(20))
def test_dynamics_of_r_sort(seed):
    """(25) at rest against sorting: the A largest Σ_a r_ia belong to the A largest scores, and are near 1."""
    rng = np.random.default_rng(seed)
    scores = rng.exponential(size=12) * 10.0 ** rng.uniform(-6, 6)
    rho = assignment(scores, 1e-3 * rng.normal(size=(12, 3)), 30.0, Benefit(), COSTS)
    r = output(rho, COSTS)
    np.testing.assert_array_equal(largest(r.sum(axis=1), 3), np.sort(np.argsort(scores)[-3:]))
    np.testing.assert_allclose(r.sum(axis=0), 1, atol=0.15)
    assert r.sum(axis=1).max() <= 1.15


def test_a_binary_cost_gives_each_real_neuron_one_virtual():
    rng = np.random.default_rng(1)
    scores = np.array([1.0, 0.2, 0.9, 0.1, 0.8, 0.3])
    costs = ControlCosts(binary=4.0)
    rho = assignment(scores, 1e-2 * rng.normal(size=(6, 3)), 100.0, Benefit(), costs)
    r = output(rho, costs)
    assert np.abs(r - np.round(r)).max() < 0.15
    np.testing.assert_array_equal(np.round(r).sum(axis=0), 1)
    assert np.round(r).sum(axis=1).max() == 1


@pytest.mark.parametrize("seed", range(20))
def test_winner_takes_all(seed):
    rng = np.random.default_rng(seed)
    sums = rng.exponential(size=15) * 10.0 ** rng.uniform(-6, 6)
    rho = competition(sums, 1e-3 * rng.normal(size=15), 60.0, Benefit(), COSTS)
    assert np.argmax(rho) == np.argmax(sums)


def test_a_short_phase_of_control_keeps_the_old_winner():
    sums = np.array([1.0, 0.9, 0.1])
    settled = competition(sums, np.zeros(3), 60.0, Benefit(), COSTS)
    after = competition(sums[::-1].copy(), settled, 1e-3, Benefit(), COSTS)
    assert np.argmax(after) == 0
    assert np.argmax(competition(sums[::-1].copy(), settled, 60.0, Benefit(), COSTS)) == 2


@pytest.mark.parametrize("seed", range(5))
def test_both_benefits_agree_for_binary_r(seed):
    """(21) equals (22) where each real neuron has one virtual neuron; not where it is shared."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=20)
    r = np.zeros((20, 4))
    r[rng.choice(20, 4, replace=False), np.arange(4)] = 1
    exact, linear = assignment_benefits(roots**2, roots, r)
    assert exact == pytest.approx(linear, rel=1e-14)
    exact, linear = assignment_benefits(roots**2, roots, np.full((20, 4), 0.05))
    assert abs(exact - linear) > 1e-3


def test_equal_scores_are_taken_in_order():
    np.testing.assert_array_equal(largest(np.array([1.0, 2.0, 1.0, 1.0]), 2), [0, 1])
    np.testing.assert_array_equal(largest(np.zeros(3), 3), [0, 1, 2])


# ---------------------------------------------------------------------- windows on a lattice


def test_smoothstep_is_the_integral_of_its_slope():
    y = np.linspace(-0.5, 0.5, 10_001)
    middle = (y[1:] + y[:-1]) / 2
    np.testing.assert_allclose(np.cumsum(6 * (0.25 - middle**2)) * 1e-4, smoothstep(y[1:]), atol=1e-8)
    assert smoothstep(np.array([-2.0, 2.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("lattice", "window", "flank"),
    [
        ((20,), (5,), 1.0),
        ((20,), (6,), 3.0),
        ((12, 15), (4, 6), 1.0),
        ((12, 15), (4, 6), 2.7),
        ((9, 8, 7), (3, 3, 2), 1.5),
    ],
)
def test_windows_sum_to_one_during_a_roll(lattice, window, flank):
    """Each real neuron is shared out exactly, wherever the window is; half-width L/2, not L as printed."""
    geometry = Geometry(np.array(lattice), np.array(window), flank)
    rng = np.random.default_rng(0)
    for x in rng.uniform(geometry.low, geometry.high, (200, len(lattice))):
        neurons, weights, groups = geometry.attended(x)
        sums = np.add.reduceat(weights, groups[:-1])
        assert len(sums) == np.prod(window)
        np.testing.assert_allclose(sums, 1, atol=1e-12)
        assert len(np.unique(neurons)) == len(neurons)
    spaced = np.arange(-10, 10) * window[0]
    for s in rng.uniform(-5, 5, 50):
        total = geometry.weight(0, s + spaced, 0.0).sum()
        assert total == pytest.approx(1, abs=1e-12)


def test_few_real_neurons_change_hands_at_a_time():
    geometry = Geometry(np.array([40, 40]), np.array([10, 10]), 1.0)
    _, weights, groups = geometry.attended(np.array([14.2, 14.5]))
    shared = np.diff(groups) > 1
    assert shared.sum() == 10  # the row that rolls; the other axis is aligned
    assert weights[weights < 1].size == 20


def test_gradient_of_the_benefit():
    geometry = Geometry(np.array([15, 17]), np.array([5, 4]), 2.2)
    rng = np.random.default_rng(2)
    scores, step = rng.random((15, 17)), 1e-6
    for x in rng.uniform(geometry.low + 0.01, geometry.high - 0.01, (20, 2)):
        gradient = geometry.benefit(scores, np.zeros(2, int), x)[1]
        for d in range(2):
            e = step * np.eye(2)[d]
            sides = [geometry.benefit(scores, np.zeros(2, int), x + s * e)[0] for s in (1, -1)]
            assert gradient[d] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("flank", [1.0, 3.0])
@pytest.mark.parametrize("seed", range(10))
def test_the_window_rolls_uphill(flank, seed):
    """The sign of (34): the printed one goes downhill."""
    rng = np.random.default_rng(seed)
    geometry = Geometry(np.array([30, 30]), np.array([6, 6]), flank)
    scores = rng.random((30, 30)) * 10.0 ** rng.integers(-8, 8)
    x = rng.uniform(geometry.low, geometry.high)
    offset = np.zeros(2, int)
    before, gradient = geometry.benefit(scores, offset, x)
    short = roll(scores, offset, x, geometry, 0.01, Benefit())
    assert (short - x) @ gradient > 0
    long = roll(scores, offset, x, geometry, 20.0, Benefit())
    assert geometry.benefit(scores, offset, long)[0] > before


def test_rolling_and_climbing_reach_the_same_summit():
    i, j = np.mgrid[0:40, 0:40]
    scores = np.exp(-((i - 21) ** 2 + (j - 13) ** 2) / 200)
    geometry, offset = Geometry(np.array([40, 40]), np.array([7, 7]), 3.0), np.zeros(2, int)
    start = np.array([30.3, 24.1])
    rolled = roll(scores, offset, start, geometry, 2000.0, Benefit())
    climbed = climb(scores, offset, start, geometry)
    np.testing.assert_allclose(climbed, [21, 13])
    np.testing.assert_allclose(rolled, climbed, atol=0.5)
    np.testing.assert_allclose(best_place(scores, geometry), climbed)


def test_box_sums():
    rng = np.random.default_rng(0)
    scores = rng.random((7, 9))
    sums = box_sums(scores, np.array([3, 2]))
    assert sums.shape == (5, 8)
    for i in range(5):
        for j in range(8):
            assert sums[i, j] == pytest.approx(scores[i : i + 3, j : j + 2].sum(), abs=1e-12)


def test_an_aligned_window_is_stationary_with_the_papers_flank():
    geometry = Geometry(np.array([20]), np.array([6]), 1.0)
    scores = np.arange(20.0)
    assert geometry.benefit(scores, np.zeros(1, int), np.array([7.5]))[1][0] == pytest.approx(0, abs=1e-12)
    wide = Geometry(np.array([20]), np.array([6]), 2.0)
    assert wide.benefit(scores, np.zeros(1, int), np.array([7.5]))[1][0] > 1


def test_a_window_as_large_as_the_lattice():
    net = Network(np.zeros((12, 12)), 1.0)
    attended = RollingWindow((3, 4), (3, 4)).begin(net, Clock(), None).attend(Virtual(net, np.zeros(12), 0.0))
    assert sorted(attended.neurons.tolist()) == list(range(12))
    assert attended.weights is None
