"""Schedules: controls as functions of time, from a trajectory or from what a user writes down by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocnet.control_law import ControlLaw
from ocnet.errors import DataError, ProblemError, ShapeError
from ocnet.functions import Functions
from ocnet.pieces import on_intervals
from ocnet.problem import Variable
from ocnet.symbols import as_data
from ocnet.trajectory import Interpolant, Trajectory

Piece = Callable[[float], np.ndarray]  # time -> flat controls (nu,), smooth


@dataclass(frozen=True)
class Schedule:
    """Controls over time.

    Attributes
    ----------
    start, end : float
        Where it is defined; infinite if it always is. For steps, `end` is the number of steps it can drive.
    breaks : ndarray
        Moments where a control or its derivative may jump.
    piece : callable
        (a, b) -> the controls as a smooth function on [a, b], which holds none of the breaks inside.
    """

    start: float
    end: float
    breaks: np.ndarray
    piece: Callable[[float, float], Piece]


def read_schedule(
    schedule: Trajectory | Mapping[str, Any], functions: Functions, discrete: bool, where: str
) -> Schedule:
    """Turn a trajectory or a mapping into the controls of a problem, in the problem's order.

    Raises
    ------
    ProblemError, ShapeError, DataError
        For missing or foreign names, wrong shapes, or values that are not finite.
    """
    if isinstance(schedule, Trajectory):
        return _from_trajectory(schedule, functions, discrete, where)
    if not isinstance(schedule, Mapping):
        raise ProblemError(
            f"{where}: schedule is of type {type(schedule).__name__}; expected a Trajectory, a Solution or "
            "a mapping from the names of the controls."
        )
    names = [v.name for v in functions.controls]
    missing, foreign = [n for n in names if n not in schedule], [n for n in schedule if n not in names]
    if missing or foreign:
        problem = f"lacks {missing}" if missing else f"names {foreign}, which are unknown"
        raise ProblemError(f"{where}: the schedule {problem}; expected {names}.")
    parts = [
        _one(schedule[v.name], v, discrete, f"{where}, schedule of '{v.name}'") for v in functions.controls
    ]

    def piece(a: float, b: float) -> Piece:
        pieces = [part.piece(a, b) for part in parts]
        return lambda t: np.concatenate([one(t) for one in pieces])

    breaks = np.concatenate([np.zeros(0), *(part.breaks for part in parts)])
    return Schedule(max(p.start for p in parts), min(p.end for p in parts), breaks, piece)


def control_vector(value: Any, functions: Functions, where: str) -> np.ndarray:
    """Turn what a policy returned into the flat controls (nu,).

    Raises
    ------
    ProblemError, ShapeError
        For missing names or a wrong shape.
    """
    controls = functions.controls
    if isinstance(value, Mapping):
        missing = [v.name for v in controls if v.name not in value]
        if missing:
            raise ProblemError(f"{where}: the controls {missing} are missing.")
        shaped = {v.name: np.asarray(value[v.name], dtype=float) for v in controls}
        for v in controls:
            if shaped[v.name].size != v.size:
                raise ShapeError(f"{where}: '{v.name}' has shape {shaped[v.name].shape}; expected {v.shape}.")
        return np.concatenate([shaped[v.name].reshape(-1) for v in controls])
    array = np.asarray(value, dtype=float)
    flat = array.ndim <= 1 or (
        len(controls) == 1 and array.squeeze().shape == np.zeros(controls[0].shape).squeeze().shape
    )
    if array.size != functions.nu or not flat:
        own = f" or {controls[0].shape}" if len(controls) == 1 else ""
        raise ShapeError(f"{where}: got shape {array.shape}; expected ({functions.nu},){own}.")
    return array.reshape(-1)


def _from_trajectory(schedule: Trajectory, functions: Functions, discrete: bool, where: str) -> Schedule:
    found = dict(schedule.control_layout)
    wanted = {v.name: v.shape for v in functions.controls}
    for name, shape in wanted.items():
        if found.get(name) != shape:
            got = f"has it with shape {found[name]}" if name in found else f"has {list(found)}"
            raise ProblemError(f"{where}: control '{name}' of shape {shape} is needed; the schedule {got}.")
    if schedule.discrete != discrete:
        kinds = ("continuous time", "steps")
        raise ProblemError(
            f"{where}: the schedule is in {kinds[schedule.discrete]}, the problem in {kinds[discrete]}; "
            "give the controls by name as functions of time instead."
        )
    assert schedule.u is not None
    sizes = [int(np.prod(shape)) for shape in found.values()]
    starts = dict(zip(found, np.cumsum([0, *sizes]), strict=False))
    columns = np.concatenate([starts[v.name] + np.arange(v.size) for v in functions.controls])
    u = schedule.u.components(columns)
    if discrete:
        return Schedule(u.time[0], u.time[-1] + 1, np.zeros(0), lambda a, b: u)
    return Schedule(u.breaks[0], u.breaks[-1], u.breaks, lambda a, b: _polynomial(u, a, b))


def _polynomial(u: Interpolant | ControlLaw, a: float, b: float) -> Piece:
    """One interval's polynomial as a function of time, also at its very ends."""
    own = on_intervals(u, np.array([a, b])).one(0)
    return lambda t: own((t - a) / (b - a))


def _one(value: Any, variable: Variable, discrete: bool, where: str) -> Schedule:
    """Schedule of a single control."""
    if isinstance(value, tuple) and len(value) == 2 and np.ndim(value[0]) == 1:
        return _samples(value[0], value[1], variable, discrete, where)
    if callable(value):

        def at(t: float) -> np.ndarray:
            return as_data(value(t), variable.shape, f"{where} at t = {t:.6g}").reshape(-1)

        at(0.0)
        return Schedule(-np.inf, np.inf, np.zeros(0), lambda a, b: at)
    constant = as_data(value, variable.shape, where).reshape(-1)
    return Schedule(-np.inf, np.inf, np.zeros(0), lambda a, b: lambda t: constant)


def _samples(times: Any, values: Any, variable: Variable, discrete: bool, where: str) -> Schedule:
    """Linear between samples."""
    time, value = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    if value.shape == time.shape and variable.size == 1:
        value = value.reshape(len(time), *variable.shape)
    if value.shape != (len(time), *variable.shape):
        raise ShapeError(
            f"{where}: values have shape {value.shape}; expected {(len(time), *variable.shape)}."
        )
    if len(time) < 2 or not np.isfinite(time).all() or not np.all(np.diff(time) > 0):
        raise DataError(f"{where}: times have to be at least two, finite and increasing; got {time!r:.80}.")
    if not np.isfinite(value).all():
        bad = time[~np.isfinite(value.reshape(len(time), -1)).all(axis=1)][0]
        raise DataError(f"{where}: the values at time {bad} are not finite.")
    flat = value.reshape(len(time), -1)
    line = Interpolant(time, flat, time, np.arange(len(time) - 1), np.full(len(time) - 1, 2))
    if discrete:
        return Schedule(time[0], time[-1] + 1, np.zeros(0), lambda a, b: line)
    return Schedule(time[0], time[-1], time, lambda a, b: _polynomial(line, a, b))
