"""Relaxation under attention: against the differential equation, E at every phase, counters, statuses."""

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
