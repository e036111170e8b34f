"""Checkpoints: files that are no good, and those of solves that differ in one thing only."""

import os
import subprocess
import sys

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import OptionError, StorageError
from ocnet.methods.hjb.checkpoint import Checkpoint, identity
from ocnet.methods.hjb.levels import State

GRID = oc.Grid(-2, 2, 401)


def kept(path):
    """Write a checkpoint, and return it with the state that it holds."""
    values = np.linspace(0, 1, 9)
    state = State(
        values=values,
        monotone=2 * values,
        start=3 * values,
        done=[(values, values, True)],
        history=[(0, 0, 0, 1.0)],
        stencils=np.zeros(9, dtype=np.int8),
    )
    checkpoint = Checkpoint(path, np.arange(5.0), 0.0)
    checkpoint.keep(state)
    return checkpoint, state


def test_a_damaged_file_is_refused_or_does_no_harm(tmp_path):
    path = tmp_path / "kept.npz"
    checkpoint, state = kept(path)
    whole, refused = path.read_bytes(), 0
    cut = [whole[:count] for count in range(0, len(whole), 211)]
    changed = [whole[:k] + bytes([whole[k] ^ 255]) + whole[k + 1 :] for k in range(0, len(whole), 7)]
    for damaged in cut + changed:
        path.write_bytes(damaged)
        try:
            found = checkpoint.state()
        except StorageError as error:
            refused += "cannot be read" in str(error)
        else:
            np.testing.assert_array_equal(found.values, state.values)
            np.testing.assert_array_equal(found.done[0][1], state.done[0][1])
    assert refused > 0.5 * len(cut + changed)


@pytest.mark.parametrize("kind", ["half", "one byte", "npy", "text", "pickle", "other arrays"])
def test_files_that_are_no_checkpoints(kind, tmp_path):
    path = tmp_path / "kept.npz"
    checkpoint, _ = kept(path)
    whole = path.read_bytes()
    if kind == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "one byte":
        middle = whole.index(np.linspace(0, 1, 9).tobytes()) + 20
        path.write_bytes(whole[:middle] + b"?" + whole[middle + 1 :])
    elif kind == "text":
        path.write_text("no checkpoint")
    else:
        with open(path, "wb") as file:
            if kind == "other arrays":
                np.savez(file, identity=np.arange(5.0), numbers=np.arange(3.0))
            else:
                np.save(file, np.zeros(3) if kind == "npy" else np.array([{}]), allow_pickle=True)
    with pytest.raises(StorageError, match=r"cannot be read .*remove it"):
        checkpoint.state()


def stated(bound=2.5, bump=0.0, rate=0.5, weight=1.0, extra=0.0):
    problem = oc.Problem("stated", oc.Discounted(rate))
    x, u = problem.state("x"), problem.control("u", lower=-bound, upper=bound)
    w = problem.parameter("w", value=weight)
    problem.dynamics(x, x + u + extra * ca.exp(-(((x + 0.4) / 0.002) ** 2)))
    problem.minimize(stage=w * x**2 + u**2 + bump * ca.exp(-(((x - 0.33) / 0.002) ** 2)))
    return problem


@pytest.mark.parametrize(
    "change", [{"bound": 3.0}, {"bump": 0.5}, {"rate": 0.51}, {"weight": 1.01}, {"extra": 1e-3}]
)
def test_one_small_change_is_another_solve(change):
    here = identity(stated(), GRID, 1e-8)
    np.testing.assert_array_equal(here, identity(stated(), GRID, 1e-8))
    assert not np.array_equal(here, identity(stated(**change), GRID, 1e-8))
    assert not np.array_equal(here, identity(stated(), GRID, 1e-7))
    assert not np.array_equal(here, identity(stated(), oc.Grid(-2, 2, 403), 1e-8))


IDENTITY = """
import sys
from tests.methods.hjb.test_checkpoint import GRID, identity, stated
for _ in range(int(sys.argv[1])):
    stated().functions
print(identity(stated(), GRID, 1e-8).tobytes().hex())
"""


def test_the_identity_is_the_same_in_another_process():
    command, here = [sys.executable, "-c", IDENTITY], {**os.environ, "PYTHONPATH": os.getcwd()}
    for count in ("0", "3"):
        process = subprocess.run([*command, count], env=here, capture_output=True, text=True, check=True)
        assert process.stdout.strip() == identity(stated(), GRID, 1e-8).tobytes().hex()


def test_a_checkpoint_of_other_bounds_is_refused(tmp_path, monkeypatch):
    path, keep = tmp_path / "kept.npz", Checkpoint.keep

    def interrupted(self, state):
        keep(self, state)
        if state.level:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        oc.solve_hjb(stated(), GRID, checkpoint=path, interval=0.0)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="belongs to another problem"):
        oc.solve_hjb(stated(3.0), GRID, checkpoint=path)
    oc.solve_hjb(stated(), GRID, checkpoint=path)
    assert not path.exists()


def test_a_missing_folder_is_noticed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("ocnet.methods.hjb.levels.PolicyIteration.run", None)  # it never comes to this
    with pytest.raises(StorageError, match=r"no folder '.*nowhere'; make it"):
        oc.solve_hjb(stated(), GRID, checkpoint=tmp_path / "nowhere" / "kept.npz")
    with pytest.raises(StorageError, match="is the folder"):
        oc.solve_hjb(stated(), GRID, checkpoint=tmp_path)
    with pytest.raises(OptionError, match="expected the path of a file"):
        oc.solve_hjb(stated(), GRID, checkpoint=3)


@pytest.mark.parametrize(
    "options",
    [
        *({"interval": value} for value in ("a", None, np.nan, -1.0, True)),
        *({"memory": value} for value in ("1GB", np.nan, 0, -1e9, False)),
    ],
)
def test_seconds_and_bytes_are_numbers(options):
    (name,) = options
    with pytest.raises(OptionError, match=f"{name} is .*expected a number of"):
        oc.solve_hjb(stated(), GRID, **options)
