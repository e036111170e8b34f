"""Relaxing a network of virtual neurons under attention: phases of control and of neurons in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from ocnet.attention.control import Clock, check_count, check_instance, check_positive
from ocnet.attention.counters import Counters
from ocnet.attention.network import Network, check_network
from ocnet.attention.virtual import Attended, Phase, Virtual
from ocnet.errors import OptionError
from ocnet.interruption import Wish, interruptible
from ocnet.progress import Report, live
from ocnet.symbols import as_data

if TYPE_CHECKING:
    import xarray

Status = Literal["converged", "phases exhausted", "stalled", "interrupted"]
ROUNDING = 1e-15  # of an output
OFTEN = 20  # phases after which a rule is asked whether it neglects neurons
COLUMNS: tuple[str, ...] = (
    "energy",
    "connection_updates",
    "active",
    "real",
    "benefit_before",
    "benefit_after",
    "gain",
    "rescue",
)


class Attending(Protocol):
    """What chooses the active neurons during one relaxation."""

    def attend(self, state: Virtual, measure: int | None = None) -> Attended:
        """Choose; `measure` overrides the rule's own score (see :meth:`Virtual.scores`)."""
        ...


class Attention(Protocol):
    """A rule of attention: one of this package, or one's own."""

    def begin(self, network: Network, clock: Clock, rng: np.random.Generator) -> Attending:
        """Check the rule against a network, and return what attends during one relaxation."""
        ...


@dataclass(frozen=True)
class Everything:
    """No attention: as many real neurons as virtual ones."""

    def begin(self, network: Network, clock: Clock, rng: np.random.Generator) -> Everything:
        """Return itself."""
        return self

    def attend(self, state: Virtual, measure: int | None = None) -> Attended:
        """Return all neurons."""
        return Attended(None)


@dataclass(frozen=True)
class Relaxation:
    """What a relaxation ended with, and what it took.

    Attributes
    ----------
    status : {"converged", "phases exhausted", "stalled", "interrupted"}
        "stalled": nothing that was attended to moves, though outputs are due a larger change than the
        tolerance. A rule of one's own that attends to the wrong neurons ends so.
    u, v : ndarray (N,)
        Activations and outputs.
    energy : float
        E(v), evaluated anew at the end.
    residual : float
        The largest change that the output of any neuron is still due, |g(γ(Tv + h)) − v|.
    counters : Counters
    history : dict of ndarray (phases,)
        "energy" after each phase, "connection_updates" until then, "active" virtual and "real" neurons, what
        the control sought before and after it moved, "gain", and whether it was a "rescue".
    places : ndarray (phases, d)
        The active block, or the middle of the window; of width 0 where there is none.
    """

    status: Status
    u: np.ndarray
    v: np.ndarray
    energy: float
    residual: float
    counters: Counters
    history: dict[str, np.ndarray]
    places: np.ndarray

    @property
    def success(self) -> bool:
        """Whether all outputs are at rest within the tolerance (and 1e-15 of rounding)."""
        return self.status == "converged"

    def to_xarray(self) -> xarray.Dataset:
        """Return the histories with named axes, and outputs and counters beside them."""
        import xarray

        data: dict[str, Any] = {name: ("phase", values) for name, values in self.history.items()}
        data["place"] = (("phase", "axis"), self.places)
        data["v"], data["u"] = ("neuron", self.v), ("neuron", self.u)
        attributes = {"status": self.status, "energy": self.energy, "residual": self.residual}
        return xarray.Dataset(data, attrs={**attributes, **vars(self.counters)})

    def __str__(self) -> str:
        c = self.counters
        return (
            f"Relaxation: {self.status}, E = {self.energy:.8g}, residual {self.residual:.1e}\n"
            f"  {c.connection_updates} connection updates in {c.phases} phases ({c.rescues} rescues)\n"
            f"  at most {c.peak_real} real and {c.peak_active} active virtual neurons of {len(self.v)}\n"
            f"  {c.bytes_active} bytes of the active neurons, {c.bytes_network} of the whole network"
        )


def relax(
    network: Network,
    attention: Attention | None = None,
    *,
    initial: Any = None,
    clock: Clock | None = None,
    tolerance: float = 1e-4,
    phases: int = 100_000,
    rng: Any = None,
    progress: bool = False,
) -> Relaxation:
    """Let a network run downhill while only the neurons that are attended to move.

    Parameters
    ----------
    network : Network
    attention : Everything, IndependentSelection, JumpingWindow or RollingWindow
        Which neurons are active in each phase; all of them where left out.
    initial : array_like (N,) or Relaxation, optional
        Activations u to begin with, 0 where left out; a relaxation is continued.
    clock : Clock, optional
    tolerance : float
        A neuron rests when its output is due a change of no more than this.
    phases : int
        Most phases of neurons, rescues included.
    rng : numpy.random.Generator or int, optional
        For the first ρ of the dynamics of control; the same numbers each time where left out.
    progress : bool
        Show a live line.

    Returns
    -------
    Relaxation
        Interrupted from the keyboard, it holds what was reached at the end of the phase.

    Raises
    ------
    ProblemError, OptionError, ShapeError, DataError
        If there is no network; for options out of range, attention that does not fit the network, or a bad
        `initial`.

    Notes
    -----
    Sections 3 and 4 of Mjolsness and Miranker (NIPS 1990). During a phase only synapses between active
    neurons are used; inactive neighbours are told the change of each output once, at the end of the phase.

    Attention is overruled for one phase, which then goes where outputs are due the largest change, when all
    that it chose is at rest, and when the last 20 phases together moved less than one neglected neuron will.

    Examples
    --------
    >>> import numpy as np
    >>> from ocnet.attention import JumpingWindow, Network, relax
    >>> T = np.diag(np.ones(99), 1) + np.diag(np.ones(99), -1)
    >>> found = relax(Network(T, inputs=0.3), JumpingWindow(blocks=10))
    >>> found.status, found.counters.peak_active
    ('converged', 10)
    """
    check_network("relax", network)
    check_positive("relax", "tolerance", tolerance, zero=True)
    check_count("relax", "phases", phases)
    clock = Clock() if clock is None else clock
    check_instance("relax", "clock", clock, Clock)
    rule = Everything() if attention is None else attention
    if isinstance(rule, type) or not callable(getattr(rule, "begin", None)):
        raise OptionError(
            f"relax: attention is {attention!r:.60}; expected Everything(), IndependentSelection(...), "
            "JumpingWindow(...) or RollingWindow(...)."
        )
    run = _Run(network, _initial(initial, network.size), float(tolerance))
    running = rule.begin(network, clock, _generator(rng))
    wish = Wish()
    with live("relax", progress) as report, interruptible(wish):
        try:
            status = _phases(run, running, clock, phases, wish, report)
        except KeyboardInterrupt:  # outside the main thread, or raised by a rule: in the middle of a phase
            run.state.refresh()
            status = "interrupted"
        found = run.result(status)
    return replace(found, status="interrupted") if wish.stop else found  # the wish may have come last of all


def _phases(
    run: _Run, running: Attending, clock: Clock, most: int, wish: Wish, report: Report | None
) -> Status:
    rescue, still = False, 0  # `still` counts the last phases in which nothing moved
    while run.counters.phases < most and not wish.stop:
        rescue = run.neglects() or (still > 0 and not rescue)
        moved = run.phase(running, clock, 2 if rescue else None).neuron_updates
        still = 0 if moved else still + 1
        if still and run.rests():
            return "converged"
        if still > 1:
            return "stalled"
        if report is not None:
            report(run.counters.phases, run.energy, float("nan"))
    return "converged" if run.rests() else "phases exhausted"


class _Run:
    """The state of a relaxation, its counters and its record."""

    def __init__(self, network: Network, u: np.ndarray, tolerance: float) -> None:
        self.network = network
        self.state = Virtual(network, u, tolerance)
        self.energy = self.state.energy
        self.counters = Counters(bytes_network=self.state.bytes)
        self.rows: list[tuple[float, ...]] = []
        self.places: list[np.ndarray] = []
        self.path = 0.0  # squared changes of outputs since neglect was last looked for, without rescues
        steepest = network.gain * (1.0 if network.kind == 0 else 0.25)
        self.stiffness = 1.0 + steepest * max(0.0, -float(network.feedback.min()))

    def rests(self) -> bool:
        """Tell whether no output is due a change of more than the tolerance."""
        return self.state.residual() <= self.state.tolerance + ROUNDING

    def neglects(self) -> bool:
        """Tell, every few phases, whether all of them moved less than the output that is due most will alone.

        An output that is due a change moves by at least that over the stiffness that its own feedback gives.
        """
        if self.counters.phases % OFTEN or not self.rows:
            return False
        path, self.path = self.path, 0.0
        if np.isinf(path):
            return False
        due = self.state.residual()
        return due > self.state.tolerance + ROUNDING and path < (due / self.stiffness) ** 2

    def phase(self, running: Attending, clock: Clock, measure: int | None) -> Phase:
        attended = running.attend(self.state, measure)
        done = self.state.move(attended, clock.step, clock.neurons)
        c = self.counters
        c.phases += 1
        c.rescues += measure is not None
        c.neuron_updates += done.neuron_updates
        c.connection_updates = self.state.connection_updates
        c.peak_active, c.peak_real = max(c.peak_active, done.active), max(c.peak_real, done.real)
        c.bytes_active = max(c.bytes_active, done.bytes)
        self.path += done.path if measure is None else 0.0
        fall = done.energy_change
        self.energy = self.state.energy if fall is None else self.energy + fall
        self.rows.append(
            (
                self.energy,
                c.connection_updates,
                done.active,
                done.real,
                *attended.benefit,
                self.network.gain,
                measure is not None,
            )
        )
        self.places.append(np.zeros(0) if attended.place is None else attended.place)
        return done

    def result(self, status: Status) -> Relaxation:
        self.counters.connection_updates = self.state.connection_updates
        table = np.array(self.rows, dtype=float).reshape(len(self.rows), len(COLUMNS))
        history: dict[str, np.ndarray] = dict(zip(COLUMNS, table.T, strict=True))
        for name in ("connection_updates", "active", "real"):
            history[name] = history[name].astype(np.int64)
        history["rescue"] = history["rescue"].astype(bool)
        places = np.array(self.places) if self.places else np.zeros((0, 0))
        state = self.state
        return Relaxation(
            status, state.u, state.v, state.energy, state.residual(), self.counters, history, places
        )


def _initial(initial: Any, n: int) -> np.ndarray:
    if isinstance(initial, Relaxation):
        initial = initial.u
    return np.zeros(n) if initial is None else as_data(initial, (n,), "relax: initial")


def _generator(rng: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(0 if rng is None else rng)
    except (TypeError, ValueError):
        raise OptionError(
            f"relax: rng is {rng!r:.60}; expected a numpy.random.Generator or a nonnegative integer."
        ) from None
