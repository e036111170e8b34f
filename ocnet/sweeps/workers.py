"""Where the cases of a sweep run: processes of our own, any executor, or a Dask cluster."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from ocnet.errors import OptionError, SolveError
from ocnet.sweeps.case import Row, Task, evaluate
from ocnet.sweeps.cases import name_of

GUARD = (
    "In a script, put the call of sweep under `if __name__ == '__main__':`, since every worker imports the "
    "script; in a notebook, put build into a file of its own and import it."
)


class Workers(Protocol):
    """What runs cases, many at a time."""

    room: int  # so many cases keep all workers busy

    @property
    def lethal(self) -> tuple[type[BaseException], ...]:
        """What a case ends with whose worker died."""
        ...

    def submit(self, arguments: Mapping[str, Any]) -> Future[Row]:
        """Begin a case; one of `lethal` if the workers have died."""
        ...

    def replace(self) -> None:
        """Start new workers in the place of dead ones."""
        ...

    def close(self, now: bool) -> None:
        """Let the workers go; `now` means without waiting for what they do."""
        ...


class OwnProcesses:
    """Processes that begin anew (spawn), use one BLAS thread each, and end when their parent does.

    Parameters
    ----------
    count : int
    task : Task

    Raises
    ------
    OptionError
        If the task cannot be sent to a process, or the processes cannot load it.
    """

    lethal: tuple[type[BaseException], ...] = (BrokenExecutor,)

    def __init__(self, count: int, task: Task) -> None:
        self.room, self._count, self._sealed = 2 * count, count, sealed(task)
        self.replace()
        try:
            _try(self._pool, opened, self._sealed)
        except BaseException:
            self.close(now=True)
            raise

    def submit(self, arguments: Mapping[str, Any]) -> Future[Row]:
        """Begin a case; BrokenExecutor if the workers have died."""
        return self._pool.submit(_evaluate_sealed, self._sealed, arguments)

    def replace(self) -> None:
        """Start new workers in the place of dead ones."""
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=_begin)

    def close(self, now: bool) -> None:
        """Let the workers go; `now` means without waiting for what they do."""
        alive: Mapping[int, Any] = getattr(self._pool, "_processes", None) or {}
        processes = list(alive.values()) if now else []
        self._pool.shutdown(wait=not now, cancel_futures=True)
        for process in processes:
            process.terminate()


class GivenExecutor:
    """An executor that somebody else made, and keeps.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    task : Task

    Raises
    ------
    OptionError
        If the task cannot be sent to the workers, or they cannot load it.
    """

    lethal: tuple[type[BaseException], ...] = (BrokenExecutor,)

    def __init__(self, executor: Executor, task: Task) -> None:
        self.room = 2 * (getattr(executor, "_max_workers", None) or 64)
        self._evaluate: Any = functools.partial(evaluate, task)
        proof: tuple[Any, ...] = (callable, task)
        if isinstance(executor, ProcessPoolExecutor):
            parcel = sealed(task)
            self._evaluate, proof = functools.partial(_evaluate_sealed, parcel), (opened, parcel)
        self._executor = executor
        self._futures: set[Future[Row]] = set()
        _try(executor, *proof)

    def submit(self, arguments: Mapping[str, Any]) -> Future[Row]:
        """Begin a case; BrokenExecutor if the workers have died."""
        future = self._executor.submit(self._evaluate, arguments)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def replace(self) -> None:
        """Refuse: only who made the executor can make another."""
        raise SolveError(
            "sweep: a worker of the given executor died and took the executor with it. What was finished is "
            "in the store, if one was given: call sweep again with the same store and a new executor, or "
            "with executor=None or a number, where dead workers are replaced."
        )

    def close(self, now: bool) -> None:
        """Drop what has not begun; the executor stays as it was given."""
        for future in list(self._futures) if now else ():
            future.cancel()


class DaskCluster(GivenExecutor):
    """A cluster that somebody else made, and keeps; it replaces its dead workers itself.

    A case ends with KilledWorker when several workers died that had it among what they were to do next: each
    of those may have died of another case.

    Parameters
    ----------
    client : dask.distributed.Client
    task : Task

    Raises
    ------
    OptionError
        If the workers cannot load the task.
    """

    def __init__(self, client: Any, task: Task) -> None:
        from distributed import KilledWorker

        super().__init__(client.get_executor(pure=False), task)
        self.room = 2 * max(2, sum(client.nthreads().values()))
        self.lethal = (BrokenExecutor, KilledWorker)

    def replace(self) -> None:
        """Leave it to the cluster."""


def workers_for(executor: Any, task: Task) -> Workers:
    """Return the workers that the argument `executor` of :func:`ocnet.sweep` means.

    Raises
    ------
    OptionError
        For anything but None, a positive number, an executor or a Client, or if the workers cannot run the
        task.
    """
    if executor is None:
        return OwnProcesses(cores(), task)
    if isinstance(executor, int) and not isinstance(executor, bool) and executor > 0:
        return OwnProcesses(executor, task)
    if isinstance(executor, type) or not (
        callable(getattr(executor, "submit", None)) and hasattr(executor, "shutdown")
    ):
        raise OptionError(
            f"sweep: executor is {executor!r:.60}; expected None, a number of processes, an executor of "
            "concurrent.futures or a Client of dask.distributed."
        )
    given: Any = executor
    client = callable(getattr(given, "get_executor", None))
    return DaskCluster(given, task) if client else GivenExecutor(given, task)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sealed(task: Task) -> bytes:
    """Return the task as it is sent to another process.

    Raises
    ------
    OptionError
        For a part that cannot be sent: a lambda, a nested function, an object without a name in a module.
    """
    for name in ("build", "method", "reduce"):
        part = getattr(task, name)
        try:
            pickle.dumps(part)
        except Exception as error:  # pickle and the objects themselves raise many kinds
            told = name_of(part) if callable(part) else repr(part)
            raise OptionError(
                f"sweep: {name} ({told:.80}) cannot be sent to worker processes ({error}); define it at the "
                "top of a module, or run the cases in this process with "
                "executor=concurrent.futures.ThreadPoolExecutor(1)."
            ) from error
    return pickle.dumps(task)


@functools.lru_cache(maxsize=1)
def opened(parcel: bytes) -> Task:
    """Return the task that was sealed; one object for all cases of a worker."""
    return pickle.loads(parcel)


def _evaluate_sealed(parcel: bytes, arguments: Mapping[str, Any]) -> Row:
    return evaluate(opened(parcel), arguments)


def _try(executor: Executor, function: Any, *arguments: Any) -> None:
    """Let one worker load the task, so that what fails for all cases fails before any."""
    try:
        executor.submit(function, *arguments).result()
    except BrokenExecutor as error:
        raise OptionError(f"sweep: the worker processes die when they start ({error}). {GUARD}") from error
    except Exception as error:  # whatever the import of build's module raises
        raise OptionError(
            f"sweep: the workers cannot load build ({type(error).__name__}: {error}). {GUARD} On other "
            "machines its module has to be installed too."
        ) from error


def _begin() -> None:
    """Make a new worker ready: one thread, deaf to Ctrl-C (the parent decides), mortal with its parent."""
    for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = "1"  # for what is loaded later
    threadpool_limits(1)  # for what is loaded
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
