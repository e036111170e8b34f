"""The additive network: fixed points, closed-form gradients, terminal attractors."""

import numpy as np
import pytest
from scipy.optimize import brentq

from ocnet.errors import DataError, OptionError, ShapeError, SimulationError, SolveError
from ocnet.learning import AdditiveNetwork, check_gradient
from ocnet.learning.additive.terminal_attractors import TerminalAttractorWarning, attraction, steepness
from problems import recall_tasks

ATTRACTED = [[0.4, -0.7], [-0.3, 0.6], [0.8, 0.2]]
TARGETS = [[0.5], [-0.2], [0.1]]


def network(seed=0, **options):
    """Seven units: two inputs, three hidden, one output, one bias, all others connected."""
    rng = np.random.default_rng(seed)
    mask = rng.random((7, 7)) < 0.8
    mask[6] = False
    return AdditiveNetwork(
        rng.uniform(-0.5, 0.5, (7, 7)),
        inputs=[0, 1],
        outputs=[5],
        bias=[6],
        mask=mask,
        decay=rng.uniform(0.8, 1.4, 7),
        gain=rng.uniform(0.7, 1.3, 7),
        **options,
    )


@pytest.mark.parametrize("order", [1, 2])
def test_rest_solves_the_equations_by_every_method(order):
    net = network(order=order)
    a = net.attractors(ATTRACTED)
    u = net.rest(ATTRACTED)
    ratio = net.gain / net.decay
    total = u @ np.where(net.mask, net.T, 0).T
    total[:, :2] += attraction(a, u, order)[:, :2]
    expected = np.tanh(ratio * total)
    expected[:, 6] = 1
    assert u == pytest.approx(expected, abs=1e-12)
    assert net.hidden == (2, 3, 4)
    for method in ("BDF", "Radau"):
        assert net.rest(ATTRACTED, method=method) == pytest.approx(u, abs=1e-10)
    assert (net.stability(ATTRACTED) < 0).all()


def test_one_input_unit_against_a_bracketed_root():
    net = AdditiveNetwork([[0.3, 0.0], [0.0, 0.0]], inputs=[0], outputs=[1], gain=2.0, decay=0.7)
    u = net.rest([[0.6]])[0, 0]
    exact = brentq(
        lambda v: np.tanh(2 / 0.7 * (0.3 * v + np.cbrt(0.36) * np.cbrt(0.6 - v))) - v, -1, 1, xtol=1e-15
    )
    assert u == pytest.approx(exact, abs=1e-13)


@pytest.mark.parametrize("order", [1, 3])
def test_closed_form_agrees_with_the_general_adjoint_and_with_differences(order):
    net = network(order=order)
    found = net.gradient(ATTRACTED, TARGETS)
    system, p = net.as_fixed_point(ATTRACTED, TARGETS)
    for method in ("dense", "sparse", "relaxation"):
        general = system.gradient(found.rest.ravel(), p, method=method)
        assert general.response == pytest.approx(found.energy, rel=1e-12)
        for name, closed in (("T", found.T), ("decay", found.decay), ("gain", found.gain)):
            assert general.gradient[name] == pytest.approx(closed, rel=1e-9, abs=1e-12)
    assert (found.T[~net.mask] == 0).all()
    check = check_gradient(
        lambda q: net.replaced(**q).gradient(ATTRACTED, TARGETS).energy,
        {"T": net.T, "decay": net.decay, "gain": net.gain},
        {"T": found.T, "decay": found.decay, "gain": found.gain},
        step=1e-3,
        most=20,
    )
    assert check.passed, check
    assert check.worst < 1e-8


def test_gradient_against_complex_steps():
    """T, κ and γ to 1e-8: Newton's method in complex numbers, in the coordinates w of u = a − w³."""
    net = network()
    found = net.gradient(ATTRACTED, TARGETS)
    a = net.attractors(ATTRACTED, TARGETS)
    inputs, visible, n = [0, 1], [0, 1, 5], 7
    for name in ("T", "decay", "gain"):
        given = getattr(found, name)
        places = list(np.ndindex(given.shape))[:: 5 if name == "T" else 1]
        for index in places:
            q = {key: getattr(net, key).astype(complex) for key in ("T", "decay", "gain")}
            if name == "T" and not net.mask[index]:
                continue
            q[name][index] += 1e-30j
            energy = 0
            for k in range(3):
                y = found.rest[k].astype(complex)
                y[inputs] = np.cbrt((a[k] - found.rest[k])[inputs])
                for _ in range(8):
                    u, d = y.copy(), np.ones(n, complex)
                    u[inputs] = a[k, inputs] - y[inputs] ** 3
                    d[inputs] = -3 * y[inputs] ** 2
                    push = np.zeros(n, complex)
                    push[inputs] = np.abs(a[k, inputs]) ** (2 / 3)
                    g = np.tanh(q["gain"] / q["decay"] * (q["T"] @ u + push * np.where(push, y, 0)))
                    slope = q["gain"] / q["decay"] * (1 - g**2)
                    A = slope[:, None] * q["T"] * d - np.diag(d) + np.diag(slope * push)
                    phi = g - u
                    A[6], phi[6] = -np.eye(n)[6], 1 - u[6]
                    y -= np.linalg.solve(A, phi)
                u[inputs] = a[k, inputs] - y[inputs] ** 3
                u[[2, 3, 4, 5, 6]] = y[[2, 3, 4, 5, 6]]
                energy += ((u - a[k])[visible] ** 2).sum() / 2
            assert given[index] == pytest.approx(energy.imag / 1e-30, rel=1e-8, abs=1e-14)


def test_gradient_is_finite_at_the_attractor():
    """A synapse of the unit to itself holds it exactly at a: η is infinite there, the gradient is not."""
    a = 0.5
    net = AdditiveNetwork([[np.arctanh(a) / a, 0.0], [1.0, 0.0]], inputs=[0], outputs=[1])
    found = net.gradient([[a]], [[0.1]])
    assert found.rest[0, 0] == pytest.approx(a, abs=1e-12)
    assert np.isfinite(found.T).all()
    assert found.T[1, 0] == pytest.approx((1 - np.tanh(a) ** 2) * (np.tanh(a) - 0.1) * a)
    assert steepness(a, a) == np.inf


def test_attraction_is_an_odd_root():
    assert attraction(-0.5, [-0.4, -0.6]) == pytest.approx([-np.cbrt(0.25 * 0.1), np.cbrt(0.25 * 0.1)])
    h = 1e-6
    slope = (attraction(0.5, 0.3 + h, 2) - attraction(0.5, 0.3 - h, 2)) / (2 * h)
    assert -steepness(0.5, 0.3, 2) == pytest.approx(slope, rel=1e-6)


# ---------------------------------------------------------------------- traps


@pytest.mark.parametrize("method", ["RK45", "DOP853", "Euler", "LSODA"])
def test_explicit_integrators_are_refused(method):
    net = network()
    for call in (net.rest, net.recall):
        with pytest.raises(OptionError, match=r"explicit.*terminal attractor.*BDF"):
            call(ATTRACTED, method=method)
    with pytest.raises(OptionError, match=r"explicit"):
        net.motion(ATTRACTED[0], method=method)


def test_an_attractor_at_zero_is_warned_of():
    net = network()
    with pytest.warns(TerminalAttractorWarning, match=r"inputs\[0, 1\] is 0: .*no force"):
        u = net.rest([[0.3, 0.0]])
    assert np.isfinite(u).all()


@pytest.mark.parametrize("value", [1.0, -1.2, np.nan])
def test_attractors_outside_the_range_are_refused(value):
    with pytest.raises(DataError, match=r"targets\[1, 0\] is .*between −1 and 1"):
        network().gradient(ATTRACTED[:2], [[0.1], [value]])


def test_a_network_that_oscillates_is_told():
    T = np.zeros((3, 3))
    T[1, 2], T[2, 1], T[1, 1], T[2, 2] = -3.0, 3.0, 2.0, 2.0
    T[1, 0] = 0.3
    net = AdditiveNetwork(T, inputs=[0], outputs=[2])
    with pytest.raises(SimulationError, match=r"not at rest after .* oscillate"):
        net.motion([0.4], tf=60.0)


def test_no_gradient_at_a_fold():
    """A single unit u = tanh((T u + I)) has its fold where 1 = (1 − u²) T; the target unit is uncoupled."""
    net = AdditiveNetwork([[0.0, 0.0], [0.0, 1.0]], inputs=[0], outputs=[1])
    with pytest.raises(SolveError, match=r"singular at rest"):
        net.gradient([[0.5]], [[0.2]])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"T": [[1.0, 2.0]]}, ShapeError, r"square matrix"),
        ({"T": [[np.nan, 0.0], [0.0, 0.0]]}, DataError, r"T\[0, 0\] is nan"),
        ({"inputs": []}, OptionError, r"expected some of both"),
        ({"inputs": [2]}, OptionError, r"inputs contains 2; expected units 0 to 1"),
        ({"inputs": [0.5]}, OptionError, r"inputs contains 0.5"),
        ({"outputs": [0]}, OptionError, r"unit 0 has two roles"),
        ({"bias": [1]}, OptionError, r"unit 1 has two roles"),
        ({"mask": np.ones((2, 2))}, ShapeError, r"expected booleans"),
        ({"decay": 0.0}, DataError, r"decay has 0.0; expected positive"),
        ({"gain": [1.0, 2.0, 3.0]}, ShapeError, r"gain has shape \(3,\)"),
        ({"gain": [1.0, np.inf]}, DataError, r"gain\[1\] is inf"),
        ({"order": 0}, OptionError, r"order is 0; .*odd"),
    ],
)
def test_bad_networks(options, error, match):
    complete = {"T": np.zeros((2, 2)), "inputs": [0], "outputs": [1]} | options
    with pytest.raises(error, match=match):
        AdditiveNetwork(complete.pop("T"), **complete)


def test_synapses_into_a_bias_are_refused():
    with pytest.raises(OptionError, match=r"bias units \(2,\) rest at 1"):
        AdditiveNetwork(np.zeros((3, 3)), inputs=[0], outputs=[1], bias=[2])


def test_bad_samples():
    net = network()
    with pytest.raises(ShapeError, match=r"inputs have shape \(3, 1\); expected \(samples, 2\)"):
        net.rest(TARGETS)
    with pytest.raises(ShapeError, match=r"expected \(samples, 2\)"):
        net.rest(np.zeros((0, 2)))
    with pytest.raises(ShapeError, match=r"3 inputs and 2 targets"):
        net.gradient(ATTRACTED, TARGETS[:2])
    with pytest.raises(DataError, match=r"expected an array of numbers"):
        net.rest([["a", "b"]])


def test_tasks():
    rng = np.random.default_rng(0)
    task = recall_tasks.xor(rng)
    assert task.network.mask.sum() == 12
    assert task.targets.ravel() == pytest.approx([-0.8, 0.8, 0.8, -0.8])
    curve = recall_tasks.curve("sin", 4, rng)
    assert curve.inputs.shape == (4, 1)
    assert curve.recall_targets == pytest.approx(0.8 * np.sin(curve.recall_inputs / 0.8))
    with pytest.raises(OptionError, match=r"function is 'cos'"):
        recall_tasks.curve("cos", 4, rng)
    with pytest.raises(OptionError, match=r"amplitude 1.5"):
        recall_tasks.curve("sin", 4, rng, amplitude=1.5)
    with pytest.raises(OptionError, match=r"amplitude is 2"):
        recall_tasks.xor(rng, amplitude=2)
