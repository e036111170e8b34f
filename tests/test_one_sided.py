"""One-sided minima against brute force over the controls, and exact ones against the general search."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, UnsupportedError
from ocnet.networks import SynapticHamiltonian, WeightProgramHamiltonian
from ocnet.one_sided import upwind


def paid(drift, stage, p_minus, p_plus):
    with np.errstate(invalid="ignore"):
        return stage + np.where(drift > 0, drift * p_plus, np.where(drift < 0, drift * p_minus, 0)).sum(
            axis=-1
        )


def two_states(price=1.0):
    problem = oc.Problem("two states", oc.Discounted(0.5))
    x, u = problem.state("x", 2), problem.control("u", 2, lower=-2, upper=2)
    problem.dynamics(x, ca.vertcat(-0.5 * x[0] + u[0], 0.7 * x[0] - x[1] + u[1] + 0.3 * u[0]))
    problem.minimize(stage=ca.sumsqr(x) + price * ca.sumsqr(u))
    return problem.hamiltonian


def brute(x, p_minus, p_plus, price=1.0, count=401):
    """The least cost over a fine grid of controls, those that move in a forbidden way left out."""
    u = np.stack(np.meshgrid(*[np.linspace(-2, 2, count)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    drift = np.stack([-0.5 * x[0] + u[:, 0], 0.7 * x[0] - x[1] + u[:, 1] + 0.3 * u[:, 0]], axis=1)
    step = 2 * 2 / (count - 1)
    drift = np.where(np.abs(drift) < step, 0.0, drift)  # one step of the grid away from rest counts as rest
    return np.nanmin(paid(drift, x @ x + price * (u * u).sum(axis=1), p_minus, p_plus))


@pytest.mark.parametrize("walls", ["none", "one", "both"])
@pytest.mark.parametrize("gap", [0.4, -0.4])
def test_the_general_search_finds_the_least_cost(walls, gap):
    rng = np.random.default_rng(0)
    x, p = rng.uniform(-1, 1, (12, 2)), rng.normal(size=(12, 2))
    minus, plus = p - gap, p + gap
    if walls != "none":
        minus[:6, 0], plus[6:, 0] = -np.inf, np.inf
    if walls == "both":
        plus[:, 1] = np.inf
    drift, stage = two_states().upwind(0.0, x, minus, plus)
    assert (drift[np.isneginf(minus)] >= 0).all()
    assert (drift[np.isposinf(plus)] <= 0).all()
    found = paid(drift, stage, minus, plus)
    wanted = np.array([brute(*row) for row in zip(x, minus, plus, strict=True)])
    np.testing.assert_allclose(found, wanted, atol=0.04)


def test_a_dear_wall_is_held_at_its_price():
    """f = 1 + u ≤ 0 costs what u = −1 costs, however dear that is; where u cannot, what is left is said."""
    one = np.ones((1, 1))
    for price in (1.0, 1e3, 1e6):
        problem = oc.Problem("pushed", oc.Discounted(0.5))
        x, u = problem.state("x"), problem.control("u", lower=-2, upper=2)
        problem.dynamics(x, 1 + u)
        problem.minimize(stage=price * u**2)
        drift, stage = problem.hamiltonian.upwind(
            0.0, np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), np.inf)
        )
        assert drift[0, 0] == 0
        assert stage[0] == pytest.approx(price, rel=1e-9)
    problem = oc.Problem("pushed out", oc.Discounted(0.5))
    x, u = problem.state("x"), problem.control("u", lower=-0.5, upper=0.5)
    problem.dynamics(x, 1 + u)
    problem.minimize(stage=u**2)
    drift, _ = problem.hamiltonian.upwind(0.0, one, 0 * one, np.inf * one)
    assert drift[0, 0] == pytest.approx(0.5, abs=1e-9)


def test_a_wall_held_by_a_bang_bang_control():
    """Without a price of its own the control jumps; at the wall a mixture of both ends rests."""
    problem = oc.Problem("jumps", oc.Discounted(0.5))
    x, u = problem.state("x"), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, 0.25 + u)
    problem.minimize(stage=(x - 3) ** 2 + 0.1 * u)
    one = np.ones((1, 1))
    drift, stage = problem.hamiltonian.upwind(0.0, one, -one, np.inf * one)
    assert drift[0, 0] == 0
    assert stage[0] == pytest.approx(4 - 0.025, rel=1e-9)


def exact_and_general(h, x, minus, plus):
    def function(t, x, p):
        return h.value(t, x, p), h.gradient(t, x, p)[1]

    return h.upwind(0.0, x, minus, plus), upwind(function, np.zeros(len(x)), x, minus, plus)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize("index", ["activation", "both"])
def test_weights_against_the_general_search(shape, index):
    rng = np.random.default_rng(1)
    h = WeightProgramHamiltonian(rng.choice([-1.0, 1.0], shape), beta=0.5, activation="tanh", index=index)
    x, p = rng.normal(size=(2, 200, h._theta.size))
    gap = rng.uniform(-0.5, 0.5, p.shape)
    minus, plus = p - gap, p + gap
    (drift, stage), general = exact_and_general(h, x, minus, plus)
    mine, other = paid(drift, stage, minus, plus), paid(*general, minus, plus)
    assert (mine <= other + 1e-9).all()
    np.testing.assert_allclose(mine[(gap > 0).all(axis=1)], other[(gap > 0).all(axis=1)], atol=1e-7)
    one = h.upwind(0.0, x[0], minus[0], plus[0])
    np.testing.assert_array_equal(one[0], drift[0])


@pytest.mark.parametrize("shape", [(2, 1), (1, 3)])
def test_weights_against_brute_force(shape):
    rng = np.random.default_rng(2)
    theta = rng.choice([-1.0, 1.0], shape)
    h = WeightProgramHamiltonian(theta, beta=0.5, activation="tanh")
    x, p, gap = rng.normal(size=(3, 20, theta.size))
    minus, plus = p - gap, p + gap
    minus[::4, 0] = -np.inf
    drift, stage = h.upwind(0.0, x, minus, plus)
    assert (drift[::4, 0] >= 0).all()
    n = shape[0]
    for k in range(len(x)):
        z = x[k].reshape(shape)
        g = np.tanh(z)
        fixed = -(theta * z).sum() + 0.25 * ((theta @ g.T) ** 2).sum()
        total = fixed
        for i in range(n):  # s g for the weights of the row, or s itself
            direction = g[:, 0] if shape[1] == 1 else np.ones(1)
            s = np.linspace(-30, 30, 60_001)
            f = s[:, None] * (direction @ g)[None, :] - z[i]
            f = np.where(np.abs(f) < 1e-3, 0.0, f)
            here = slice(i * shape[1], (i + 1) * shape[1])
            total += np.nanmin(paid(f, s * s * (direction @ direction), minus[k, here], plus[k, here]))
        assert paid(drift[k], stage[k], minus[k], plus[k]) == pytest.approx(total, abs=1e-2)


def test_weights_of_several_neurons_and_pairs_take_the_general_search():
    rng = np.random.default_rng(3)
    h = WeightProgramHamiltonian(rng.choice([-1.0, 1.0], (2, 2)), beta=0.5, activation="tanh")
    x, p = rng.normal(size=(2, 6, 4))
    minus, plus = p - 0.2, p + 0.2
    (drift, stage), general = exact_and_general(h, x, minus, plus)
    np.testing.assert_array_equal(drift, general[0])
    np.testing.assert_array_equal(stage, general[1])
    W = h.control(0.0, x, p).reshape(-1, 2, 2)  # no worse than the control of the middle price
    z = x.reshape(-1, 2, 2)
    g, theta = np.tanh(z), h._theta
    f = (W @ g - z).reshape(x.shape)
    overlap = theta @ g.transpose(0, 2, 1)
    there = (W * W).sum(axis=(1, 2)) + 0.25 * (overlap**2).sum(axis=(1, 2)) - (theta * z).sum(axis=(1, 2))
    assert (paid(drift, stage, minus, plus) <= paid(f, there, minus, plus) + 1e-9).all()


def test_synapses_against_the_general_search():
    rng = np.random.default_rng(4)
    h = SynapticHamiltonian(rng.normal(size=(3, 3)), np.full((3, 3), 0.5), 0.5)
    x, p = rng.normal(size=(2, 100, 3))
    minus, plus = p - 0.3, p + 0.3
    minus[:20, 1] = -np.inf
    (drift, stage), general = exact_and_general(h, x, minus, plus)
    held = (drift[:, 1] >= 0) | np.isfinite(minus[:, 1])
    np.testing.assert_allclose(drift, general[0], atol=1e-6)
    np.testing.assert_allclose(stage[held], general[1][held], rtol=1e-7, atol=1e-7)


def test_what_is_refused():
    h = WeightProgramHamiltonian([[1.0], [-1.0]], beta=0.5, activation="tanh")
    x = np.zeros((3, 2))
    with pytest.raises(DataError, match="NaN"):
        h.upwind(0.0, x, x * np.nan, x)
    steps = WeightProgramHamiltonian([[1.0], [-1.0]], beta=0.5, activation="tanh", discrete=True)
    with pytest.raises(UnsupportedError, match="discrete time"):
        steps.upwind(0.0, x, x, x)
