"""One case of a sweep, solved where it was sent: the row of results that comes back."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ocnet.errors import DataError
from ocnet.problem import Problem
from ocnet.solution import Solution, Status
from ocnet.solve import prepare
from ocnet.sweeps.cases import COLUMNS

Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What is done with every case.

    Parameters
    ----------
    build : callable
        (**arguments) -> Problem, (Problem, method) or Solution.
    method : Method or None
    reduce : callable or None
        (Solution) -> mapping of scalars and arrays.
    multistart, rng, tolerance
        As for :func:`ocnet.solve`.
    """

    build: Callable[..., Any]
    method: Any = None
    reduce: Callable[[Solution], Mapping[str, Any]] | None = None
    multistart: int = 1
    rng: int | None = None
    tolerance: float = 1e-8


def evaluate(task: Task, arguments: Mapping[str, Any]) -> Row:
    """Build and solve one case. Whatever it raises becomes a row.

    Returns
    -------
    dict
        Numbers, strings and lists only: "status", "success", "message", "exception" (the type of an error),
        "cost", "errors" by source, "seconds", and "values" by the names that `reduce` gave.
    """
    start = time.perf_counter()
    try:
        row = _solved(task, arguments)
    except Exception as error:  # of whatever kind: the other cases go on
        row = failure("ERROR", type(error).__name__, f"{error}{_place(error)}")
    row["seconds"] = time.perf_counter() - start
    return row


def failure(status: str, exception: str, message: str) -> Row:
    """Return the row of a case that has no solution."""
    return {
        "status": status,
        "success": False,
        "message": message,
        "exception": exception,
        "cost": float("nan"),
        "errors": {},
        "seconds": float("nan"),
        "values": {},
    }


def decode(value: Any) -> Any:
    """Return the array or scalar that a value of a row stands for."""
    if isinstance(value, dict):
        stored = cast("dict[str, Any]", value)
        return np.array(stored["array"], dtype=stored["dtype"]).reshape(stored["shape"])
    return value


def _solved(task: Task, arguments: Mapping[str, Any]) -> Row:
    made, method = task.build(**arguments), task.method
    if isinstance(made, tuple) and len(cast("tuple[Any, ...]", made)) == 2:
        made, method = cast("tuple[Any, Any]", made)
    if isinstance(made, Problem):
        made = prepare(made, method).solve(
            multistart=task.multistart, rng=task.rng, tolerance=task.tolerance, throw=False
        )
    if not isinstance(made, Solution):
        raise DataError(
            f"sweep: build returned {made!r:.60}; expected a Problem, a pair (Problem, method) or a Solution."
        )
    if made.status is Status.INTERRUPTED:  # Ctrl-C reached the worker: nothing to be recorded
        raise KeyboardInterrupt
    row = failure(made.status.name, "", made.message)
    row["success"], row["cost"] = made.success, float(made.cost) if made.success else float("nan")
    row["errors"] = {source: float(value) for source, value in made.errors.items()}
    if task.reduce is not None:
        row["values"] = _encoded(task.reduce(made), arguments)
    return row


def _encoded(values: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Write scalars as they are and arrays with type and shape, for JSON, which keeps every digit."""
    if not isinstance(values, Mapping):
        raise DataError(f"sweep: reduce returned {values!r:.60}; expected a mapping of names to values.")
    result: dict[str, Any] = {}
    for name, value in cast("Mapping[Any, Any]", values).items():
        if not isinstance(name, str) or name in ("", *arguments, *COLUMNS) or name.startswith("error_"):
            raise DataError(
                f"sweep: reduce returned the name {name!r:.60}; expected one that is neither an argument nor "
                f"one of {[*COLUMNS, 'error_...']}."
            )
        array = np.asarray(value)
        if array.dtype.kind not in "biufU":
            hint = "; give real and imaginary part apart" if array.dtype.kind == "c" else ""
            raise DataError(
                f"sweep: reduce returned '{name}' = {value!r:.60} of the type {array.dtype}; expected "
                f"numbers, booleans or strings{hint}."
            )
        stored = {"dtype": array.dtype.str, "shape": list(array.shape), "array": array.ravel().tolist()}
        result[name] = stored if array.ndim else array.item()
    return result


def _place(error: BaseException) -> str:
    """Where an error was raised, for people who have only the table."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return "" if last is None else f" [{last.filename.replace(chr(92), '/').split('/')[-1]}:{last.lineno}]"
