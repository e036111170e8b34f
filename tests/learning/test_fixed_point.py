"""Gradients of fixed points: against mpmath, forward sensitivities and differences."""

import casadi as ca
import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.linalg import LinearOperator

from ocnet.errors import DataError, OptionError, ShapeError, SolveError, SymbolError
from ocnet.learning import FixedPoint, check_gradient

N = 5


def matrices(seed=0, n=N, size=0.6):
    rng = np.random.default_rng(seed)
    return {"T": size * rng.normal(size=(n, n)) / np.sqrt(n), "b": rng.normal(size=n)}


def in_casadi(n=N):
    u, T, b = ca.SX.sym("u", n), ca.SX.sym("T", n, n), ca.SX.sym("b", n)
    return FixedPoint.from_casadi(
        ca.tanh(T @ u + b) - u, ca.sumsqr(u - 1) + T[0, 1] ** 2, u, {"T": T, "b": b}
    )


def in_numpy(jacobian=None):
    def slope(u, p):
        return 1 - np.tanh(p["T"] @ u + p["b"]) ** 2

    def dense(u, p):
        return slope(u, p)[:, None] * p["T"] - np.eye(len(u))

    def direct(u, p):
        extra = np.zeros_like(p["T"])
        extra[0, 1] = 2 * p["T"][0, 1]
        return 2 * (u - 1), {"T": extra}

    return FixedPoint(
        lambda u, p: np.tanh(p["T"] @ u + p["b"]) - u,
        lambda u, p: np.sum((u - 1) ** 2) + p["T"][0, 1] ** 2,
        jacobian=dense if jacobian is None else lambda u, p: jacobian(dense(u, p)),
        pullback=lambda u, p, v: {"T": np.outer(v * slope(u, p), u), "b": v * slope(u, p)},
        response_gradient=direct,
    )


def by_complex_step():
    return FixedPoint.from_complex_step(
        lambda u, p: np.tanh(p["T"] @ u + p["b"]) - u, lambda u, p: ((u - 1) ** 2).sum() + p["T"][0, 1] ** 2
    )


@pytest.mark.parametrize("make", [in_casadi, in_numpy, by_complex_step])
@pytest.mark.parametrize("method", ["auto", "dense", "sparse", "relaxation"])
def test_adjoint_agrees_with_forward_sensitivities(make, method):
    thin = make is not in_casadi and method == "sparse"
    system = in_numpy(sparse.csc_matrix) if thin else make()
    p = matrices()
    u = system.solve(p, np.zeros(N))
    adjoint, forward = system.gradient(u, p, method=method), in_numpy().forward(u, p)
    for name in p:
        assert adjoint.gradient[name] == pytest.approx(forward.gradient[name], rel=1e-9, abs=1e-11)
    assert adjoint.residual < 1e-11
    assert forward.states["T"].shape == (N, N, N)
    assert adjoint.response == forward.response


def test_against_complex_steps_through_newton():
    """Each parameter in turn gets an imaginary part, and the fixed point is solved for in complex numbers."""
    p = matrices(1)
    system = in_casadi()
    found = system.gradient(system.solve(p, np.zeros(N)), p).gradient
    h = 1e-30
    for name in p:
        for index in np.ndindex(p[name].shape):
            q = {key: value.astype(complex) for key, value in p.items()}
            q[name][index] += 1j * h
            u = np.zeros(N, complex)
            for _ in range(60):
                g = np.tanh(q["T"] @ u + q["b"])
                u -= np.linalg.solve((1 - g**2)[:, None] * q["T"] - np.eye(N), g - u)
            exact = (((u - 1) ** 2).sum() + q["T"][0, 1] ** 2).imag / h
            assert found[name][index] == pytest.approx(exact, rel=1e-8, abs=1e-14)


def test_operator_is_enough_for_the_relaxation():
    class Hidden(LinearOperator):
        def __init__(self, matrix):
            super().__init__(float, matrix.shape)
            self.matrix = matrix

        def _matvec(self, x):
            return self.matrix @ x

        def _rmatvec(self, x):
            return self.matrix.T @ x

    system, p = in_numpy(Hidden), matrices()
    u = in_numpy().solve(p, np.zeros(N))
    found = system.gradient(u, p, method="relaxation")
    assert found.gradient["T"] == pytest.approx(in_numpy().gradient(u, p).gradient["T"], rel=1e-9, abs=1e-11)
    with pytest.raises(OptionError, match=r"LU factors need an array.*relaxation"):
        system.gradient(u, p)


def test_relaxation_shortens_its_steps_where_jacobi_diverges():
    """A rotation: the flow is stable, Jacobi's iteration is not."""
    A = np.array([[-1.0, 4.0], [-4.0, -1.0]])
    system = FixedPoint(
        lambda u, p: A @ u + p["b"],
        lambda u, p: u[0],
        jacobian=lambda u, p: A,
        pullback=lambda u, p, v: {"b": v},
        response_gradient=lambda u, p: (np.array([1.0, 0.0]), {}),
    )
    p = {"b": [1.0, 2.0]}
    u = system.solve(p, [0.0, 0.0])
    found = system.gradient(u, p, method="relaxation")
    assert found.gradient["b"] == pytest.approx(-np.linalg.solve(A.T, [1.0, 0.0]), rel=1e-9)
    assert found.iterations > 50


def test_unstable_fixed_point_is_no_rest_of_the_relaxation():
    system = FixedPoint.from_casadi(*unstable())
    with pytest.raises(SolveError, match=r"exponentially stable"):
        system.gradient([1.0], {"a": 1.0}, method="relaxation", iterations=500)
    assert system.gradient([1.0], {"a": 1.0}).gradient["a"] == pytest.approx([0.5])


def unstable():
    u, a = ca.SX.sym("u"), ca.SX.sym("a")
    return u**2 - a, u, u, {"a": a}


def test_fold_is_refused():
    system = FixedPoint.from_casadi(*unstable())
    with pytest.raises(SolveError, match=r"singular .*fold"):
        system.gradient([0.0], {"a": 0.0})
    with pytest.raises(SolveError, match=r"singular|Newton's method stopped"):
        system.solve({"a": -1.0}, [0.5])


def test_no_fixed_point_no_gradient():
    with pytest.raises(DataError, match=r"not a fixed point: φ\[0\] = 3"):
        FixedPoint.from_casadi(*unstable()).gradient([2.0], {"a": 1.0})


def test_missing_derivatives_are_explained():
    with pytest.raises(OptionError, match=r"jacobian is None.*from_casadi.*from_complex_step.*half"):
        FixedPoint(lambda u, p: u, lambda u, p: u[0])


def test_complex_step_notices_dropped_imaginary_parts():
    system = FixedPoint.from_complex_step(lambda u, p: np.abs(u) - p["a"], lambda u, p: u.sum())
    with pytest.raises(OptionError, match=r"drops the imaginary part"):
        system.gradient([1.0], {"a": 1.0})


def logistic_like(response, residual=lambda u, p: np.tanh(p["a"] * u + 0.3) - u):
    return FixedPoint.from_complex_step(residual, response)


@pytest.mark.parametrize(
    "response",
    [
        lambda u, p: np.vdot(u, u),
        lambda u, p: np.sqrt(u[0] * np.conj(u[0]) + 1),
        lambda u, p: np.sum(u * u) + np.conj(p["a"][0]),
    ],
)
def test_complex_step_notices_conjugation(response):
    p = {"a": 0.5}
    good = logistic_like(lambda u, p: u @ u)
    u = good.solve(p, [0.0])
    assert good.gradient(u, p).gradient["a"] == pytest.approx(0.601, abs=1e-3)
    with pytest.raises(OptionError, match=r"slope of R .*most likely by abs, conj or vdot"):
        logistic_like(response).gradient(u, p)
    with pytest.raises(OptionError, match=r"slope of φ\[0\] "):
        logistic_like(lambda u, p: u @ u, lambda u, p: np.tanh(p["a"] * np.conj(u) + 0.3) - u).gradient(u, p)


@pytest.mark.parametrize(
    "response",
    [
        lambda u, p: ((u - 0.5) ** 2).sum() * 1e-12,  # at its minimum but for rounding
        lambda u, p: ((u - 0.5) ** 2).sum() + 1e6,
        lambda u, p: np.sin(300.0 * u[0]) / p["b"][0],
        lambda u, p: (u**1.5).sum() + np.log(p["b"][0]),
        lambda u, p: p["a"][0] * np.exp(-1e3 * u[1]),
        lambda u, p: 0 * u[0],
    ],
)
def test_complex_step_accepts_what_is_analytic(response):
    p = {"a": [1 / 3, 0.0], "b": [1e-9, 3e8]}
    system = FixedPoint.from_complex_step(
        lambda u, p: np.array([3 * u[0] * (1 + p["a"][1]) - 4.5 * p["a"][0], (u[1] - 0.5) * p["b"][1]]),
        response,
    )
    found = system.gradient(system.solve(p, [0.5, 0.5]), p).gradient
    assert all(np.isfinite(value).all() for value in found.values())


def test_a_guess_of_another_length_is_explained():
    for system in (in_casadi(), in_numpy()):
        with pytest.raises(ShapeError, match=rf"u (has|of) shape \({N - 1},\)"):
            system.solve(matrices(0), np.zeros(N - 1))


@pytest.mark.parametrize(
    ("u", "p", "error", "match"),
    [
        ([[1.0]], {"a": 1.0}, ShapeError, r"u has shape \(1, 1\)"),
        ([np.nan], {"a": 1.0}, DataError, r"u\[0\] is nan"),
        ([1.0], {"a": np.inf}, DataError, r"'a' has entries that are not finite"),
        ([1.0], {}, DataError, r"not empty"),
        ([1.0], {"b": 1.0}, OptionError, r"given for \['b'\]; the parameters are \['a'\]"),
        ([1.0], {"a": [1.0, 2.0]}, ShapeError, r"'a' has shape \(2,\); expected \(1,\)"),
    ],
)
def test_bad_numbers(u, p, error, match):
    with pytest.raises(error, match=match):
        FixedPoint.from_casadi(*unstable()).gradient(u, p)


def test_bad_statements():
    u, a, b = ca.SX.sym("u"), ca.SX.sym("a"), ca.SX.sym("b")
    with pytest.raises(SymbolError, match=r"contain \['b'\], which are neither"):
        FixedPoint.from_casadi(u - b, u, u, {"a": a})
    with pytest.raises(ShapeError, match=r"φ has shape \(2, 1\)"):
        FixedPoint.from_casadi(ca.vertcat(u, a), u, u, {"a": a})
    with pytest.raises(ShapeError, match=r"response has shape"):
        FixedPoint.from_casadi(u - a, ca.vertcat(u, a), u, {"a": a})
    with pytest.raises(SymbolError, match=r"expected a CasADi symbol"):
        FixedPoint.from_casadi(u - a, u, u, {"a": 2 * a})
    with pytest.raises(OptionError, match=r"method is 'lu'"):
        FixedPoint.from_casadi(u - a, u, u, {"a": a}).gradient([1.0], {"a": 1.0}, method="lu")


def test_gradient_check_finds_the_wrong_component():
    system, p = in_casadi(), matrices()
    found = system.gradient(system.solve(p, np.zeros(N)), p).gradient

    def response(q):
        return system.response(system.solve(q, np.zeros(N)), q)

    right = check_gradient(response, p, found)
    assert right.passed
    assert right.worst < 1e-8
    assert right.checked == 30
    found["T"][2, 3] += 1e-3 * np.abs(found["T"]).max()
    wrong = check_gradient(response, p, found)
    assert not wrong.passed
    assert wrong.where == "T[2, 3]"
    assert "DISAGREES" in str(wrong)


def test_gradient_check_refuses():
    with pytest.raises(OptionError, match=r"names 'y'"):
        check_gradient(lambda p: 0.0, {"x": 1.0}, {"y": 1.0})
    with pytest.raises(ShapeError, match=r"shape \(2,\); expected \(1,\)"):
        check_gradient(lambda p: 0.0, {"x": 1.0}, {"x": [1.0, 2.0]})
    with pytest.raises(DataError, match=r"function is nan"):
        check_gradient(lambda p: np.nan, {"x": 1.0}, {"x": 1.0})
    with pytest.raises(DataError, match=r"empty"):
        check_gradient(lambda p: 0.0, {"x": 1.0}, {})
    with pytest.raises(OptionError, match=r"tolerance is 0"):
        check_gradient(lambda p: 0.0, {"x": 1.0}, {"x": 1.0}, tolerance=0)
    with pytest.raises(DataError, match=r"'x' is not finite"):
        check_gradient(lambda p: 0.0, {"x": 1.0}, {"x": np.nan})
