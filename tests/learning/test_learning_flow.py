"""Learning flows: they learn, they stop for a reason, and go on where they were interrupted."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray

from ocnet.errors import OptionError, ProblemError, SolveError, StorageError
from ocnet.learning import AdditiveNetwork, Learned, learn
from ocnet.learning.additive.learned import CURVES
from ocnet.storage import load
from problems import recall_tasks


def exclusive_or(seed=0):
    return recall_tasks.xor(np.random.default_rng(seed))


def learned(seed=0, **options):
    task = exclusive_or(seed)
    return learn(task.network, task.inputs, task.targets, **options)


@pytest.mark.parametrize("options", [{}, {"method": "plain"}, {"integrator": "Radau"}, {"method": "L-BFGS"}])
def test_exclusive_or(options):
    result = learned(1, **options)
    assert result.success, result
    assert "learned by" in str(result)
    task = exclusive_or()
    for method in ("newton", "BDF"):
        answer = result.network.recall(task.inputs, method=method)
        assert np.abs(answer - task.targets).max() < 0.05
    h = result.history
    assert set(h) == set(CURVES)
    assert (np.diff(h["energy"]) < 1e-3 * h["energy"][0]).all()  # E falls along the flow
    assert h["error"][-1] <= 5e-3 < h["error"][-2]


def test_time_scale_is_that_of_the_gradient():
    h = learned(rate=2.0).history
    size = np.sqrt(h["gradient_T"] ** 2 + h["gradient_decay"] ** 2 + h["gradient_gain"] ** 2)
    assert h["time_scale"] == pytest.approx(2.0 * size ** (-2 / 3))
    # d|∇E|/dt is not small at the end: a finite time is left, where the plain flow needs an infinite one
    assert h["time"][-1] < learned(rate=1.0).history["time"][-1]


def test_flow_in_time_is_the_plain_flow_in_another_clock():
    """Both follow the same path: equal energies at equal distances from the beginning."""
    task = exclusive_or(3)
    ends = [
        learn(task.network, task.inputs, task.targets, method=method, rtol=1e-6, tolerance=0.2)
        for method in ("adaptive", "plain")
    ]
    for end in ends:
        assert end.status == "learned" or end.status == "unreached"
    a, b = (end.network.T[end.network.mask] for end in ends)
    assert a == pytest.approx(b, abs=0.05)


def test_iterations_resume_and_files(tmp_path):
    first = learned(iterations=5, checkpoint=tmp_path / "check.nc")
    assert first.status == "iterations"
    assert not first.success
    assert "NOT learned" in str(first)
    assert len(first.history["error"]) == 6
    first.save(tmp_path / "first.nc")
    for name in ("first.nc", "check.nc"):
        again = load(tmp_path / name)
        assert isinstance(again, Learned)
        assert (again.network.T == first.network.T).all()
        assert again.history["error"] == pytest.approx(first.history["error"])
        assert (again.status, again.network.bias) == ("iterations", (5,))
    task = exclusive_or()
    result = learn(task.network, task.inputs, task.targets, resume=again)
    assert result.success
    assert len(result.history["error"]) > 20
    assert result.history["evaluations"][-1] > first.history["evaluations"][-1]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(StorageError, match=r"no file"):
        Learned.load(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(StorageError, match=r"not a readable"):
        Learned.load(tmp_path / "text.nc")


def test_writing_that_is_interrupted_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "kept.nc"
    first = learned(iterations=1)
    first.save(path)

    def interrupted(self, target, **options):
        Path(target).write_bytes(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(xarray.Dataset, "to_netcdf", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learned(iterations=2).save(path)
    assert (Learned.load(path).network.T == first.network.T).all()
    first.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.nc"]


def test_a_checkpoint_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(AdditiveNetwork, "settled", lambda *arguments: pytest.fail("it began to learn"))
    with pytest.raises(
        StorageError, match=r"learn: checkpoint is '.*c\.nc', but there is no folder '.*nodir'"
    ):
        learned(checkpoint=tmp_path / "nodir" / "c.nc")
    with pytest.raises(StorageError, match=r"learn: checkpoint is the folder"):
        learned(checkpoint=tmp_path)
    with pytest.raises(OptionError, match=r"learn: checkpoint is 3; expected the path"):
        learned(checkpoint=3)
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(StorageError, match=r"its folder cannot be written to"):
        learned(checkpoint=tmp_path / "c.nc")


def test_interrupt_keeps_what_was_learned(monkeypatch):
    calls = []
    original = AdditiveNetwork.gradient_at

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 120:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(AdditiveNetwork, "gradient_at", interrupted)
    result = learned()
    assert result.status == "interrupted"
    assert not result.success
    assert result.history["energy"][-1] < result.history["energy"][0]


def test_early_stopping_returns_the_best_on_other_samples():
    task = recall_tasks.curve("tanh", 4, np.random.default_rng(2))
    other = (task.recall_inputs[:20], task.recall_targets[:20])
    result = learn(
        task.network, task.inputs, task.targets, tolerance=1e-4, validation=other, patience=5, iterations=60
    )
    errors = result.history["validation"]
    answer = result.network.recall(other[0])
    assert np.sqrt(np.mean((answer - other[1]) ** 2)) == pytest.approx(errors.min(), rel=1e-6)
    if result.status == "patience":
        assert len(errors) - 1 - int(np.argmin(errors)) >= 5


def test_local_minimum_is_no_success():
    """Contradictory samples: the gradient vanishes, the error does not."""
    net = AdditiveNetwork(
        [[0.0, 0.0], [0.5, 0.0]], inputs=[0], outputs=[1], mask=[[False, False], [True, False]]
    )
    result = learn(net, [[0.5], [0.5]], [[0.5], [-0.5]], iterations=150)
    assert not result.success
    assert result.status in ("stationary", "iterations")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "SGD"}, r"method is 'SGD'"),
        ({"integrator": "RK45"}, r"integrator: method is 'RK45', which is explicit"),
        ({"rate": 0.0}, r"rate is 0.0"),
        ({"tolerance": np.nan}, r"tolerance is nan"),
        ({"iterations": 0}, r"iterations is 0"),
        ({"patience": 0}, r"patience is 0"),
        ({"rate": "1"}, r"rate is '1'; expected a positive number"),
        ({"iterations": 2.5}, r"iterations is 2.5; expected a whole number"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(OptionError, match=match):
        learned(**options)


def test_resume_from_another_network():
    task = recall_tasks.curve("sin", 4, np.random.default_rng(0))
    with pytest.raises(ProblemError, match=r"network of another kind"):
        learn(task.network, task.inputs, task.targets, resume=learned(iterations=1))


@pytest.mark.slow
def test_exclusive_or_from_twenty_seeds():
    assert sum(learned(seed).success for seed in range(20)) >= 18


def test_a_network_without_rest_is_not_what_is_returned(monkeypatch):
    """After a few steps no fixed point is found any more: the last network that had all of them is kept."""
    calls = []
    original = AdditiveNetwork.settled

    def failing(self, *arguments):
        calls.append(1)
        if len(calls) > 100:
            raise SolveError("no fixed point")
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(AdditiveNetwork, "settled", failing)
        result = learned()
    assert result.status == "no fixed point"
    assert not result.success
    task = exclusive_or()
    g = result.network.gradient(task.inputs, task.targets)
    assert g.energy == pytest.approx(result.history["energy"][-1])


def test_progress_is_shown(capsys):
    learned(iterations=2, progress=True)
    assert "worst error" in capsys.readouterr().out
