"""Sweeps: results against a closed form, and nothing lost or done twice when workers or the parent die."""

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pytest

import ocnet as oc
from ocnet.errors import SolveError, StorageError
from tests.sweep_builds import cost, deadly, deadly_after_a_while, decay, failing, kept, logged, warm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tests kill processes by POSIX signals")
ROOT = Path(__file__).resolve().parents[1]
RATES = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]


def threads(count=1):
    return ThreadPoolExecutor(count)


def journal(store):
    """Numbers of the cases in a journal, in the order in which they came; a torn last line does not count."""
    path = Path(f"{store}.journal")
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return [json.loads(line)["case"] for line in whole.splitlines()[1:]]


def check(found, rates):
    """Every case is there, solved, and right."""
    np.testing.assert_array_equal(found.rate, rates)
    assert found.success.all()
    np.testing.assert_allclose(found.cost, cost(np.asarray(rates)), rtol=1e-8)


# ---------------------------------------------------------------- the table of results


def test_a_grid_has_the_axes_of_its_arguments():
    rates, starts = [0.5, 1.0], [1.0, -2.0, 3.0]
    found = oc.sweep(decay, {"rate": rates, "start": starts}, executor=threads(), reduce=kept)
    assert dict(found.sizes) == {"rate": 2, "start": 3, "path_0": 3}
    np.testing.assert_allclose(
        found.cost, [[cost(rate, start) for start in starts] for rate in rates], rtol=1e-8
    )
    assert (found.status == "SOLVED").all()
    assert found.cost.sel(rate=1.0, start=-2.0) == found.cost[1, 1]
    np.testing.assert_array_equal(found.path[..., 0], [starts, starts])
    assert (found.name == "decay").all()
    assert float(found.error_mesh.max()) < 1e-6
    assert (found.seconds > 0).all()


def test_a_list_has_one_axis():
    cases = [{"rate": 0.5, "start": 1.0}, {"rate": 1.0, "start": 2.0}]
    found = oc.sweep(decay, iter(cases), executor=threads())
    assert found.cost.dims == ("case",)
    np.testing.assert_array_equal(found.start, [1.0, 2.0])
    np.testing.assert_allclose(found.cost, [cost(0.5), cost(1.0, 2.0)], rtol=1e-8)


def test_arrays_objects_and_names_are_arguments_too():
    def build(A, method):
        road = {"direct": oc.Collocation(), "indirect": oc.Pontryagin()}[method]
        return decay(*A), road

    grid = {"A": [np.array([0.5, 1.0]), np.array([1.0, 2.0])], "method": ["direct", "indirect"]}
    found = oc.sweep(build, grid, executor=threads(), reduce=lambda s: {"road": s.result.method[:6]})
    np.testing.assert_array_equal(found.A_values, grid["A"])
    np.testing.assert_array_equal(found.A, [0, 1])
    np.testing.assert_allclose(found.cost, [[cost(0.5)] * 2, [cost(1.0, 2.0)] * 2], rtol=1e-7)
    assert [list(row) for row in found.road.values] == [["direct", "Pontry"]] * 2

    def horizon(tf):
        return decay(1.0 if tf is None else tf)

    found = oc.sweep(horizon, {"tf": [None, 2.0]}, executor=threads())
    assert list(found.tf_values.values) == ["None", "2.0"]
    np.testing.assert_allclose(found.cost, [cost(1.0), cost(2.0)], rtol=1e-8)


def test_what_reduce_returns_may_differ_in_shape():
    def reduce(solution):
        n = round(float(solution.cost) * 10)
        return {"ragged": np.arange(n), **({"some": True} if n > 4 else {"other": "no"})}

    found = oc.sweep(decay, {"rate": [0.5, 1.0]}, executor=threads(), reduce=reduce)
    np.testing.assert_array_equal(found.ragged, [[0, 1, 2, 3, 4], [0, 1, 2, 3, np.nan]])
    np.testing.assert_array_equal(found.some, [1.0, np.nan])
    assert list(found.other.values) == ["", "no"]


def test_build_may_solve_itself_with_a_solver_that_it_keeps():
    check(oc.sweep(warm, {"rate": RATES}, executor=threads()), RATES)


def test_the_options_of_solve_arrive():
    found = oc.sweep(
        decay,
        {"rate": [1.0]},
        oc.Collocation(intervals=2, degree=2, refine_to=None),
        executor=threads(),
        multistart=3,
        rng=1,
        tolerance=1e-6,
        reduce=lambda s: {"points": s.x.count.sum(), "starts": s.stats["starts"]},
    )
    assert (found.status == "NOT_VERIFIED").all()
    assert int(found.points[0]) == 6
    assert int(found.starts[0]) == 3


# ---------------------------------------------------------------- failures are rows


def test_failures_are_rows():
    found = oc.sweep(failing, {"rate": [1, 2, 3, 4]}, executor=threads())
    assert list(found.status.values) == ["SOLVED", "ERROR", "ERROR", "ERROR"]
    assert list(found.exception.values) == ["", "ValueError", "SystemExit", "DataError"]
    assert "two is not to my liking [sweep_builds.py:" in str(found.message[1].values)
    assert "build returned None; expected a Problem" in str(found.message[3].values)
    np.testing.assert_array_equal(np.isnan(found.cost), [False, True, True, True])
    assert found.attrs["finished"] == 4
    assert found.attrs["succeeded"] == 1


def test_a_solve_that_fails_has_no_cost():
    def build(limit):
        return decay(), oc.Collocation(options={"max_iter": limit})

    found = oc.sweep(build, {"limit": [0, 100]}, executor=threads())
    assert list(found.success.values) == [False, True]
    assert str(found.status[0].values) == "ITERATION_LIMIT"
    assert np.isnan(found.cost[0])


def test_what_reduce_raises_is_a_row():
    for reduce, word in (
        (lambda s: {"cost": 1.0}, "the name 'cost'"),
        (lambda s: {"rate": 1.0}, "the name 'rate'"),
        (lambda s: {"root": 1j}, "real and imaginary part"),
        (lambda s: {"x": object()}, "of the type object"),
        (lambda s: 3.0, "reduce returned 3.0"),
    ):
        found = oc.sweep(decay, {"rate": [1.0]}, executor=threads(), reduce=reduce)
        assert not found.success.any()
        assert word in str(found.message[0].values)


# ---------------------------------------------------------------- the store


def test_a_store_is_read_back_and_nothing_is_done_again(tmp_path):
    store, log = tmp_path / "found.nc", tmp_path / "log"
    grid = {"log": [str(log)], "rate": RATES}
    first = oc.sweep(logged, grid, executor=threads(), store=store, reduce=kept)
    assert oc.load(store).identical(first)
    again = oc.sweep(logged, grid, executor=threads(), store=store, reduce=kept)
    assert again.identical(first)
    assert len(log.read_text().split()) == len(RATES)


def test_a_record_that_was_cut_is_done_again(tmp_path):
    store, log = tmp_path / "found.nc", tmp_path / "log"
    grid = {"log": [str(log)], "rate": RATES}
    first = oc.sweep(logged, grid, executor=threads(), store=store)
    path = Path(f"{store}.journal")
    whole = path.read_bytes()
    ends = [k for k, byte in enumerate(whole) if byte == ord("\n")]
    for cut in (ends[0] - 5, ends[0] + 1, ends[2] + 9, ends[-1]):
        path.write_bytes(whole[:cut])
        log.write_text("")
        again = oc.sweep(logged, grid, executor=threads(), store=store)
        assert again.cost.identical(first.cost)
        kept_rows = sum(end < cut for end in ends[1:])
        assert len(log.read_text().split()) == len(RATES) - kept_rows
        assert sorted(journal(store)) == list(range(len(RATES)))


def test_failures_are_run_again_when_asked(tmp_path):
    store, switch = tmp_path / "found.nc", tmp_path / "switch"

    def build(rate):
        if rate > 1 and not switch.exists():
            raise RuntimeError("no switch")
        return decay(rate)

    grid = {"rate": [0.5, 1.0, 2.0]}
    assert oc.sweep(build, grid, executor=threads(), store=store).attrs["succeeded"] == 2
    switch.touch()
    assert oc.sweep(build, grid, executor=threads(), store=store).attrs["succeeded"] == 2
    check(oc.sweep(build, grid, executor=threads(), store=store, retry=True), [0.5, 1.0, 2.0])
    cases = journal(store)
    assert (sorted(cases), cases[-1]) == ([0, 1, 2, 2], 2)
    check(oc.sweep(build, grid, executor=threads(), store=store), [0.5, 1.0, 2.0])


# ---------------------------------------------------------------- processes that die


def test_processes_solve_and_a_dead_worker_is_replaced(tmp_path):
    store = tmp_path / "found.nc"
    found = oc.sweep(
        deadly,
        [{"marks": str(tmp_path), "rate": r, "once": (0.5,), "always": (1.25,)} for r in RATES],
        executor=1,
        store=store,
    )
    good = np.array(RATES) != 1.25
    np.testing.assert_allclose(found.cost[good], cost(np.array(RATES)[good]), rtol=1e-8)
    assert str(found.status[4].values) == "WORKER_DIED"
    assert "died each of the 2 times that this case ran and nothing else" in str(found.message[4].values)
    assert list(found.success.values) == good.tolist()
    assert sorted(journal(store)) == list(range(len(RATES)))
    begun = {rate: (tmp_path / f"died-{rate}").stat().st_size for rate in RATES}
    assert begun[1.25] <= 4, begun  # once or twice among others, twice alone
    assert begun[0.5] >= 2, begun


@pytest.mark.slow
def test_a_case_that_kills_late_is_found_too():
    found = oc.sweep(deadly_after_a_while, {"rate": [1.0, 1.5]}, executor=1)
    assert list(found.status.values) == ["WORKER_DIED", "SOLVED"]


def test_an_executor_that_breaks_leaves_its_store(tmp_path):
    grid = [{"marks": str(tmp_path), "rate": r, "once": (1.5,)} for r in RATES]
    store = tmp_path / "found.nc"
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
        pytest.raises(SolveError, match="same store and a new executor"),
    ):
        oc.sweep(deadly, grid, executor=executor, store=store)
    done = journal(store)
    assert set(done) == {0, 1, 2, 3, 4}
    check(oc.sweep(deadly, grid, executor=threads(), store=store), RATES)
    assert sorted(journal(store)) == list(range(len(RATES)))


SCRIPT = """
    import signal
    import sys
    import numpy as np
    import ocnet as oc
    from tests.sweep_builds import logged

    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
        store, log, count, workers = sys.argv[1:]
        grid = {"log": [log], "rate": np.linspace(0.1, 2.0, int(count))}
        found = oc.sweep(logged, grid, executor=int(workers), store=store)
        print(found.attrs["finished"], found.attrs["succeeded"])
"""


def start(folder, *arguments):
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=folder)


def until(condition, seconds=600.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def kill_worker(parent):
    """Kill one worker of a sweep that runs, not the helper of multiprocessing beside them."""
    workers = [p for p in psutil.Process(parent).children() if "spawn_main" in " ".join(p.cmdline())]
    workers[0].kill()


def killed_and_resumed(folder, count, workers):
    """Kill a worker after a quarter, the parent after a half, and go on."""
    store, log = folder / "found.nc", folder / "log"
    hold = folder / "log.hold"
    log.touch()
    hold.touch()  # the sweep cannot end before it is killed
    process = start(folder, store, log, count, workers)
    until(lambda: len(journal(store)) >= count // 4)
    kill_worker(process.pid)
    until(lambda: len(journal(store)) >= count // 2)
    family = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, "workers outlived their parent"
    done = journal(store)
    assert count // 2 <= len(done) < count
    before = log.read_text().splitlines()

    hold.unlink()
    process = start(folder, store, log, count, workers)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    assert printed.split() == [str(count), str(count)]

    rates = np.linspace(0.1, 2.0, count)
    found = oc.load(store)
    np.testing.assert_allclose(found.cost[0], cost(rates), rtol=1e-7)
    assert sorted(journal(store)) == list(range(count)), "each case once in the journal"
    after = log.read_text().splitlines()[len(before) :]
    number = {repr(np.float64(rate)): k for k, rate in enumerate(rates)}
    assert sorted(number[text] for text in after) == sorted(set(range(count)) - set(done)), (
        "what was recorded is not begun again, and the rest is begun once"
    )
    repeated = len(before) - len({number[text] for text in before})
    assert repeated <= 2 * int(workers), "only what the dead worker's pool had in hand was begun twice"


def test_a_killed_worker_and_a_killed_parent_lose_nothing(tmp_path):
    killed_and_resumed(tmp_path, 24, 2)


@pytest.mark.slow
def test_a_thousand_cases_survive_both_kills(tmp_path):
    killed_and_resumed(tmp_path, 1000, 2)


def test_a_store_is_locked_and_ctrl_c_keeps_what_is_done(tmp_path):
    store, log = tmp_path / "found.nc", tmp_path / "log"
    (tmp_path / "log.hold").touch()  # the sweep cannot end before it is stopped
    process = start(tmp_path, store, log, 200, 1)
    until(lambda: len(journal(store)) >= 5)
    grid = {"log": [str(log)], "rate": np.linspace(0.1, 2.0, 200)}
    with pytest.raises(StorageError, match="in use by another sweep"):
        oc.sweep(logged, grid, executor=threads(), store=store)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, "sweep returns what it has"
    finished = int(printed.split()[0])
    assert 5 <= finished == len(journal(store)) < 200
    found = oc.load(store)
    assert int((found.status == "NOT_RUN").sum()) == 200 - finished
    assert not found.success.values[found.status.values == "NOT_RUN"].any()


# ---------------------------------------------------------------- Dask


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_dask_cluster_solves_and_survives_a_dead_worker(cluster, tmp_path):
    store = tmp_path / "found.nc"
    grid = [{"marks": str(tmp_path), "rate": r, "once": (0.75,)} for r in RATES]
    check(oc.sweep(deadly, grid, executor=cluster, store=store), RATES)
    assert (tmp_path / "died-0.75").stat().st_size >= 2, "the worker did not die"
    assert sorted(journal(store)) == list(range(len(RATES)))
    assert len(cluster.scheduler_info()["workers"]) >= 1, "the cluster stays as it was given"

    factor = 2.0  # a closure: Dask sends it by value
    found = oc.sweep(lambda rate: decay(factor * rate), {"rate": [0.5]}, executor=cluster)
    np.testing.assert_allclose(found.cost, cost(1.0), rtol=1e-8)


@pytest.mark.slow
def test_a_case_that_kills_dask_workers_is_a_row(cluster, tmp_path):
    grid = [{"marks": str(tmp_path), "rate": r, "always": (0.75,)} for r in RATES]
    found = oc.sweep(deadly, grid, executor=cluster)
    assert list(found.status.values) == ["WORKER_DIED" if rate == 0.75 else "SOLVED" for rate in RATES]
    assert str(found.exception[2].values) == "KilledWorker"


def test_progress_counts(capsys):
    oc.sweep(decay, {"rate": [0.5, 1.0]}, executor=threads(), progress=True)
    assert "2/2" in capsys.readouterr().out


def test_a_worker_lets_go_of_what_it_has_solved():
    problems = []

    def build(rate, method):
        problem = decay(rate)
        problems.append(weakref.ref(problem))
        return problem, {"direct": oc.Collocation(), "indirect": oc.Pontryagin()}[method]

    oc.sweep(build, {"rate": [0.5, 1.0], "method": ["direct", "indirect"]}, executor=threads())
    gc.collect()
    assert [problem() for problem in problems] == [None] * 4
