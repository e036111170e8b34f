"""Series of solutions in a folder: what is refused, and what an interrupted solve leaves."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, StorageError
from ocnet.kept_solutions import KeptSolutions
from tests.sweep_builds import decay

HEADER = {"points": 3, "A": np.eye(2)}


def test_solutions_come_back_in_order(tmp_path):
    kept = KeptSolutions(tmp_path / "s", HEADER, "test")
    problems = [decay(rate) for rate in (0.5, 1.0)]
    costs = [kept.solved(problem, lambda p=problem: oc.solve(p)).cost for problem in problems]
    again = KeptSolutions(str(tmp_path / "s"), HEADER, "test")
    found = [again.solved(problem, pytest.fail) for problem in problems]
    assert [solution.cost for solution in found] == costs
    assert [solution.problem for solution in found] == problems
    guessed = oc.solve(decay(1.1), guess=found[1])
    assert guessed.success


def test_without_a_store_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = KeptSolutions(None, HEADER, "test")
    assert kept.solved(decay(), lambda: oc.solve(decay())).success
    assert not list(tmp_path.iterdir())


def test_an_interrupted_solve_is_not_kept(tmp_path):
    kept = KeptSolutions(tmp_path / "s", HEADER, "test")
    solution = oc.solve(decay())
    solution.status = oc.Status.INTERRUPTED
    kept.solved(decay(), lambda: solution)
    assert not list((tmp_path / "s").glob("*.nc"))


def test_what_is_refused(tmp_path):
    with pytest.raises(OptionError, match="store is 3; expected the path of a folder"):
        KeptSolutions(3, HEADER, "test")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="cannot be a folder"):
        KeptSolutions(tmp_path / "file", HEADER, "test")
    with pytest.raises(StorageError, match="cannot be a folder"):
        KeptSolutions(tmp_path / "no" / "where", HEADER, "test")
    with pytest.raises(StorageError, match="holds something else; give a new one"):
        KeptSolutions(tmp_path, HEADER, "test")
    with pytest.raises(DataError, match="test: A is an array with NaN"):
        KeptSolutions(tmp_path / "s", {"A": np.array([np.nan])}, "test")
    KeptSolutions(tmp_path / "s", HEADER, "test")
    with pytest.raises(StorageError, match="belongs to another series: its A is"):
        KeptSolutions(tmp_path / "s", HEADER | {"A": np.ones((2, 2))}, "test")
    (tmp_path / "s" / "series.json").write_text("{")
    with pytest.raises(StorageError, match="is damaged"):
        KeptSolutions(tmp_path / "s", HEADER, "test")
    KeptSolutions(tmp_path / "t", HEADER, "test")
    oc.simulate(decay(), schedule={"u": 0.0}, initial=1.0).save(tmp_path / "t" / "00000.nc")
    with pytest.raises(StorageError, match="holds no solution"):
        KeptSolutions(tmp_path / "t", HEADER, "test").solved(decay(), pytest.fail)
