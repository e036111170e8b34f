"""A ValueFunction in words: its grid, its scheme, and how far to trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ocnet.value_function import ValueFunction

TRACE = 1e-3  # share of the faces on which active walls do not matter


def describe(value: ValueFunction) -> str:
    """Return the lines that ``print(value)`` shows."""
    box = " × ".join(f"[{a:g}, {b:g}]" for a, b in zip(value.grid.lower, value.grid.upper, strict=True))
    scheme = str(value.stats.get("scheme", ""))
    if scheme == "policy-iteration" and not value.discrete:
        scheme += "; correction " + ("settled" if value.settled else "did not settle: values of order 1")
    own = value.errors[: value.error_grid.size]
    shape = " × ".join(map(str, value.grid.shape))
    lines = [
        f"Value function of '{value.name}' on {shape} nodes of {box}",
        *(f"  zoom              {zoom.boxes} boxes about {zoom.centre}" for zoom in value.grid.zooms),
        f"  scheme            {scheme}",
        f"  values            {value.values.min():.6g} to {value.values.max():.6g}",
        f"  residual          {value.residual:.1e}",
        f"  error estimate    {value.error_estimate:.1e} at 95 % of the nodes, "
        f"{np.median(own):.1e} at half, {own.max():.1e} at most",
    ]
    if value.domain is not None:
        lines.append(
            f"  walls             active on {100 * value.domain.active:.1f} % of the faces, "
            + (
                "and hold all paths"
                if value.domain.leak == 0
                else f"but leak (speed {value.domain.leak:.2g})"
            )
        )
        if value.domain.active > TRACE:
            lines.append(
                "  note              the walls change the values, which no estimate counts: take a "
                "larger box if paths may leave it"
            )
    if value.discrete and (leak := float(value.stats.get("leak", 0.0))) > 0:
        lines.append(
            f"  walls             next states leave the box by up to {leak:.2g} and are moved to it, "
            "which no estimate counts: take a larger box"
        )
    effort = f"{value.stats.get('seconds', float('nan')):.2f} s CPU"
    if "threads" in value.stats:
        threads = value.stats["threads"]
        effort += f" on {threads} thread{'s' if threads > 1 else ''}, "
        effort += f"about {value.stats['bytes'] / 1e6:.3g} MB"
    lines.append(f"  effort            {effort}")
    return "\n".join(lines)
