"""Checkpoints of a policy iteration: enough in one file to go on after the process has died."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from ocnet.errors import StorageError
from ocnet.methods.hjb.levels import State

ARRAYS = ("values", "monotone", "start", "stencils")


class Checkpoint:
    """A file that is replaced at most every so many seconds, and whole at every moment.

    Parameters
    ----------
    path : path
    identity : ndarray
        Numbers that tell one solve from another; a file of another solve is refused.
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
            if not np.array_equal(parts["identity"], self.identity):
                raise StorageError(
                    f"Checkpoint '{self.path}' belongs to another problem, grid or tolerance; remove it, "
                    "or give another path."
                )
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
        except (OSError, KeyError, ValueError, EOFError) as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"Checkpoint '{self.path}' cannot be read ({error}); remove it.") from error

    def remove(self) -> None:
        """Remove the file: the solve is done."""
        self.path.unlink(missing_ok=True)
