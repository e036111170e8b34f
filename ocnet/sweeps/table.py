"""The rows of a sweep as an xarray Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ocnet.sweeps.case import Row, decode, failure
from ocnet.sweeps.cases import COLUMNS, Cases

if TYPE_CHECKING:
    import xarray

NOT_RUN = failure("NOT_RUN", "", "the sweep stopped before this case")


def table(cases: Cases, rows: Mapping[int, Row], attributes: Mapping[str, Any]) -> xarray.Dataset:
    """Return the results on the axes of the grid; cases without a row have the status NOT_RUN.

    Parameters
    ----------
    cases : Cases
    rows : mapping of int to dict
        By the number of the case.
    attributes : mapping

    Returns
    -------
    xarray.Dataset
        The columns, "error_<source>" for the error estimates, and what `reduce` returned, with further axes
        <name>_0, <name>_1 … for arrays. What a case lacks is NaN (or the empty string); arrays of several
        shapes are filled up with NaN at their ends.
    """
    import xarray

    listed = [rows.get(k, NOT_RUN) for k in range(len(cases))]
    dims, shape = tuple(cases.dims), tuple(cases.dims.values())
    data: dict[str, Any] = {}
    for name in COLUMNS:
        values = np.array([row[name] for row in listed])
        data[name] = (dims, values.reshape(shape))
    for source in _names(row["errors"] for row in listed):
        values = [row["errors"].get(source, np.nan) for row in listed]
        name = "error_" + source.replace(" ", "_")
        data[name] = (dims, np.array(values, dtype=float).reshape(shape))
    for name in _names(row["values"] for row in listed):
        values = _stacked([decode(row["values"].get(name)) for row in listed])
        own = tuple(f"{name}_{i}" for i in range(values.ndim - 1))
        data[name] = ((*dims, *own), values.reshape(*shape, *values.shape[1:]))
    coordinates: dict[str, Any] = {}
    for name, axis, values in cases.columns():
        coordinates |= _coordinate(name, axis, values)
    done = sum(row is not NOT_RUN for row in listed)
    counts = {"cases": len(cases), "finished": done, "succeeded": sum(row["success"] for row in listed)}
    return xarray.Dataset(data, coordinates, {**attributes, **counts})


def _names(mappings: Any) -> list[str]:
    """Names in the order in which they first occur."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _stacked(values: Sequence[Any]) -> np.ndarray:
    """Stack arrays and scalars of several shapes (None for missing ones), filled up with NaN or ''."""
    arrays = [None if value is None else np.asarray(value) for value in values]
    known = [array for array in arrays if array is not None]
    rank = max(array.ndim for array in known)
    known = [array.reshape((1,) * (rank - array.ndim) + array.shape) for array in known]
    shape = tuple(int(n) for n in np.max([array.shape for array in known], axis=0)) if rank else ()
    full = len(known) == len(arrays) and all(array.shape == shape for array in known)
    if full:
        return np.array(known)
    text = any(array.dtype.kind == "U" for array in known)
    dtype = object if text else np.result_type(*known, 0.0)
    result = np.full((len(arrays), *shape), "" if text else np.nan, dtype=dtype)
    places = [k for k, array in enumerate(arrays) if array is not None]
    for k, array in zip(places, known, strict=True):
        result[(k, *(slice(n) for n in array.shape))] = array.astype(str) if text else array
    return result.astype(str) if text else result


def _coordinate(name: str, axis: str, values: Sequence[Any]) -> dict[str, Any]:
    """Numbers or strings as they are; for other values their positions, and the values beside them."""
    arrays = [np.asarray(value) if value is not None else None for value in values]
    kinds = {"?" if array is None else array.dtype.kind for array in arrays}
    shapes = {() if array is None else array.shape for array in arrays}
    plain = len(shapes) == 1 and (kinds <= set("iuf") or kinds in ({"b"}, {"U"}))
    if plain and shapes == {()}:
        return {name: (axis, np.array(values))}
    if plain:
        stacked = np.array(values)
        own = tuple(f"{name}_{i}" for i in range(stacked.ndim - 1))
        beside = {f"{name}_values": ((axis, *own), stacked)}
    else:
        beside = {f"{name}_values": (axis, np.array([f"{value!r:.200}" for value in values]))}
    return {name: (axis, np.arange(len(values)))} | beside
