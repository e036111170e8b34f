"""Patterns one after the other: what is recorded, what is forgotten by it, and what comes back."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError
from ocnet.kept_solutions import KeptSolutions
from ocnet.landscapes.field import Field
from ocnet.memory.classify import classify
from ocnet.memory.outcome import Outcome
from ocnet.memory.rest import distance, settled
from ocnet.problem import Problem
from ocnet.solution import Solution
from ocnet.solve import Method, solve
from ocnet.sweeps.cases import name_of

Build = Callable[[np.ndarray, np.ndarray], Problem]


@dataclass(frozen=True)
class Step:
    """One pattern shown, and what the network knows after it.

    Attributes
    ----------
    cue : ndarray (N,)
        The pattern: the initial state.
    solution : Solution
    outcome : Outcome
    A : ndarray (N, N)
        The synapses after the step.
    load : float
        Largest |Σξ| over all steps so far, relative to the bound of the synapse: the paper's |Σξ| against K.
    returns : ndarray (memories known so far,)
        For each memory how far from it the network without control comes to rest when it starts there,
        relative to 1 + |x|; infinite where it does not come to rest.
    """

    cue: np.ndarray
    solution: Solution
    outcome: Outcome
    A: np.ndarray
    load: float
    returns: np.ndarray


@dataclass(frozen=True)
class LearningHistory:
    """What :func:`learn_sequence` returns.

    Attributes
    ----------
    steps : list of Step
    memories : list of ndarray (N,)
        States that were an equilibrium when they were recorded, or were given at the start.
    since : list of int
        After which step each memory is known; −1 for those given at the start.
    tolerance : float
        A memory is recognised while its `returns` is at most this.
    """

    steps: list[Step]
    memories: list[np.ndarray]
    since: list[int]
    tolerance: float

    def recognised(self) -> np.ndarray:
        """Return (steps, memories) of bool: known after this step, and still recognised."""
        table = np.zeros((len(self.steps), len(self.memories)), dtype=bool)
        for k, step in enumerate(self.steps):
            table[k, : len(step.returns)] = step.returns <= self.tolerance
        return table

    def events(self) -> list[tuple[int, int, str]]:
        """Return (step, memory, "forgotten" or "restored") in order of time."""
        table, found = self.recognised(), list[tuple[int, int, str]]()
        for k in range(len(self.steps)):
            for m, since in enumerate(self.since):
                before = table[k - 1, m] if k > max(since, 0) else True
                if k > since and before != table[k, m]:
                    found.append((k, m, "restored" if table[k, m] else "forgotten"))
        return found

    def __str__(self) -> str:
        table = self.recognised()
        lines = [
            f"{len(self.steps)} patterns shown; a memory is recognised if the network without control, "
            "started",
            f"there, comes to rest within {self.tolerance:g} of it, relative to 1 + |x|",
            f"  {'step':>4}  {'outcome':<12} {'cost':>11} {'max |ξ|':>8} {'|Σξ|/K':>7}  memories 0, 1, … "
            "(+ recognised, − not)",
        ]
        for k, step in enumerate(self.steps):
            marks = " ".join("+" if known else "−" for known in table[k, : len(step.returns)])
            lines.append(
                f"  {k:>4}  {step.outcome.name:<12} {step.solution.cost:11.6g} {step.outcome.control:8.4f} "
                f"{step.load:7.3f}  {marks}"
            )
        lines += [f"  step {k}: memory {m} {what}" for k, m, what in self.events()]
        return "\n".join(lines)


def consolidate(
    A: ArrayLike, solution: Solution, *, at: float | None = None, control: str = "xi"
) -> np.ndarray:
    """Return the synapses A + ξ(at): what the control has changed is kept.

    Recording is this act. The control itself fades: with a price of control, transversality drives the
    costates and with them ξ to zero at any stable equilibrium, on a horizon that is long enough.

    Parameters
    ----------
    A : array_like (N, N)
    solution : Solution
    at : float, optional
        The moment, in units of time (the number of the step); the last control by default.
    control : str
        Name of the control of shape (N, N).

    Returns
    -------
    ndarray (N, N)

    Raises
    ------
    ProblemError
        For an unknown control or a moment outside the solution.
    ShapeError, DataError
        If A has not the shape of the control, or is not finite.
    """
    if not isinstance(solution, Solution):
        raise ProblemError(f"memory.consolidate: got a {type(solution).__name__}; expected a Solution.")
    if solution.u is None:
        raise ProblemError(f"memory.consolidate: the solution of '{solution.problem_name}' has no controls.")
    moment = float(solution.control_time[-1]) if at is None else float(at)
    xi = solution.control(control, moment)
    synapses = np.array(A, dtype=float)
    if synapses.shape != xi.shape:
        raise ShapeError(
            f"memory.consolidate: A has shape {synapses.shape}; expected that of '{control}', {xi.shape}."
        )
    if not np.isfinite(synapses).all():
        raise DataError("memory.consolidate: A holds NaN or infinities; expected finite synapses.")
    return synapses + xi


def learn_sequence(
    build: Build,
    A: ArrayLike,
    cues: Sequence[ArrayLike],
    *,
    memories: Sequence[ArrayLike] = (),
    control: str = "xi",
    at: float | None = None,
    window: tuple[float, float] | None = None,
    tolerance: float = 0.05,
    method: Method | None = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> LearningHistory:
    """Show patterns to a network one after the other, and keep what it records.

    Each pattern is the initial state of ``build(A, cue)``. If the outcome is *recorded*, the synapses become
    A + ξ(at), and the new equilibrium joins the memories; if it is *recognised*, the equilibrium it reaches
    joins them, unless it is one of them. After each step every memory is tried: it is recognised if
    the network without control, started in the remembered state, comes to rest within `tolerance` of it.
    A memory that no longer is has been forgotten; one that is again, without having been shown, restored.

    Parameters
    ----------
    build : callable
        (A (N, N), cue (N,)) -> Problem, with one state and the control `control` of shape (N, N).
    A : array_like (N, N)
        The first synapses.
    cues : sequence of array_like (N,)
    memories : sequence of array_like (N,)
        Known at the start: equilibria of A.
    control, at
        As for :func:`consolidate`.
    window : (float, float), optional
        As for :func:`classify`.
    tolerance : float
        Relative to 1 + |x|, in (0, 0.5].
    method : Collocation or Pontryagin, optional
    store : path, optional
        Folder into which each solution is written as soon as it is found. The same call with the same store
        goes on where one stopped, whatever stopped it; it does not notice when the body of `build` changes.
    progress : bool
        Show a live line of each solve.

    Returns
    -------
    LearningHistory

    Raises
    ------
    ShapeError, DataError, OptionError
        For a matrix that is not square, no cues, cues of another length, or a tolerance out of range.
    SolveError
        If a pattern's problem cannot be solved, or the solve is interrupted.
    StorageError
        If the store belongs to another series, or cannot be written.
    """
    synapses, patterns, known = _checked(A, cues, memories, tolerance)
    kept = KeptSolutions(
        store,
        {
            "build": name_of(build), "A": synapses, "cues": np.array(patterns), "control": control,
            "at": at, "window": window, "tolerance": tolerance, "memories": known, "method": repr(method),
        },
        "memory.learn_sequence",
    )  # fmt: skip
    remembered, since = list(known), [-1] * len(known)
    steps: list[Step] = []
    total, bound = np.zeros_like(synapses), np.zeros_like(synapses)
    for k, cue in enumerate(patterns):
        problem = build(synapses, cue)
        solution = kept.solved(problem, partial(solve, problem, method, progress=progress))
        outcome = classify(solution, window=window)
        if k == 0:
            limits = problem.functions.bounds(solution.result.parameters).u_upper
            bound = problem.functions.unpack(limits, "control")[control]
        new = None
        if outcome.name == "recorded":
            changed = consolidate(synapses, solution, at=at, control=control)
            total, synapses = total + changed - synapses, changed
        free = _free(build, synapses, cue)
        if outcome.name in ("recorded", "recognised"):
            rest = settled(free, outcome.state)
            new = None if rest is None else rest.x
        if new is not None and all(distance(new, memory) > tolerance for memory in remembered):
            remembered.append(new)
            since.append(k)
        returns = [_returned(free, memory) for memory in remembered]
        load = float(np.max(np.abs(total)[bound > 0] / bound[bound > 0], initial=0.0))
        steps.append(Step(cue, solution, outcome, synapses.copy(), load, np.array(returns)))
    return LearningHistory(steps, remembered, since, tolerance)


def _free(build: Build, synapses: np.ndarray, cue: np.ndarray) -> Field:
    problem = build(synapses, cue)
    zero = {v.name: np.zeros(v.shape) for v in problem.functions.controls}
    return Field(problem, controls=zero, where="memory.learn_sequence")


def _returned(free: Field, memory: np.ndarray) -> float:
    rest = settled(free, memory)
    return float("inf") if rest is None else distance(rest.x, memory)


def _checked(
    A: ArrayLike, cues: Any, memories: Any, tolerance: Any
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    synapses = np.array(A, dtype=float)
    if synapses.ndim != 2 or synapses.shape[0] != synapses.shape[1] or not synapses.size:
        raise ShapeError(f"memory.learn_sequence: A has shape {synapses.shape}; expected (N, N).")
    if len(cues) == 0:
        raise DataError("memory.learn_sequence: there are no cues; expected at least one pattern.")
    both: list[list[np.ndarray]] = []
    for name, group in (("cue", cues), ("memory", memories)):
        arrays = [np.array(one, dtype=float) for one in group]
        for i, array in enumerate(arrays):
            if array.shape != (len(synapses),):
                raise ShapeError(
                    f"memory.learn_sequence: {name} {i} has shape {array.shape}; expected ({len(synapses)},)."
                )
        both.append(arrays)
    for name, array in [("A", synapses), *(("a pattern", array) for group in both for array in group)]:
        if not np.isfinite(array).all():
            raise DataError(
                f"memory.learn_sequence: {name} holds NaN or infinities; expected finite numbers."
            )
    if not isinstance(tolerance, (int, float)) or not 0 < tolerance <= 0.5:
        raise OptionError(f"memory.learn_sequence: tolerance is {tolerance!r}; expected one in (0, 0.5].")
    return synapses, both[0], both[1]
