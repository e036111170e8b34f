"""Training: each method on data with a known answer, horizons, stopping, interruption, files, bad input."""

import sys

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet import learning
from ocnet.errors import DataError, OptionError, ShapeError, StorageError, UnsupportedError
from ocnet.learning import AdjointGradient
from ocnet.learning.training.objective import Objective
from ocnet.networks import custom
from problems import spirals

METHODS = (
    learning.GaussNewton(),
    learning.LBFGS(),
    learning.Adam(rate=0.03, iterations=1500),
    learning.AllAtOnce(),
)


def pendulum():
    """ẍ = −θ₁ sin x − θ₂ẋ."""
    return learning.NeuralODE(
        learning.expression(
            lambda x, t, q: [x[1], -q[0] * ca.sin(x[0]) - q[1] * x[1]], states=2, parameters=2
        )
    )


def swings(count=20, noise=0.0):
    """Two exact swings with θ = (2, 0.3), the second one with holes."""
    model, times = pendulum(), np.linspace(0.2, 4.0, count)
    initial = np.array([[1.0, 0.0], [-0.5, 2.0]])
    values = model.solve([2.0, 0.3], initial, times)
    values = values + noise * np.random.default_rng(0).normal(size=values.shape)
    values[1, ::3, 1] = np.nan
    return learning.Samples(times, values, initial)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.label)
def test_every_method_finds_the_parameters(method):
    found = learning.fit(pendulum(), swings(), method, theta=[1.0, 0.0], weight_decay=0.0, tolerance=1e-7)
    np.testing.assert_allclose(found.theta, [2.0, 0.3], atol=2e-3)
    assert found.rms < 1e-3
    assert np.isfinite(found.history["cost"]).all()
    assert (np.diff(found.history["horizon"]) >= 0).all()
    assert found.method in str(found)


def test_normal_equations_are_those_of_the_gradient():
    model, samples = pendulum(), swings(noise=0.1)
    objective = Objective(model, samples, 0.2, True, 1e-10)
    z = np.concatenate([[1.7, 0.2], samples.initial.ravel() + 0.1])
    residuals = objective.residuals(z)
    matrix, slope = objective.normal_equations(z, residuals)
    np.testing.assert_allclose(slope, objective.gradient(z)[1], rtol=1e-9)
    columns = []
    for i in range(len(z)):
        h = 1e-5 * np.eye(len(z))[i]
        columns.append((objective.residuals(z + h) - objective.residuals(z - h)).ravel() / 2e-5)
    J = np.array(columns).T
    np.testing.assert_allclose(matrix, J.T @ J + np.diag([0.2] * 2 + [0.0] * 4), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", [learning.GaussNewton(), learning.AllAtOnce()], ids=lambda m: m.label)
def test_initial_states_are_learned(method):
    samples = swings()
    off = learning.Samples(samples.times, samples.values, samples.initial + 0.2)
    found = learning.fit(
        pendulum(), off, method, theta=[1.0, 0.0], learn_initial=True, weight_decay=0.0, tolerance=1e-7
    )
    np.testing.assert_allclose(found.initial, samples.initial, atol=1e-3)
    np.testing.assert_allclose(found.theta, [2.0, 0.3], atol=1e-3)


def test_a_failed_training_does_not_look_like_a_success():
    """One parameter too few: the best fit is far off, and a target says so."""
    stiffness = learning.NeuralODE(
        learning.expression(lambda x, t, q: [x[1], -q * x[0]], states=2, parameters=1)
    )
    found = learning.fit(stiffness, swings(), theta=[1.0], target=0.01)
    assert not found.success
    assert found.rms > 0.05
    explosive = learning.NeuralODE(
        learning.expression(lambda x, t, q: [q * x[0] ** 2, 0 * x[1]], states=2, parameters=1)
    )
    bad = learning.fit(explosive, swings(), theta=[50.0], growing=False)
    assert (bad.success, bad.status, bad.rms) == (False, "failed", np.inf)


def test_early_stopping_returns_the_best():
    training, other = (
        spirals.samples(0, count=12, noise=0.3, tf=4.0)[0],
        spirals.samples(1, count=50, tf=4.0)[0],
    )
    model = learning.NeuralODE(learning.layers((2, 12, 2)))
    options = {"weight_decay": 1e-6, "validation": other, "patience": 3, "tolerance": 1e-9}
    found = learning.fit(model, training, rng=1, **options)
    watched = found.history["validation"]
    kept = model.solve(found.theta, other.initial[0], other.times[0])
    rms = np.sqrt(np.mean((kept - other.values[0]) ** 2))
    assert rms == pytest.approx(np.nanmin(watched), rel=1e-4)
    assert found.status in ("stopped early", "at rest")


def test_the_target_holds_for_what_is_returned():
    """The network that reached it, not an earlier one with a smaller validation error."""
    samples, other = (spirals.samples(seed, count=30, tf=6.0)[0] for seed in (0, 1))
    model = learning.NeuralODE(learning.layers((2, 10, 2)))
    found = learning.fit(
        model, samples, rng=0, validation=other, patience=500, weight_decay=1e-6, target=0.0302
    )
    assert (found.status, found.success) == ("target reached", True)
    assert found.rms <= 0.0302 * 1.001


@pytest.mark.parametrize(
    "method", [None, learning.LBFGS(), learning.Adam(iterations=50, stage_iterations=10)]
)
def test_without_a_derivative_training_fails(method):
    root = learning.NeuralODE(learning.expression(lambda x, t, q: -ca.sqrt(q[0]) * x, states=1, parameters=1))
    times = np.linspace(0.1, 2, 10)
    samples = learning.Samples(times, np.exp(-times)[:, None], [1.0])
    found = learning.fit(root, samples, method, theta=[0.0])
    assert (found.status, found.success, found.theta.tolist()) == ("failed", False, [0.0])
    with pytest.raises(DataError, match="the derivative by theta, component 0, is not finite"):
        root.gradient([0.0], samples)
    with pytest.raises(DataError, match="the derivative by theta, component 0, is not finite"):
        root.jacobian([0.0], [1.0], times)
    with pytest.raises(DataError, match="the derivative by theta, component 0, is not finite"):
        root.pullback([0.0], [1.0], times, np.ones((10, 1)))


def test_a_residual_network_is_no_problem_in_continuous_time():
    model = learning.NeuralODE(
        learning.expression(lambda x, t, q: q * x, states=1, parameters=1), euler_step=1.0
    )
    samples = learning.Samples([1.0], [[-1.0]], [1.0])
    with pytest.raises(UnsupportedError, match="euler_step is 1; expected None for a Problem"):
        model.problem(samples)
    with pytest.raises(UnsupportedError, match="euler_step is 1"):
        learning.fit(model, samples, learning.AllAtOnce(), theta=[0.0], growing=False)
    assert learning.fit(model, samples, theta=[0.0], weight_decay=0.0).theta[0] == pytest.approx(-2, abs=1e-6)


def test_times_that_are_listed_more_than_once():
    """Replicates count one by one, in the gradient and all at once."""
    rng = np.random.default_rng(0)
    times = np.repeat(np.linspace(0.1, 2, 20), 3)
    samples = learning.Samples(times, np.exp(-times)[:, None] + 0.05 * rng.normal(size=(60, 1)), [1.0])
    model = learning.NeuralODE(learning.expression(lambda x, t, q: q * x, states=1, parameters=1))
    loss = model.gradient([-0.9], samples)[0]
    assert AdjointGradient(model.problem(samples))({"theta": [-0.9]}).cost == pytest.approx(loss, rel=1e-6)
    both = [
        learning.fit(model, samples, method, theta=[0.0], weight_decay=1e-9)
        for method in (learning.GaussNewton(), learning.AllAtOnce())
    ]
    assert all(found.success for found in both)
    assert both[0].theta[0] == pytest.approx(both[1].theta[0], abs=1e-3)


def test_segments_bridge_gaps_of_half_a_turn():
    """Gaps of 0.52 and 0.47 turns at the beginning: a horizon that sees nothing beyond gets stuck there."""
    samples, noise = spirals.samples(5016, irregular=True)
    model = learning.NeuralODE(learning.layers((2, 16, 2)))
    assert learning.fit(model, samples, rng=5016).rms > 5 * noise
    found = learning.fit(model, samples, rng=5016, growing="segments")
    assert found.success
    assert found.rms < 1.05 * noise


@pytest.mark.parametrize("free", [False, True])
def test_segments_find_the_parameters(free):
    """Two trajectories of different times; f depends on time, so that segments have to begin at their own."""
    times = np.array([np.linspace(0.3, 4, 12), np.linspace(0.1, 3, 12) ** 1.3])
    rule = learning.expression(
        lambda x, t, q: [x[1], -q[0] * ca.sin(x[0]) + q[1] * ca.cos(3 * t)], states=2, parameters=2
    )
    model, initial = learning.NeuralODE(rule), np.array([[1.0, 0.0], [-0.5, 2.0]])
    samples = learning.Samples(times, model.solve([2.0, 0.7], initial, times), initial + 0.1 * free)
    found = learning.fit(
        model, samples, theta=[1.0, 0.0], weight_decay=0.0, tolerance=1e-8, growing="segments",
        learn_initial=free,
    )  # fmt: skip
    np.testing.assert_allclose(found.theta, [2.0, 0.7], atol=1e-4)
    np.testing.assert_allclose(found.initial, initial, atol=1e-4)


def test_the_weight_decay_falls_as_the_horizon_grows():
    """Of a model whose data do not depend on θ the cost is ½·decay·θ² alone, so that it shows the decay."""
    idle = learning.NeuralODE(learning.expression(lambda x, t, q: 0 * q * x, states=1, parameters=1))
    samples = learning.Samples(np.arange(1.0, 9.0), np.zeros((8, 1)), [0.0])
    found = learning.fit(
        idle, samples, learning.Adam(rate=1e-8, iterations=1, stage_iterations=1), theta=[2.0],
        weight_decay=0.5, decay_start=100.0,
    )  # fmt: skip
    decay, share = found.history["cost"] / 2, found.history["horizon"] / 8
    np.testing.assert_allclose(decay, 0.5 * 100 ** (1 - share), rtol=1e-6)
    assert found.history["rms"].max() < 1e-6
    assert len(decay) > 3


def test_optax_adam_takes_the_steps_of_adam(tmp_path):
    """With a constant rate both are the same algorithm; its memory is saved and taken up again."""
    optax = pytest.importorskip("optax")
    model, samples = pendulum(), swings(count=8, noise=0.02)

    def trained(method, **options):
        return learning.fit(model, samples, method, growing=False, weight_decay=0.0, **options)

    for seed, rate in enumerate((0.01, 0.1)):
        start = np.random.default_rng(seed).normal(size=2)
        theta, mean, square = start.copy(), 0.0, 0.0
        for k in range(1, 31):  # Kingma and Ba, algorithm 1
            slope = model.gradient(theta, samples, tolerance=1e-5)[1]
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            last = theta
            theta = theta - rate * mean / (1 - 0.9**k) / (np.sqrt(square / (1 - 0.999**k)) + 1e-8)
        found = trained(learning.Optax(optax.adam(rate), iterations=30), theta=start)
        np.testing.assert_allclose(found.theta, last, rtol=1e-10)
    rich = learning.Optax(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.05)), iterations=30)
    whole = trained(rich, theta=[0.5, 0.1])
    part = learning.fit(
        model, samples, learning.Optax(rich.optimizer, iterations=12), theta=[0.5, 0.1], growing=False,
        weight_decay=0.0,
    )  # fmt: skip
    part.state["here"] = np.array(11)
    part.save(tmp_path / "part.nc")
    again = trained(rich, resume=learning.load(tmp_path / "part.nc", model))
    np.testing.assert_allclose(again.theta, whole.theta, rtol=1e-12)
    with pytest.raises(DataError, match="another optimizer"):
        trained(learning.Optax(optax.sgd(0.1, momentum=0.9)), resume=again)
    with pytest.raises(OptionError, match="a gradient alone"):
        trained(learning.Optax(optax.lbfgs()), theta=[0.5, 0.1])
    with pytest.raises(OptionError, match="optimizer is 'adam'; expected a gradient transformation"):
        learning.Optax("adam")


def test_optax_is_optional(monkeypatch):
    for name in ("jax", "optax"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError, match=r"is not installed; `pip install 'ocnet\[jax\]'`"):
        learning.Optax()


def test_files(tmp_path):
    samples, _ = spirals.samples(0, count=6, tf=1.0)
    for field in (learning.layers((2, 4, 2), oc.networks.arctan(0.5), time=True), learning.layers((2, 3, 2))):
        found = learning.fit(learning.NeuralODE(field, tolerance=1e-7), samples, rng=0)
        found.save(tmp_path / "net.nc")
        back = learning.load(tmp_path / "net.nc")
        assert str(back) == str(found) == str(oc.load(tmp_path / "net.nc"))
        np.testing.assert_array_equal(back.theta, found.theta)
        times = [0.3, 0.9]
        np.testing.assert_array_equal(
            back.model.solve(back.theta, [2, 0], times), found.model.solve(found.theta, [2, 0], times)
        )
    other = learning.NeuralODE(learning.layers((2, 7, 2)))
    with pytest.raises(StorageError, match=r"17 parameters for 2 states; the model, 2-7-2 tanh, has 37"):
        learning.load(tmp_path / "net.nc", other)
    swing = learning.fit(pendulum(), swings(), theta=[1.0, 0.0])
    swing.save(tmp_path / "swing.nc")
    with pytest.raises(StorageError, match="an expression, which a file cannot hold; give it"):
        learning.load(tmp_path / "swing.nc")
    with pytest.raises(StorageError, match=r"give it: learning\.load\(path, model\)"):
        oc.load(tmp_path / "swing.nc")
    with pytest.raises(StorageError, match="holds a trained network; expected no problem"):
        oc.load(tmp_path / "net.nc", spirals.problem())
    assert learning.load(tmp_path / "swing.nc", pendulum()).rms == swing.rms
    odd = learning.layers((2, 2, 2), custom(lambda s: s / (1 + s**2), name="bump"))
    learning.fit(learning.NeuralODE(odd), samples, rng=0).save(tmp_path / "odd.nc")
    with pytest.raises(StorageError, match="the activation 'bump'"):
        learning.load(tmp_path / "odd.nc")
    with pytest.raises(StorageError, match="there is no file"):
        learning.load(tmp_path / "none.nc")
    oc.simulate(spirals.problem(1.0), initial=[2, 0]).save(tmp_path / "path.nc")
    with pytest.raises(StorageError, match="holds a Trajectory; expected a NeuralODE"):
        learning.load(tmp_path / "path.nc")


def test_the_same_problem_by_another_road():
    """The Problem has the cost that the rollout has, and collocation finds the same optimum."""
    model, samples = pendulum(), swings(count=10, noise=0.05)
    found = learning.fit(model, samples, theta=[1.0, 0.0], weight_decay=0.1, tolerance=1e-9)
    problem = model.problem(samples, theta=found.theta, weight_decay=0.1)
    solution = oc.solve(problem, oc.Collocation(intervals=20), guess={"theta": found.theta})
    np.testing.assert_allclose(solution.unknowns["theta"], found.theta, atol=2e-3)
    loss = model.gradient(solution.unknowns["theta"], samples)[0] + 0.05 * np.sum(
        solution.unknowns["theta"] ** 2
    )
    assert solution.cost == pytest.approx(loss, rel=1e-5)


def test_bad_samples():
    good = {"times": [1.0, 2.0], "values": [[0.0], [1.0]], "initial": [0.0]}
    for change, error, match in (
        ({"values": [1.0, 2.0]}, ShapeError, r"values has shape \(2,\)"),
        ({"values": np.zeros((0, 1))}, ShapeError, "not empty"),
        ({"times": [1.0]}, ShapeError, r"times has shape \(1,\); expected \(2,\) or \(1, 2\)"),
        ({"initial": [0.0, 1.0]}, ShapeError, r"initial has shape \(2,\); expected \(1, 1\)"),
        ({"times": [1.0, np.nan]}, DataError, "times or start contain NaN"),
        ({"times": [2.0, 1.0]}, DataError, "have to be in order"),
        ({"times": [-1.0, 1.0]}, DataError, "not before start = 0"),
        ({"times": [0.0, 0.0]}, DataError, "all times are at start"),
        ({"values": [[0.0], [np.inf]]}, DataError, r"values\[0, 1, 0\] is infinite"),
        ({"values": [[np.nan], [np.nan]]}, DataError, "every value is NaN"),
        ({"initial": [np.nan]}, DataError, r"initial\[0\] is not finite"),
        ({"start": [0.0, 0.0]}, ShapeError, r"start has shape \(2,\); expected one number"),
        ({"start": "now"}, ShapeError, "start is 'now' .*expected numbers"),
        ({"values": [[0.0], [1.0, 2.0]]}, ShapeError, "values is .*expected numbers"),
    ):
        with pytest.raises(error, match=match):
            learning.Samples(**(good | change))
    with pytest.raises(DataError, match=r"nothing was observed between start = 0 and 0\.5"):
        learning.Samples(**good).until(0.5)
    with pytest.raises(OptionError, match="count is 0"):
        spirals.samples(0, count=0)
    with pytest.raises(OptionError, match="noise is nan"):
        spirals.samples(0, noise=float("nan"))


def test_bad_options():
    model, samples = pendulum(), swings()
    for options, error, match in (
        ({"method": learning.Adam}, OptionError, "expected an object such as"),
        ({"theta": [1.0]}, ShapeError, r"theta has shape \(1,\); expected \(2,\)"),
        ({"theta": [1.0, np.nan]}, DataError, r"theta\[1\] is not finite"),
        ({"weight_decay": -1.0}, OptionError, "weight_decay is -1"),
        ({"tolerance": 1.0}, OptionError, "tolerance is 1"),
        ({"patience": 0}, OptionError, "patience is 0"),
        ({"decay_start": 0.0}, OptionError, "decay_start is 0"),
        ({"weight_decay": np.inf}, OptionError, "weight_decay is inf"),
        ({"target": "0.1"}, OptionError, "target is '0.1'; expected a number"),
        ({"target": np.nan}, OptionError, "target is nan"),
        ({"checkpoint": "no/folder/here.nc"}, StorageError, "there is no folder 'no/folder'"),
        ({"growing": "slowly"}, OptionError, "growing is 'slowly'; expected True, False or 'segments'"),
        ({"growing": "segments"}, DataError, r"values\[1, 0, 1\] was not observed"),
        ({"resume": "file.nc"}, OptionError, r"expected a Fit \(from a file: learning.load\)"),
        ({"validation": [1.0]}, OptionError, r"expected learning\.Samples"),
    ):
        with pytest.raises(error, match=match):
            learning.fit(model, samples, **options)
    done = learning.fit(model, samples, theta=[1.9, 0.3])
    with pytest.raises(OptionError, match=r"by Gauss-Newton; expected .* by Adam"):
        learning.fit(model, samples, learning.Adam(), resume=done)
    with pytest.raises(OptionError, match="got theta and resume"):
        learning.fit(model, samples, theta=[1.0, 0.0], resume=done)
    with pytest.raises(OptionError, match=r"resume holds 2 unknowns and .* expected 6 and at most"):
        learning.fit(model, samples, resume=done, learn_initial=True)
    with pytest.raises(OptionError, match=r"sample times; expected 2 and at most 3"):
        learning.fit(model, samples.until(np.unique(samples.times)[2]), resume=done)
    stepped = learning.NeuralODE(model.field, euler_step=0.1)
    with pytest.raises(OptionError, match=r"expected .*, step 0\.1, by Gauss-Newton"):
        learning.fit(stepped, samples, resume=done)
    with pytest.raises(OptionError, match="model is 3"):
        learning.fit(3, samples)
    with pytest.raises(OptionError, match="GaussNewton: iterations is 0"):
        learning.GaussNewton(iterations=0)
    with pytest.raises(OptionError, match="Adam: rate is 0"):
        learning.Adam(rate=0)
    with pytest.raises(OptionError, match=r"LBFGS: memory is 1\.5"):
        learning.LBFGS(memory=1.5)
    with pytest.raises(OptionError, match=r"horizons is .*expected rising shares"):
        learning.AllAtOnce(horizons=(0.5, 0.4))
    with pytest.raises(OptionError, match=r"horizons is 'abc'"):
        learning.AllAtOnce(horizons="abc")
    with pytest.raises(OptionError, match="split is nan"):
        learning.AllAtOnce(split=np.nan)


def test_cubic_spiral_by_gauss_newton():
    samples, noise = spirals.samples(7)
    model = learning.NeuralODE(learning.layers((2, 16, 2)))
    found = learning.fit(model, samples, rng=7)
    assert found.success
    assert found.rms < 1.05 * noise


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(5), range(5, 10)], ids=["0-4", "5-9"])
@pytest.mark.parametrize("method", [learning.GaussNewton(), learning.AllAtOnce()], ids=lambda m: m.label)
def test_cubic_spiral_from_ten_seeds(method, seeds):
    """The rollout is within 1.05 of the realised noise from every seed."""
    model = learning.NeuralODE(learning.layers((2, 16, 2)))
    ratios = []
    for seed in seeds:
        samples, noise = spirals.samples(2000 + seed)
        ratios.append(learning.fit(model, samples, method, rng=seed).rms / noise)
    assert max(ratios) < 1.05
