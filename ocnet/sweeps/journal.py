"""The journal of a sweep: one line for each finished case, on disk before the next one counts as begun."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from ocnet.errors import StorageError

FORMAT = "ocnet sweep 1"


class Journal:
    """A file that only grows: a header that says whose it is, then one record a line (JSON).

    Whatever kills the process, each line before the last one is whole. The file is locked as long as it is
    open, so that two sweeps cannot do the same cases.

    Parameters
    ----------
    path : path
    header : mapping
        What tells one sweep from another; a file with another header is refused.
    count : int
        Number of cases.

    Attributes
    ----------
    rows : dict of int to dict
        What was found in the file, by the number of the case.

    Raises
    ------
    StorageError
        If the file belongs to another sweep, is damaged, is in use, or cannot be opened.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], count: int) -> None:
        self.path = path
        try:
            self._file: IO[bytes] = open(path, "a+b")  # noqa: SIM115 (it stays open, and locked)
        except OSError as error:
            raise StorageError(f"sweep: '{path}' cannot be written ({error}).") from error
        try:
            _lock(self._file, path)
            self.rows = self._read(header, count)
            self.empty = not self.rows
        except BaseException:
            self._file.close()
            raise

    def append(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Write the rows of finished cases through to the disk."""
        self.empty = False
        lines = [json.dumps({"case": k, **row}, ensure_ascii=False) for k, row in rows.items()]
        self._write("".join(line + "\n" for line in lines))

    def close(self) -> None:
        """Give the file free, and remove it if no case was finished."""
        self._file.close()
        if self.empty:
            self.path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        self._file.write(text.encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, header: Mapping[str, Any], count: int) -> dict[int, dict[str, Any]]:
        wanted = {"format": FORMAT, **header}
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1  # what follows was being written when the process died
        lines = data[:whole].splitlines()
        first = json.dumps(wanted, ensure_ascii=False)
        if not lines and not first.encode().startswith(data):
            raise StorageError(f"sweep: '{self.path}' is no journal of a sweep; give another path.")
        rows: dict[int, dict[str, Any]] = {}
        if lines:
            self._compare(self._record(lines, 0), wanted)
        for number in range(1, len(lines)):
            row = self._record(lines, number)
            k = row.pop("case", None)
            if not isinstance(k, int) or not 0 <= k < count or "status" not in row:
                raise StorageError(f"sweep: '{self.path}', line {number + 1}, is no record of a case.")
            rows[k] = row
        self._file.truncate(whole)
        if not lines:
            self._write(first + "\n")
        return rows

    def _record(self, lines: Sequence[bytes], number: int) -> dict[str, Any]:
        try:
            record = json.loads(lines[number])
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise StorageError(
                f"sweep: '{self.path}', line {number + 1}, is damaged; restore it, or give another path."
            )
        return cast("dict[str, Any]", record)

    def _compare(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        if found.get("format") != FORMAT:
            raise StorageError(
                f"sweep: '{self.path}' has the format {found.get('format')!r}; expected {FORMAT!r}."
            )
        for key, value in wanted.items():
            if found.get(key) != value:
                raise StorageError(
                    f"sweep: '{self.path}' belongs to another sweep: its {key} is {found.get(key)!r:.200}, "
                    f"not {value!r:.200}; give another path, or remove the file if nobody needs it."
                )


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock a file until it is closed or the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**30)  # a byte that is never written
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StorageError(
            f"sweep: '{path}' is in use by another sweep that still runs; wait for it, or give another path."
        ) from error
