"""Checkpoint files: their folder is looked for before work begins, and only a complete file replaces one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ocnet.errors import OptionError, StorageError

if TYPE_CHECKING:
    import xarray


def check_folder(path: str | os.PathLike[str] | None, where: str) -> None:
    """Refuse a file that could not be written later.

    Parameters
    ----------
    path : path or None
        Of the file, which need not exist yet; None, for no file, is fine.
    where : str
        Begins the message.

    Raises
    ------
    OptionError
        If `path` is no path.
    StorageError
        If its folder is missing or cannot be written to, or `path` is a folder itself.
    """
    if path is None:
        return
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"{where}: checkpoint is {path!r:.60}; expected the path of a file.")
    file = Path(path)
    if file.is_dir():
        raise StorageError(
            f"{where}: checkpoint is the folder '{file}'; expected a file, such as '{file}/fit.nc'."
        )
    if not file.parent.is_dir():
        raise StorageError(
            f"{where}: checkpoint is '{file}', but there is no folder '{file.parent}'; make it first."
        )
    if not os.access(file.parent, os.W_OK):
        raise StorageError(
            f"{where}: checkpoint is '{file}', but its folder cannot be written to; name another."
        )


def write_whole(dataset: xarray.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a netCDF file under another name and move it to `path` when it is complete.

    An existing file is kept if the writing is interrupted; OSError where nothing can be written.
    """
    fresh = Path(path).with_name(Path(path).name + ".new")
    dataset.to_netcdf(fresh, engine="h5netcdf")
    os.replace(fresh, path)
