"""The solutions of a series of solves, each on disk as soon as it is found, so that the series can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ocnet.errors import OptionError, StorageError
from ocnet.methods.result import Status
from ocnet.problem import Problem
from ocnet.solution import Solution
from ocnet.storage import load
from ocnet.sweeps.cases import identity

FORMAT = "ocnet series 1"
HEADER = "series.json"


class KeptSolutions:
    """A folder of numbered solutions, or nothing at all where no folder is given.

    The solves of a series come in an order that depends on nothing but their results. So the first ones may
    be read where they have been done before, and the rest follows as if nothing had happened.

    Parameters
    ----------
    store : path or None
        The folder, made if it is not there.
    header : mapping of str to Any
        What tells one series from another (numbers, strings, arrays, objects with a telling `repr`); a folder
        with another header is refused.
    where : str
        Opens the error messages.

    Raises
    ------
    OptionError
        If the store is no path.
    StorageError
        If it is a file, belongs to another series, or cannot be written.
    """

    def __init__(self, store: str | os.PathLike[str] | None, header: Mapping[str, Any], where: str) -> None:
        self._where, self._count = where, 0
        self._folder: Path | None = None
        if store is None:
            return
        try:
            self._folder = Path(store)
        except TypeError:
            raise OptionError(f"{where}: store is {store!r:.60}; expected the path of a folder.") from None
        values = {name: identity(value, f"{where}: {name}") for name, value in header.items()}
        try:
            self._folder.mkdir(exist_ok=True)
            self._claim({"format": FORMAT, **json.loads(json.dumps(values))}, self._folder / HEADER)
        except OSError as error:
            raise StorageError(f"{where}: store '{store}' cannot be a folder ({error}).") from error

    def solved(self, problem: Problem, solve: Callable[[], Solution]) -> Solution:
        """Return the next solution: the one that was kept, or that of `solve`, which is kept from now on.

        An interrupted solve is not kept.
        """
        number, self._count = self._count, self._count + 1
        if self._folder is None:
            return solve()
        path = self._folder / f"{number:05d}.nc"
        if path.exists():
            found = load(path, problem)
            if not isinstance(found, Solution):
                raise StorageError(f"{self._where}: '{path}' holds no solution; expected one of this series.")
            return found
        solution = solve()
        if solution.status is not Status.INTERRUPTED:
            fresh = path.with_suffix(".new")
            solution.save(fresh)
            os.replace(fresh, path)
        return solution

    def _claim(self, wanted: dict[str, Any], path: Path) -> None:
        """Write the header, or compare it with the one that is there."""
        if not path.exists():
            if any(path.parent.iterdir()):
                raise StorageError(
                    f"{self._where}: the folder '{path.parent}' holds something else; give a new one."
                )
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(wanted))
            os.replace(fresh, path)
            return
        try:
            found = json.loads(path.read_text())
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StorageError(f"{self._where}: '{path}' is damaged; give another folder.")
        for name, value in wanted.items():
            if found.get(name) != value:
                raise StorageError(
                    f"{self._where}: '{path.parent}' belongs to another series: its {name} is "
                    f"{found.get(name)!r:.200}, not {value!r:.200}; give another folder, or remove it."
                )
