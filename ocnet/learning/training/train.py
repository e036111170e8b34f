"""Training of neural ODEs on samples: growing horizon, early stopping, interruption and resumption."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ocnet.errors import DataError, OptionError, ShapeError
from ocnet.learning.neural_odes.neural_ode import NeuralODE
from ocnet.learning.neural_odes.samples import Samples
from ocnet.learning.training.fit import CURVES, Fit
from ocnet.learning.training.gauss_newton import GaussNewton, Report, State
from ocnet.learning.training.objective import Objective
from ocnet.learning.training.options import check_number
from ocnet.learning.training.segments import Segments
from ocnet.progress import live

SEGMENT_STEPS = 30  # Gauss-Newton steps between two extensions of a horizon with segments beyond it
SAVE_EVERY = 10.0  # seconds between two writes of a checkpoint
LEAP = 1.3  # a horizon grows at most so many times,
JUMP = 3.0  # and not past errors of so many times the present


class Method(Protocol):
    """A way to lower the cost on one horizon: GaussNewton, LBFGS, Adam, Optax or AllAtOnce."""

    @property
    def label(self) -> str:
        """Its name in reports."""
        ...

    @property
    def horizons(self) -> tuple[float, ...]:
        """Shares of the sample times to fit one after the other; empty: as far as the prediction follows."""
        ...

    @property
    def tolerance(self) -> float:
        """Of the integration while training, where `fit` is not told."""
        ...

    def run(self, objective: Objective, state: State, last: bool, report: Report) -> tuple[State, bool]:
        """Improve state["z"]; return the state and whether it came to rest."""
        ...


class _Stop(Exception):
    """Ends a method from inside its report."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


def fit(
    model: NeuralODE,
    samples: Samples,
    method: Method | None = None,
    *,
    theta: Any = None,
    rng: np.random.Generator | int | None = None,
    growing: bool | str = True,
    learn_initial: bool = False,
    weight_decay: float = 1e-3,
    decay_start: float = 1.0,
    tolerance: float | None = None,
    target: float | None = None,
    validation: Samples | None = None,
    patience: int = 20,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: Fit | None = None,
    progress: bool = False,
) -> Fit:
    """Train a neural ODE: minimise ½Σ|x(t_i) − x_i|² + ½·weight_decay·|θ|².

    Parameters
    ----------
    model : NeuralODE
    samples : Samples
    method : GaussNewton, LBFGS, Adam, Optax or AllAtOnce, optional
        GaussNewton() if not given.
    theta : array_like (P,), optional
        Where to begin; drawn by `rng` if not given.
    rng : numpy.random.Generator or int, optional
    growing : bool or "segments"
        Begin with the first two sample times (AllAtOnce: with its own horizons) and extend the horizon, at
        most 1.3 times, up to where the prediction leaves the data, each time that the method came to rest or
        to its limit. Without it the whole horizon is fitted at once, which from random parameters mostly ends
        in a poor local minimum. "segments": the horizon grows while the samples beyond it are fitted as short
        segments with initial states of their own, by Gauss-Newton; then `method` takes the whole. It costs
        four times as much and is for samples with gaps in which the states move far.
    learn_initial : bool
        Learn the initial states too, from those of the samples on.
    weight_decay : float
        In the squared unit of the states.
    decay_start : float
        Homotopy: the weight decay begins so many times larger, and falls to `weight_decay` exponentially in
        the share of the sample times that the horizon holds. 1 holds it.
    tolerance : float, optional
        Of the integration while training: the method's own if not given, 1e-5, or 1e-7 for L-BFGS, whose line
        searches need a smooth cost. The result is judged at the model's own.
    target : float, optional
        Stop when the rms error on the whole horizon is below.
    validation : Samples, optional
        Stop when the rms error there, on the whole horizon, has not improved in `patience` iterations; the
        best parameters are returned.
    patience : int
    checkpoint : path, optional
        Where the present state is saved every ten seconds and at the end.
    resume : Fit, optional
        Go on where an interrupted training of the same model with the same samples and method stopped.
    progress : bool
        Show a live line: cost and, as infeasibility, the rms error.

    Returns
    -------
    Fit
        Judged by a rollout over all samples. An interruption from the keyboard ends training and returns the
        best so far.

    Raises
    ------
    OptionError, ShapeError, DataError
        For what does not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from ocnet import learning
    >>> times = np.linspace(0.1, 2, 20)
    >>> samples = learning.Samples(times, np.exp(-0.5 * times)[:, None], [1.0])
    >>> decay = learning.NeuralODE(learning.expression(lambda x, t, theta: theta * x, states=1, parameters=1))
    >>> found = learning.fit(decay, samples, theta=[0.0], weight_decay=0.0)
    >>> found.success, found.theta.round(4).tolist()
    (True, [-0.5])
    """
    chosen = GaussNewton() if method is None else method
    _check(model, samples, chosen, validation, patience, resume)
    check_number("fit", "weight_decay", weight_decay, 0.0, np.inf)
    check_number("fit", "decay_start", decay_start, 1e-9, 1e9)
    if not isinstance(growing, bool) and growing != "segments":
        raise OptionError(f"fit: growing is {growing!r:.60}; expected True, False or 'segments'.")
    tolerance = chosen.tolerance if tolerance is None else tolerance
    check_number("fit", "tolerance", tolerance, 1e-13, 0.1)
    objective = Objective(model, samples, float(weight_decay), learn_initial, tolerance)
    state = _first_state(objective, chosen, theta, rng, growing, resume)
    with live(f"neural ODE by {chosen.label}", progress) as show:
        run = _Training(
            objective, chosen, decay_start, target, validation, patience, checkpoint, resume, show
        )
        return run.follow(state)


class _Training:
    """One call of fit: what is recorded on the way, and when it ends."""

    def __init__(
        self, objective: Objective, method: Method, decay_start: float, target: float | None,
        validation: Samples | None, patience: int, checkpoint: str | os.PathLike[str] | None,
        resume: Fit | None, show: Callable[[int, float, float], None] | None,
    ) -> None:  # fmt: skip
        self.objective, self.method, self.target = objective, method, target
        self.decay_start = decay_start
        self.validation, self.patience, self.checkpoint, self.show = validation, patience, checkpoint, show
        self.rows = (
            [] if resume is None else list(zip(*(resume.history[name] for name in CURVES), strict=True))
        )
        self.before = float(self.rows[-1][-1]) if self.rows else 0.0
        self.begin, self.saved = time.process_time(), time.monotonic()
        self.moments = np.unique(objective.samples.times[objective.samples.observed.any(axis=2)])
        self.best: tuple[float, np.ndarray] = (np.inf, np.zeros(0))
        self.waited = 0

    def follow(self, state: State) -> Fit:
        """Grow the horizon to the end, or until something ends training."""
        self.state, status = state, "failed"
        try:
            if int(state["stage"]) == 0:
                self._along_segments()
            while True:
                stage = int(self.state["stage"])
                last = stage == len(self.moments)
                self.here = self.objective if last else self._shorter(stage)
                self.state, rest = self.method.run(self.here, self.state, last, self._report)
                if last:
                    status = "at rest" if rest else "iteration limit"
                    break
                self.state = self.state | {"stage": np.array(self._next(stage))}
        except _Stop as stop:
            status = stop.status
        except KeyboardInterrupt:
            status = "interrupted"
        return self._finish(status)

    def _along_segments(self) -> None:
        """Let the horizon grow with segments beyond it; only θ is kept of what is found there."""
        segments, steps = Segments(self.objective), GaussNewton(iterations=SEGMENT_STEPS)
        kept = self.state["z"]

        def report(found: State, cost: float) -> None:
            self._report(self.state | {"z": np.append(found["z"][:p], kept[p:])}, cost)

        p, done = self.objective.parameters, False
        while not done:
            self.here, initial = segments.objective()
            start = {"z": np.append(self.state["z"][:p], initial)}
            found, _ = steps.run(self.here, start, True, report)
            done = segments.take(self.here, found)
        self.state = self.state | {"stage": np.array(len(self.moments))}

    def _shorter(self, stage: int) -> Objective:
        heavier = self.decay_start ** (1 - stage / len(self.moments))
        return self.objective.until(self.moments[stage - 1], heavier)

    def _report(self, state: State, cost: float) -> None:
        """Record an iteration; stop where the target is reached or patience is over."""
        self.state = state
        theta = state["z"][: self.objective.parameters]
        rms = np.sqrt(max(0.0, 2 * cost - self.here.decay * float(theta @ theta)) / self.here.samples.count)
        last = self.here is self.objective
        watched = np.nan
        if last and self.validation is not None:
            watched = self._validate(theta)
            self.waited = 0 if watched < self.best[0] else self.waited + 1
            if watched < self.best[0]:
                self.best = (watched, state["z"].copy())
        seconds = self.before + time.process_time() - self.begin
        self.rows.append((float(self.here.samples.times.max()), cost, rms, watched, seconds))
        if self.show is not None:
            self.show(len(self.rows), cost, rms)
        if self.checkpoint is not None and time.monotonic() - self.saved > SAVE_EVERY:
            self._fit("interrupted").save(self.checkpoint)
            self.saved = time.monotonic()
        if last and self.target is not None and rms <= self.target:
            raise _Stop("target reached")
        if self.waited >= self.patience:
            raise _Stop("stopped early")

    def _validate(self, theta: np.ndarray) -> float:
        assert self.validation is not None
        other = Objective(self.objective.model, self.validation, 0.0, False, self.objective.tolerance)
        residuals = other.residuals(theta)
        here = np.inf if residuals is None else float(np.sqrt(np.sum(residuals**2) / self.validation.count))
        self.here.residuals(self.state["z"])  # the method goes on from the sweep at its own point
        return here

    def _next(self, stage: int) -> int:
        """Return how many sample times to take next."""
        if self.method.horizons:
            counts = _counts(self.method, len(self.moments))
            return next(count for count in counts if count > stage)
        longest = min(len(self.moments), max(stage + 1, int(stage * LEAP)))
        ahead = self.objective.until(self.moments[longest - 1])
        residuals = ahead.residuals(self.state["z"])
        if residuals is None:
            return stage + 1
        known = ahead.samples.observed
        reached = ahead.samples.times <= self.moments[stage - 1]
        rms = np.sqrt(np.sum(residuals[reached] ** 2) / max(1, known[reached].sum()))
        for count in range(stage + 1, longest + 1):
            at = ahead.samples.times == self.moments[count - 1]
            if np.sqrt(np.sum(residuals[at] ** 2) / max(1, known[at].sum())) > JUMP * max(rms, 1e-3):
                return count
        return longest

    def _fit(self, status: str) -> Fit:
        """Judge the present parameters by a rollout over all samples."""
        z = self.best[1] if len(self.best[1]) else self.state["z"]
        objective = self.objective
        residuals = objective.residuals(z, objective.model.tolerance)
        rms = np.inf if residuals is None else float(np.sqrt(np.sum(residuals**2) / objective.samples.count))
        if residuals is None:
            status = "failed"
        if self.target is not None and rms <= self.target * 1.001 and status != "interrupted":
            status = "target reached"
        reached = (
            ("target reached",) if self.target is not None else ("target reached", "at rest", "stopped early")
        )
        theta, initial = objective.split(z)
        columns = np.array(self.rows, dtype=float).reshape(-1, len(CURVES)).T
        history: dict[str, np.ndarray] = dict(zip(CURVES, columns, strict=True))
        success, label = status in reached, self.method.label
        return Fit(objective.model, theta, initial, rms, success, status, label, history, self.state)

    def _finish(self, status: str) -> Fit:
        result = self._fit(status)
        if self.checkpoint is not None:
            result.save(self.checkpoint)
        return result


def _counts(method: Method, moments: int) -> list[int]:
    """Numbers of sample times of a method's own horizons."""
    return [min(moments, max(2, round(share * moments))) for share in method.horizons] or [min(2, moments)]


def _first_state(
    objective: Objective,
    method: Method,
    theta: Any,
    rng: np.random.Generator | int | None,
    growing: bool | str,
    resume: Fit | None,
) -> State:
    samples, field = objective.samples, objective.model.field
    if resume is not None:
        return dict(resume.state)
    start = field.draw(np.random.default_rng(rng)) if theta is None else np.asarray(theta, dtype=float)
    if start.shape != (field.parameters,):
        raise ShapeError(f"fit: theta has shape {start.shape}; expected ({field.parameters},) for {field}.")
    if not np.isfinite(start).all():
        raise DataError(f"fit: theta[{np.flatnonzero(~np.isfinite(start))[0]}] is not finite.")
    z = np.concatenate([start, samples.initial.reshape(-1)]) if objective.free else start.copy()
    moments = len(np.unique(samples.times[samples.observed.any(axis=2)]))
    first = 0 if growing == "segments" else _counts(method, moments)[0] if growing else moments
    return {"z": z, "stage": np.array(first)}


def _check(model: Any, samples: Any, method: Any, validation: Any, patience: Any, resume: Any) -> None:
    if not isinstance(model, NeuralODE):
        raise OptionError(f"fit: model is {model!r:.60}; expected a learning.NeuralODE.")
    model.check_samples(samples)
    if validation is not None:
        model.check_samples(validation)
    if isinstance(method, type) or not callable(getattr(method, "run", None)):
        raise OptionError(
            f"fit: method is {method!r:.60}; expected an object such as learning.GaussNewton(), LBFGS(), "
            "Adam() or AllAtOnce()."
        )
    if not isinstance(patience, (int, np.integer)) or patience < 1:
        raise OptionError(f"fit: patience is {patience!r:.60}; expected a whole positive number.")
    if resume is not None:
        if not isinstance(resume, Fit):
            raise OptionError(f"fit: resume is {resume!r:.60}; expected a Fit (from a file: learning.load).")
        if resume.model.field.parameters != model.field.parameters or resume.method != method.label:
            raise OptionError(
                f"fit: resume is a training of {resume.model.field} by {resume.method}; expected "
                f"{model.field} by {method.label}."
            )
