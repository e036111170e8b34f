"""Relaxation under attention: against the differential equation, E at every phase, counters, statuses."""

import signal
import threading

import casadi as ca
import numpy as np
import pytest
import scipy.sparse as sp

import ocnet as oc
from ocnet.attention import (
    Clock,
    Everything,
    IndependentSelection,
    JumpingWindow,
    Network,
    RollingWindow,
    anneal,
    relax,
)
from ocnet.attention.virtual import Attended, Virtual
from ocnet.lagrangian import coordinates
from ocnet.lagrangians.descent import hopfield, quadratic


def network(n=64, seed=0, activation="tanh", gain=1.0, density=0.2, diagonal=0.0):
    rng = np.random.default_rng(seed)
    T = sp.random(n, n, density, random_state=rng, data_rvs=rng.standard_normal).toarray()
    T = (T + T.T) / 2 + diagonal * np.eye(n)
    return Network(T, rng.normal(size=n), activation, gain=gain), rng.normal(size=n)


RULES = {
    "everything": (Everything(), None),
    "independent": (IndependentSelection(8), None),
    "independent, gradient": (IndependentSelection(8, score="gradient"), None),
    "jumping": (JumpingWindow(8), None),
    "jumping, gradient": (JumpingWindow(8, score="gradient"), None),
    "jumping, dynamics": (JumpingWindow(8), 20.0),
    "rolling": (RollingWindow((8, 8), 3), None),
    "rolling, dynamics": (RollingWindow((8, 8), (4, 4), flank=2.5), 10.0),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_e_falls_in_every_phase(name, activation):
    """208 runs in all."""
    rule, control = RULES[name]
    for seed in range(4 if control else 16):
        net, u0 = network(seed=seed, activation=activation, gain=1.5, diagonal=[-2.0, 0.0, 0.5][seed % 3])
        phases = 20 if control else 10_000
        found = relax(net, rule, initial=u0, clock=Clock(control=control), tolerance=1e-3, phases=phases)
        energies = np.concatenate([[net.energy(u0)], found.history["energy"]])
        assert np.diff(energies).max() <= 1e-10
        assert found.energy == pytest.approx(energies[-1], abs=1e-9)
        assert found.energy == pytest.approx(net.energy(found.u), abs=1e-9)
        assert energies[-1] < energies[0]
        if control is None:
            assert found.success
            assert found.residual <= 1e-3


@pytest.mark.parametrize("name", [name for name, (_, control) in RULES.items() if control is None])
def test_all_rules_end_at_the_fixed_point_of_the_network(name):
    net, u0 = network(activation="tanh", density=0.05, gain=0.5)
    found = relax(net, RULES[name][0], initial=u0, tolerance=1e-9)
    assert found.success
    reference = relax(net, initial=u0, tolerance=1e-12)
    np.testing.assert_allclose(found.v, reference.v, atol=1e-7)
    np.testing.assert_allclose(net.downhill(reference.u), 0, atol=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_small_steps_follow_the_differential_equation(activation):
    """First order in dt against the Hopfield dynamics derived from the Lagrangian."""
    net, u0 = network(n=6, seed=3, activation=activation, density=0.6)
    v, _ = coordinates("v", 6)
    lagrangian = hopfield(quadratic(v, net.weights.toarray(), net.inputs), v, activation)
    exact = oc.simulate(lagrangian.greedy(), initial=u0, tf=1.0).state("u", 1.0)
    errors = []
    for steps in (50, 100, 200):
        found = relax(net, initial=u0, clock=Clock(step=1 / steps, neurons=steps), tolerance=0.0, phases=1)
        errors.append(np.abs(found.u - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 1.0, atol=0.1)


def test_shared_neurons_follow_equation_19():
    """Two virtual neurons on one real neuron: k̇ = Σ r √g' F, ẇ = r k̇, against CasADi's derivative of E."""
    net, u0 = network(n=4, seed=1, density=0.9)
    r = np.array([0.3, 0.7])
    w = np.arctan(np.sinh(u0))
    state = Virtual(net, u0.copy(), 0.0)
    dt = 1e-6
    state.move(Attended(np.array([1, 2]), r, np.array([0, 2])), dt, 1)
    moved = (np.arctan(np.sinh(state.u)) - w) / dt
    W = ca.MX.sym("w", 4)
    E = -ca.bilin(ca.MX(ca.DM(net.weights.toarray())), ca.sin(W), ca.sin(W)) / 2 - ca.dot(
        ca.DM(net.inputs), ca.sin(W)
    )
    E += ca.sum1(ca.sin(W) * ca.atanh(ca.sin(W)) + ca.log(1 - ca.sin(W) ** 2) / 2)
    slope = ca.Function("slope", [W], [ca.gradient(E, W)])(w).full()[:, 0]
    k = -(r * slope[1:3]).sum()
    np.testing.assert_allclose(moved, [0, r[0] * k, r[1] * k, 0], atol=1e-5)


def test_net_inputs_are_kept_up_to_date():
    net, u0 = network(seed=5, diagonal=-1.0)
    for rule, control in RULES.values():
        running = rule.begin(net, Clock(control=control), np.random.default_rng(0))
        state = Virtual(net, u0.copy(), 1e-6)
        for _ in range(20):
            state.move(running.attend(state), 1.0, 5)
        np.testing.assert_allclose(state.net, net.weights @ net.output(state.u) + net.inputs, atol=1e-11)
        np.testing.assert_allclose(state.v, net.output(state.u), atol=1e-11)


def test_connection_updates_are_counted():
    """A chain of which one neuron moves once: its two synapses, after all of them were used at the start."""
    T = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
    net = Network(1e-3 * T, [0, 0, 1.0, 0, 0])
    found = relax(net, JumpingWindow(5), clock=Clock(neurons=1), phases=1)
    assert found.counters.connection_updates == net.connections + 2
    assert found.counters.neuron_updates == 1
    assert found.counters.peak_active == found.counters.peak_real == 1
    assert found.status == "phases exhausted"
    assert not found.success


def test_a_window_takes_fewer_bytes():
    net, u0 = network(n=400, density=0.05)
    full, window = relax(net, initial=u0), relax(net, JumpingWindow(10), initial=u0)
    assert full.counters.peak_active == 400
    assert window.counters.peak_active == 40
    assert window.counters.bytes_active < full.counters.bytes_active / 5
    assert window.counters.bytes_network == full.counters.bytes_network


def test_saturated_neurons_in_the_wrong_place_are_rescued():
    """The slope at u = −30 is 0 to rounding: g'(∂E/∂v)² calls such a neuron unimportant, and is overruled."""
    net = Network(sp.csr_array((4, 4)), [1.0, 2.0, -1.0, 3.0], gain=3.0)
    found = relax(net, JumpingWindow(4), initial=[-30.0, 2.0, -1.0, -30.0], tolerance=1e-8)
    assert found.success
    assert found.counters.rescues >= 1
    np.testing.assert_allclose(found.v, np.tanh(3 * np.array([1.0, 2.0, -1.0, 3.0])), atol=1e-8)


def test_interrupted_runs_keep_what_was_done():
    net, u0 = network()

    class Impatient:
        def __init__(self):
            self.calls, self.inner = 0, JumpingWindow(8)

        def begin(self, network, clock, rng):
            self.running = self.inner.begin(network, clock, rng)
            return self

        def attend(self, state, measure=None):
            self.calls += 1
            if self.calls > 5:
                raise KeyboardInterrupt
            return self.running.attend(state, measure)

    found = relax(net, Impatient(), initial=u0)
    assert found.status == "interrupted"
    assert not found.success
    assert found.counters.phases == 5
    assert found.energy < net.energy(u0)
    assert relax(net, JumpingWindow(8), initial=found).success


def exact(net, found):
    """Energy, outputs and residual of the activations of a run, evaluated anew."""
    v = net.output(found.u)
    return net.energy(found.u), v, np.abs(net.output(net.weights @ v + net.inputs) - v).max()


@pytest.mark.parametrize(
    "rule", [None, JumpingWindow(4), IndependentSelection(1000), RollingWindow((3000,), 800)]
)
def test_a_real_signal_ends_after_the_phase(rule):
    rng = np.random.default_rng(0)
    H = sp.random(3000, 3000, 3e-3, random_state=rng, data_rvs=rng.standard_normal)
    net = Network(H + H.T, rng.normal(size=3000))
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    timer.start()
    found = relax(net, rule, clock=Clock(step=1e-6), tolerance=1e-12, phases=20_000)
    timer.join()
    assert found.status == "interrupted"
    assert 0 < found.counters.phases < 20_000
    energy, v, residual = exact(net, found)
    assert found.energy == pytest.approx(energy, rel=1e-12)
    assert found.residual == pytest.approx(residual, rel=1e-9)
    np.testing.assert_allclose(found.v, v, rtol=0, atol=1e-15)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_within_a_phase_leaves_nothing_stale(monkeypatch):
    """As from a rule of one's own: activations moved, and nothing else was told."""
    net, u0 = network()
    move = Virtual.move

    def broken(self, *arguments):
        done = move(self, *arguments)
        if self.connection_updates > 5 * net.connections:
            self.u[3] += 1.0
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(Virtual, "move", broken)
    found = relax(net, JumpingWindow(8), initial=u0)
    energy, v, residual = exact(net, found)
    assert found.status == "interrupted"
    assert found.energy == pytest.approx(energy, rel=1e-12)
    assert found.residual == pytest.approx(residual, rel=1e-12)
    np.testing.assert_allclose(found.v, v, rtol=0, atol=1e-15)


def test_relaxation_outside_the_main_thread():
    net, u0 = network()
    found = []
    thread = threading.Thread(target=lambda: found.append(relax(net, JumpingWindow(8), initial=u0)))
    thread.start()
    thread.join()
    assert found[0].success


def test_an_interrupted_annealing_keeps_what_it_has():
    """Interrupted at the first phase of a later gain, and between two gains."""
    net, u0 = network(seed=2)
    gains = [0.5, 1.0, 2.0]
    first = relax(net.with_gain(0.5), JumpingWindow(8), initial=u0).counters.phases

    class Interrupting:
        def __init__(self, calls=10**9, beginnings=10**9):
            self.calls, self.beginnings = calls, beginnings

        def begin(self, network, clock, rng):
            self.beginnings -= 1
            if self.beginnings == 0:
                signal.raise_signal(signal.SIGINT)
            self.running = JumpingWindow(8).begin(network, clock, rng)
            return self

        def attend(self, state, measure=None):
            self.calls -= 1
            if self.calls < 0:
                raise KeyboardInterrupt
            return self.running.attend(state, measure)

    found = anneal(net, gains, Interrupting(calls=first), initial=u0)
    assert found.status == "interrupted"
    assert found.counters.phases == len(found.history["energy"]) == len(found.places) == first
    found = anneal(net, gains, Interrupting(beginnings=2), initial=u0)
    assert found.status == "interrupted"
    assert set(found.history["gain"]) == {0.5, 1.0}
    assert anneal(net, gains, Interrupting(calls=0), initial=u0).counters.phases == 0


def test_a_rolling_window_does_not_go_round_in_circles():
    """Wide flanks: real neurons shared by virtual ones that pull apart, between two aligned places."""
    side = sp.eye_array(20, k=1) + sp.eye_array(20, k=-1)
    rng = np.random.default_rng(1)
    net = Network(0.4 * sp.kronsum(side, side), rng.normal(size=400))
    found = relax(net, RollingWindow((20, 20), 5, flank=2.5), clock=Clock(control=10.0), phases=3000)
    assert found.success
    assert found.energy == pytest.approx(relax(net).energy, abs=1e-3)


def test_phases_are_never_exceeded():
    """Rescues count; and what is at rest after the last phase has converged."""
    net = Network(sp.csr_array((4, 4)), [1.0, 2.0, -1.0, 3.0], gain=3.0)
    for phases in range(1, 7):
        found = relax(net, JumpingWindow(4), initial=[-30.0, 2.0, -1.0, -30.0], tolerance=1e-8, phases=phases)
        assert found.counters.phases <= phases
        assert found.success == (found.residual <= 1e-8)
    found = relax(Network(np.zeros((3, 3)), [0.1, 0.2, 0.3]), phases=1, clock=Clock(neurons=1000))
    assert found.success
    assert found.counters.phases == 1


def test_rounding_does_not_keep_a_run_from_converging():
    for seed in range(100):
        net, _ = network(n=60, seed=seed, density=0.1)
        found = relax(net, JumpingWindow(6), tolerance=1e-13)
        assert found.success
        assert found.residual <= 1e-13 + 1e-15


def test_attention_that_never_goes_where_it_must_stalls():
    class Stubborn:
        def begin(self, network, clock, rng):
            return self

        def attend(self, state, measure=None):
            return Attended(np.array([0]))

    found = relax(Network(np.zeros((2, 2)), [0.5, 0.5]), Stubborn())
    assert found.status == "stalled"
    assert not found.success
    assert found.counters.phases < 10
    np.testing.assert_allclose(found.v, [np.tanh(0.5), 0.0], atol=1e-4)


def test_a_network_does_not_share_the_matrix_it_was_made_of():
    indices, pointers = np.array([2, 1, 2, 0, 0, 1]), np.array([0, 2, 4, 6])  # rows out of order
    given = sp.csr_array((np.array([2.0, 1, 3, 1, 2, 3]), indices, pointers), shape=(3, 3))
    other = sp.csr_array((10 * given.data, given.indices, given.indptr), shape=(3, 3))
    dense = other.toarray()
    net = Network(given)
    np.testing.assert_array_equal(other.toarray(), dense)
    given.data *= 3
    np.testing.assert_array_equal(net.weights.toarray(), dense / 10)
    twice = sp.csr_array((np.ones(4), np.array([1, 1, 0, 0]), np.array([0, 2, 4])), shape=(2, 2))
    assert Network(twice).weights[0, 1] == 2
    assert twice.nnz == 4


def test_annealing_joins_its_stages():
    net, u0 = network(seed=2)
    found = anneal(net, [0.5, 1.0, 2.0], JumpingWindow(8), initial=0.1 * u0)
    assert found.success
    assert set(found.history["gain"]) == {0.5, 1.0, 2.0}
    assert np.diff(found.history["connection_updates"]).min() >= 0
    assert found.history["connection_updates"][-1] <= found.counters.connection_updates
    assert len(found.places) == len(found.history["energy"]) == found.counters.phases
    assert found.energy == pytest.approx(net.with_gain(2.0).energy(found.u))


def test_xarray_and_text():
    net, u0 = network()
    found = relax(net, RollingWindow((8, 8), 3), initial=u0)
    data = found.to_xarray()
    assert data["energy"].dims == ("phase",)
    assert data["place"].shape == (found.counters.phases, 2)
    assert data.attrs["connection_updates"] == found.counters.connection_updates
    assert "converged" in str(found)


def test_progress_is_shown(capsys):
    net, u0 = network()
    relax(net, JumpingWindow(8), initial=u0, progress=True)
    assert "relax" in capsys.readouterr().out
