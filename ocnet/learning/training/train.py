"""Training of neural ODEs on samples: growing horizon, early stopping, interruption and resumption."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ocnet.checkpoint_files import check_folder
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
        Go on where an interrupted training of the same model with the same samples and method stopped. With
        GaussNewton, Adam and Optax as if it had not been interrupted; L-BFGS forgets its pairs, and
        AllAtOnce begins its present horizon again.
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
    check_number("fit", "weight_decay", weight_decay, 0.0, 1e300)
    check_number("fit", "decay_start", decay_start, 1e-9, 1e9)
    if target is not None:
        check_number("fit", "target", target, 0.0, 1e300)
    check_folder(checkpoint, "fit")
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
        # Methods go on from the last sweep through their model: what is judged on the way has its own.
        self.judge = replace(objective.model)
        self.begin, self.saved = time.process_time(), time.monotonic()
        self.moments = np.unique(objective.samples.times[objective.samples.observed.any(axis=2)])
        self.rows: list[tuple[float, ...]] = []
        self.best: tuple[float, np.ndarray] = (np.inf, np.zeros(0))
        self.before, self.waited = 0.0, 0
        if resume is not None:
            self._take_up(resume)

    def _take_up(self, resume: Fit) -> None:
        rows = list(zip(*(resume.history[name] for name in CURVES), strict=True))
        self.before = float(rows[-1][-1]) if rows else 0.0
        self.rows = rows[: len(rows) - int(resume.state.get("again", 0))]
        if "best_z" in resume.state and self.validation is not None:
            self.best = (float(resume.state["best_rms"]), resume.state["best_z"])
            self.waited = int(resume.state["waited"])

    def follow(self, state: State) -> Fit:
        """Grow the horizon to the end, or until something ends training."""
        self.state, status = state, "failed"
        try:
            if int(state["stage"]) == 0:
                self._along_segments()
            while True:
                stage, before = int(self.state["stage"]), len(self.rows)
                last = stage == len(self.moments)
                self.here = self.objective if last else self._shorter(stage)
                self.state, rest = self.method.run(self.here, self.state, last, self._report)
                if last:
                    moved = "iteration limit" if len(self.rows) > before else "failed"
                    status = "at rest" if rest else moved
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
        segments.take_up(self.state)
        z = self.state["z"]  # of the present horizon's first step
        if "segments_z" in self.state:
            z = self.state["segments_z"]

        def report(found: State, cost: float) -> None:
            again = np.array(len(self.rows) + 1 - begun)
            kept = segments.state() | {"segments_z": z, "again": again}
            self._report(self.state | kept | {"z": np.append(found["z"][:p], z[p:])}, cost)

        p, done = self.objective.parameters, False
        while not done:
            self.here, initial = segments.objective()
            begun = len(self.rows)
            found, _ = steps.run(self.here, {"z": np.append(z[:p], initial)}, True, report)
            z = np.append(found["z"][:p], z[p:])
            done = segments.take(self.here, found)
        own = {name: value for name, value in self.state.items() if not name.startswith("segments_")}
        self.state = own | {"z": z, "stage": np.array(len(self.moments)), "again": np.array(0)}

    def _shorter(self, stage: int) -> Objective:
        heavier = self.decay_start ** (1 - stage / len(self.moments))
        return self.objective.until(self.moments[stage - 1], heavier)

    def _report(self, state: State, cost: float) -> None:
        """Record an iteration; stop where the target is reached or patience is over."""
        self.state = state
        theta = state["z"][: self.objective.parameters]
        squares = np.maximum(0.0, 2 * cost - self.here.decay * float(theta @ theta))  # NaN stays NaN
        rms = float(np.sqrt(squares / self.here.samples.count))
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
            self.best = (watched, state["z"].copy())  # whatever validation says of others
            raise _Stop("target reached")
        if self.waited >= self.patience:
            raise _Stop("stopped early")

    def _validate(self, theta: np.ndarray) -> float:
        assert self.validation is not None
        other = Objective(self.judge, self.validation, 0.0, False, self.objective.tolerance)
        residuals = other.residuals(theta)
        return np.inf if residuals is None else float(np.sqrt(np.sum(residuals**2) / self.validation.count))

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
        objective, own = self.objective, self.judge.tolerance
        rolled = Objective(self.judge, objective.samples, objective.decay, objective.free, own)
        residuals = rolled.residuals(z)
        rms = np.inf if residuals is None else float(np.sqrt(np.sum(residuals**2) / objective.samples.count))
        if status != "interrupted":
            if residuals is None:
                status = "failed"
            elif self.target is not None and rms <= self.target * 1.001:
                status = "target reached"
            elif status == "target reached":  # at the tolerance of training only
                status = "stopped early"
        reached = (
            ("target reached",) if self.target is not None else ("target reached", "at rest", "stopped early")
        )
        theta, initial = objective.split(z)
        columns = np.array(self.rows, dtype=float).reshape(-1, len(CURVES)).T
        history: dict[str, np.ndarray] = dict(zip(CURVES, columns, strict=True))
        success, label, state = status in reached, self.method.label, self.state
        if len(self.best[1]) and self.validation is not None:
            state = state | {"best_rms": np.array(self.best[0]), "best_z": self.best[1]}
            state = state | {"waited": np.array(self.waited)}
        return Fit(objective.model, theta, initial, rms, success, status, label, history, state)

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
    moments = len(np.unique(samples.times[samples.observed.any(axis=2)]))
    if resume is not None:
        size = field.parameters + (samples.initial.size if objective.free else 0)
        stage = int(resume.state["stage"])
        if theta is not None:
            raise OptionError("fit: got theta and resume; expected one of them, where to begin.")
        if resume.state["z"].shape != (size,) or stage > moments:
            raise OptionError(
                f"fit: resume holds {len(resume.state['z'])} unknowns and {stage} sample times; expected "
                f"{size} and at most {moments}: the samples and learn_initial of the training to go on with."
            )
        return dict(resume.state)
    start = field.draw(np.random.default_rng(rng)) if theta is None else np.asarray(theta, dtype=float)
    if start.shape != (field.parameters,):
        raise ShapeError(f"fit: theta has shape {start.shape}; expected ({field.parameters},) for {field}.")
    if not np.isfinite(start).all():
        raise DataError(f"fit: theta[{np.flatnonzero(~np.isfinite(start))[0]}] is not finite.")
    z = np.concatenate([start, samples.initial.reshape(-1)]) if objective.free else start.copy()
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
        trained, given = resume.model, model
        before = (trained.field.states, trained.field.parameters, trained.euler_step, resume.method)
        if before != (given.field.states, given.field.parameters, given.euler_step, method.label):
            steps = ["" if m.euler_step is None else f", step {m.euler_step:g}," for m in (trained, given)]
            raise OptionError(
                f"fit: resume is a training of {trained.field}{steps[0]} by {resume.method}; expected "
                f"{given.field}{steps[1]} by {method.label}."
            )
