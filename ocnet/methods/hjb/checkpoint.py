"""Checkpoints of a policy iteration: enough in one file to go on after the process has died."""

from __future__ import annotations

import hashlib
import os
import struct
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ocnet.errors import StorageError
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.levels import State
from ocnet.pointwise import evaluate

if TYPE_CHECKING:
    from ocnet.problem import Problem

ARRAYS = ("values", "monotone", "start", "stencils")
POINTS = 2048  # at which dynamics and stage cost are looked at
DAMAGED = (  # what numpy and zipfile raise over files that are no checkpoints, cut short or changed
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def identity(problem: Problem, grid: Grid, tolerance: float) -> np.ndarray:
    """Return numbers that tell a solve from others.

    They are the grid, the tolerance, the rate, the values of parameters, the bounds of the controls, the
    Hamiltonian at a few points, and a digest of dynamics and stage cost: of their expressions, and of their
    values at many points, since an expression may call functions that it does not contain.
    """
    f, hamiltonian, rng = problem.functions, problem.hamiltonian, np.random.default_rng(1)
    p = f.pack(problem.parameter_values(), "parameter")
    bounds = f.bounds(p)
    low, high = np.array(grid.lower), np.array(grid.upper)
    x = low + rng.uniform(size=(POINTS, f.nx)) * (high - low)
    u = np.clip(10.0 * rng.standard_normal((POINTS, f.nu)), bounds.u_lower, bounds.u_upper)
    digest = hashlib.sha256()
    for function in (f.dynamics, f.stage):
        found = evaluate(function, np.zeros(POINTS), x, np.zeros(f.nx), u, np.zeros(0), p)[0]
        digest.update(found.tobytes())
        with suppress(RuntimeError):  # where it calls what CasADi cannot write
            digest.update(function.serialize().encode())
    H = hamiltonian.value(0.0, x[:8], rng.standard_normal((8, f.nx)))
    zooms = [np.concatenate([z.centre, z.radius, [z.boxes, z.nodes]]) for z in grid.zooms]
    text = np.frombuffer(digest.digest(), dtype=np.uint8)
    numbers = [tolerance, hamiltonian.rate]
    return np.concatenate(
        [low, high, grid.shape, grid.grading, *zooms, numbers, p, bounds.u_lower, bounds.u_upper, H, text]
    )


class Checkpoint:
    """A file that is replaced at most every so many seconds, and whole at every moment.

    Parameters
    ----------
    path : path
    identity : ndarray
        What tells one solve from another, see :func:`identity`; a file of another solve is refused.
    interval : float
        Seconds between two writes.
    """

    def __init__(self, path: str | os.PathLike[str], identity: np.ndarray, interval: float) -> None:
        self.path, self.identity, self.interval = Path(path), identity, interval
        self._last = time.monotonic()

    def keep(self, state: State) -> None:
        """Write the state if the interval is over."""
        if time.monotonic() - self._last < self.interval:
            return
        parts: dict[str, np.ndarray] = {name: getattr(state, name) for name in ARRAYS}
        for k, (monotone, accurate, settled) in enumerate(state.done):
            parts |= {f"monotone_{k}": monotone, f"accurate_{k}": accurate, f"settled_{k}": np.array(settled)}
        parts["numbers"] = np.array(
            [state.level, state.phase == "accurate", state.iteration, len(state.done)]
        )
        parts["leak"], parts["least"] = np.array(state.leak), np.array(state.least)
        parts["history"], parts["identity"] = np.array(state.history), self.identity
        fresh = self.path.with_name(self.path.name + ".new")
        with open(fresh, "wb") as file:
            np.savez(file, **parts)  # pyright: ignore[reportArgumentType]
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path)
        self._last = time.monotonic()

    def state(self) -> State | None:
        """Return what the file holds, None if there is none.

        Raises
        ------
        StorageError
            If it is damaged, or of another solve.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                parts = dict(file)
            same = np.array_equal(parts["identity"], self.identity, equal_nan=True)
            state = _state(parts)
        except DAMAGED as error:
            raise StorageError(f"Checkpoint '{self.path}' cannot be read ({error}); remove it.") from error
        if not same:
            raise StorageError(
                f"Checkpoint '{self.path}' belongs to another problem, grid or tolerance; remove it, or give "
                "another path."
            )
        return state

    def remove(self) -> None:
        """Remove the file: the solve is done."""
        self.path.unlink(missing_ok=True)


def _state(parts: dict[str, np.ndarray]) -> State:
    level, accurate, iteration, count = parts["numbers"].tolist()
    return State(
        level=level,
        phase="accurate" if accurate else "monotone",
        iteration=iteration,
        done=[
            (parts[f"monotone_{k}"], parts[f"accurate_{k}"], bool(parts[f"settled_{k}"]))
            for k in range(count)
        ],
        history=[(int(a), int(b), int(c), float(d)) for a, b, c, d in parts["history"].tolist()],
        leak=float(parts["leak"]),
        least=float(parts["least"]),
        **{name: parts[name] for name in ARRAYS},
    )
