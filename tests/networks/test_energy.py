"""Energies fall along 200 random runs, their gradient is the motion, and T without an energy is refused."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, UnsupportedError
from ocnet.networks import BinaryHopfield, Krotov, Softmax, activation, arctan, custom, energy, hopfield

PARTS = [0, *(pytest.param(part, marks=pytest.mark.slow) for part in (1, 2, 3))]  # of 25 runs
IDENTITY = custom(lambda s: s, inverse=lambda v: v, integral=lambda v: v**2 / 2, name="identity")
ACTIVATIONS = [activation("tanh"), activation("logistic"), arctan(0.3)]


def polynomial(seed, n):
    """A random Φ of degree four that is bounded on the outputs, as a function of a CasADi column."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(n, n)), rng.normal(size=(3, n)), rng.normal(size=(4, n)) / 2
    return lambda V: (
        ca.dot(V, ca.mtimes(a, V))
        + ca.sum1(ca.mtimes(b, V) ** 3) / 3
        + ca.sum1(ca.log(ca.cosh(ca.mtimes(c, V))))
    )


@pytest.mark.parametrize("part", PARTS)
def test_the_energy_of_symmetric_networks_never_rises(part):
    for seed in range(25 * part, 25 * (part + 1)):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 7))
        T = rng.normal(size=(n, n)) * rng.choice([0.5, 2.0, 5.0])
        T = T + T.T
        options = {"activation": ACTIVATIONS[seed % 3], "threshold": rng.normal(size=n) * (seed % 2)}
        path = oc.simulate(hopfield(T, **options), initial=rng.normal(size=n) * 2, tf=40.0, until=1e-9)
        along = energy(T, **options).along(path)
        assert along.largest_rise <= 1e-10, seed
        assert along.values[-1] < along.values[0], seed


@pytest.mark.parametrize("part", PARTS)
def test_the_energy_of_krotov_networks_never_rises(part):
    for seed in range(25 * part, 25 * (part + 1)):
        rng = np.random.default_rng(1000 + seed)
        n = int(rng.integers(1, 6))
        T = Krotov(polynomial(seed, n), n)
        options = {"activation": ACTIVATIONS[seed % 3], "threshold": rng.normal(size=n) * (seed % 2)}
        path = oc.simulate(hopfield(T, n, **options), initial=rng.normal(size=n) * 2, tf=40.0, until=1e-9)
        along = energy(T, **options).along(path)
        assert along.largest_rise <= 1e-10, seed
        assert along.values[-1] < along.values[0], seed


def test_the_monitor_sees_a_rise():
    """Along the path of another, asymmetric network E does rise, and by as much as its values say."""
    turning = hopfield([[2.0, -2.0], [2.0, 2.0]])
    along = energy([[2.0, 0.0], [0.0, 1.0]]).along(oc.simulate(turning, initial=[1.0, 0.0], tf=20.0))
    assert along.largest_rise > 0.01
    worst = max(
        along.values[j] - along.values[i]
        for i in range(0, len(along.values), 3)
        for j in range(i, len(along.values))
    )
    assert along.largest_rise >= worst
    assert along.largest_rise == pytest.approx(worst, rel=0.05)
    assert "largest rise" in str(along)


# ---------------------------------------------------------------------- values and gradients


def test_the_energy_of_a_symmetric_network_in_closed_form():
    T, V = np.array([[1.0, 2.0], [2.0, -0.5]]), np.array([0.3, -0.6])
    stored = np.sum(V * np.arctanh(V) + np.log(1 - V**2) / 2)
    assert energy(T)(V) == pytest.approx(-V @ T @ V / 2 + stored, rel=1e-14)
    assert energy(T, threshold=[1.0, 2.0])(V) == pytest.approx(
        -V @ T @ V / 2 + stored + V @ [1, 2], rel=1e-14
    )
    assert energy(T).of_state(np.arctanh(V)) == pytest.approx(energy(T)(V), rel=1e-14)


def cases():
    """Energies of the three kinds, with the T(V) of each as numpy."""
    rng = np.random.default_rng(4)
    T = rng.normal(size=(3, 3))
    T = T + T.T
    phi = Krotov(polynomial(3, 3), 3)
    K = ca.DM([[0, 1, -2], [-1, 0, 0.5], [2, -0.5, 0]])  # antisymmetric: V·KV = 0

    def closed(V):
        return ca.DM(T) + ca.exp(-ca.sumsqr(V)) * ca.mtimes(ca.mtimes(K, V), ca.mtimes(K, V).T)

    return [("symmetric", T, None), ("Krotov", phi, None), ("closed", closed, 3)]


@pytest.mark.parametrize(("kind", "T", "n"), cases())
@pytest.mark.parametrize("g", [*ACTIVATIONS, IDENTITY], ids=str)
def test_motion_is_minus_the_gradient_of_the_energy(kind, T, n, g):
    a = np.array([0.1, -0.2, 0.3])
    E = energy(T, n, activation=g, threshold=a)
    assert E.kind == kind
    rng = np.random.default_rng(5)
    low, high = max(g.lower, -1.0), min(g.upper, 1.0)
    V = low + (high - low) * rng.uniform(0.1, 0.9, size=(20, 3))
    step = 1e-5
    slopes = np.stack([(E(V + step * e) - E(V - step * e)) / (2 * step) for e in np.eye(3)], axis=-1)
    assert E.gradient(V) == pytest.approx(slopes, abs=2e-8)
    problem = hopfield(T, 3, activation=g, threshold=a)
    velocity = oc.landscape(problem, -1, 1, exhaustive=False, trials=1).field(g.inverse(V) + a)
    assert velocity == pytest.approx(-slopes, abs=2e-8)


def test_the_homotopy_integral_of_a_hessian_is_its_legendre_transform():
    """W = V·∇Φ − Φ + Φ(0) for T = ∇²Φ."""
    T, V = Krotov(polynomial(8, 3), 3), np.random.default_rng(1).uniform(-0.9, 0.9, size=(10, 3))
    by_hand = energy(lambda V: T(V), 3)
    assert by_hand.kind == "closed"
    assert by_hand(V) == pytest.approx(energy(T)(V) - T.phi(np.zeros(3)), abs=1e-11)


def test_the_energy_of_binary_networks_falls_with_every_single_update():
    rng = np.random.default_rng(2)
    T = rng.normal(size=(12, 12))
    T = T + T.T
    np.fill_diagonal(T, np.abs(np.diag(T)))
    network = BinaryHopfield(T, threshold=rng.normal(size=12))
    V = rng.choice([-1.0, 1.0], size=12)
    path = network.run(V, update="asynchronous")
    assert path.converged
    energies = network.energy(path.states)
    assert np.all(np.diff(energies) < 0)
    assert energies[0] == pytest.approx(-V @ T @ V / 2 + network.threshold @ V)
    with pytest.raises(ProblemError, match="BinaryHopfield: T is not symmetric"):
        BinaryHopfield([[0.0, 1.0], [2.0, 0.0]]).energy([1.0, 1.0])


# ---------------------------------------------------------------------- Krotov and softmax


def test_krotov_synapses_are_second_derivatives():
    T = Krotov(lambda V: V[0] ** 3 * V[1] + ca.sin(V[1] * V[2]), 3)
    x, y, z = V = np.array([0.3, -0.7, 1.1])
    s, c = np.sin(y * z), np.cos(y * z)
    expected = [
        [6 * x * y, 3 * x**2, 0],
        [3 * x**2, -(z**2) * s, c - y * z * s],
        [0, c - y * z * s, -(y**2) * s],
    ]
    assert T.at(V) == pytest.approx(np.array(expected), abs=1e-14)
    assert T.phi(V) == pytest.approx(x**3 * y + s)
    assert T.legendre(V) == pytest.approx(3 * x**3 * y + 2 * y * z * c - s)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 4.0])
def test_softmax_synapses_give_the_modern_hopfield_network(sharpness):
    rng = np.random.default_rng(6)
    P, V = rng.choice([-1.0, 1.0], size=(10, 4)), rng.uniform(-1, 1, size=(30, 10))
    T = Softmax(P, sharpness, points=48)
    weights = np.exp(sharpness * V @ P)
    weights /= weights.sum(axis=1, keepdims=True)
    drive = np.einsum("kij,kj->ki", T.at(V), V)
    assert drive - T.threshold == pytest.approx(weights @ P.T, abs=1e-11)
    stored = np.log(np.exp(sharpness * V @ P).mean(axis=1)) / sharpness
    assert T.legendre(V) == pytest.approx(stored + V @ T.threshold, abs=1e-10)


def test_softmax_recalls_a_pattern_and_its_energy_falls():
    rng = np.random.default_rng(7)
    P = rng.choice([-1.0, 1.0], size=(16, 6))
    T = Softmax(P, 1.0)
    options = {"activation": IDENTITY, "threshold": T.threshold}
    start = np.where(np.arange(16) < 3, -P[:, 0], P[:, 0])  # three wrong bits
    path = oc.simulate(hopfield(T, 16, **options), initial=start, tf=60.0, until=1e-9)
    outputs = path.states["u"][-1] - T.threshold
    assert np.array_equal(np.sign(outputs), P[:, 0])
    assert np.abs(outputs - P[:, 0]).max() < 0.01
    assert energy(T, **options).along(path).largest_rise <= 1e-10


# ---------------------------------------------------------------------- refusals


NO_INTEGRAL = custom(ca.tanh, inverse=ca.atanh, name="tanh of one's own", lower=-1, upper=1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: energy([[1.0, 2.0], [2.5, 0.0]]),
            ProblemError,
            r"T is not symmetric: T\[0, 1\] is 2 and T\[1, 0\]",
        ),
        (lambda: energy([[1.0, 2.0]]), ShapeError, r"energy: T has shape \(1, 2\); expected a square"),
        (lambda: energy(lambda V: ca.diag(V[::-1]), 2), ProblemError, r"T\(V\) V is no gradient \(relative"),
        (lambda: energy(ca.diag), OptionError, "energy: n is None"),
        (lambda: energy([[1.0]], activation=NO_INTEGRAL), UnsupportedError, "its integral was asked for"),
        (lambda: energy([[1.0]])([1.5]), DataError, r"got the output 1.5; expected values in \[-1.0, 1.0\]"),
        (
            lambda: energy([[1.0]])([0.5, 0.5]),
            ShapeError,
            r"got outputs of shape \(2,\); expected \(..., 1\)",
        ),
        (lambda: energy([[1.0]], threshold=[1.0, 2.0]), ShapeError, "energy: threshold: got an array"),
        (lambda: Krotov(lambda V: V, 2), ShapeError, r"Krotov: Φ\(V\) has shape \(2, 1\); expected a scalar"),
        (lambda: Krotov(lambda V: V.sum(), 2), OptionError, r"Krotov: Φ\(V\) fails on CasADi symbols"),
        (lambda: Krotov(ca.sumsqr, 0), OptionError, "Krotov: n is 0; expected a positive number"),
        (lambda: Krotov(ca.sumsqr, 2).at([1.0]), ShapeError, r"Krotov: got outputs of shape \(1,\)"),
        (lambda: Softmax([[1.0]], 0.0), ProblemError, "Softmax: sharpness: got 0.0; expected a positive"),
        (lambda: Softmax([[np.inf]]), DataError, r"Softmax: patterns: component \[0, 0\] is inf"),
        (
            lambda: Softmax([[1.0]], points=1),
            OptionError,
            "Softmax: points is 1; expected a whole number from 2",
        ),
    ],
)
def test_what_has_no_energy(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_paths_without_an_energy():
    steps = oc.simulate(hopfield([[2.0]], discrete=True), initial=[1.0], tf=5)
    with pytest.raises(ProblemError, match="time counts steps; E falls in continuous time"):
        energy([[2.0]]).along(steps)
    path = oc.simulate(hopfield([[2.0]]), initial=[1.0], tf=5.0)
    with pytest.raises(ProblemError, match="has no state 'x'; it has"):
        energy([[2.0]]).along(path, "x")
    with pytest.raises(ShapeError, match=r"got outputs of shape .*; expected \(..., 2\)"):
        energy([[2.0, 0.0], [0.0, 1.0]]).along(path)
