"""The loop of a sweep: keep the workers busy, record what they finish, survive those that die."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from typing import Any

from ocnet.sweeps.case import Row, failure
from ocnet.sweeps.workers import Workers

DEATHS = 2  # of workers that had nothing but one case to do: then it is the case
POLL = 1.0  # seconds after which Ctrl-C is noticed where waiting itself is deaf to it


def run(
    todo: Iterable[int],
    arguments: Callable[[int], Mapping[str, Any]],
    workers: Workers,
    keep: Callable[[dict[int, Row]], None],
) -> bool:
    """Run cases until all are done or Ctrl-C is pressed.

    When a worker dies, all cases that were with the workers are suspected. They are run again one by one, so
    that the next death has one possible cause; a case that is alone at two deaths is given up.

    Parameters
    ----------
    todo : iterable of int
        Cases by number.
    arguments : callable
        (number) -> arguments of that case.
    workers : Workers
    keep : callable
        ({number: row}) -> None, called with the rows of finished cases as they come.

    Returns
    -------
    bool
        False after Ctrl-C.
    """
    waiting, suspects = deque(todo), deque[int]()
    deaths: Counter[int] = Counter()
    flying: dict[Future[Row], int] = {}
    try:
        while waiting or suspects or flying:
            alone, broken = bool(suspects), False
            source, room = (suspects, 1) if alone else (waiting, workers.room)
            while source and len(flying) < room and not broken:
                try:
                    flying[workers.submit(arguments(source[0]))] = source[0]
                    source.popleft()
                except workers.lethal:
                    broken = True
            done = _some(flying, POLL)
            while alone and flying and not done:  # nothing joins a suspect
                done = _some(flying, POLL)
            if broken or any(_death(future, workers.lethal) for future in done):
                broken, done = True, wait(flying).done  # all of them have ended, with a row or without
            rows: dict[int, Row] = {}
            for future in done:
                case, death = flying.pop(future), _death(future, workers.lethal)
                deaths[case] += alone and death is not None
                if death is None:
                    rows[case] = _row(future)
                elif deaths[case] >= DEATHS:
                    rows[case] = _given_up(death)
                else:
                    suspects.append(case)
            if rows:
                keep(rows)
            if broken:
                workers.replace()
    except KeyboardInterrupt:
        workers.close(now=True)
        return False
    except BaseException:
        workers.close(now=True)
        raise
    workers.close(now=False)
    return True


def _some(flying: Mapping[Future[Row], int], seconds: float) -> set[Future[Row]]:
    """Wait for the next cases that end, for so many seconds."""
    return wait(flying, timeout=seconds, return_when=FIRST_COMPLETED).done if flying else set()


def _death(future: Future[Row], lethal: tuple[type[BaseException], ...]) -> BaseException | None:
    """Return what a case ended with whose worker died, None for the others."""
    error = None if future.cancelled() else future.exception()
    return error if isinstance(error, lethal) else None


def _row(future: Future[Row]) -> Row:
    try:
        return future.result()
    except (KeyboardInterrupt, CancelledError):
        raise KeyboardInterrupt from None  # Ctrl-C that met a worker, or a cluster that was told to stop
    except BaseException as error:  # the way to the worker or back failed: what build itself raises is a row
        return failure("ERROR", type(error).__name__, str(error))


def _given_up(death: BaseException) -> Row:
    message = (
        f"Workers died each of the {DEATHS} times that this case ran and nothing else (out of memory, or a "
        "crash in compiled code)."
    )
    return failure("WORKER_DIED", type(death).__name__, message)
