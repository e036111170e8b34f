"""Sequences of patterns: what is kept, forgotten and restored."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, StorageError
from ocnet.memory import consolidate, learn_sequence
from problems import brain_memory

OLD = np.full(2, brain_memory.EQUILIBRIUM)


def build(A, cue):
    return brain_memory.problem(A=A, initial=cue)


def settle(A, u):
    for _ in range(3000):
        u = A @ (np.arctan(np.asarray(u) / 0.1) / np.pi + 0.5)
    return u


@pytest.fixture(scope="module")
def history():
    cues = [brain_memory.START, (1.5, 1.5), (1.5, 0.75)]
    return learn_sequence(build, brain_memory.SYNAPSES, cues, memories=[OLD])


def test_the_old_memory_is_forgotten_and_restored(history):
    assert history.events()[:2] == [(0, 0, "forgotten"), (1, 0, "restored")]
    assert [step.outcome.name for step in history.steps] == ["recorded"] * 3
    assert max(step.outcome.residual for step in history.steps) < 1e-12
    table = history.recognised()
    assert table[:, 0].tolist() == [False, True, False]
    assert "step 1: memory 0 restored" in str(history)


def test_what_is_recognised_is_where_the_free_network_returns_to(history):
    for step in history.steps:
        for memory, returned in zip(history.memories, step.returns, strict=False):
            end = settle(step.A, memory)
            expected = np.abs(end - memory).max() / (1 + np.abs(memory).max())
            assert returned == pytest.approx(expected, abs=1e-9)


def test_synapses_are_the_sum_of_what_was_controlled(history):
    total = np.zeros((2, 2))
    for step in history.steps:
        total += step.solution.controls["xi"][-1]
        np.testing.assert_allclose(step.A, brain_memory.SYNAPSES + total, atol=1e-12)
        assert step.load == pytest.approx(np.abs(total).max() / brain_memory.BOUND, abs=1e-12)
    np.testing.assert_allclose(
        history.memories[1], settle(history.steps[0].A, history.memories[1]), atol=1e-9
    )


def test_what_is_recognised_changes_nothing():
    history = learn_sequence(build, brain_memory.SYNAPSES, [OLD, OLD], memories=[OLD])
    assert [step.outcome.name for step in history.steps] == ["recognised"] * 2
    assert len(history.memories) == 1
    assert not history.events()
    np.testing.assert_array_equal(history.steps[-1].A, brain_memory.SYNAPSES)
    assert history.steps[-1].load == 0


def test_consolidate_at_a_moment():
    solution = oc.solve(brain_memory.problem(0.9995))
    xi = solution.controls["xi"]
    np.testing.assert_array_equal(
        consolidate(brain_memory.SYNAPSES, solution), brain_memory.SYNAPSES + xi[-1]
    )
    np.testing.assert_array_equal(consolidate(np.zeros((2, 2)), solution, at=7), xi[7])


def test_the_figure_shows_every_memory(history):
    figure = oc.plot.memories(history)
    above, below = figure.axes
    drawn = sum(len(line.get_xdata()) for line in above.lines if line.get_marker() == "s")
    known = sum(len(history.steps) - max(since, 0) for since in history.since)
    assert drawn == known
    loads = next(line for line in below.lines if len(line.get_xdata()) == len(history.steps))
    np.testing.assert_allclose(loads.get_ydata(), [step.load for step in history.steps])
    with pytest.raises(ProblemError, match="got list; expected a LearningHistory"):
        oc.plot.memories([])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"A": np.ones((2, 3))}, ShapeError, r"A has shape \(2, 3\)"),
        ({"A": [[np.nan, 1], [1, 0]]}, DataError, "A holds NaN"),
        ({"cues": []}, DataError, "there are no cues"),
        ({"cues": [(1, 2, 3)]}, ShapeError, r"cue 0 has shape \(3,\)"),
        ({"cues": [(1, np.inf)]}, DataError, "a pattern holds NaN or infinities"),
        ({"memories": [(1,)]}, ShapeError, "memory 0 has shape"),
        ({"tolerance": 0.0}, OptionError, "tolerance is 0.0"),
    ],
)
def test_bad_sequences(options, error, message):
    given = {"A": brain_memory.SYNAPSES, "cues": [OLD]} | options
    with pytest.raises(error, match=message):
        learn_sequence(build, **given)


def test_bad_consolidations():
    solution = oc.solve(brain_memory.problem(0.95))
    with pytest.raises(ShapeError, match=r"A has shape \(3, 3\); expected that of 'xi', \(2, 2\)"):
        consolidate(np.eye(3), solution)
    with pytest.raises(DataError, match="A holds NaN"):
        consolidate(np.full((2, 2), np.nan), solution)
    with pytest.raises(ProblemError, match="no control 'W'"):
        consolidate(np.eye(2), solution, control="W")
    with pytest.raises(ProblemError, match="lies outside the trajectory"):
        consolidate(np.eye(2), solution, at=70.0)
    with pytest.raises(ProblemError, match="expected a Solution"):
        consolidate(np.eye(2), {})


def test_a_sequence_that_was_stopped_goes_on(history, tmp_path):
    cues = [brain_memory.START, (1.5, 1.5), (1.5, 0.75)]
    left = iter(range(1))

    def fails_late(A, cue):
        if np.array_equal(cue, cues[1]) and next(left, None) is None:
            raise RuntimeError("the power failed")
        return build(A, cue)

    with pytest.raises(RuntimeError, match="the power failed"):
        learn_sequence(fails_late, brain_memory.SYNAPSES, cues, memories=[OLD], store=tmp_path / "run")
    kept = sorted((tmp_path / "run").glob("*.nc"))
    before = [path.stat().st_mtime_ns for path in kept]
    assert kept
    left = iter(range(100))
    again = learn_sequence(fails_late, brain_memory.SYNAPSES, cues, memories=[OLD], store=tmp_path / "run")
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert len(list((tmp_path / "run").glob("*.nc"))) == 3
    assert str(again) == str(history)
    for a, b in zip(again.steps, history.steps, strict=True):
        np.testing.assert_array_equal(a.A, b.A)
    with pytest.raises(StorageError, match="belongs to another series: its build is"):
        learn_sequence(build, brain_memory.SYNAPSES, cues, memories=[OLD], store=tmp_path / "run")
