"""The cases of a sweep: a full grid of arguments, or a list of them."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from ocnet.errors import DataError, OptionError

# What the table of results calls its own columns, and the axis of a list of cases.
COLUMNS = ("status", "success", "message", "exception", "cost", "seconds")
LISTED = "case"


class Cases(Sequence[dict[str, Any]]):
    """Arguments of every case, in one order for good: ``cases[k]`` is a dict of arguments.

    Parameters
    ----------
    grid : mapping of str to sequence, or iterable of mappings
        Values by name, of which every combination is a case (the last name varies fastest); or the cases one
        by one.

    Attributes
    ----------
    names : tuple of str
        Of the arguments.
    dims : dict of str to int
        Axes of the results with their sizes: the names for a grid, "case" for a list.

    Raises
    ------
    DataError
        For an empty grid, values that are no sequences, NaN, cases that occur twice, and values that cannot
        be recognised from one run to the next.
    OptionError
        For names that the table of results needs itself.
    """

    def __init__(self, grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]]) -> None:
        self._axes: dict[str, list[Any]] = {}
        self._rows: list[dict[str, Any]] = []
        if isinstance(grid, Mapping):
            whole = cast("Mapping[str, Iterable[Any]]", grid)
            self._axes = {name: _values(name, values) for name, values in whole.items()}
            self.names = tuple(self._axes)
            self.dims = {name: len(values) for name, values in self._axes.items()}
        else:
            self._rows = _listed(grid)
            self.names = tuple(self._rows[0]) if self._rows else ()
            self.dims = {LISTED: len(self._rows)}
        if not self.names:
            raise DataError(
                f"sweep: the grid is empty ({grid!r:.60}); expected a mapping of argument names to sequences "
                "of values, or a list of mappings of argument names to values."
            )
        _check_names(self.names)
        self.digest = self._check_values()

    def __len__(self) -> int:
        return math.prod(self.dims.values())

    def __getitem__(self, k: Any) -> Any:
        if self._rows:
            return dict(self._rows[k])
        index = np.unravel_index(range(len(self))[k], tuple(self.dims.values()))
        return {name: values[int(i)] for (name, values), i in zip(self._axes.items(), index, strict=True)}

    def columns(self) -> Iterator[tuple[str, str, list[Any]]]:
        """Give (argument, axis, values) for each argument."""
        for name in self.names:
            yield (
                (name, LISTED, [row[name] for row in self._rows])
                if self._rows
                else (name, name, self._axes[name])
            )

    def _check_values(self) -> str:
        """Refuse NaN and what occurs twice; return a digest of all arguments."""
        total = hashlib.sha256(json.dumps([list(self.names), bool(self._rows)]).encode())
        if self._rows:
            groups = [("case", self._rows)]
        else:
            groups = [(f"argument '{name}'", values) for name, values in self._axes.items()]
        for where, values in groups:
            seen: dict[str, int] = {}
            for k, value in enumerate(values):
                text = json.dumps(identity(value, f"sweep: {where}, position {k},"))
                if text in seen:
                    raise DataError(
                        f"sweep: {where}: positions {seen[text]} and {k} hold the same ({value!r:.60}), "
                        "which would be solved twice; add an argument that differs, such as a seed."
                    )
                seen[text] = k
                total.update(text.encode())
        return total.hexdigest()


def identity(value: Any, where: str) -> Any:
    """Return something for JSON that is equal for equal values, in every run of the program.

    Raises
    ------
    DataError
        For NaN, and for objects that only their address in memory tells apart.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            raise DataError(f"{where} is NaN; expected a value.")
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcUS":
        if value.dtype.kind in "fc" and np.isnan(value).any():
            bad = tuple(np.argwhere(np.isnan(value))[0].tolist())
            raise DataError(f"{where} is an array with NaN at {bad}; expected numbers.")
        data = np.ascontiguousarray(value).tobytes()
        return ["array", value.dtype.str, list(value.shape), hashlib.sha256(data).hexdigest()]
    if isinstance(value, (list, tuple)):
        return [identity(v, where) for v in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {"mapping": sorted(([str(k), identity(v, where)] for k, v in items), key=lambda pair: pair[0])}
    text = repr(value)
    if " at 0x" in text:
        raise DataError(
            f"{where} is {text:.80}, which cannot be recognised when the sweep goes on in another process; "
            "pass a name or a number, and make the object inside build."
        )
    return [type(value).__qualname__, text]


def name_of(function: Any) -> str:
    """Return the qualified name of a callable, with what a partial binds."""
    if isinstance(function, functools.partial):
        bound = identity([function.args, function.keywords], "sweep: a value bound by functools.partial")
        return f"partial({name_of(function.func)}, {json.dumps(bound)})"
    named = function if hasattr(function, "__qualname__") else type(function)
    module = str(named.__module__).replace("__mp_main__", "__main__")  # the name of __main__ in a worker
    return f"{module}.{named.__qualname__}"


def check_signature(build: Callable[..., Any], names: Sequence[str]) -> None:
    """Refuse arguments that build does not take, and required ones that the grid does not give.

    Raises
    ------
    OptionError
    """
    if not callable(build):
        raise OptionError(
            f"sweep: build is {build!r:.60}; expected a function of the arguments that returns a Problem."
        )
    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError):  # some callables written in C have none
        return
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        raise OptionError(
            f"sweep: the grid gives {list(names)}; build is {name_of(build)}{signature}: {error}."
        ) from None


def _values(name: str, values: Any) -> list[Any]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise DataError(
            f"sweep: argument '{name}' is {values!r:.60}; expected a sequence of values (for one value: "
            f"[{values!r:.60}])."
        )
    if isinstance(values, np.ndarray) and values.ndim == 0:
        raise DataError(f"sweep: argument '{name}' is the array {values!r}; expected a sequence of values.")
    found = list(cast("Iterable[Any]", values))
    if not found:
        raise DataError(f"sweep: argument '{name}' has no values; expected at least one.")
    return found


def _listed(grid: Any) -> list[dict[str, Any]]:
    if isinstance(grid, (str, bytes)) or not isinstance(grid, Iterable):
        raise DataError(
            f"sweep: the grid is {grid!r:.60}; expected a mapping of argument names to sequences of values, "
            "or a list of mappings."
        )
    rows: list[dict[str, Any]] = []
    for k, row in enumerate(cast("Iterable[Any]", grid)):
        if not isinstance(row, Mapping):
            raise DataError(
                f"sweep: case {k} is {row!r:.60}; expected a mapping of argument names to values."
            )
        rows.append(dict(cast("Mapping[str, Any]", row)))
        if set(rows[k]) != set(rows[0]):
            raise DataError(
                f"sweep: case {k} has the arguments {list(rows[k])}, case 0 {list(rows[0])}; expected the "
                "same names in every case."
            )
    return rows


def _check_names(names: Sequence[Any]) -> None:
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise OptionError(f"sweep: {name!r:.60} is no name of an argument.")
        if name in (*COLUMNS, LISTED) or name.startswith("error_"):
            raise OptionError(
                f"sweep: the argument '{name}' is a name that the results need themselves; they use "
                f"{[*COLUMNS, LISTED, 'error_...']}."
            )
