"""The exact Hamiltonian of synaptic control, against exact arithmetic, other solvers, other derivatives."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError
from ocnet.hamiltonian import DerivedHamiltonian
from ocnet.networks import SynapticHamiltonian, activation, arctan, custom
from ocnet.networks.synapse_rows import multipliers
from problems import synaptic_control

INF = np.inf
LINEAR = custom(lambda s: s, name="linear")
PRICES = [(1.0, 1.0), (0.3, 2.0), (5.0, 0.01), (0.0, 0.7), (1.3, 0.0)]


def network(n=5, seed=0, silent=0.1, present=0.6):
    """A, and bounds of all kinds: none, zero, small and large."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.6)
    b = np.where(A == 0, silent, present)
    b[rng.random((n, n)) < 0.15] = 0.0
    b[rng.random((n, n)) < 0.15] = INF
    return A, b


def points(n=5, count=40, seed=1, scale=1.5):
    return np.random.default_rng(seed).normal(size=(2, count, n)) * scale


# ---------------------------------------------------------------------- the minimiser


def exact_root(c, h, alpha, beta, b):
    """ν, s(ν) and q of one row in rational numbers, by its breakpoints in order; ν is None for infinity."""
    c, alpha, beta = Fraction(c), Fraction(alpha), Fraction(beta)
    h = [Fraction(v) for v in h]
    breaks = sorted(
        (Fraction(bound) / out, j)
        for j, (out, bound) in enumerate(zip(h, b, strict=True))
        if out and bound < INF
    )
    saturated, free = Fraction(0), sum(v * v for v in h)
    for nu, j in [*breaks, (None, None)]:
        if nu is None or beta * nu + alpha * (saturated + free * nu) >= c:
            slope = beta + alpha * free
            if slope == 0:
                return (None if c > alpha * saturated else 0), saturated, c - alpha * saturated
            root = (c - alpha * saturated) / slope
            moved = saturated + free * root
            return root, moved, c - alpha * moved
        saturated, free = saturated + Fraction(b[j]) * h[j], free - h[j] ** 2


@pytest.mark.parametrize(("alpha", "beta"), [*PRICES, (1e8, 1e-8), (1e-8, 1e8), (1.0, 1e-12), (1e-8, 0.0)])
def test_the_equation_of_a_neuron_is_solved_to_rounding(alpha, beta):
    rng = np.random.default_rng(3)
    n, count = 6, 60
    for trial in range(5):
        spread = 8 if trial % 2 else 1
        h = np.abs(rng.normal(size=(count, n))) * 10 ** rng.uniform(-spread, spread, (count, n))
        h[rng.random((count, n)) < 0.1] = 0.0
        h[0] = 0.0
        b = 10 ** rng.uniform(-spread, spread, (n, n))
        b[rng.random((n, n)) < 0.15] = 0.0
        b[rng.random((n, n)) < 0.15] = INF
        b[0] = 0.0
        size = 10 ** rng.uniform(-8, 8, (count, n))
        size[rng.random((count, n)) < 0.1] = 0.0
        nu, moved, q, _ = multipliers(size, h, np.full(count, alpha), beta, b)
        assert all(np.isfinite(values).all() and (values >= 0).all() for values in (nu, moved, q))
        for k in range(count):
            for i in range(n):
                c = size[k, i]
                root, s, rest = exact_root(c, h[k], alpha, beta, b[i])
                assert abs(q[k, i] - float(rest)) <= 4e-15 * c
                assert abs(float(alpha * (Fraction(moved[k, i]) - s))) <= 4e-15 * c
                if alpha == 0:
                    assert moved[k, i] == pytest.approx(float(s), rel=4e-15)
                if root is None:
                    assert nu[k, i] > 1e300
                elif rest == 0:
                    assert q[k, i] == 0 or c == 0
                elif beta * root > 1e-3 * c:  # where the equation determines it well
                    assert nu[k, i] == pytest.approx(float(root), rel=1e-12)


def test_the_search_ends_where_numbers_overflow():
    size = np.array([[np.nan, INF, 1e308, 5.0]])
    for beta in (0.0, 1e-320, 1e-300, 1.0):
        for h in (0.0, 1e-149, 1e200, INF, np.nan):
            multipliers(size, np.full((1, 4), h), np.ones(1), beta, np.diag([INF, 1.0, 0.0, INF]))


@pytest.mark.parametrize(("alpha", "beta"), PRICES)
@pytest.mark.parametrize("g", ["tanh", LINEAR], ids=str)
def test_the_minimiser_is_that_of_a_general_solver(alpha, beta, g):
    A, b = network()
    h = SynapticHamiltonian(A, b, 0.5, motion=alpha, effort=beta, activation=g)
    x, p = points(count=12)
    x[:, 2] *= np.arange(12) % 3 > 0  # outputs that are 0
    xi = h.control(0.0, x, p).reshape(-1, 5, 5)
    assert (np.abs(xi) <= b).all()
    tiny = 0.0 if beta else 1e-7  # singles out the solution of smallest norm, nearly
    for k in range(12):
        out = activation(g)(x[k])
        for i in range(5):
            a, root = A[i] @ out - x[k, i], np.sqrt(beta + tiny**2)
            free = b[i] > 0
            rows, target = root * np.eye(5), np.zeros(5)
            if alpha > 0:
                rows = np.vstack([rows, np.sqrt(alpha) * out])
                target = np.append(target, -np.sqrt(alpha) * a - p[k, i] / (2 * np.sqrt(alpha)))
            else:
                target = -p[k, i] * out / (2 * root)
            found = lsq_linear(rows[:, free], target, (-b[i, free], b[i, free]), method="bvls", tol=1e-14)
            expected = np.zeros(5)
            expected[free] = found.x
            np.testing.assert_allclose(xi[k, i], expected, atol=1e-9 if beta else 1e-5)


def test_no_other_control_is_better():
    A, b = network()
    b = np.minimum(b, 2.0)
    x, p = points()
    for discrete in (False, True):
        for alpha, beta in PRICES:
            h = SynapticHamiltonian(A, b, 0.5, motion=alpha, effort=beta, discrete=discrete)
            best = h.value(0.0, x, p)
            np.testing.assert_allclose(h.value(0.0, x, p, h.control(0.0, x, p)), best, rtol=1e-12, atol=1e-12)
            for seed in range(20):
                u = np.random.default_rng(seed).uniform(-b.ravel(), b.ravel(), (40, 25))
                assert (h.value(0.0, x, p, u) >= best - 1e-12).all()


def test_nothing_to_control():
    A, _ = network()
    x, p = points()
    a = np.tanh(x) @ A.T - x
    for beta in (0.0, 1.0):
        h = SynapticHamiltonian(A, np.zeros((5, 5)), 0.5, effort=beta)
        H_x, H_p = h.gradient(0.0, x, p)
        np.testing.assert_allclose(H_p, a, atol=1e-14)
        _, H_xp, H_pp = h.hessian(0.0, x[0], p[0])
        assert not H_pp.any()
        slope = 1 - np.tanh(x) ** 2
        np.testing.assert_allclose(H_xp, (A * slope[0] - np.eye(5)).T, atol=1e-14)
        q = a + p / 2
        np.testing.assert_allclose(H_x, -2 * q + 2 * slope * (q @ A), atol=1e-13)
        rest = SynapticHamiltonian(A, np.ones((5, 5)), 0.5, effort=beta)  # g(0) = 0: nothing acts
        assert not rest.gradient(0.0, np.zeros(5), p[0])[1].any()
        assert not rest.control(0.0, np.zeros(5), p[0]).any()


def test_unbounded_and_free_synapses_stop_the_network():
    A, _ = network()
    h = SynapticHamiltonian(A, np.full((5, 5), INF), 0.5, effort=0.0)
    x, p = points()
    xi = h.control(0.0, x, p).reshape(-1, 5, 5)
    H_x, H_p = h.gradient(0.0, x, p)
    np.testing.assert_allclose(H_p, -p / 2, atol=1e-13)  # the minimum of X² + pX, reached
    assert not H_x.any()
    g = np.tanh(x)
    expected = -(g @ A.T - x + p / 2)[:, :, None] * g[:, None, :] / (g**2).sum(1)[:, None, None]
    np.testing.assert_allclose(xi, expected, atol=1e-13)


# ---------------------------------------------------------------------- its derivatives

VARIANTS = [
    {},
    {"tf": 2.0, "discount": 0.0},
    {"motion": 0.2, "effort": 3.0, "tf": 1.0},
    {"motion": 0.0},
    {"steps": 6},
    {"steps": 6, "motion": 0.7, "effort": 0.2, "activation": "logistic"},
    {"steps": 3, "motion": 0.0, "activation": arctan(0.3)},
    {"activation": custom(lambda s: s / np.sqrt(1 + s**2), name="algebraic")},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: ",".join(variant) or "plain")
def test_the_builder_sets_what_casadi_derives(variant):
    A, b = network(4)
    problem = synaptic_control.problem(A, np.zeros(4), bounds=b, **{"discount": 0.5, **variant})
    exact, derived = problem.hamiltonian, DerivedHamiltonian(problem)
    assert isinstance(exact, SynapticHamiltonian)
    assert exact.rate == derived.rate == variant.get("discount", 0.5)
    x, p = points(4, 20)
    t = np.arange(20) % 4.0
    u = derived.control(t, x, p)
    np.testing.assert_allclose(exact.control(t, x, p), u, atol=1e-12)
    np.testing.assert_allclose(exact.value(t, x, p), derived.value(t, x, p), rtol=1e-12)
    np.testing.assert_allclose(exact.value(t, x, p, u / 2), derived.value(t, x, p, u / 2), rtol=1e-12)
    for got, expected in zip(exact.gradient(t, x, p), derived.gradient(t, x, p), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-12)
    for k in range(20):
        H_xx, H_xp, H_pp = derived.hessian(t[k], x[k], p[k])
        got = exact.hessian(t[k], x[k], p[k])
        np.testing.assert_allclose(got[0], H_xx, atol=1e-11)
        np.testing.assert_allclose(got[1], H_xp, atol=1e-12)
        np.testing.assert_allclose(np.diag(got[2]), H_pp, atol=1e-12)


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize(("alpha", "beta"), PRICES)
@pytest.mark.parametrize("g", ["tanh", "logistic", arctan(0.7), LINEAR], ids=str)
def test_derivatives_by_differences(g, alpha, beta, discrete):
    A, b = network(4, silent=0.3)
    h = SynapticHamiltonian(A, b, 0.5, motion=alpha, effort=beta, activation=g, discrete=discrete)
    x, p = points(4, 6, seed=7, scale=1.0)
    H_x, H_p = h.gradient(0.0, x, p)
    blocks = [h.hessian(0.0, x[k], p[k]) for k in range(6)]
    e = 1e-6

    def slope(f, *direction):
        """Central differences of what f returns, along a direction of (x, p)."""
        forth, back = (f(0.0, x + s * direction[0], p + s * direction[1]) for s in (e, -e))
        return (np.array(forth) - np.array(back)) / (2 * e)

    for i in range(4):
        d = np.eye(4)[i]
        np.testing.assert_allclose(slope(h.value, d, 0), H_x[:, i], atol=2e-7)
        np.testing.assert_allclose(slope(h.value, 0, d), H_p[:, i], atol=2e-7)
        by_x, by_p = slope(h.gradient, d, 0), slope(h.gradient, 0, d)
        for k, (H_xx, H_xp, H_pp) in enumerate(blocks):
            np.testing.assert_allclose(by_x[:, k], [H_xx[i], H_xp[i]], atol=1e-6)
            np.testing.assert_allclose(by_p[:, k], [H_xp[:, i], np.diag(H_pp)[i]], atol=1e-6)
            np.testing.assert_array_equal(H_xx, H_xx.T)


def test_the_price_of_motion_may_depend_on_time():
    A, b = network()
    x, p = points()
    t = np.linspace(0.0, 3.0, 40)
    h = SynapticHamiltonian(A, b, 0.5, motion=lambda t: 1.0 + t)
    for k in (0, 17, 39):
        fixed = SynapticHamiltonian(A, b, 0.5, motion=1.0 + t[k])
        np.testing.assert_allclose(h.value(t, x, p)[k], fixed.value(0.0, x[k], p[k]), rtol=1e-14)
        np.testing.assert_allclose(h.gradient(t, x, p)[0][k], fixed.gradient(0.0, x[k], p[k])[0], atol=1e-13)
        np.testing.assert_allclose(h.hessian(t[k], x[k], p[k])[0], fixed.hessian(0.0, x[k], p[k])[0])


# ---------------------------------------------------------------------- how it is called


@pytest.mark.parametrize("discrete", [False, True])
def test_one_point_and_many(discrete):
    A, b = network()
    h = SynapticHamiltonian(A, b, 0.5, discrete=discrete)
    x, p = points()
    u = h.control(0.0, x, p)
    assert u.shape == (40, 25)
    assert h.value(0.0, x, p).shape == (40,)
    for k in range(40):
        np.testing.assert_allclose(h.control(0.0, x[k], p[k]), u[k], atol=1e-14)
        np.testing.assert_allclose(h.value(0.0, x[k], p[k]), h.value(0.0, x, p)[k], rtol=1e-13)
        np.testing.assert_allclose(h.value(0.0, x[k], p[k], u[k]), h.value(0.0, x, p, u)[k], rtol=1e-13)
        for one, many in zip(h.gradient(0.0, x[k], p[k]), h.gradient(0.0, x, p), strict=True):
            assert one.shape == (5,)
            np.testing.assert_allclose(one, many[k], atol=1e-13)
    strided = np.asfortranarray(x), np.repeat(p, 2, axis=0)[::2]
    np.testing.assert_array_equal(h.gradient(0.0, *strided)[0], h.gradient(0.0, x, p)[0])
    assert h.gradient(0.0, x[:0], p[:0])[0].shape == (0, 5)
    for one, many in zip(h.hessian(0.0, x[3], p[3]), h.hessian(0.0, x, p), strict=True):
        np.testing.assert_allclose(one, many[3], atol=1e-13)


def test_threads_give_the_same():
    A, b = network(30)
    h = SynapticHamiltonian(A, b, 0.5, effort=0.1, activation=arctan(0.5))
    x, p = points(30, 50)
    alone = [*h.gradient(0.0, x, p), h.value(0.0, x, p), *h.hessian(0.0, x[0], p[0])]

    def work(_):
        return [*h.gradient(0.0, x, p), h.value(0.0, x, p), *h.hessian(0.0, x[0], p[0])]

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(work, range(40)):
            for got, expected in zip(found, alone, strict=True):
                np.testing.assert_array_equal(got, expected)


def test_a_mask_is_a_bound_of_zero():
    A, b = network()
    keep = A != 0
    x, p = points()
    masked = SynapticHamiltonian(A, b, 0.5, mask=keep).control(0.0, x, p)
    expected = SynapticHamiltonian(A, np.where(keep, b, 0.0), 0.5).control(0.0, x, p)
    np.testing.assert_array_equal(masked, expected)
    assert not masked.reshape(-1, 5, 5)[:, ~keep].any()


# ---------------------------------------------------------------------- what it refuses

TWO = np.array([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"A": np.ones((2, 3))}, ShapeError, r"A: got an array of shape \(2, 3\); expected a square matrix"),
        ({"A": [1.0, 2.0]}, ShapeError, r"A: got an array of shape \(2,\)"),
        ({"A": np.zeros((0, 0))}, ShapeError, r"A: got an array of shape \(0, 0\)"),
        ({"A": [["a", "b"]]}, DataError, "expected numbers"),
        ({"A": [[0.0, np.nan], [1.0, 0.0]]}, DataError, r"A: component \[0, 1\] is nan"),
        (
            {"bounds": np.ones((3, 3))},
            ShapeError,
            r"bounds: got an array of shape \(3, 3\); expected shape \(2, 2\)",
        ),
        ({"bounds": -TWO}, DataError, "bounds: got -1.0; expected values of at least 0"),
        ({"bounds": TWO * np.nan}, DataError, r"bounds: component \[0, 0\] is nan"),
        ({"rate": -0.1}, ProblemError, "rate: got -0.1"),
        ({"motion": -1.0}, ProblemError, "motion: got -1.0"),
        ({"motion": "much"}, ProblemError, "motion: got 'much'"),
        ({"effort": INF}, ProblemError, "effort: got inf"),
        ({"motion": 0.0, "effort": 0.0}, ProblemError, "motion and effort are both 0"),
        ({"mask": np.ones((2, 2))}, ShapeError, "float64; expected booleans"),
        ({"mask": np.ones(2, bool)}, ShapeError, r"mask: got an array of shape \(2,\)"),
        ({"activation": "relu"}, OptionError, "expected one of"),
    ],
)
def test_bad_data(changes, error, message):
    with pytest.raises(error, match=message):
        SynapticHamiltonian(**{"A": TWO, "bounds": TWO, "rate": 0.5, **changes})


def test_bad_points():
    h = SynapticHamiltonian(TWO, TWO, 0.5)
    x = np.zeros((3, 2))
    with pytest.raises(ShapeError, match=r"expected both \(points, 2\) or \(2,\)"):
        h.gradient(0.0, np.zeros((3, 3)), np.zeros((3, 3)))
    with pytest.raises(ShapeError, match=r"x of shape \(3, 2\) and p of shape \(2,\)"):
        h.control(0.0, x, x[0])
    with pytest.raises(ShapeError, match="got t of shape"):
        h.value(np.zeros(2), x, x)
    with pytest.raises(ShapeError, match=r"got u of shape \(3, 2\); expected \(3, 4\)"):
        h.value(0.0, x, x, x)
    x[1, 1] = np.nan
    with pytest.raises(DataError, match=r"p\[1, 1\] is nan"):
        h.gradient(0.0, np.zeros((3, 2)), x)
    with pytest.raises(DataError, match=r"x\[1, 1\] is nan"):
        h.gradient(0.0, x, x)


@pytest.mark.parametrize(
    ("motion", "effort", "message"),
    [
        (lambda t: -t, 1.0, "expected nonnegative"),
        (lambda t: 0 * t, 0.0, r"positive \(effort is 0\)"),
        (lambda t: np.nan, 1.0, "motion.t. is nan"),
        (lambda t: np.ones(7), 1.0, r"motion\(t\) has shape \(7,\)"),
    ],
)
def test_bad_prices_of_motion(motion, effort, message):
    h = SynapticHamiltonian(TWO, TWO, 0.5, motion=motion, effort=effort)
    with pytest.raises(ProblemError, match=message):
        h.gradient(np.ones(3), np.zeros((3, 2)), np.zeros((3, 2)))
