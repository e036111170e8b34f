"""Training that is interrupted, saved on the way and taken up again."""

from typing import Any

import numpy as np
import pytest

from ocnet import learning
from ocnet.learning.training import train
from ocnet.learning.training.objective import Objective
from problems import spirals
from tests.learning.test_training import pendulum, swings


@pytest.mark.parametrize(
    "method", [learning.GaussNewton(), learning.Adam(iterations=30, stage_iterations=4)], ids=str
)
def test_interrupted_and_resumed_is_the_same_as_uninterrupted(method, tmp_path, monkeypatch):
    model, samples = pendulum(), swings(count=8, noise=0.02)
    whole = learning.fit(model, samples, method, theta=[0.5, 0.1])
    half, calls = len(whole.history["cost"]) // 2, []
    original = Objective.cost

    def stop(self, z, residuals):
        calls.append(1)
        if len(calls) == half:
            raise KeyboardInterrupt
        return original(self, z, residuals)

    monkeypatch.setattr(Objective, "cost", stop)
    path = tmp_path / "half.nc"
    broken = learning.fit(model, samples, method, theta=[0.5, 0.1], checkpoint=path)
    monkeypatch.undo()
    assert (broken.status, broken.success) == ("interrupted", False)
    again = learning.fit(model, samples, method, resume=learning.load(path, model))
    np.testing.assert_allclose(again.theta, whole.theta, rtol=1e-12)
    np.testing.assert_allclose(again.history["cost"], whole.history["cost"], rtol=1e-12)
    assert again.status == whole.status


@pytest.mark.parametrize("more", [{}, {"growing": False}, {"growing": "segments"}, {"learn_initial": True}])
@pytest.mark.parametrize("validated", [False, True])
def test_what_is_saved_on_the_way_does_not_change_the_way(more, validated, tmp_path, monkeypatch):
    samples, other = (spirals.samples(seed, count=9, tf=3.0)[0] for seed in (0, 1))
    model, few = learning.NeuralODE(learning.layers((2, 4, 2))), learning.GaussNewton(8, 3)
    options = more | ({"validation": other} if validated else {})
    monkeypatch.setattr(train, "SEGMENT_STEPS", 3)
    whole = learning.fit(model, samples, few, rng=0, **options)
    monkeypatch.setattr(train, "SAVE_EVERY", -1.0)
    saved = learning.fit(model, samples, few, rng=0, checkpoint=tmp_path / "fit.nc", **options)
    np.testing.assert_array_equal(saved.theta, whole.theta)
    assert (saved.status, saved.rms) == (whole.status, whole.rms)


def test_a_resumed_training_remembers_its_best():
    samples, other = spirals.samples(0, count=12, noise=0.3, tf=4.0)[0], spirals.samples(1, tf=4.0)[0]
    model = learning.NeuralODE(learning.layers((2, 12, 2)))
    options: dict[str, Any] = {"weight_decay": 1e-6, "validation": other, "patience": 3, "tolerance": 1e-9}
    first = learning.fit(model, samples, rng=1, **options)
    assert first.status == "stopped early"
    again = learning.fit(model, samples, resume=first, **(options | {"patience": 5}))
    kept = model.solve(again.theta, other.initial[0], other.times[0])
    rms = np.sqrt(np.mean((kept - other.values[0]) ** 2))
    assert rms == pytest.approx(np.nanmin(again.history["validation"]), rel=1e-3)
    assert rms <= np.nanmin(first.history["validation"]) * 1.001


def test_interrupted_segments(monkeypatch):
    calls, original = [], Objective.normal_equations

    def stop(self, z, residuals):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(self, z, residuals)

    model, samples = pendulum(), swings()
    whole = learning.Samples(samples.times, np.nan_to_num(samples.values), samples.initial)
    monkeypatch.setattr(Objective, "normal_equations", stop)
    found = learning.fit(model, whole, theta=[1.0, 0.0], growing="segments")
    monkeypatch.undo()
    assert (found.status, found.theta.shape) == ("interrupted", (2,))
    again = learning.fit(model, whole, resume=found)
    assert again.status == "at rest"
    uninterrupted = learning.fit(model, whole, theta=[1.0, 0.0], growing="segments")
    np.testing.assert_array_equal(again.theta, uninterrupted.theta)
    np.testing.assert_array_equal(again.history["cost"], uninterrupted.history["cost"])
