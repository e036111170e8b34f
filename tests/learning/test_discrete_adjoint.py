"""Gradients of the discrete solution against closed forms, tangent-linear equations and differences."""

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ocnet.errors import DataError, OptionError, ShapeError
from ocnet.learning import AdjointGradient, NeuralODE, Samples, expression, layers
from ocnet.learning.neural_odes.dormand_prince import order_8
from ocnet.learning.neural_odes.sweeps import Sweeps
from ocnet.networks import arctan, custom

BUMP = custom(lambda s: s / (1 + s**2), name="bump")


def tangent_linear(model, theta, x0, times):
    """States (m, n) and derivatives (m, n, P + n) by integrating Ṡ = f_x S + f_θ with another integrator."""
    n, p = model.field.states, model.field.parameters
    x, t, q = ca.SX.sym("x", n), ca.SX.sym("t"), ca.SX.sym("q", p)
    S = ca.SX.sym("S", n, p + n)
    f = model.field.rule(x, t, q)
    f = ca.vertcat(*f) if isinstance(f, list) else f
    rate = ca.jacobian(f, x) @ S + ca.horzcat(ca.jacobian(f, q), ca.SX.zeros(n, n))
    whole = ca.Function("whole", [t, x, S, q], [ca.vertcat(f, ca.vec(rate))])

    def right(t, z):
        return whole(t, z[:n], z[n:].reshape(p + n, n).T, theta).full().ravel()

    start = np.concatenate([x0, np.hstack([np.zeros((n, p)), np.eye(n)]).T.ravel()])
    z = solve_ivp(right, (0, times[-1]), start, "DOP853", t_eval=times, rtol=1e-12, atol=1e-13).y.T
    return z[:, :n], z[:, n:].reshape(len(times), p + n, n).transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("sizes", "activation", "time"),
    [
        ((2, 8, 2), "tanh", False), ((3, 5, 4, 3), "logistic", True), ((2, 6, 2), arctan(0.4), True),
        ((2, 3, 2), BUMP, False),
    ],
    ids=str,
)  # fmt: skip
def test_against_tangent_linear_equations(sizes, activation, time):
    model = NeuralODE(layers(sizes, activation, time=time), tolerance=1e-12)
    rng = np.random.default_rng(4)
    theta, x0 = model.field.draw(rng, scale=1.5), rng.normal(size=sizes[0])
    times = np.sort(rng.uniform(0, 2, 11))
    states, exact = tangent_linear(model, theta, x0, times)
    values, derivatives = model.jacobian(theta, x0, times)
    np.testing.assert_allclose(values, states, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(derivatives, exact, atol=1e-8 * np.abs(exact).max())
    seeds = rng.normal(size=states.shape)
    by_theta, by_initial = model.pullback(theta, x0, times, seeds)
    whole = np.einsum("mn,mnc->c", seeds, exact)
    found = np.concatenate([by_theta, by_initial])
    assert np.abs(found - whole).max() < 1e-8 * np.abs(whole).max()


def test_against_a_complex_step_in_closed_form():
    """ẋ = θ₁ sin(θ₂ t) x, whose solution is x0 exp(θ₁(1 − cos θ₂t)/θ₂)."""
    field = expression(lambda x, t, q: q[0] * ca.sin(q[1] * t) * x, states=1, parameters=2)
    model, times = NeuralODE(field, tolerance=1e-12), np.array([0.3, 1.1, 2.4])
    data = np.array([0.5, 1.0, -0.2])

    def loss(z):
        return np.sum((z[2] * np.exp(z[0] * (1 - np.cos(z[1] * times)) / z[1]) - data) ** 2) / 2

    point = np.array([0.7, 1.9, 0.8])
    exact = [loss(point + 1e-30j * unit).imag / 1e-30 for unit in np.eye(3)]
    cost, by_theta, by_initial = model.gradient(point[:2], Samples(times, data[:, None], [0.8]))
    assert cost == pytest.approx(loss(point), rel=1e-10)
    np.testing.assert_allclose([*by_theta, by_initial[0, 0]], exact, rtol=1e-8)


def test_gradient_is_exact_for_the_discrete_solution():
    """With the steps held fixed, differences of a coarse solution agree far beyond its accuracy."""
    field = layers((2, 5, 2))
    theta, times = field.draw(0, scale=2.0), np.linspace(0.3, 3.0, 7)[None]
    sweeps = Sweeps(field, order_8(), 0.75)
    x0, seeds = np.array([[1.0, 0.5]]), np.random.default_rng(1).normal(size=(1, 7, 2))

    def value(theta):
        return float(np.sum(seeds * sweeps.forward(theta, np.zeros(1), x0, times, 1e-8)))

    value(theta)
    slope, _ = sweeps.reverse(seeds)
    direction = np.random.default_rng(2).normal(size=len(theta))
    h = 1e-3  # fourth-order differences: the error is h⁴
    sides = [value(theta + k * h * direction) for k in (-2, -1, 1, 2)]
    assert (sides[0] - 8 * sides[1] + 8 * sides[2] - sides[3]) / (12 * h) == pytest.approx(
        slope @ direction, rel=1e-8
    )


def test_repeated_stages_give_the_same_as_kept_ones(monkeypatch):
    model = NeuralODE(layers((2, 5, 2)))
    theta, times = model.field.draw(0), np.linspace(0, 4, 9)
    seeds = np.random.default_rng(3).normal(size=(2, 9, 2))
    x0 = [[1.0, 0.0], [0.0, 2.0]]
    kept = model.pullback(theta, x0, times, seeds)
    jacobian = model.jacobian(theta, x0, times)[1]
    monkeypatch.setattr("ocnet.learning.neural_odes.sweeps.MOST_KEPT", 0)
    lean = NeuralODE(model.field)
    repeated = lean.pullback(theta, x0, times, seeds)
    assert lean.sweeps._steps.stride == 0
    np.testing.assert_allclose(repeated[0], kept[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(repeated[1], kept[1], rtol=1e-12)
    np.testing.assert_allclose(lean.jacobian(theta, x0, times)[1], jacobian, rtol=1e-11, atol=1e-13)


def test_residual_network_gradient():
    field = layers((2, 4, 2), time=True)
    model, theta = NeuralODE(field, euler_step=1.0), field.draw(7)
    x0 = np.array([0.3, -0.2])
    last = model.solve(theta, x0, [4.0])[0]
    found = np.concatenate(model.pullback(theta, x0, [4.0], [[2 * last[0], 1.0]]))
    np.testing.assert_allclose(found, _gradient_of(field, x0, theta), rtol=1e-12, atol=1e-14)


def _gradient_of(field, x0, theta):
    z = ca.SX.sym("z", field.parameters + 2)
    x = z[field.parameters :]
    for k in range(4):
        x = x + field.rule(x, float(k), z[: field.parameters])
    slope = ca.Function("slope", [z], [ca.gradient(x[0] ** 2 + x[1], z)])
    return slope(np.concatenate([theta, x0])).full().ravel()


def test_missing_observations_count_for_nothing():
    model = NeuralODE(layers((2, 4, 2)))
    theta, times = model.field.draw(1), np.linspace(0.2, 2, 6)
    values = np.random.default_rng(0).normal(size=(6, 2))
    full = model.gradient(theta, Samples(times[:4], values[:4], [1.0, 0.0]))
    values[4:] = np.nan
    holes = model.gradient(theta, Samples(times, values, [1.0, 0.0]))
    np.testing.assert_allclose(holes[0], full[0], rtol=1e-7)
    np.testing.assert_allclose(holes[1], full[1], rtol=1e-6)


def test_inversion():
    turning = NeuralODE(expression(lambda x, t, q: [q * x[1], -q * x[0]], states=2, parameters=1))
    assert turning.inversion_error([1.0], [1.0, 2.0], 10.0) < 1e-6
    shrinking = NeuralODE(expression(lambda x, t, q: -q * x, states=1, parameters=1))
    assert shrinking.inversion_error([2.0], [1.0], 10.0) > 1e-3  # e^20 times what the forward solve lost


def test_bad_input():
    model = NeuralODE(layers((2, 3, 2)))
    theta = model.field.draw(0)
    with pytest.raises(ShapeError, match=r"theta has shape \(3,\); expected \(17,\) for 2-3-2 tanh"):
        model.solve([1, 2, 3], [0, 0], [1.0])
    with pytest.raises(DataError, match=r"theta\[2\] is nan"):
        model.solve(np.where(np.arange(17) == 2, np.nan, theta), [0, 0], [1.0])
    with pytest.raises(ShapeError, match=r"initial has shape \(3,\)"):
        model.solve(theta, [0, 0, 0], [1.0])
    with pytest.raises(DataError, match=r"initial\[0, 1\] is not finite"):
        model.solve(theta, [0, np.inf], [1.0])
    with pytest.raises(
        ShapeError, match=r"times has shape \(3, 1\); expected \(samples,\) or \(1, samples\)"
    ):
        model.solve(theta, [0, 0], [[1.0], [2.0], [3.0]])
    with pytest.raises(DataError, match="not in order"):
        model.solve(theta, [0, 0], [2.0, 1.0])
    with pytest.raises(ShapeError, match=r"start has shape \(2,\)"):
        model.solve(theta, [0, 0], [2.0], start=[0.0, 1.0])
    with pytest.raises(ShapeError, match=r"seeds has shape \(2,\); expected \(1, 2\)"):
        model.pullback(theta, [0, 0], [2.0], [1.0, 1.0])
    with pytest.raises(OptionError, match="tolerance is 0"):
        NeuralODE(model.field, tolerance=0)
    with pytest.raises(OptionError, match="euler_step is -1"):
        NeuralODE(model.field, euler_step=-1)
    with pytest.raises(OptionError, match="field is 'tanh'"):
        NeuralODE("tanh")
    with pytest.raises(OptionError, match=r"expected learning\.Samples"):
        model.gradient(theta, [1, 2])
    with pytest.raises(ShapeError, match="1 components"):
        model.gradient(theta, Samples([1.0], [[1.0]], [1.0]))


def test_the_continuous_adjoint_of_the_same_problem_agrees():
    """The learning task as a Problem: its implicit adjoint and the reverse sweep give one gradient."""
    model = NeuralODE(layers((2, 4, 2)), tolerance=1e-11)
    rng = np.random.default_rng(5)
    theta, times = model.field.draw(rng), np.sort(rng.uniform(0.1, 2, 7))
    samples = Samples(times, rng.normal(size=(7, 2)), [1.0, -0.5])
    loss, by_theta, _ = model.gradient(theta, samples)
    found = AdjointGradient(model.problem(samples))({"theta": theta})
    assert found.cost == pytest.approx(loss, rel=1e-8)
    np.testing.assert_allclose(found.gradient["theta"], by_theta, atol=1e-7 * np.abs(by_theta).max())
