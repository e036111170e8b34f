"""The canonical equations: their linearisation against differences, and their order on exact extremals."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.methods.canonical import Ends, HermiteSimpson, Recursion
from ocnet.methods.elimination import Defects, Riccati, Sparse
from ocnet.networks import SynapticHamiltonian

NAN = np.nan


def nothing(n):
    return lambda x: (np.zeros(n), np.zeros((n, n)))


def quartic(x):
    """Terminal cost Σ x⁴/4 + (Σ x)²/2."""
    return x**3 + x.sum(), np.diag(3 * x**2) + 1


def synaptic(n, discrete=False, bound=0.3):
    rng = np.random.default_rng(n)
    return SynapticHamiltonian(rng.normal(size=(n, n)), np.full((n, n), bound), 0.3, discrete=discrete)


def derived(horizon):
    """Explicit time, a nonlinear flow, a control that enters nonlinearly, a bound."""
    problem = oc.Problem("derived", horizon=horizon)
    x = problem.state("x", 3, initial=0.0)
    u = problem.control("u", 2, lower=[-0.4, -5.0], upper=[0.4, 5.0])
    t = problem.time
    problem.dynamics(
        x, ca.vertcat(ca.sin(x[1]) + u[0] * x[2], -x[0] * x[2] + t * u[1], x[0] + 0.3 * u[0] + u[1])
    )
    problem.minimize(stage=ca.sumsqr(x) * (1 + t) + ca.sumsqr(u) + 0.1 * u[1] ** 4 + x[0] * u[0])
    return problem.hamiltonian


ENDS = {
    "free end": lambda n: Ends(np.linspace(-1, 1, n), np.full(n, NAN), quartic),
    "free ends": lambda n: Ends(np.full(n, NAN), np.full(n, NAN), quartic),
    "fixed end": lambda n: Ends(np.linspace(-1, 1, n), np.zeros(n), nothing(n)),
    "mixed": lambda n: Ends(
        np.where(np.arange(n) == 1, NAN, 1.0), np.where(np.arange(n) == 0, 0.5, NAN), quartic
    ),
}
KINDS = {
    "synaptic": lambda e: HermiteSimpson(synaptic(4), np.array([0.0, 0.3, 0.5, 1.4]), e(4), 0.3),
    "deformed": lambda e: HermiteSimpson(synaptic(4), np.array([0.0, 0.3, 0.5, 1.4]), e(4), 1.7),
    "derived": lambda e: HermiteSimpson(
        derived(oc.Finite(3.0, t0=1.0, discount=0.4)), np.array([1.0, 1.3, 2.0, 2.2, 3.0]), e(3), 0.4
    ),
    "steps": lambda e: Recursion(synaptic(4, True), np.arange(5.0), e(4), 0.3),
    "derived steps": lambda e: Recursion(derived(oc.Steps(4, discount=0.2)), np.arange(5.0), e(3), 0.2),
}


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_linearisation_against_differences(kind, ends):
    system = KINDS[kind](ENDS[ends])
    rng, shape = np.random.default_rng(11), (len(system.times), len(system.ends.initial))
    x, p, dx, dp = rng.normal(size=(4, *shape))
    elimination = system.eliminate(x, p)
    assert isinstance(elimination, Sparse if (~np.isnan(system.ends.final)).any() else Riccati)
    step = 1e-6
    up, down = (system.defects(x + s * dx, p + s * dp) for s in (step, -step))
    slope = Defects(*((a - b) / (2 * step) for a, b in zip(up, down, strict=True)))
    found_x, found_p = elimination.solve(slope)  # takes the defects away: minus the direction
    scale = np.abs(np.append(dx, dp)).max()
    np.testing.assert_allclose(found_x, -dx, atol=2e-6 * scale)
    np.testing.assert_allclose(found_p, -dp, atol=2e-6 * scale)


def test_ends():
    system = KINDS["synaptic"](ENDS["mixed"])
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=(2, 4, 4))
    d = system.defects(x, p)
    gradient = quartic(x[-1])[0]
    np.testing.assert_allclose(d.start, [x[0, 0] - 1, p[0, 1], x[0, 2] - 1, x[0, 3] - 1])
    np.testing.assert_allclose(d.end, [x[-1, 0] - 0.5, *(p[-1] - gradient)[1:]])


def test_one_product_of_hermite_simpson_by_hand():
    """The defect of each interval, written out."""
    system = KINDS["derived"](ENDS["free end"])
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=(2, 5, 3))
    d, H, rate = system.defects(x, p), system.hamiltonian, 0.4
    for k in range(4):
        h, t = system.times[k + 1] - system.times[k], system.times[k]

        def flow(t, y):
            H_x, H_p = H.gradient(t, y[:3], y[3:])
            return np.append(H_p, rate * y[3:] - H_x)

        y0, y1 = np.append(x[k], p[k]), np.append(x[k + 1], p[k + 1])
        f0, f1 = flow(t, y0), flow(t + h, y1)
        middle = flow(t + h / 2, (y0 + y1) / 2 + h / 8 * (f0 - f1))
        np.testing.assert_allclose(np.append(d.x[k], d.p[k]), y1 - y0 - h / 6 * (f0 + 4 * middle + f1))


def test_order_on_an_exact_extremal():
    """Minimise ½∫ x² + u² with ẋ = u: x = cosh(1 − t), p = sinh(1 − t) up to a factor."""
    problem = oc.Problem("integrator", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=np.cosh(1.0))
    u = problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=(x**2 + u**2) / 2)
    sizes = []
    for K in (4, 8, 16):
        t = np.linspace(0, 1, K + 1)
        ends = Ends(np.array([np.cosh(1.0)]), np.array([NAN]), nothing(1))
        d = HermiteSimpson(problem.hamiltonian, t, ends, 0.0).defects(
            np.cosh(1 - t)[:, None], np.sinh(1 - t)[:, None]
        )
        assert np.abs(d.start).max() < 1e-15
        assert np.abs(d.end).max() < 1e-15
        sizes.append(max(np.abs(d.x).max(), np.abs(d.p).max()))
    orders = np.log2(np.array(sizes[:-1]) / sizes[1:])
    assert (orders > 4.8).all()  # locally one more than the order


def test_many_states_are_corrected_in_single_precision():
    n = 200
    rng = np.random.default_rng(0)
    H = SynapticHamiltonian(rng.normal(size=(n, n)) / np.sqrt(n), np.full((n, n), 0.1), 0.3)
    system = HermiteSimpson(H, np.linspace(0, 1, 4), ENDS["free end"](n), 0.3)
    x, p = 0.3 * rng.normal(size=(2, 4, n))
    elimination = system.eliminate(x, p)
    assert elimination.S[0].dtype == np.float32
    d = system.defects(x, p)
    assert d.x.dtype == np.float64
    before = max(np.abs(part).max() for part in d)
    for _ in range(6):
        dx, dp = elimination.solve(system.defects(x, p))
        x, p = x + dx, p + dp
        if max(np.abs(part).max() for part in system.defects(x, p)) < 1e-10:
            break
        elimination = system.eliminate(x, p)
    left = max(np.abs(part).max() for part in system.defects(x, p))
    assert left < 1e-10 < before  # all the digits of double
