"""Euler-Lagrange and canonical equations, the Legendre transform and symplectic integration."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SimulationError
from ocnet.lagrangian import Lagrangian, coordinates
from ocnet.lagrangians.legendre import HamiltonianSystem, legendre
from ocnet.lagrangians.symplectic import SCHEMES, integrate, reversal_error
from problems import mechanics

SYSTEMS = (mechanics.mass_spring, mechanics.pendulum, mechanics.double_pendulum, mechanics.two_body)


def acceleration(lagrangian, q, qdot, **options):
    """q̈ of the stated problem."""
    f = lagrangian.euler_lagrange(**options).functions
    n = len(q)
    return f.dynamics(0.0, np.concatenate([q, qdot]), [], [], [], []).full().ravel()[n:]


def magnetic(field=2.0):
    r, v = coordinates("r", 2)
    return Lagrangian(r, v, ca.sumsqr(v) / 2 + field * r[0] * v[1])


# ---------------------------------------------------------------------- Euler-Lagrange


def test_magnetic_force_has_the_right_sign():
    found = acceleration(magnetic(), np.array([0.3, -0.7]), np.array([1.0, 0.5]))
    np.testing.assert_allclose(found, [1.0, -2.0], atol=1e-14)


def test_double_pendulum_against_its_textbook_accelerations():
    rng = np.random.default_rng(0)
    for _ in range(5):
        (a, b), (va, vb), g = rng.normal(size=2), rng.normal(size=2), 9.8
        c, s = np.cos(a - b), np.sin(a - b)
        M = np.array([[2.0, c], [c, 1.0]])
        right = [-s * vb**2 - 2 * g * np.sin(a), s * va**2 - g * np.sin(b)]
        found = acceleration(mechanics.double_pendulum(), np.array([a, b]), np.array([va, vb]))
        np.testing.assert_allclose(found, np.linalg.solve(M, right), rtol=1e-12)


def test_gyroscopic_and_curved_terms_against_finite_differences_of_the_equation():
    """d/dt ∂L/∂q̇ − ∂L/∂q along q + q̇t + q̈t²/2, at t = 0, by central differences of ∂L/∂q̇."""
    q, v = coordinates("q", 3)
    A = np.random.default_rng(1).normal(size=(3, 3))
    L = Lagrangian(
        q, v, ca.sumsqr(v) * (1 + ca.sumsqr(q)) / 2 + ca.dot(A @ ca.sin(q), v) + ca.sum1(v**4) - ca.cos(q[0])
    )
    at, speed = np.array([0.3, -0.4, 0.9]), np.array([1.0, 0.2, -0.7])
    found, momentum = acceleration(L, at, speed), L.function(L.momentum)
    force = L.function(ca.gradient(L.expression, L.q))(at, speed).full().ravel()

    def along(t):
        return momentum(at + speed * t + found * t**2 / 2, speed + found * t).full().ravel()

    h = 1e-4
    np.testing.assert_allclose((along(h) - along(-h)) / (2 * h), force, atol=1e-6)


def test_singular_hessian_is_refused_and_regularized():
    q, v = coordinates("q", 2)
    L = Lagrangian(q, v, (v[0] + v[1]) ** 2 / 2 - ca.sumsqr(q) / 2)
    at, speed = np.array([1.0, 0.5]), np.zeros(2)
    assert not np.isfinite(acceleration(L, at, speed)).any()
    with pytest.raises(SimulationError):
        oc.simulate(L.euler_lagrange(), initial={"q": at, "q_dot": speed}, tf=1.0)
    assert L.conditioning([at], [speed])[0] > 1e15
    found = acceleration(L, at, speed, regularization=1e-4)
    np.testing.assert_allclose(found, np.linalg.pinv(np.ones((2, 2))) @ -at, atol=1e-6)


def test_conditioning_is_that_of_the_hessian():
    L = mechanics.double_pendulum()
    found = L.conditioning([[0.0, 0.0], [0.0, np.pi / 2]], np.zeros((2, 2)))
    expected = [np.linalg.cond([[2, 1], [1, 1]]), 2.0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(ShapeError, match="expected \\(m, 2\\)"):
        L.conditioning([[0.0]], [[0.0]])
    with pytest.raises(DataError, match="NaN or infinity"):
        L.conditioning([[np.nan, 0.0]], [[0.0, 0.0]])


def test_no_acceleration_without_a_quadratic_part():
    q, v = coordinates("q")
    with pytest.raises(ProblemError, match="determines no acceleration"):
        Lagrangian(q, v, q * v - q**2).euler_lagrange()
    for wrong in (-1.0, np.nan, "small"):
        with pytest.raises(OptionError, match="regularization is"):
            magnetic().euler_lagrange(regularization=wrong)


def test_parameters_of_the_motion():
    q, v = coordinates("q")
    k = ca.MX.sym("k")
    motion = Lagrangian(q, v, v**2 / 2 - k * q**2 / 2, parameters=[(k, 1.0)]).euler_lagrange()
    path = oc.simulate(motion, initial={"q": [1.0], "q_dot": [0.0]}, tf=1.0, parameters={"k": 4.0})
    np.testing.assert_allclose(path.state("q", 1.0), np.cos(2.0), rtol=1e-9)


@pytest.mark.parametrize("make", [mechanics.pendulum, mechanics.double_pendulum, magnetic])
def test_action_is_stationary_along_the_motion(make):
    """Variations that vanish at the ends change ∫L dt by an amount of second order."""
    L, tf = make(), 1.0
    n = L.q.shape[0]
    name = L.q.name()
    path = oc.simulate(
        L.euler_lagrange(), initial={name: 0.7 * np.ones(n), f"{name}_dot": 0.4 * np.ones(n)}, tf=tf
    )
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t, weights = (nodes + 1) * tf / 2, weights * tf / 2
    q, qdot = path.state(name, t), path.state(f"{name}_dot", t)
    value = L.function().map(len(t))

    def action(size, direction):
        waves = np.arange(1, 4) * np.pi / tf
        moved = q + size * np.sin(np.outer(t, waves)) @ direction
        rate = qdot + size * (np.cos(np.outer(t, waves)) * waves) @ direction
        return float(value(moved.T, rate.T).full()[0] @ weights)

    rng, rest = np.random.default_rng(2), action(0.0, np.zeros((3, n)))
    for _ in range(3):
        direction = rng.normal(size=(3, n))
        changes = [abs(action(size, direction) - rest) for size in (1e-2, 1e-3)]
        assert 1.9 < np.log10(changes[0] / changes[1]) < 2.1
        slope = (action(1e-4, direction) - action(-1e-4, direction)) / 2e-4
        assert abs(slope) < 1e-6 * max(1.0, abs(rest))


# ---------------------------------------------------------------------- Legendre


@pytest.mark.parametrize("make", [*SYSTEMS, magnetic])
def test_both_equations_describe_one_motion_and_keep_its_energy(make):
    L = make()
    H, n, name = legendre(L), L.q.shape[0], L.q.name()
    rng = np.random.default_rng(3)
    q, v = rng.normal(size=n) + np.arange(n), 0.3 * rng.normal(size=n)
    p = L.function(L.momentum)(q, v).full().ravel()
    first = oc.simulate(L.euler_lagrange(), initial={name: q, f"{name}_dot": v}, tf=2.0)
    second = oc.simulate(H.problem(), initial={name: q, f"{name}_momentum": p}, tf=2.0)
    np.testing.assert_allclose(first.state(name, 2.0), second.state(name, 2.0), atol=1e-7)
    energy, t = L.function(L.total_energy), np.linspace(0, 2, 20)
    values = [
        float(energy(*at)) for at in zip(first.state(name, t), first.state(f"{name}_dot", t), strict=True)
    ]
    np.testing.assert_allclose(values, float(H.function()(q, p)), atol=1e-8)


@pytest.mark.parametrize("make", [*SYSTEMS, magnetic])
def test_transform_and_back(make):
    L = make()
    back, rng = legendre(L).lagrangian(), np.random.default_rng(4)
    n = L.q.shape[0]
    for _ in range(3):
        q, v = rng.normal(size=n), rng.normal(size=n)
        np.testing.assert_allclose(float(back.function()(q, v)), float(L.function()(q, v)), rtol=1e-11)


def test_relativistic_particle_is_transformed_by_iteration():
    q, v = coordinates("q", 2)
    H = legendre(Lagrangian(q, v, -ca.sqrt(1 - ca.sumsqr(v)) - ca.sumsqr(q) / 2))
    p = np.array([1.0, -0.4])
    np.testing.assert_allclose(float(H.function()([0.3, 0.7], p)), np.sqrt(1 + p @ p) + 0.29, rtol=1e-9)


def test_no_transform_without_convexity():
    q, v = coordinates("q", 2)
    with pytest.raises(ProblemError, match="singular everywhere"):
        legendre(Lagrangian(q, v, v[0] ** 2 / 2 + q[0] * v[1]))
    with pytest.raises(ProblemError, match="singular everywhere"):
        HamiltonianSystem(q, v, ca.dot(q, v)).lagrangian()
    with pytest.raises(ShapeError, match="expected a scalar"):
        HamiltonianSystem(q, v, v)


# ---------------------------------------------------------------------- symplectic integration


@pytest.mark.parametrize(("scheme", "order"), list(zip(SCHEMES, (2, 2, 4, 1), strict=True)))
@pytest.mark.parametrize("make", [mechanics.pendulum, mechanics.double_pendulum])
def test_order_of_each_scheme(make, scheme, order):
    L = make()
    H, n = legendre(L), L.q.shape[0]
    q, p = 0.5 * np.ones(n), np.zeros(n)
    exact = oc.simulate(H.problem(), initial={"q": q, "q_momentum": p}, tf=1.0).state("q", 1.0)
    errors = [
        np.abs(integrate(H, q, p, step=1.0 / m, steps=m, scheme=scheme).q[-1] - exact).max()
        for m in (100, 200)
    ]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.2


@pytest.mark.parametrize("scheme", SCHEMES[:2])
@pytest.mark.parametrize("make", [mechanics.pendulum, mechanics.double_pendulum])
def test_symplectic_schemes_are_symplectic_and_reversible(make, scheme):
    L = make()
    H, n = legendre(L), L.q.shape[0]
    z, h = 0.6 * np.ones(2 * n), 1e-6
    columns = []
    for unit in np.eye(2 * n):
        ends = [
            integrate(H, *np.split(z + s * h * unit, 2), step=0.05, steps=5, scheme=scheme) for s in (1, -1)
        ]
        up, down = (np.concatenate([e.q[-1], e.p[-1]]) for e in ends)
        columns.append((up - down) / (2 * h))
    D, J = np.column_stack(columns), np.kron([[0, 1], [-1, 0]], np.eye(n))
    np.testing.assert_allclose(D.T @ J @ D, J, atol=1e-7)
    assert reversal_error(H, z[:n], z[n:], step=0.05, steps=200, scheme=scheme) < 1e-9


def test_plain_schemes_drift_and_do_not_reverse():
    H = legendre(mechanics.pendulum())
    paths = {s: integrate(H, [2.0], [0.0], step=0.1, steps=5000, scheme=s) for s in SCHEMES[:3]}
    assert abs(paths["Runge-Kutta 4"].energy_drift) > 20 * abs(paths["Störmer-Verlet"].energy_drift)
    assert reversal_error(H, [2.0], [0.0], step=0.1, steps=500, scheme="Runge-Kutta 4") > 1e-4


def test_integrate_says_what_is_wrong():
    H = legendre(mechanics.pendulum())
    for options, error, message in (
        ({"scheme": "leapfrog"}, OptionError, "scheme is 'leapfrog'"),
        ({"step": 0.0}, OptionError, "step is 0.0"),
        ({"step": np.nan}, OptionError, "step is nan"),
        ({"steps": 0}, OptionError, "steps is 0"),
        ({"q": [1.0, 2.0]}, ShapeError, "q has shape"),
        ({"p": [np.nan]}, DataError, "p is"),
    ):
        arguments = {"q": [1.0], "p": [0.0], "step": 0.1, "steps": 3} | options
        with pytest.raises(error, match=message):
            integrate(H, **arguments)
    q, v = coordinates("q")
    runaway = HamiltonianSystem(q, v, v**2 / 2 - q**4)
    with pytest.raises(SimulationError, match="not finite after t"):
        integrate(runaway, [1.0], [1.0], step=0.1, steps=100)
    without_solution = HamiltonianSystem(q, v, v**2 / 2 - q**3)  # a quadratic equation without real roots
    with pytest.raises(SimulationError, match="Newton's method found no solution"):
        integrate(without_solution, [5.0], [5.0], step=0.5, steps=3, scheme="implicit midpoint")
    with pytest.raises(OptionError, match=r"system is <Lagrangian .*legendre\(lagrangian\)"):
        integrate(mechanics.pendulum(), [1.0], [0.0], step=0.1, steps=3)


# ---------------------------------------------------------------------- units


def scaled_path(unit, rule, q, p, step, steps, scheme):
    """Integrate H of unit·rule from (q, unit·p); return q, p/unit and the energy error over unit."""
    x, v = coordinates("q", len(q))
    H = legendre(Lagrangian(x, v, unit * rule(x, v)))
    path = integrate(H, q, unit * np.array(p), step=step, steps=steps, scheme=scheme)
    return np.column_stack([path.q, path.p / unit, path.energy_error / unit * np.ones(steps + 1)])


def curved(q, v):
    return ca.sumsqr(v) * (1 + ca.sumsqr(q)) / 2 - ca.sumsqr(q) / 2


def chain(q, v):
    """Of links of which the far ones hardly move at first."""
    return ca.sumsqr(v) / 2 - ca.sumsqr(ca.diff(q)) / 2 - ca.sum1(q**4)


@pytest.mark.parametrize("unit", [1e-20, 1e-9, 1e-5, 1e5, 1e12, 1e29])
@pytest.mark.parametrize(
    ("rule", "q", "p", "scheme"),
    [
        (lambda q, v: v**2 / 2 - q**2 / 2, [1.0], [0.0], "implicit midpoint"),
        (lambda q, v: v**2 / 2 + ca.cos(q), [2.0], [0.0], "implicit midpoint"),
        (lambda q, v: v**2 / 2 + ca.cos(q), [np.pi], [0.0], "implicit midpoint"),  # forces of rounding alone
        (chain, [1.0, 0, 0, 0, 0], [0.0] * 5, "implicit midpoint"),
        (curved, [1.0, 0.3], [0.2, 0.1], "implicit midpoint"),
        (curved, [1.0, 0.3], [0.2, 0.1], "Störmer-Verlet"),
    ],
    ids=["oscillator", "pendulum", "upright pendulum", "chain", "curved", "curved, Verlet"],
)
def test_units_play_no_part_in_implicit_steps(unit, rule, q, p, scheme):
    found, expected = (scaled_path(u, rule, q, p, 0.1, 50, scheme) for u in (unit, 1.0))
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("polar", [False, True])
@pytest.mark.parametrize("step", [86400.0, 86.4])
def test_the_earth_about_the_sun_in_si_units(step, polar, capfd):
    m, GM, r, speed = 5.97e24, 1.327e20, 1.496e11, 29780.0
    q, v = coordinates("q", 2)
    square, distance = (v[0] ** 2 + (q[0] * v[1]) ** 2, q[0]) if polar else (ca.sumsqr(v), ca.norm_2(q))
    H = legendre(Lagrangian(q, v, m * (square / 2 + GM / distance)))
    start = ([r, 0.0], [0.0, m * speed * (r if polar else 1)])
    for scheme in SCHEMES[:2]:
        path = integrate(H, *start, step=step, steps=365, scheme=scheme)
        assert path.energy_error < 1e-6 * abs(path.energy[0])
        turned = path.q[-1, 1] if polar else np.arctan2(path.q[-1, 1], path.q[-1, 0]) % (2 * np.pi)
        assert turned == pytest.approx(365 * step * speed / r, abs=0.01)
    assert "WARNING" not in "".join(capfd.readouterr())
