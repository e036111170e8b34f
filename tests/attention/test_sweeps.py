"""The compiled kernels against plain references: rest, E, scores, sweeps where they are and on copies."""

import numpy as np
import pytest
import scipy.sparse as sp

from ocnet.attention import Clock, JumpingWindow, Network, relax
from ocnet.attention import kernels as K
from ocnet.attention.network import LONG, SHORT
from ocnet.attention.sweeps import AHEAD, DEPTH, sweeps
from ocnet.attention.virtual import Attended, Virtual

KINDS = pytest.mark.parametrize("kind", ["tanh", "logistic"])


def ring(n, reaches, strength, activation="tanh", gain=1.0, seed=0):
    """Every neuron has two synapses of each reach, so that updates are counted on the fingers."""
    rng = np.random.default_rng(seed)
    half = sp.coo_array((n, n))
    for r in reaches:
        i = np.arange(n)
        half = half + sp.coo_array((strength * rng.normal(size=n), (i, (i + r) % n)), shape=(n, n))
    return Network(half + half.T, rng.normal(size=n), activation, gain=gain)


def plain(network, tolerance, step=1.0, most=1000):
    """Sweep in Python with numpy alone; return u and the number of steps."""
    T, h, gain = network.weights.toarray(), network.inputs, network.gain
    u, steps = np.zeros(network.size), 0
    v = network.output(u)
    for _ in range(most):
        before = steps
        for i in range(network.size):
            net = T[i] @ v + h[i]
            if abs(network.output(net) - v[i]) > tolerance:
                u[i] += (net - u[i]) * (1 - np.exp(-step))
                v[i] = network.output(u[i])
                steps += 1
        if steps == before:
            return u, steps, gain
    raise AssertionError("the reference did not come to rest")


@KINDS
def test_rest_is_decided_as_it_is_defined(kind):
    """|g(γ net) − v| in extended precision against the tolerance, from rest to saturation on either side."""
    number, rng, decided = {"tanh": 0, "logistic": 1}[kind], np.random.default_rng(0), 0
    for _ in range(3000):
        gain, u = 10.0 ** rng.uniform(-1, 1), rng.normal() * 10.0 ** rng.uniform(-2, 1.5)
        net = u + rng.normal() * 10.0 ** rng.uniform(-8, 2)
        tolerance = 10.0 ** rng.uniform(-9, -1)
        v = K.output(number, gain * u)
        s = np.longdouble(gain) * np.longdouble(net)
        due = abs((np.tanh(s) if number == 0 else (1 + np.tanh(s / 2)) / 2) - np.longdouble(v))
        if abs(due - tolerance) > 1e-15:
            assert K.rests(number, gain, u, v, net, tolerance) == (due <= tolerance)
            decided += due <= tolerance
    assert 500 < decided < 2500


def test_without_a_tolerance_only_forces_of_zero_rest():
    assert K.rests(0, 1.0, 0.3, np.tanh(0.3), 0.3, 0.0)
    assert not K.rests(0, 1.0, 0.3, np.tanh(0.3), 0.3 + 1e-12, 0.0)
    assert not K.rests(0, 3.0, -30.0, -1.0, 1.0, 1e-8)  # saturated, on the wrong side
    assert not K.rests(0, 3.0, -30.0, -1.0, 1.0, 0.0)


@KINDS
@pytest.mark.parametrize("size", [1e-7, 1.0, 30.0])
def test_costs_share_logarithms_without_loss(kind, size):
    """Σφ to 1e-14 of the sum of |φ|, for tiny outputs and in saturation."""
    rng = np.random.default_rng(1)
    u = size * rng.normal(size=1000)
    net = Network(sp.csr_array((1000, 1000)), 0.0, kind, gain=1.3)
    v = K.outputs(net.kind, 1.3, u)
    each = np.array([K.gain_cost(net.kind, 1.3, a, b) for a, b in zip(u, v, strict=True)])
    assert K.total_gain_cost(net.kind, 1.3, u, v) == pytest.approx(each.sum(), abs=1e-14 * abs(each).sum())
    other = u + 0.1 * size * rng.normal(size=1000) * (rng.random(1000) < 0.5)
    w, zero = K.outputs(net.kind, 1.3, other), np.zeros(1000)
    found = K.energy_change(net.kind, 1.3, other, w, zero, u, v, zero)
    wanted = K.total_gain_cost(net.kind, 1.3, other, w) - K.total_gain_cost(net.kind, 1.3, u, v)
    assert found == pytest.approx(wanted, abs=1e-14 * abs(each).sum())


@KINDS
def test_residual_is_the_largest_change_due(kind):
    rng = np.random.default_rng(2)
    net = ring(500, [1, 7], 0.5, kind, gain=2.0)
    state = Virtual(net, 5 * rng.normal(size=500), 1e-3)
    direct = np.abs(net.output(net.weights @ state.v + net.inputs) - state.v).max()
    assert state.residual() == pytest.approx(direct, rel=1e-12)


@KINDS
@pytest.mark.parametrize("rule", [None, JumpingWindow(5)])
def test_relaxation_against_plain_sweeps(kind, rule):
    """More neurons than are looked at ahead; the fixed point, and every update counted once."""
    net = ring(3 * AHEAD + 5, [1, 40, 300], 0.15, kind)
    u, steps, _ = plain(net, 1e-6)
    found = relax(net, rule, tolerance=1e-6)
    assert found.success
    np.testing.assert_allclose(found.v, net.output(u), atol=1e-5)
    assert found.energy == pytest.approx(net.energy(found.u), abs=1e-10)
    if rule is None:
        assert found.counters.connection_updates == net.connections + 6 * found.counters.neuron_updates
        assert found.counters.neuron_updates == pytest.approx(steps, rel=0.02)
        assert found.counters.neuron_updates > net.size


@pytest.mark.parametrize("diagonal", [0.0, -1.5])
def test_parts_take_turns_as_if_sweeps_followed_one_another(diagonal):
    """To rounding, for sums have another order; synapses reach as far as a part is long, and no further."""
    n = 5 * SHORT + 17
    rng = np.random.default_rng(4)
    half = sp.diags_array([0.3 * rng.normal(size=n - r) for r in (1, 500, SHORT)], offsets=[1, 500, SHORT])
    net = Network(half + half.T + sp.diags_array(np.full(n, diagonal)), rng.normal(size=n))
    assert net.stride == SHORT
    apart, whole = Virtual(net, np.zeros(n), 1e-9), Virtual(net, np.zeros(n), 1e-9)
    T = net.weights
    for most in (1, 3, 2 * DEPTH + 1):
        done = apart.move(Attended(None), 0.1, most)
        rows, state = (T.indptr[:-1], T.indptr[1:], T.indices, T.data), (whole.u, whole.v, whole.net)
        counts = sweeps(*rows, whole.feedback, *state, 0, n, 0, net.kind, net.gain, 0.1, most, 1e-9)
        assert (done.connection_updates, done.neuron_updates) == counts
        assert done.neuron_updates == most * n
        np.testing.assert_allclose(apart.u, whole.u, atol=1e-13)
        np.testing.assert_allclose(apart.net, whole.net, atol=1e-13)


def test_how_far_synapses_reach():
    assert Network(sp.csr_array((9, 9))).stride == SHORT
    one = sp.coo_array(([1.0, 1.0], ([0, SHORT + 1], [SHORT + 1, 0])), shape=(3 * LONG, 3 * LONG))
    assert Network(one).stride == 2 * SHORT
    one = sp.coo_array(([1.0, 1.0], ([0, LONG + 1], [LONG + 1, 0])), shape=(3 * LONG, 3 * LONG))
    assert Network(one).stride == 0


@pytest.mark.parametrize("diagonal", [0.0, -1.5])
@KINDS
def test_blocks_move_in_place_as_copies_do(kind, diagonal):
    """The same outputs, net inputs, counts and E, whether synapses are copied or found by pointers."""
    net = ring(900, [1, 2, 35, 250], 0.4, kind, gain=1.5)
    net = Network(net.weights + sp.diags_array(np.full(900, diagonal)), net.inputs, kind, gain=1.5)
    here, there = Virtual(net, np.zeros(900), 1e-4), Virtual(net, np.zeros(900), 1e-4)
    running = JumpingWindow(4).begin(net, Clock(), np.random.default_rng(0))
    before = here.energy
    for _ in range(30):
        chosen = running.attend(here)
        assert chosen.rows is not None
        a, b = here.move(chosen, 1.0, 5), there.move(Attended(chosen.neurons), 1.0, 5)
        assert (a.connection_updates, a.neuron_updates) == (b.connection_updates, b.neuron_updates)
        assert a.energy_change == pytest.approx(b.energy_change, abs=1e-12)
        assert here.energy == pytest.approx(before + a.energy_change, abs=1e-10)
        before = here.energy
        for name in ("u", "v", "net"):
            np.testing.assert_allclose(getattr(here, name), getattr(there, name), atol=1e-13)
        np.testing.assert_allclose(here.net, net.weights @ here.v + net.inputs, atol=1e-12)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("measure", [0, 1])
def test_block_scores_are_kept_up_to_date(shuffled, measure, monkeypatch):
    """Sums that follow what changed against sums over all neurons, phase after phase."""
    monkeypatch.setattr("ocnet.attention.jumping.PIECE", 37)
    net, rng = ring(600, [1, 90, 200], 0.5), np.random.default_rng(3)
    labels = np.arange(600) * 6 // 600
    labels = rng.permutation(labels) if shuffled else labels
    score = ["benefit", "gradient"][measure]
    running = JumpingWindow(labels, score=score).begin(net, Clock(), rng)
    state, visited = Virtual(net, rng.normal(size=600), 1e-3), set()
    for _ in range(2000):
        chosen = running.attend(state)
        direct = np.bincount(labels, weights=state.scores(measure), minlength=6)
        np.testing.assert_allclose(running.sums, direct, rtol=1e-12, atol=0)
        assert int(chosen.place[0]) == np.argmax(direct)
        if direct.max() == 0:
            break
        visited.add(int(chosen.place[0]))
        assert state.move(chosen, 1.0, 10).neuron_updates > 0
    assert direct.max() == 0
    assert visited == set(range(6))
    assert state.residual() <= 1e-3
