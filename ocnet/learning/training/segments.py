"""A growing horizon that keeps the samples beyond it, as short segments with initial states of their own."""

from __future__ import annotations

import numpy as np

from ocnet.errors import DataError, SimulationError
from ocnet.learning.neural_odes.samples import Samples
from ocnet.learning.training.gauss_newton import State
from ocnet.learning.training.objective import Objective

LONGEST = 4  # steps from sample to sample in a segment beyond the horizon
LEAP, JUMP = 1.3, 3.0  # the horizon grows as it does without segments


class Segments:
    """Trajectories that are followed from their start up to a horizon, and from many starts beyond it.

    Beyond the horizon the samples are cut where the time to the next one is longer than the median, and after
    five. All segments are fitted together, those beyond the horizon with initial states that are unknown and
    begin at the data. So the vector field is known where the path will lead before the horizon gets there,
    and a gap of half a turn does not leave the number of turns to chance. It is multiple shooting (H. G.
    Bock, 1981) whose segments are joined from the start on.

    Parameters
    ----------
    objective : Objective
        Over the whole horizon.

    Raises
    ------
    DataError
        If a state was observed in part: a segment could not begin there.
    """

    def __init__(self, objective: Objective) -> None:
        samples, self.whole = objective.samples, objective
        if not samples.observed.all():
            where = ", ".join(map(str, np.argwhere(~samples.observed)[0]))
            raise DataError(
                f"fit: values[{where}] was not observed, and growing='segments' needs whole states; "
                "take growing=True."
            )
        self.times: list[np.ndarray] = []
        self.values: list[np.ndarray] = []  # of the start too, NaN if it was not observed
        for times, values in zip(samples.times, samples.values, strict=True):
            later = times > samples.start
            unseen = np.full(values.shape[1], np.nan)
            self.times.append(np.append(samples.start, times[later]))
            self.values.append(np.vstack([unseen if later[0] else values[0], values[later]]))
        gaps = np.concatenate([np.diff(t) for t in self.times])
        self.long = [np.diff(t) > np.median(gaps) for t in self.times]
        self.most = max(len(t) - 1 for t in self.times)
        self.count = 1  # observations on the horizon
        self.begins = {(b, 0): x for b, x in enumerate(samples.initial)}

    def objective(self) -> tuple[Objective, np.ndarray]:
        """Return the objective of the present segments, and their initial states to begin with, flat."""
        self.parts = [
            (b, *part) for b in range(len(self.times)) for part in self._parts(b) if part[1] > part[0]
        ]
        self.parts.sort(key=lambda part: part[1] != 0)  # those from the start come first: they are held
        width = 1 + max(last - first for _, first, last in self.parts)
        n = self.whole.samples.values.shape[2]
        times, values = np.empty((len(self.parts), width)), np.full((len(self.parts), width, n), np.nan)
        start, initial = np.empty(len(self.parts)), np.empty((len(self.parts), n))
        for k, (b, first, last) in enumerate(self.parts):
            start[k], initial[k] = self.times[b][first], self.begins.get((b, first), self.values[b][first])
            times[k] = self.times[b][last]
            times[k, : last + 1 - first] = self.times[b][first : last + 1]
            values[k, : last + 1 - first] = self.values[b][first : last + 1]
        samples = Samples(times, values, initial, self.whole.samples.start)
        whole = self.whole
        here = Objective(whole.model, samples, whole.decay, True, whole.tolerance)
        here.start, here.held = start, 0 if whole.free else len(self.times)
        return here, initial.reshape(-1)

    def take(self, objective: Objective, state: State) -> bool:
        """Keep the initial states that were found and extend the horizon; return whether it was the whole."""
        theta, initial = objective.split(state["z"])
        for (b, first, _), x in zip(self.parts, initial, strict=True):
            self.begins[b, first] = x
        if self.count >= self.most:
            return True
        residuals = objective.residuals(state["z"])
        rms = np.inf
        if residuals is not None:
            rms = max(np.sqrt(np.sum(residuals**2) / objective.samples.count), 1e-3)
        longest = min(self.most, max(self.count + 1, int(self.count * LEAP)))
        self.count = min(self._reach(b, theta, longest, JUMP * rms) for b in range(len(self.times)))
        return False

    def state(self) -> State:
        """Return what :meth:`take_up` needs to go on from the present horizon."""
        known = list(self.begins.items())
        at, x = np.array([key for key, _ in known]), np.array([value for _, value in known])
        return {"segments_count": np.array(self.count), "segments_at": at, "segments_x": x}

    def take_up(self, state: State) -> None:
        """Go on from a state, if it has one of segments."""
        if "segments_count" in state:
            self.count = int(state["segments_count"])
            for (b, first), x in zip(state["segments_at"].tolist(), state["segments_x"], strict=True):
                self.begins[b, first] = x

    def _parts(self, b: int) -> list[tuple[int, int]]:
        """Return the segments of a trajectory: first and last of its times, the start being number 0."""
        count = len(self.times[b]) - 1
        first = min(self.count, count)
        parts = [(0, first)]
        first += 1
        while first < count:
            last = first
            while last < count and last - first < LONGEST and not self.long[b][last]:
                last += 1
            parts.append((first, last))
            first = last + 1
        return parts

    def _reach(self, b: int, theta: np.ndarray, longest: int, limit: float) -> int:
        """Return how many observations to take next: one at least, up to where the prediction fails."""
        end = min(longest, len(self.times[b]) - 1)
        if end <= self.count + 1:
            return longest if end < self.count + 1 else self.count + 1
        whole, times = self.whole, self.times[b][1 : end + 1]
        start = np.array([self.times[b][0]])
        try:
            states = whole.model.sweeps.forward(
                theta, start, self.begins[b, 0][None], times[None], whole.tolerance
            )[0]
        except SimulationError:
            return self.count + 1
        wrong = np.sqrt(np.mean((states - self.values[b][1 : end + 1]) ** 2, axis=1)) > limit
        wrong[: self.count] = False
        return self.count + 1 + int(np.argmax(wrong[self.count :])) if wrong.any() else longest
