"""Verdicts of the closure conditions on 50 fields of each kind, built so that the answer is known."""

import casadi as ca
import numpy as np
import pytest

from ocnet.errors import DataError, OptionError, ShapeError
from ocnet.networks import Krotov, closure, energy
from ocnet.networks.closure import total_degree

FIELDS = range(50)
SMOOTH = [ca.tanh, ca.sin, ca.exp, lambda s: s**3 - s, lambda s: 1 / (2 + s**2)]


def rule_of(seed, i):
    """A polynomial for every third seed, any smooth function for the others."""
    return SMOOTH[3] if seed % 3 == 0 else SMOOTH[i % len(SMOOTH)]


def hessian(seed):
    """T = Σ_r h_r(c_r·V) c_r c_rᵀ, the Hessian of Σ_r H_r(c_r·V) with H_r'' = h_r, written by hand."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    rows = rng.normal(size=(3, n)) / np.sqrt(n)
    rules = [rule_of(seed, i) for i in rng.integers(0, len(SMOOTH), size=3)]
    constant = rng.normal(size=(n, n))

    def T(V):
        outer = [
            rule(ca.dot(ca.DM(c), V)) * ca.DM(np.outer(c, c)) for rule, c in zip(rules, rows, strict=True)
        ]
        return ca.DM(constant + constant.T) + outer[0] + outer[1] + outer[2]

    return T, n


def turning(seed):
    """A Hessian, plus s(V) (KV)(KV)ᵀ with K antisymmetric: it takes V to 0 and is no Hessian."""
    gradient, n = hessian(seed)
    rng = np.random.default_rng(1000 + seed)
    K = rng.normal(size=(n, n))
    rule = rule_of(seed, seed)

    def T(V):
        side = ca.mtimes(ca.DM(K - K.T), V)
        return gradient(V) + (1.5 + rule(V[0])) * ca.mtimes(side, side.T)

    return T, n


def neither(seed):
    """A Hessian, plus a symmetric matrix whose entry (0, 1) depends on V_0 alone: the curl is not zero."""
    gradient, n = hessian(seed)
    rule = rule_of(seed, seed)
    size = 0.1 + seed % 3

    def T(V):
        entry = ca.MX(n, n) if isinstance(V, ca.MX) else ca.SX(n, n)
        entry[0, 1] = entry[1, 0] = size * rule(V[0])
        return gradient(V) + entry

    return T, n


def curl_by_differences(T, n, rng):
    """max |∂_i (TV)_j − ∂_j (TV)_i| at random points, by central differences of a plain evaluation."""
    V = ca.MX.sym("V", n)
    F = ca.Function("F", [V], [ca.mtimes(T(V), V)])
    worst = 0.0
    for _ in range(5):
        x = rng.uniform(-0.8, 0.8, size=n)
        J = np.column_stack([(F(x + 1e-5 * e) - F(x - 1e-5 * e)).full().ravel() / 2e-5 for e in np.eye(n)])
        worst = max(worst, np.abs(J - J.T).max())
    return worst


@pytest.mark.parametrize(
    ("build", "kind"),
    [(hessian, "◇"), (turning, "⋆"), (neither, "none")],
    ids=["hessian", "turning", "neither"],
)
def test_verdicts_on_fifty_fields(build, kind):
    rng = np.random.default_rng(0)
    ways = set()
    for seed in FIELDS:
        T, n = build(seed)
        found = closure(T, n)
        assert found.kind == kind, seed
        assert found.symmetric.holds
        assert found.diamond.holds == (kind == "◇"), seed
        assert found.star.holds == found.gradient.holds == (kind != "none"), seed
        assert (curl_by_differences(T, n, rng) < 1e-7) == (kind != "none"), seed
        ways.add(found.star.how)
    assert ways == {"symbolic", "numeric"}  # some are polynomials, some are not


def test_krotov_synapses_satisfy_both_conditions():
    for seed in range(5):
        c = np.random.default_rng(seed).normal(size=(4, 3))
        found = closure(Krotov(lambda V, c=c: ca.logsumexp(ca.mtimes(c, V)) + ca.sumsqr(V) ** 2, 3), 3)
        assert found.kind == "◇"
        assert found.diamond.residual < 1e-12


def test_constant_synapses_have_an_energy_only_if_symmetric():
    """T_kj,i = 0: (◇) and (⋆) hold as printed, and the antisymmetric part decides."""
    assert closure([[1.0, 2.0], [2.0, 3.0]]).kind == "◇"
    found = closure([[1.0, 2.0], [-2.0, 3.0]])
    assert found.star.holds
    assert found.diamond.holds
    assert not found.symmetric.holds
    assert found.kind == "none"
    assert "no gradient" in str(found)
    assert "T symmetric      fails (symbolic, residual" in str(found)


def test_asymmetric_synapses_may_give_a_gradient_all_the_same():
    """T(V) V does not change when a matrix that takes V to 0 is added, symmetric or not."""
    found = closure(lambda V: ca.DM.eye(2) + ca.mtimes(ca.vertcat(1, 0), ca.horzcat(-V[1], V[0])), 2)
    assert not found.symmetric.holds
    assert found.gradient.holds
    assert found.kind == "⋆"
    E = energy(lambda V: ca.DM.eye(2) + ca.mtimes(ca.vertcat(1, 0), ca.horzcat(-V[1], V[0])), 2)
    V = np.array([0.4, -0.7])
    assert E(V) == pytest.approx(energy(np.eye(2))(V), abs=1e-12)


def test_one_neuron_always_has_an_energy():
    assert closure(lambda V: ca.exp(V), 1).kind == "◇"
    V = np.array([[0.5], [-0.3]])
    x = V[:, 0]
    homotopy = np.exp(x) * (x - 1) + 1  # ∫_0^x e^s s ds
    assert energy(lambda V: ca.exp(V), 1)(V) == pytest.approx(energy([[0.0]])(V) - homotopy, abs=1e-12)


def test_polynomials_are_decided_as_identities():
    """(V_0 + V_1)² − V_0² − 2 V_0 V_1 − V_1² is written so that CasADi does not see that it is zero."""
    zero = lambda V: (V[0] + V[1]) ** 2 - V[0] ** 2 - 2 * V[0] * V[1] - V[1] ** 2  # noqa: E731

    def T(V):
        hidden = zero(V)
        return ca.vertcat(ca.horzcat(V[0], 1e3 * hidden), ca.horzcat(0 * V[0], V[1]))

    found = closure(T, 2)
    assert found.kind == "◇"
    assert all(c.how == "symbolic" for c in (found.symmetric, found.diamond, found.star, found.gradient))


def test_a_small_term_of_a_polynomial_is_not_overlooked():
    """A term of size 1e-6 beside terms of size 1 breaks the condition, and the residual says by how much."""
    found = closure(lambda V: ca.diag(V) + 1e-6 * ca.diag(V[::-1]), 2)
    assert found.kind == "none"
    assert 1e-7 < found.gradient.residual < 1e-5


def test_degrees_are_read_from_operations():
    x = ca.SX.sym("x", 2)
    a, b = x[0], x[1]
    cases = [(a * b + 3, 2), (a**3 * (a - b) ** 2, 5), (a / 4 - 2 * b, 1), (ca.SX(7), 0), (a / b, None)]
    cases += [
        (ca.tanh(a), None),
        (a**0.5, None),
        (ca.fabs(a), None),
        (ca.sqrt(ca.SX(2)) * a, 1),
        (a**2 * 0, 0),
    ]
    for expression, degree in cases:
        assert total_degree(ca.Function("f", [x], [ca.densify(expression)])) == degree, expression
    s = ca.MX.sym("s", 2)
    assert total_degree(ca.Function("f", [s], [s])) is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: closure([[1.0, 2.0]]), ShapeError, "closure: T has shape"),
        (lambda: closure(ca.diag), OptionError, "closure: n is None"),
        (
            lambda: closure([[1.0]], lower=1.0),
            DataError,
            r"lower is \[1.\] and upper \[1.\]; expected lower < upper",
        ),
        (lambda: closure([[1.0]], lower=[0.0, 1.0]), ShapeError, "closure: lower: got an array of shape"),
        (lambda: closure([[1.0]], upper=np.nan), DataError, "closure: upper: component"),
        (
            lambda: closure([[1.0]], points=0),
            OptionError,
            "points is 0 and tolerance 1e-09; expected at least one",
        ),
        (lambda: closure([[1.0]], tolerance=0.0), OptionError, "points is 200 and tolerance 0.0"),
        (
            lambda: closure(lambda V: ca.diag(ca.log(V)), 2),
            DataError,
            "not finite at V = .*; choose lower=...",
        ),
    ],
)
def test_what_cannot_be_tested(call, error, message):
    with pytest.raises(error, match=message):
        call()
