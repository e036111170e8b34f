"""sweep: solve many problems, on all cores or on a cluster, and keep what is done whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocnet.errors import OptionError, StorageError
from ocnet.progress import counting
from ocnet.solution import Solution
from ocnet.solve import Method, check_arguments
from ocnet.sweeps.case import Row, Task
from ocnet.sweeps.cases import Cases, check_signature, identity, name_of
from ocnet.sweeps.journal import Journal
from ocnet.sweeps.run import run
from ocnet.sweeps.table import table
from ocnet.sweeps.workers import GUARD, workers_for
from ocnet.trajectory import FORMAT

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import xarray


def sweep(
    build: Callable[..., Any],
    grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    method: Method | None = None,
    *,
    executor: Executor | Any | int | None = None,
    store: str | os.PathLike[str] | None = None,
    reduce: Callable[[Solution], Mapping[str, Any]] | None = None,
    multistart: int = 1,
    rng: int | None = None,
    tolerance: float = 1e-8,
    retry: bool = False,
    progress: bool = False,
) -> xarray.Dataset:
    """Solve the problems that a function builds for every combination of its arguments.

    Parameters
    ----------
    build : callable
        (**arguments) -> Problem, a pair (Problem, method), or a Solution that it computed itself. It is
        called in the worker, and so has to be defined at the top of a module if the workers are processes. In
        a script the call of `sweep` stands under ``if __name__ == "__main__":``.
    grid : mapping of str to sequence, or iterable of mappings
        Values by argument, of which every combination is a case; or a list of cases, each a mapping of
        arguments to values. Values may be numbers, strings, arrays, and whatever has a telling `repr`.
    method : Collocation or Pontryagin, optional
        As for :func:`ocnet.solve`.
    executor : int, concurrent.futures.Executor or dask.distributed.Client, optional
        Number of worker processes (one for each core if not given), or what else runs the cases. An executor
        that is given is not shut down.
    store : path, optional
        netCDF file of the results, written when the sweep ends or is interrupted (:func:`ocnet.load` reads
        it). Beside it, "<store>.journal" receives a line for each case as soon as it is finished. The same
        call with the same store goes on where a killed one stopped.
    reduce : callable, optional
        (Solution) -> mapping of names to numbers, strings or arrays, called in the worker: what is kept
        beside the columns below.
    multistart, tolerance
        As for :func:`ocnet.solve`.
    rng : int, optional
        Seed of the random starts, the same for every case.
    retry : bool
        Run cases of the store that did not succeed again.
    progress : bool
        Show a live line.

    Returns
    -------
    xarray.Dataset
        On the axes of the grid, or on the axis "case" for a list: "status" (a name of :class:`ocnet.Status`;
        ERROR if something was raised, WORKER_DIED if the case killed its worker repeatedly, NOT_RUN after
        Ctrl-C), "success", "message", "exception" (type of what was raised), "cost" (unit of the problem's
        cost), "error_mesh", … (estimates as in ``Solution.errors``, dimensionless), "seconds" (build and
        solve), and what `reduce` returned. The cost is NaN where the solve failed; what `reduce` returned is
        kept there too.

    Raises
    ------
    DataError
        For an empty grid, NaN, cases that occur twice, values that cannot be recognised in another run.
    OptionError
        For arguments that `build` does not take, options out of range, workers that cannot load `build`.
    StorageError
        If the store belongs to another sweep, is damaged, in use, or cannot be written.
    SolveError
        If an executor that was given breaks.

    Notes
    -----
    A store is recognised by the names of `build` and `reduce`, the arguments, the method and the options. It
    does not notice when the body of `build` changes: give another store then.

    The transcription of a problem is built for each case. Where cases differ in parameters alone, let `build`
    keep a prepared solver (``functools.cache`` over :func:`ocnet.prepare`) and return its Solution.

    Examples
    --------
    >>> import ocnet as oc
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> def build(rate):
    ...     problem = oc.Problem("decay", horizon=oc.Finite(1.0))
    ...     x, u = problem.state("x", initial=1.0), problem.control("u")
    ...     problem.dynamics(x, u - rate * x)
    ...     problem.minimize(stage=x**2 + u**2)
    ...     return problem
    >>> found = sweep(build, {"rate": [0.5, 1.0, 2.0]}, executor=ThreadPoolExecutor(1))
    >>> found.cost.values.round(4)
    array([0.5303, 0.3858, 0.2332])
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise OptionError(f"sweep: called while a worker process starts. {GUARD}")
    cases = Cases(grid)
    check_signature(build, cases.names)
    task = Task(build, method, reduce, multistart, rng, tolerance)
    _check(task)
    header = {
        "build": name_of(build),
        "method": "" if method is None else str(identity(method, "sweep: method")),
        "reduce": "" if reduce is None else name_of(reduce),
        "options": f"multistart={multistart}, rng={rng}, tolerance={tolerance}",
        "arguments": list(cases.names),
        "shape": list(cases.dims.values()),
        "values": cases.digest,
    }
    path = None if store is None else _path(store)
    with nullcontext() if path is None else closing(_journal(path, header, len(cases))) as journal:
        rows: dict[int, Row] = dict(journal.rows) if journal else {}
        if retry:
            rows = {k: row for k, row in rows.items() if row["success"]}
        todo = [k for k in range(len(cases)) if k not in rows]
        if todo and not _solve(task, cases, rows, todo, executor, journal, progress):
            warnings.warn(f"sweep: interrupted after {len(rows)} of {len(cases)} cases", stacklevel=2)
        attributes = {"format": f"ocnet {FORMAT}", "kind": "Sweep", **header}
        data = table(cases, rows, attributes)
        if path is not None:
            _save(data, path)
    return data


def _solve(
    task: Task,
    cases: Cases,
    rows: dict[int, Row],
    todo: list[int],
    executor: Any,
    journal: Journal | None,
    progress: bool,
) -> bool:
    """Add the rows of the cases `todo`; False after Ctrl-C."""
    failed = sum(not row["success"] for row in rows.values())
    workers = workers_for(executor, task)
    with counting(f"sweep of {name_of(task.build)}", len(cases), progress) as count:

        def keep(fresh: dict[int, Row]) -> None:
            nonlocal failed
            if journal:
                journal.append(fresh)
            rows.update(fresh)
            failed += sum(not row["success"] for row in fresh.values())
            count(len(rows), failed)

        count(len(rows), failed)
        return run(todo, cases.__getitem__, workers, keep)


def _path(store: Any) -> Path:
    try:
        path = Path(store)
    except TypeError:
        raise OptionError(f"sweep: store is {store!r:.60}; expected the path of a file.") from None
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"lies in '{path.parent}', which is no folder"
        raise StorageError(f"sweep: store '{path}' {what}; expected the path of a file.")
    return path


def _journal(path: Path, header: Mapping[str, Any], count: int) -> Journal:
    """Open the journal of a store; a file of results without one is not ours to replace."""
    beside = path.with_name(path.name + ".journal")
    if path.exists() and not beside.exists():
        raise StorageError(
            f"sweep: '{path}' exists without its journal '{beside.name}', and is not replaced; give another "
            "path, or remove the file."
        )
    return Journal(beside, header, count)


def _save(data: xarray.Dataset, path: Path) -> None:
    """Write the results into a new file that takes the place of the old one when it is whole."""
    fresh = path.with_name(path.name + ".new")
    data.to_netcdf(fresh, engine="h5netcdf")
    os.replace(fresh, path)


def _check(task: Task) -> None:
    method: Any = task.method
    if isinstance(method, type) or not (method is None or callable(getattr(method, "prepare", None))):
        raise OptionError(f"sweep: method is {method!r:.60}; expected an object such as Collocation().")
    if task.reduce is not None and not callable(task.reduce):
        raise OptionError(f"sweep: reduce is {task.reduce!r:.60}; expected a function of a Solution.")
    if task.rng is not None and (not isinstance(task.rng, int) or isinstance(task.rng, bool) or task.rng < 0):
        raise OptionError(
            f"sweep: rng is {task.rng!r:.60}; expected a seed of at least 0 or None (a generator would be in "
            "another state after a sweep that was stopped)."
        )
    check_arguments(task.multistart, task.tolerance)
