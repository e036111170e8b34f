"""The method of order 8: its table, the order of steps and of dense output, its choice of steps."""

import importlib.util
import os
import time

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ocnet.errors import SimulationError
from ocnet.learning import NeuralODE, Samples, expression, layers
from ocnet.learning.neural_odes import compiled, sweeps
from ocnet.learning.neural_odes.compiled import meanwhile
from ocnet.learning.neural_odes.dormand_prince import euler, order_8
from ocnet.learning.neural_odes.runge_kutta import dense_weights
from ocnet.learning.neural_odes.sweeps import Sweeps


def oscillator():
    """Two states and one parameter: ẋ = θ(x₂, −x₁)."""
    return expression(lambda x, t, theta: [theta * x[1], -theta * x[0]], states=2, parameters=1)


def test_order_conditions():
    table = order_8()
    b, c, a = table.a[12, :12], table.c[:12], table.a[:12, :12]
    for q in range(8):
        assert b @ c**q == pytest.approx(1 / (q + 1), abs=1e-14)
    # Two conditions of trees that branch, and the tall tree of order 8.
    assert b @ (c**2 * (a @ c**3)) == pytest.approx(1 / 28, abs=1e-14)
    assert b @ (a @ (a @ c**5)) == pytest.approx(1 / 336, abs=1e-14)
    tall = np.ones(12)
    for _ in range(7):
        tall = a @ tall
    assert b @ tall == pytest.approx(1 / 40320, abs=1e-14)
    np.testing.assert_allclose(table.error.sum(axis=1), 0, atol=1e-13)


def test_dense_output_meets_its_conditions():
    table, weights = order_8(), np.empty((1, 16))
    for share in (0.1, 0.5, 0.73, 1.0):
        dense_weights(table.dense, share, weights)
        b = weights[0]
        for q in range(7):
            assert b @ table.c**q == pytest.approx(share ** (q + 1) / (q + 1), abs=1e-13)
    np.testing.assert_allclose(b, table.a[12], atol=1e-12)  # at the end, the step itself


def errors(steps, at_end):
    field = oscillator()
    found = Sweeps(field, order_8(), 2.0 / steps)
    moments = np.array([[2.0]]) if at_end else np.linspace(0.05, 2.0, 37)[None]
    states = found.forward(np.array([1.3]), np.zeros(1), np.array([[0.6, -0.8]]), moments, 1e-8)
    assert found.steps == steps
    exact = (0.6 - 0.8j) * np.exp(-1.3j * moments[0])  # x₁ + i x₂ turns by −θt
    return np.abs(states[0, :, 0] + 1j * states[0, :, 1] - exact).max()


def test_observed_orders():
    ends = [errors(n, True) for n in (1, 2, 4)]
    dense = [errors(n, False) for n in (1, 2, 4)]
    assert np.log2(ends[0] / ends[1]) > 7.5
    assert np.log2(ends[1] / ends[2]) > 7.5
    assert np.log2(dense[0] / dense[2]) / 2 > 6.8


def test_agrees_with_scipy_on_a_network():
    field = layers((3, 7, 3), "logistic")
    theta, x0 = field.draw(0, scale=2.0), np.array([0.3, -1.0, 2.0])
    times = np.sort(np.random.default_rng(1).uniform(0, 5, 17))
    (W, b), (V, c) = field.matrices(theta)

    def rate(t, x):
        return V @ (1 / (1 + np.exp(-(W @ x + b)))) + c

    exact = solve_ivp(rate, (0, 5), x0, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-12).y.T
    for tolerance in (1e-4, 1e-8, 1e-11):
        error = np.abs(NeuralODE(field).solve(theta, x0, times, tolerance=tolerance) - exact).max()
        assert error < 20 * tolerance


def test_trajectories_are_independent(monkeypatch):
    monkeypatch.setattr(meanwhile, "limit", 0.0)
    field = layers((2, 5, 2))
    theta, model = field.draw(3), NeuralODE(layers((2, 5, 2)))
    x0, times = np.array([[1.0, 0.0], [5.0, -3.0]]), np.array([[0.5, 1.0], [0.1, 3.0]])
    both = model.solve(theta, x0, times, start=[0.0, -1.0])
    np.testing.assert_array_equal(both[0], model.solve(theta, x0[0], times[0]))
    np.testing.assert_array_equal(both[1], model.solve(theta, x0[1], times[1], start=-1.0))


def test_close_samples_do_not_shorten_steps():
    model = NeuralODE(oscillator())
    model.solve([1.0], [1.0, 0.0], [3.0])
    few = model.sweeps.steps
    model.solve([1.0], [1.0, 0.0], np.linspace(0, 3, 500))
    assert model.sweeps.steps == few


def test_many_steps_grow_the_store():
    model = NeuralODE(oscillator())
    states = model.solve([40.0], [1.0, 0.0], [5.0, 60.0])
    assert model.sweeps.steps > 256
    np.testing.assert_allclose(states[:, 0], np.cos(40 * np.array([5.0, 60.0])), atol=1e-4)


def test_residual_network_is_euler_with_step_1():
    field = layers((2, 4, 2), time=True)
    theta, x = field.draw(5), np.array([0.2, -0.4])
    (W, b), (V, c) = field.matrices(theta)
    found = NeuralODE(field, euler_step=1.0).solve(theta, x, np.arange(1.0, 6.0))
    for k in range(5):
        x = x + V @ np.tanh(W @ np.append(x, k) + b) + c
        np.testing.assert_allclose(found[k], x, rtol=1e-14)
    assert euler().stages == 1


@pytest.fixture
def nothing_compiled(monkeypatch):
    """As on a fresh machine in a fresh process."""
    monkeypatch.setattr(meanwhile, "spent", 0.0)
    monkeypatch.setattr(compiled, "on_disk", lambda kernel: False)
    calls = []

    def instead(kernel):
        def run(*arguments):
            calls.append(kernel.py_func.__name__)
            return kernel(*arguments)

        run.py_func, run.signatures = kernel.py_func, ()
        return run

    for module in (sweeps.runge_kutta, sweeps.discrete_adjoint):
        for name in ("integrate", "reverse"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, instead(getattr(module, name)))
    return calls


def gradient_of_a_network():
    field = layers((2, 6, 2), "tanh")
    samples = Samples(np.linspace(0.2, 4, 9), np.ones((9, 2)), [1.0, -1.0])
    return NeuralODE(field).gradient(field.draw(1), samples)


def test_plain_python_gives_the_same(nothing_compiled, monkeypatch):
    plain = gradient_of_a_network()
    assert not nothing_compiled
    assert 0 < meanwhile.spent < 0.1
    monkeypatch.setattr(meanwhile, "limit", 0.0)
    loops = gradient_of_a_network()
    assert nothing_compiled == ["integrate", "reverse"]
    assert plain[0] == pytest.approx(loops[0], rel=1e-13)
    np.testing.assert_allclose(plain[1], loops[1], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(plain[2], loops[2], rtol=1e-11)


def test_compilation_waits_for_enough_work(nothing_compiled, monkeypatch):
    monkeypatch.setattr(meanwhile, "limit", 0.05)
    count = 0
    while not nothing_compiled:
        gradient_of_a_network()
        count += 1
        assert count < 100
    assert count > 2
    assert meanwhile.spent < meanwhile.limit


def test_too_long_for_plain_python(nothing_compiled):
    model = NeuralODE(oscillator())
    states = model.solve([40.0], [1.0, 0.0], [5.0, 60.0])
    assert "integrate" in nothing_compiled
    np.testing.assert_allclose(states[:, 0], np.cos(40 * np.array([5.0, 60.0])), atol=1e-4)


def test_kernels_on_the_disk_are_found(tmp_path):
    source = tmp_path / "sums.py"
    source.write_text(
        "from ocnet.learning.neural_odes.compiled import kernel\n\n\n"
        "@kernel\ndef add(a, b):\n    return a + b\n"
    )
    spec = importlib.util.spec_from_file_location("sums", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not compiled.on_disk(module.add)
    module.add(1.0, 2.0)
    compiled.on_disk.cache_clear()
    assert compiled.on_disk(module.add)
    later = time.time() + 10
    os.utime(source, (later, later))
    compiled.on_disk.cache_clear()
    assert not compiled.on_disk(module.add)


def test_stiff_equations_are_refused():
    model = NeuralODE(expression(lambda x, t, theta: -theta * (x - t), states=1, parameters=1))
    with pytest.raises(SimulationError, match=r"stiff.*implicit adjoint"):
        model.solve([1e5], [1.0], [10.0])


def test_blow_up_says_where():
    model = NeuralODE(expression(lambda x, t, theta: theta * x**2, states=1, parameters=1))
    with pytest.raises(SimulationError, match=r"stopped at t = (0\.99|1).* of 2"):
        model.solve([1.0], [1.0], [2.0])
    late = NeuralODE(expression(lambda x, t, theta: theta / (1 - t) ** 0.5, states=1, parameters=1))
    with pytest.raises(SimulationError, match=r"finite right-hand side|below rounding"):
        late.solve([1.0], [1.0], [2.0])
    with pytest.raises(SimulationError, match="more than 10000 steps"):
        NeuralODE(oscillator()).solve([1.0], [1.0, 0.0], [1e5])
    steps = NeuralODE(model.field, euler_step=0.5)
    with pytest.raises(SimulationError, match="trajectory 1 stopped"):
        steps.solve([1.0], [[0.0], [9.0]], [20.0])
