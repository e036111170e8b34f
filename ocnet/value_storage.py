"""Value functions in files (netCDF through xarray, never a pickle)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ocnet.errors import StorageError
from ocnet.methods.hjb.domain import Domain
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.slices import Slices
from ocnet.methods.hjb.zoom import Zoom
from ocnet.trajectory import FORMAT, open_dataset
from ocnet.value_function import ValueFunction

if TYPE_CHECKING:
    from ocnet.problem import Problem

KIND = "ValueFunction"
FINITE = ("value", "monotone")  # estimated errors may be infinite


def write(value: ValueFunction, path: str | os.PathLike[str]) -> None:
    """Write a value function; an existing file is replaced."""
    import xarray

    axes = [f"x{d}" for d in range(value.dimension)]
    coarse = [f"error_x{d}" for d in range(value.dimension)]
    coordinates: dict[str, Any] = dict(zip(axes, value.grid.axes, strict=True))
    coordinates |= dict(zip(coarse, value.error_grid.axes, strict=True))
    size, coarse_size = value.grid.size, value.error_grid.size
    slices = value.slices.values[:, :size].reshape(-1, *value.grid.shape)
    variables: dict[str, Any] = {
        "value": (axes, slices[0]) if value.time is None else (["time", *axes], slices),
        "monotone": (axes, value.monotone.reshape(value.grid.shape)),
        "error": (coarse, value.errors[:coarse_size].reshape(value.error_grid.shape)),
        "history": (["iteration", "entry"], value.history),
    }
    if value.grid.zooms:
        variables["value_in_zooms"] = (["node"], value.slices.values[0, size:])
        variables["error_in_zooms"] = (["error_node"], value.errors[coarse_size:])
    if value.time is not None:
        coordinates["time"] = value.time
    if value.later is not None:
        later = value.later.reshape(-1, *value.error_grid.shape)
        variables["later"] = (["error_time", *coarse], later)
    attributes: dict[str, Any] = {
        "format": f"ocnet {FORMAT}",
        "kind": KIND,
        "name": value.name,
        "settled": int(value.settled),
        "discrete": int(value.discrete),
        "residual": value.residual,
        "rate": value.rate,
        "scheme": str(value.stats.get("scheme", "")),
        "seconds": float(value.stats.get("seconds", np.nan)),
        "mirrored": int(bool(value.stats.get("mirrored", False))),
        "threads": int(value.stats.get("threads", 1)),
        "bytes": float(value.stats.get("bytes", np.nan)),
        "stats_leak": float(value.stats.get("leak", 0.0)),
    }
    for name, grid in (("grid", value.grid), ("error_grid", value.error_grid)):
        attributes |= {f"{name}_lower": grid.lower, f"{name}_upper": grid.upper}
        attributes |= {f"{name}_shape": grid.shape, f"{name}_grading": grid.grading}
        if grid.zooms:  # a row for each: centre, radius, boxes, nodes
            rows = [(*zoom.centre, *zoom.radius, zoom.boxes, zoom.nodes) for zoom in grid.zooms]
            attributes[f"{name}_zooms"] = np.array(rows, dtype=float).reshape(-1)
    if value.domain is not None:
        attributes |= {"leak": value.domain.leak, "active": value.domain.active}
        for name in ("holding", "holding_all"):
            if (factors := getattr(value.domain, name)) is not None:
                attributes[name] = factors
    xarray.Dataset(variables, coordinates, attributes).to_netcdf(path, engine="h5netcdf")


def read(path: str | os.PathLike[str], problem: Problem | None = None) -> ValueFunction:
    """Read what :func:`write` wrote."""
    data = open_dataset(path)
    try:
        a = data.attrs
        if a["kind"] != KIND:
            raise StorageError(f"load: '{path}' holds a {a['kind']}; expected a value function.")
        grid, error_grid = _grid(a, "grid"), _grid(a, "error_grid")
        time = np.asarray(data["time"]) if "time" in data.coords else None
        values = _all(data, "value", grid, None if time is None else len(time))
        domain = None
        if "leak" in a:
            factors = [
                tuple(np.atleast_1d(a[n]).tolist()) if n in a else None for n in ("holding", "holding_all")
            ]
            domain = Domain(float(a["leak"]), float(a["active"]), *factors)
        value = ValueFunction(
            problem,
            str(a["name"]),
            Slices(grid, np.atleast_2d(values), time),
            monotone=_all(data, "monotone", Grid(grid.lower, grid.upper, grid.shape)),
            error_grid=error_grid,
            errors=_all(data, "error", error_grid),
            settled=bool(a["settled"]),
            residual=float(a["residual"]),
            history=np.asarray(data["history"]),
            domain=domain,
            stats={
                "scheme": a["scheme"],
                "seconds": float(a["seconds"]),
                "mirrored": bool(a["mirrored"]),
                "threads": int(a.get("threads", 1)),
                "bytes": float(a.get("bytes", np.nan)),
                "leak": float(a.get("stats_leak", 0.0)),
            },
            discrete=bool(a["discrete"]),
            rate=float(a["rate"]),
            later=_all(data, "later", error_grid, data.sizes["error_time"]) if "later" in data else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"load: '{path}' lacks a part or has one of the wrong form ({error!r})."
        ) from error
    if problem is not None and problem.functions.nx != grid.dimension:
        raise StorageError(
            f"load: '{path}' holds a value function of {grid.dimension} states; the problem '{problem.name}' "
            f"has {problem.functions.nx}."
        )
    return value


def _all(data: Any, name: str, grid: Grid, slices: int | None = None) -> np.ndarray:
    """Return the numbers of all patches, (total,), or (M, total) where there are M slices in time."""
    own = np.asarray(data[name], dtype=float)
    expected = grid.shape if slices is None else (slices, *grid.shape)
    if own.shape != expected:
        raise ValueError(f"{name} has shape {own.shape}; expected {expected}")
    result = own.reshape(-1) if slices is None else own.reshape(slices, -1)
    if grid.zooms:
        result = np.concatenate([result, np.asarray(data[f"{name}_in_zooms"], dtype=float)])
        if len(result) != grid.total:
            found = len(result) - grid.size
            raise ValueError(f"{name}_in_zooms has {found} entries; expected {grid.total - grid.size}")
    if np.isnan(result).any() or (name in FINITE and np.isinf(result).any()):
        expected = "finite numbers" if name in FINITE else "numbers"
        raise ValueError(f"{name} holds NaN or infinities; expected {expected}")
    return result


def _grid(attributes: dict[str, Any], name: str) -> Grid:
    parts = [np.atleast_1d(attributes[f"{name}_{part}"]) for part in ("lower", "upper", "shape", "grading")]
    n = len(parts[0])
    rows = np.reshape(attributes.get(f"{name}_zooms", []), (-1, 2 * n + 2))
    lower, upper, shape, grading = parts
    zooms = [Zoom(row[:n], row[n:-2], int(row[-2]), int(row[-1])) for row in rows]
    return Grid(lower, upper, shape, grading, zooms)
