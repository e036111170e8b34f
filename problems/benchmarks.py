"""The registry of benchmark problems: reference optimum, source, and the method that should reach it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from types import MappingProxyType
from typing import Any

import ocnet as oc

Builder = Callable[[], oc.Problem]


@dataclass(frozen=True)
class Benchmark:
    """A published problem with a known optimum.

    Attributes
    ----------
    name : str
        Name of the builder function.
    build : callable
        States the problem anew at each call.
    optimum : float
        The optimal cost, in the units of the builder's docstring.
    source : str
        Who published the problem.
    digits : int
        How many significant digits of `optimum` an independent computation confirms.
    tolerance : float
        Relative error of the cost that a method must reach.
    closed_form : bool
        Whether the optimum is an elementary function of the data or a root of one such equation; otherwise it
        was computed from the necessary conditions.
    needs_refinement : bool
        Whether a uniform mesh of moderate size misses the tolerance (layers, switches, singular arcs).
    settings : mapping
        Arguments of :class:`ocnet.Collocation` that differ from its defaults.
    """

    name: str
    build: Builder
    optimum: float
    source: str
    digits: int = 12
    tolerance: float = 1e-6
    closed_form: bool = False
    needs_refinement: bool = False
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def method(self) -> oc.Collocation:
        """The collocation method that is expected to reach the tolerance."""
        return oc.Collocation(**self.settings)

    def relative_error(self, cost: float) -> float:
        """Return the distance of a cost to the optimum, relative to the optimum."""
        return abs(cost - self.optimum) / abs(self.optimum)


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(
    optimum: float,
    source: str,
    *,
    digits: int = 12,
    closed_form: bool = False,
    needs_refinement: bool = False,
    **settings: Any,
) -> Callable[[Builder], Builder]:
    """Enter a builder into the registry under its own name; its problems carry the optimum and the source.

    Parameters
    ----------
    optimum, source, digits, closed_form, needs_refinement
        As in :class:`Benchmark`.
    **settings
        Arguments of :class:`ocnet.Collocation`.

    Returns
    -------
    callable
        The decorator.
    """

    def enter(builder: Builder) -> Builder:
        @wraps(builder)
        def build() -> oc.Problem:
            problem = builder()
            problem.reference, problem.source = optimum, source
            return problem

        name = builder.__name__
        BENCHMARKS[name] = Benchmark(
            name,
            build,
            optimum,
            source,
            digits=digits,
            closed_form=closed_form,
            needs_refinement=needs_refinement,
            settings=MappingProxyType(settings),
        )
        return build

    return enter
