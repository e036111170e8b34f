"""What a person can do wrong with adjoints and learning, and what is then said."""

import casadi as ca
import numpy as np
import pytest
import scipy.sparse as sparse

import ocnet as oc
from ocnet import learning
from ocnet.errors import (
    DataError,
    OptionError,
    ProblemError,
    ShapeError,
    SimulationError,
    SolveError,
    StorageError,
)
from ocnet.learning import AdjointGradient, FixedPoint, gradient
from ocnet.learning.fixed_points.adjoint_relaxation import relax_adjoint
from ocnet.networks import arctan


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


def trained(path, field, **options):
    """Train for one iteration on two derivatives and save."""
    model = learning.NeuralODE(field, **options)
    samples = learning.derivative_samples(np.ones((2, field.states)), -np.ones((2, field.states)))
    learning.fit(model, samples, learning.GaussNewton(iterations=1), rng=0, growing=False).save(path)


def straight(parameters=1):
    return learning.expression(lambda x, t, theta: theta[0] * x, states=1, parameters=parameters)


def test_a_file_and_a_model_that_do_not_belong_together(tmp_path):
    path = tmp_path / "fit.nc"
    trained(path, straight(), euler_step=1.0)
    with pytest.raises(OptionError, match=r"load: model is .*expected a NeuralODE"):
        learning.load(path, straight())
    for step in (None, 0.5):
        with pytest.raises(StorageError, match=rf"fit\.nc.*it has euler_step 1\.0 in place of {step}"):
            learning.load(path, learning.NeuralODE(straight(), euler_step=step))
    assert learning.load(path, learning.NeuralODE(straight(), euler_step=1.0)).model.euler_step == 1.0

    trained(path, learning.layers((1, 4, 1), arctan(1 / 3)))
    for sizes, activation, time, match in (
        ((1, 4, 1), "tanh", False, r"activation 'arctan\(0\.3333333333333333\)' in place of 'tanh'"),
        ((1, 4, 1), arctan(0.333333), False, r"in place of 'arctan\(0\.333333\)'"),
        (
            (1, 3, 1),
            arctan(1 / 3),
            True,
            r"sizes \(1, 4, 1\) in place of .*time False in place of True",
        ),
    ):
        field = learning.layers(sizes, activation, time=time)
        assert field.parameters == 13
        with pytest.raises(StorageError, match=match):
            learning.load(path, learning.NeuralODE(field))
    assert learning.load(path, learning.NeuralODE(learning.layers((1, 4, 1), arctan(1 / 3)))).theta.size == 13
    assert learning.load(path, learning.NeuralODE(straight(13))).theta.size == 13  # layers written by hand


def test_the_width_of_an_arctan_comes_back_exactly(tmp_path):
    path = tmp_path / "fit.nc"
    trained(path, learning.layers((1, 2, 1), arctan(1 / 3)))
    back = learning.load(path).model
    s = np.array([[0.3]])
    theta = np.arange(1.0, 8.0)
    direct = learning.NeuralODE(learning.layers((1, 2, 1), arctan(1 / 3)), euler_step=1.0)
    other = learning.NeuralODE(back.field, euler_step=1.0)
    np.testing.assert_array_equal(other.solve(theta, s, [1.0]), direct.solve(theta, s, [1.0]))
