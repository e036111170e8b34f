"""Trajectory: named functions of time, kept as what they are on each interval, with labels when exported."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ocnet.errors import ProblemError, StorageError

if TYPE_CHECKING:
    import xarray

    from ocnet.control_law import ControlLaw

FORMAT = 1  # of the files that save() writes


@dataclass(frozen=True)
class Interpolant:
    """A vector function of time: one polynomial on each interval, or one value for each step.

    Parameters
    ----------
    time : ndarray (M,)
        Nodes, ascending.
    values : ndarray (M, n)
        Values at the nodes.
    breaks : ndarray (K + 1,)
        Ends of the intervals; outside them the function is not defined.
    first, count : ndarray of int (K,)
        Interval k is interpolated through ``time[first[k] : first[k] + count[k]]``.
    limits : (ndarray (n,), ndarray (n,)), optional
        Bounds to which the values are cut between the nodes, where polynomials overshoot.
    discrete : bool
        True for sequences (Steps): the value at a time is that of the last node not after it.
    """

    time: np.ndarray
    values: np.ndarray
    breaks: np.ndarray
    first: np.ndarray
    count: np.ndarray
    discrete: bool = False
    limits: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def sequence(cls, time: np.ndarray, values: np.ndarray) -> Interpolant:
        """Make a discrete-time sequence of (M,) times and (M, n) values."""
        index = np.arange(len(time))
        last = time[-1] if len(time) > 1 else time[0] + 1
        return cls(
            time, values, np.append(time[:-1], last), index[:-1], np.ones(len(time) - 1, int), discrete=True
        )

    def __call__(self, t: Any, derivative: bool = False) -> np.ndarray:
        """Evaluate at times of any shape; the components are the last axis.

        Parameters
        ----------
        t : array_like
            Times within the first and the last break (within rounding).
        derivative : bool
            Give the time derivative of the polynomials instead.

        Returns
        -------
        ndarray (*t.shape, n)

        Raises
        ------
        ProblemError
            For times outside the trajectory.
        """
        moments = np.asarray(t, dtype=float)
        flat = moments.reshape(-1)
        ends = self.time if self.discrete else self.breaks
        slack = check_times(flat, float(ends[0]), float(ends[-1]))
        if self.discrete:
            index = np.searchsorted(self.time, flat + slack, side="right") - 1
            return self.values[index].reshape(*moments.shape, self.values.shape[1])
        interval = np.clip(np.searchsorted(self.breaks, flat, side="right") - 1, 0, len(self.breaks) - 2)
        result = np.empty((len(flat), self.values.shape[1]))
        for m in np.unique(self.count[interval]):
            rows = np.flatnonzero(self.count[interval] == m)
            nodes = self.first[interval[rows], None] + np.arange(m)
            weights = lagrange(self.time[nodes], flat[rows], derivative)
            result[rows] = np.einsum("ij,ijk->ik", weights, self.values[nodes])
        if self.limits is not None and not derivative:
            result = np.clip(result, *self.limits)
        return result.reshape(*moments.shape, self.values.shape[1])

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Interpolant:
        """Return the interpolant through function(values), (M, n) -> (M, any number), not cut to bounds."""
        return replace(self, values=function(self.values), limits=None)

    def components(self, which: Any) -> Interpolant:
        """Return the interpolant of some components, chosen by an index array or a slice."""
        limits = None if self.limits is None else (self.limits[0][which], self.limits[1][which])
        return replace(self, values=self.values[:, which], limits=limits)


def check_times(t: np.ndarray, start: float, end: float) -> float:
    """Refuse times (M,) outside [start, end], and return the rounding that is allowed."""
    slack = 1e-9 * max(1.0, abs(start), abs(end))
    outside = ~((t >= start - slack) & (t <= end + slack))
    if outside.any():
        raise ProblemError(f"time {t[outside][0]} lies outside the trajectory [{start}, {end}].")
    return slack


def lagrange(nodes: np.ndarray, t: np.ndarray, derivative: bool = False) -> np.ndarray:
    """Values (or derivatives) at t (r,) of the Lagrange polynomials on each row of nodes (r, m) -> (r, m)."""
    r, m = nodes.shape
    differences = nodes[:, :, None] - nodes[:, None, :]
    differences[:, range(m), range(m)] = 1.0
    weight = 1.0 / differences.prod(axis=2)
    gap = t[:, None] - nodes
    values = np.empty((r, m))
    for j in range(m):
        others = np.delete(gap, j, axis=1)
        if derivative:
            values[:, j] = sum((np.delete(others, i, axis=1).prod(axis=1) for i in range(m - 1)), np.zeros(r))
        else:
            values[:, j] = others.prod(axis=1)
    return values * weight


Layout = Sequence[tuple[str, tuple[int, ...]]]


def split(array: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """Split (…, n) into named arrays (…, *shape)."""
    result, start = {}, 0
    for name, shape in layout:
        size = int(np.prod(shape))
        result[name] = array[..., start : start + size].reshape(*array.shape[:-1], *shape)
        start += size
    return result


class Trajectory:
    """States and controls of a problem as functions of time.

    Parameters
    ----------
    problem_name, problem_text : str
        What the trajectory belongs to; the text may be a function that gives it when it is asked for.
    x : Interpolant
        States, flat.
    u : Interpolant, ControlLaw or None
        Controls, flat, stored or computed where they are asked for; None where there are none.
    state_layout, control_layout : sequence of (name, shape)
        How the flat vectors are named.

    Attributes
    ----------
    time : ndarray (M,)
        Nodes of the states, in the problem's unit of time (numbers of steps for Steps).
    control_time : ndarray (C,)
        Nodes of the controls: Radau and Gauss points leave out t0; Steps has one control fewer than states.
    """

    kind = "Trajectory"

    def __init__(
        self,
        problem_name: str,
        problem_text: str | Callable[[], str],
        x: Interpolant,
        u: Interpolant | ControlLaw | None,
        state_layout: Layout,
        control_layout: Layout,
    ) -> None:
        self.problem_name, self._text = problem_name, problem_text
        self.x, self.u = x, u
        self.state_layout, self.control_layout = list(state_layout), list(control_layout)

    @property
    def problem_text(self) -> str:
        """The problem in mathematics."""
        return self._text if isinstance(self._text, str) else self._text()

    @property
    def time(self) -> np.ndarray:
        """Nodes of the states (M,)."""
        return self.x.time

    @property
    def control_time(self) -> np.ndarray:
        """Nodes of the controls (C,)."""
        return self.u.time if self.u is not None else np.zeros(0)

    @property
    def discrete(self) -> bool:
        """Whether time counts steps."""
        return self.x.discrete

    @property
    def states(self) -> dict[str, np.ndarray]:
        """By name, (M, *shape) at `time`."""
        return split(self.x.values, self.state_layout)

    @property
    def controls(self) -> dict[str, np.ndarray]:
        """By name, (C, *shape) at `control_time`."""
        return split(self.u.values, self.control_layout) if self.u is not None else {}

    def state(self, name: str, t: Any) -> np.ndarray:
        """Evaluate a state at any times of the trajectory.

        Parameters
        ----------
        name : str
        t : array_like
            Of any shape, in the problem's unit of time (numbers of steps for Steps).

        Returns
        -------
        ndarray (*t.shape, *shape)
            In the unit of the state.

        Raises
        ------
        ProblemError
            For an unknown name, or times outside the trajectory.
        """
        return self._pick(name, self.state_layout, self.x(t), "state")

    def control(self, name: str, t: Any) -> np.ndarray:
        """Evaluate a control at any times; the parameters and errors are those of :meth:`state`.

        Returns
        -------
        ndarray (*t.shape, *shape)
            Between the nodes of the controls it is cut to the control's bounds.
        """
        if self.u is None:
            raise ProblemError(f"'{self.problem_name}' has no controls; got control '{name}'.")
        return self._pick(name, self.control_layout, self.u(t), "control")

    def _pick(self, name: str, layout: Layout, values: np.ndarray, kind: str) -> np.ndarray:
        named = split(values, layout)
        if name not in named:
            raise ProblemError(f"'{self.problem_name}' has no {kind} '{name}'; it has {list(named)}.")
        return named[name]

    # ------------------------------------------------------------------ labelled export

    def to_xarray(self) -> xarray.Dataset:
        """Return everything as a labelled dataset.

        Returns
        -------
        xarray.Dataset
            States over `time`, controls over `control_time`, the ends of the intervals as `mesh`. A solution
            adds its costates as ``costate_<state>`` over `costate_time`, unknowns, parameters, and its report
            as attributes.
        """
        return self._dataset(stored=True)

    def _dataset(self, stored: bool) -> xarray.Dataset:
        """Return the dataset, with the values of the controls or without them."""
        import xarray

        data: dict[str, Any] = {}
        self._add(data, self.x, self.state_layout, "time", "state")
        if self.u is not None:
            self._add(data, self.u, self.control_layout, "control_time", "control", stored=stored)
        data["mesh"] = (("mesh_point",), self.x.breaks, {"long_name": "ends of the mesh intervals"})
        return xarray.Dataset(data, attrs=self._attributes())

    def _add(
        self,
        data: dict[str, Any],
        f: Any,
        layout: Layout,
        axis: str,
        role: str,
        prefix: str = "",
        stored: bool = True,
    ) -> None:
        data[axis] = ((axis,), f.time)
        for part in ("first", "count"):
            data[f"{axis}_{part}"] = (
                ("interval" if axis == "time" else f"{axis}_interval",),
                getattr(f, part),
            )
        for name, values in split(f.values, layout).items() if stored else ():
            dims = (axis, *(f"{name}_{i}" for i in range(values.ndim - 1)))
            data[prefix + name] = (dims, values, {"role": role, "units": "dimensionless"})
        for side, limit in zip(("lower", "upper"), f.limits or (), strict=False):
            for name, values in split(limit, layout).items():
                data[f"{side}_{name}"] = (tuple(f"{name}_{i}" for i in range(values.ndim)), values)

    def _attributes(self) -> dict[str, Any]:
        return {
            "format": f"ocnet {FORMAT}",
            "kind": self.kind,
            "version": _version(),
            "problem": self.problem_name,
            "problem_text": self.problem_text,
            "discrete": int(self.discrete),
            "states": [name for name, _ in self.state_layout],
            "controls": [name for name, _ in self.control_layout],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF file that :func:`ocnet.load` (or any netCDF reader) reads; never a pickle.

        Parameters
        ----------
        path : path
            An existing file is replaced; OSError where it cannot be written.
        """
        stored = self.u is None or isinstance(self.u, Interpolant)
        self._dataset(stored).to_netcdf(path, engine="h5netcdf")
        if not stored:
            self._stream_controls(path)

    def _stream_controls(self, path: str | os.PathLike[str]) -> None:
        """Add controls that are computed, not stored, to a file: one node after the other."""
        import h5netcdf

        assert self.u is not None
        with h5netcdf.File(path, "a") as file:
            for name, shape in self.control_layout:
                dims = [f"{name}_{i}" for i in range(len(shape))]
                for dim, size in zip(dims, shape, strict=True):
                    if dim not in file.dimensions:
                        file.dimensions[dim] = size
                variable = file.create_variable(name, ("control_time", *dims), "f8")
                variable.attrs["role"], variable.attrs["units"] = "control", "dimensionless"
            for k, t in enumerate(self.u.time):
                for name, value in split(self.u(t), self.control_layout).items():
                    file.variables[name][k] = value

    @classmethod
    def from_dataset(cls, data: xarray.Dataset) -> Trajectory:
        """Rebuild what :meth:`to_xarray` gave."""
        layouts = [read_layout(data, which) for which in ("states", "controls")]
        x = read_interpolant(data, layouts[0], "time")
        u = read_interpolant(data, layouts[1], "control_time") if layouts[1] else None
        return cls(data.attrs["problem"], data.attrs["problem_text"], x, u, *layouts)


def read_layout(data: xarray.Dataset, which: str) -> list[tuple[str, tuple[int, ...]]]:
    """Return names and shapes of the states or controls of a dataset."""
    names = np.atleast_1d(data.attrs.get(which, [])).tolist()
    return [(name, tuple(int(n) for n in data[name].shape[1:])) for name in names]


def read_interpolant(data: xarray.Dataset, layout: Layout, axis: str, prefix: str = "") -> Interpolant:
    """Rebuild the flat interpolant of all variables on one axis."""
    time = data.variables[axis].values  # data[axis] would make up an index for a missing axis
    parts = [data[prefix + name].values.reshape(len(time), -1) for name, _ in layout]
    first, count = (data[f"{axis}_{part}"].values.astype(int) for part in ("first", "count"))
    values = np.concatenate(parts, axis=1).astype(float)
    limits = None
    if axis == "control_time" and f"lower_{layout[0][0]}" in data:
        low, high = (
            np.concatenate([data[f"{side}_{n}"].values.reshape(-1) for n, _ in layout])
            for side in ("lower", "upper")
        )
        limits = (low, high)
    return Interpolant(time, values, data["mesh"].values, first, count, bool(data.attrs["discrete"]), limits)


def _version() -> str:
    try:
        return version("ocnet")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def open_dataset(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Read a file that ocnet wrote into memory.

    Raises
    ------
    StorageError
        If the file is missing, damaged, or was not written by ocnet.
    """
    import xarray

    if not Path(path).is_file():
        raise StorageError(f"load: there is no file '{path}'.")
    try:
        with xarray.open_dataset(path, engine="h5netcdf") as file:
            data = file.load()
    except Exception as error:  # the netCDF reader raises many kinds for damaged files
        raise StorageError(f"load: '{path}' is not a readable netCDF file ({error}).") from error
    written = str(data.attrs.get("format", ""))
    if written != f"ocnet {FORMAT}":
        raise StorageError(f"load: '{path}' has format '{written or 'unknown'}'; expected 'ocnet {FORMAT}'.")
    return data
