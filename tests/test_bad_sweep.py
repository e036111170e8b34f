"""What sweep refuses, before any work, and in which words."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OcnetError, OptionError, StorageError
from tests.sweep_builds import decay

ROOT = Path(__file__).resolve().parents[1]
RATES = {"rate": [0.5, 1.0]}


def never(**arguments):
    raise AssertionError(f"build was called with {arguments}")


def sweep(build, grid, **options):
    return oc.sweep(build, grid, **{"executor": ThreadPoolExecutor(1), **options})


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, r"the grid is empty \({}\)"),
        ([], r"the grid is empty \(\[\]\)"),
        ([{}], "the grid is empty"),
        ({"rate": []}, "argument 'rate' has no values"),
        ({"rate": 0.5}, r"argument 'rate' is 0.5; expected a sequence of values \(for one value: \[0.5\]\)"),
        ({"rate": "tanh"}, r"for one value: \['tanh'\]"),
        ({"rate": np.array(1.0)}, "expected a sequence"),
        ({"rate": [1.0, np.nan]}, "argument 'rate', position 1, is NaN"),
        ({"rate": np.array([1.0, np.nan])}, "argument 'rate', position 1, is NaN"),
        ({"rate": [np.array([1.0, np.nan])]}, r"position 0, is an array with NaN at \(1,\)"),
        ({"rate": [(1.0, np.nan)]}, "position 0, is NaN"),
        ({"rate": [1.0, 2.0, 1.0]}, r"argument 'rate': positions 0 and 2 hold the same \(1.0\)"),
        ({"rate": [np.ones(2), np.ones(2)]}, "positions 0 and 1 hold the same"),
        ([{"rate": 1.0}, {"rate": 2.0}, {"rate": 2.0}], r"case: positions 1 and 2 hold the same"),
        ([{"rate": np.nan}], "case, position 0, is NaN"),
        ({"rate": [object()]}, "cannot be recognised when the sweep goes on in another process"),
        ([{"rate": 1.0}, {"start": 1.0}], r"case 1 has the arguments \['start'\], case 0 \['rate'\]"),
        ([{"rate": 1.0}, 2.0], "case 1 is 2.0; expected a mapping"),
        (3, "the grid is 3; expected a mapping"),
        ("rate", "the grid is 'rate'; expected a mapping"),
    ],
)
def test_grids(grid, message):
    with pytest.raises(DataError, match=message):
        sweep(never, grid)


@pytest.mark.parametrize(
    ("build", "grid", "message"),
    [
        (decay, {"rate": [1.0], "discount": [0.5]}, "unexpected keyword argument 'discount'"),
        (decay, {"rte": [1.0]}, r"the grid gives \['rte'\]; build is tests.sweep_builds.decay\(rate=1.0"),
        (lambda a, b: None, {"a": [1]}, "missing a required argument: 'b'"),
        (never, {"cost": [1.0]}, "the argument 'cost' is a name that the results need"),
        (never, [{"case": 1.0}], "the argument 'case' is a name that the results need"),
        (never, {"error_mesh": [1.0]}, "'error_mesh' is a name that the results need"),
        (never, {3: [1.0]}, "3 is no name of an argument"),
        (never, {"two words": [1.0]}, "'two words' is no name of an argument"),
        (decay(), RATES, "build is <.*expected a function of the arguments that returns a Problem"),
        (None, RATES, "build is None"),
    ],
)
def test_arguments(build, grid, message):
    with pytest.raises(OptionError, match=message):
        sweep(build, grid)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": 0}, "executor is 0; expected None, a number of processes, an executor"),
        ({"executor": True}, "executor is True"),
        ({"executor": 2.5}, "executor is 2.5"),
        ({"executor": "dask"}, "executor is 'dask'"),
        ({"executor": ThreadPoolExecutor}, "executor is <class"),
        ({"method": oc.Collocation}, "method is <class .*expected an object such as Collocation"),
        ({"method": "direct"}, "method is 'direct'"),
        ({"reduce": "cost"}, "reduce is 'cost'; expected a function of a Solution"),
        ({"rng": np.random.default_rng(0)}, "rng is Generator.*expected a seed"),
        ({"rng": -1}, "rng is -1"),
        ({"multistart": 0}, "multistart is 0"),
        ({"tolerance": np.nan}, "tolerance is nan"),
        ({"store": 3.0}, "store is 3.0; expected the path of a file"),
    ],
)
def test_options(options, message):
    with pytest.raises(OptionError, match=message):
        sweep(decay if "executor" in options else lambda rate: never(rate=rate), RATES, **options)


def test_what_cannot_be_sent_to_processes_is_refused_at_once(tmp_path):
    store = tmp_path / "found.nc"
    scale = 2.0

    def closure(rate):
        return decay(scale * rate)

    for build in (lambda rate: decay(rate), closure, partial(closure)):
        with pytest.raises(
            OptionError, match=r"build \(.*\) cannot be sent to worker processes .*top of a mod"
        ):
            sweep(build, RATES, executor=2)
    with pytest.raises(OptionError, match=r"reduce \(.*\) cannot be sent to worker processes"):
        sweep(decay, RATES, executor=2, reduce=lambda solution: {})
    with (
        ProcessPoolExecutor(1) as executor,
        pytest.raises(OptionError, match="cannot be sent to worker processes"),
    ):
        sweep(closure, RATES, executor=executor, store=store)
    assert not list(tmp_path.iterdir()), "no trace of a sweep that never was"
    assert sweep(partial(closure), RATES).success.all(), "threads take them"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"build": partial(decay, start=2.0)}, "its build is 'tests.sweep_builds.decay', not 'partial"),
        ({"grid": {"rate": [0.5, 1.5]}}, "its values is"),
        ({"grid": {"rate": [0.5]}}, r"its shape is \[2\], not \[1\]"),
        ({"grid": [{"rate": 0.5}, {"rate": 1.0}]}, "its values is"),
        ({"grid": {"rate": [0.5, 1.0], "start": [1.0]}}, "its arguments is"),
        ({"method": oc.Collocation(degree=4)}, "its method is"),
        ({"reduce": dict}, "its reduce is"),
        ({"tolerance": 1e-6}, "its options is"),
    ],
)
def test_a_store_of_another_sweep(tmp_path, change, message):
    store = tmp_path / "found.nc"
    sweep(decay, RATES, store=store)
    before = store.read_bytes(), Path(f"{store}.journal").read_bytes()
    with pytest.raises(StorageError, match=f"belongs to another sweep: {message}"):
        sweep(**{"build": decay, "grid": RATES, "store": store, **change})
    assert (store.read_bytes(), Path(f"{store}.journal").read_bytes()) == before


def test_damaged_stores(tmp_path):
    store = tmp_path / "found.nc"
    sweep(decay, RATES, store=store)
    journal = Path(f"{store}.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    for content, message in (
        (lines[0] + lines[1][:-9] + b"\n" + lines[2], "line 2, is damaged"),
        (lines[0] + b'{"case": 7, "status": "SOLVED"}\n', "line 2, is no record of a case"),
        (lines[0] + b'{"case": 0}\n', "line 2, is no record of a case"),
        (lines[0] + b"[]\n", "line 2, is damaged"),
        (b"{}\n", "has the format None"),
        (b"1,2,3\n", "line 1, is damaged"),
        (b"something else", "is no journal of a sweep"),
    ):
        journal.write_bytes(content)
        with pytest.raises(StorageError, match=message):
            sweep(decay, RATES, store=store)
        assert journal.read_bytes() == content, "what is not understood is left alone"
    journal.unlink()
    with pytest.raises(StorageError, match="exists without its journal"):
        sweep(decay, RATES, store=store)


def test_stores_that_cannot_be(tmp_path):
    with pytest.raises(StorageError, match="is a folder"):
        sweep(never, RATES, store=tmp_path)
    with pytest.raises(StorageError, match="which is no folder"):
        sweep(never, RATES, store=tmp_path / "missing" / "found.nc")
    (tmp_path / "a.nc.journal").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        sweep(never, RATES, store=tmp_path / "a.nc")


def test_every_refusal_is_an_error_of_ocnet():
    for error in (DataError, OptionError, StorageError):
        assert issubclass(error, OcnetError)


BUILD = """
import ocnet as oc

def build(rate):
    problem = oc.Problem("decay", horizon=oc.Finite(1.0))
    x, u = problem.state("x", initial=1.0), problem.control("u")
    problem.dynamics(x, u - rate * x)
    problem.minimize(stage=x**2 + u**2)
    return problem

"""


def run(command, text=None):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command], env=environment, input=text, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_a_script_without_a_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(BUILD + "oc.sweep(build, {'rate': [0.5]}, executor=1)\n")
    errors = run([script])
    assert "OptionError: sweep: called while a worker process starts" in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("ocnet.errors.OptionError: sweep: the worker processes die when they start")
    assert "under `if __name__ == '__main__':`" in last


def test_a_build_that_only_the_parent_knows_is_told():
    command = BUILD + "oc.sweep(build, {'rate': [0.5]}, executor=1)\n"
    last = run(["-c", textwrap.dedent(command)]).strip().splitlines()[-1]
    assert last.startswith("ocnet.errors.OptionError: sweep: the workers cannot load build (AttributeError")
    assert "in a notebook, put build into a file of its own and import it" in last
