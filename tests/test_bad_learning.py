"""What a person can do wrong with adjoints and learning, and what is then said."""

import casadi as ca
import numpy as np
import pytest
import scipy.sparse as sparse

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SimulationError, SolveError
from ocnet.learning import AdjointGradient, FixedPoint, gradient
from ocnet.learning.fixed_points.adjoint_relaxation import relax_adjoint


def numeric(**changed):
    """(2 u) = b with the response u[0]."""
    parts = {
        "residual": lambda u, p: 2 * u - p["b"],
        "response": lambda u, p: u[0],
        "jacobian": lambda u, p: 2 * np.eye(2),
        "pullback": lambda u, p, v: {"b": -v},
        "response_gradient": lambda u, p: ([1.0, 0.0], {}),
    } | changed
    return FixedPoint(parts.pop("residual"), parts.pop("response"), **parts)


AT = ([0.5, 1.0], {"b": [1.0, 2.0]})


def test_the_good_one_is_good():
    assert numeric().gradient(*AT).gradient["b"] == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"residual": lambda u, p: u[:1] * 0}, ShapeError, r"φ has shape \(1,\); expected that of u, \(2,\)"),
        ({"residual": lambda u, p: u * np.nan}, DataError, r"φ\[0\] is nan"),
        ({"response": lambda u, p: np.inf}, DataError, r"the response is inf"),
        ({"response_gradient": lambda u, p: ([1.0], {})}, ShapeError, r"∂R/∂u has 1 components; expected 2"),
        ({"response_gradient": lambda u, p: ([np.nan, 0], {})}, DataError, r"∂R/∂u is not finite"),
        (
            {"response_gradient": lambda u, p: ([1, 0], {"b": [1.0]})},
            ShapeError,
            r"'b': shape \(1,\); expected",
        ),
        ({"pullback": lambda u, p, v: {"c": v}}, DataError, r"gives \['c'\] and lacks the parameter 'b'"),
        ({"pullback": lambda u, p, v: {"b": v[:1]}}, ShapeError, r"pullback, 'b': shape \(1,\)"),
        ({"jacobian": lambda u, p: np.full((2, 2), np.nan)}, DataError, r"Jacobian ∂φ/∂u is not finite"),
        ({"jacobian": lambda u, p: np.ones((2, 2))}, SolveError, r"singular .*fold"),
        ({"jacobian": lambda u, p: sparse.csc_matrix((2, 2))}, SolveError, r"singular .*fold"),
        ({"jacobian": lambda u, p: "matrix"}, OptionError, r"the Jacobian is a str; LU factors need"),
        ({"pullback": None}, OptionError, r"pullback is None; expected a function"),
    ],
)
def test_functions_that_do_not_fit_together(changed, error, match):
    with pytest.raises(error, match=match):
        numeric(**changed).gradient(*AT)


def test_relaxation_refuses():
    with pytest.raises(OptionError, match=r"tolerance is 0"):
        numeric().gradient(*AT, method="relaxation", tolerance=0)
    with pytest.raises(OptionError, match=r"the Jacobian is a float"):
        relax_adjoint(2.0, np.ones(2), 1e-12, 10)
    v, count, residual = relax_adjoint(-np.eye(2), np.zeros(2), 1e-12, 10)
    assert (v.tolist(), count, residual) == ([0.0, 0.0], 0, 0.0)


def decay(**options):
    problem = oc.Problem("decay", horizon=oc.Finite(1.0))
    x = problem.state("x", 2, **options)
    k = problem.unknown("k", 2, guess=1.0)
    problem.dynamics(x, -k * x)
    return problem, x, k


def test_values_of_a_problem_are_checked():
    problem, x, _ = decay(initial=[1.0, 2.0])
    problem.minimize(terminal=ca.sumsqr(x))
    prepared = AdjointGradient(problem)
    with pytest.raises(ShapeError, match=r"'k': .*\(3,\)"):
        prepared({"k": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match=r"'k'.*nan"):
        prepared({"k": [1.0, np.nan]})


def test_a_first_state_that_is_stated_twice():
    problem, x, k = decay(initial=[1.0, 2.0])
    problem.constrain(x[0] - k[0], lower=0, upper=0, at="initial")
    problem.minimize(terminal=ca.sumsqr(x))
    with pytest.raises(ProblemError, match=r"2 components, and 2 prescribed values and 1 equations"):
        gradient(problem)


def test_equations_without_a_first_state():
    problem, x, k = decay(initial=[1.0, None])
    problem.constrain(x[1] ** 2 + k[0], lower=0, upper=0, at="initial")
    problem.minimize(terminal=ca.sumsqr(x))
    with pytest.raises(SolveError, match=r"first state of 'decay'"):
        gradient(problem)


def test_costs_that_are_not_finite():
    problem, x, _ = decay(initial=[1.0, 2.0])
    problem.minimize(terminal=ca.log(-x[0]))
    with pytest.raises(DataError, match=r"the cost is nan"):
        gradient(problem)


def test_right_hand_sides_that_are_not_finite():
    problem = oc.Problem("root", horizon=oc.Finite(1.0))
    x, k = problem.state("x", initial=-1.0), problem.unknown("k", guess=1.0)
    problem.dynamics(x, k * ca.sqrt(x))
    problem.minimize(terminal=x)
    for mode in ("stored", "reverse-time"):
        with pytest.raises(DataError, match=r"right-hand side 0 is nan at t = 0"):
            gradient(problem, mode=mode)


def test_cvodes_that_gives_up_is_explained(capfd):
    problem = oc.Problem("explosion", horizon=oc.Finite(2.0))
    x, k = problem.state("x", initial=1.0), problem.unknown("k", guess=1.0)
    problem.dynamics(x, k * x**2)
    problem.minimize(terminal=x)
    with pytest.raises(SimulationError, match=r"CVODES gave up .*mode='stored'"):
        gradient(problem, mode="checkpointed")
