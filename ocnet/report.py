"""A Solution in words: how it ended, what it costs, how large the errors are, and what was checked."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ocnet.solution import Solution

WIDTH = 110
_RELATIVE_TO = {
    "mesh": "of the states, relative to 1 + |x|",
    "costates": "of the costates, relative to 1 + |p|",
    "cost": "of the cost by the mesh, relative",
}
_CHECKS = {
    "resimulation_error": "states over each interval",
    "path_error": "states over the whole path",
    "point_violation": "bounds and constraints",
    "bound_violation": "the same between points",
    "cost_error": "cost",
    "hamiltonian_gap": "Hamiltonian gap",
    "cost_gap": "cost gap",
    "costate_residual": "costates",
    "tail_bound": "tail",
}


def solution_text(solution: Solution) -> str:
    """Describe a solution: status, cost, error estimates, mesh, effort, and what was checked.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    str
        Several lines. The certificate is shown if it was computed before; printing does not compute it.
    """
    rows = [
        ("method", solution.result.method),
        ("status", _status(solution)),
        ("cost", _cost(solution)),
        *(("", line) for line in _optima(solution)),
        *_errors(solution),
        ("mesh", _mesh(solution)),
        ("effort", _effort(solution.stats)),
        *_checked(solution),
    ]
    lines = [f"Solution of '{solution.problem_name}'"]
    for label, text in rows:
        if text:
            lines.append(textwrap.fill(f"  {label:<8} {text}", WIDTH, subsequent_indent=" " * 11))
    return "\n".join(lines)


def relative_error(solution: Solution) -> float:
    """Return the estimated relative error of the cost: the sum of the estimates; NaN if there is none."""
    own = "cost" in solution.errors  # an estimate of the cost itself takes the place of that of the states
    others = ("mesh", "costates") if own else ("costates",)
    known = [abs(e) for source, e in solution.errors.items() if np.isfinite(e) and source not in others]
    return max(float(sum(known)), 1e-15) if known else float("nan")


def digits(value: float, error: float) -> str:
    """Write a number with as many digits as a relative error leaves certain, and one more.

    Examples
    --------
    >>> digits(2.8735224866, 1e-5)
    '2.87352'
    """
    if not np.isfinite(value):
        return f"{value}"
    if not np.isfinite(error):
        return f"{value:.6g}"
    count = int(np.clip(math.ceil(-math.log10(max(error, 1e-16))) + 1, 2, 12))
    return f"{value:#.{count}g}".rstrip(".")


def _status(solution: Solution) -> str:
    """Return how it ended: a success is a local optimum, anything else says what it is."""
    status, message = solution.status.value, str(solution.message)
    said = message if message.startswith(("local optimum", "no optimum")) else f"{status} ({message})"
    if not solution.success:
        return said if said.startswith("no optimum") else f"no optimum: {said}"
    text = said if said.startswith("local optimum") else f"local optimum: {said}"
    if solution.result.second_order is True:
        text += f"; the second-order condition held {solution.result.second_order_by}"
    elif solution.result.second_order is False:
        text += f"; the second-order condition failed {solution.result.second_order_by}: it may be a saddle"
    return text


def _cost(solution: Solution) -> str:
    error = relative_error(solution)
    text = digits(solution.cost, error)
    if np.isfinite(error) and solution.success:
        text += f" ± {abs(error * solution.cost):.0e}, by the estimates below"
    reference = getattr(solution.problem, "reference", None)
    if reference is not None:
        text += f"; reference {reference:.12g}"
    return text


def _optima(solution: Solution) -> list[str]:
    starts = solution.stats.get("starts", 1)
    if starts < 2:
        return []
    error = relative_error(solution)
    costs = ", ".join(digits(cost, error) for cost in solution.optima[:6])
    more = f" and {len(solution.optima) - 6} more" if len(solution.optima) > 6 else ""
    return [f"{starts} starts found {len(solution.optima)} local optima: {costs}{more}"]


def _errors(solution: Solution) -> list[tuple[str, str]]:
    estimates = dict(solution.errors) or {"mesh": solution.mesh_error}
    width = max(len(source) for source in estimates)
    rows = [
        (f"{source:<{width}}  {value:.1e}  {_RELATIVE_TO.get(source, 'of the cost, relative')}")
        for source, value in estimates.items()
    ]
    return [("errors" if i == 0 else "", row) for i, row in enumerate(rows)]


def _mesh(solution: Solution) -> str:
    if solution.discrete:
        return f"{len(solution.time) - 1} steps"
    degrees = solution.x.count - 1
    span = f"{degrees.min()}" if degrees.min() == degrees.max() else f"{degrees.min()} to {degrees.max()}"
    breaks = solution.x.breaks
    lengths = np.diff(breaks)
    text = f"{len(degrees)} intervals of degree {span} on [{breaks[0]:.6g}, {breaks[-1]:.6g}]"
    if lengths.max() > 1.01 * lengths.min():
        text += f", lengths {lengths.min():.2g} to {lengths.max():.2g}"
    meshes = solution.stats.get("meshes", [])
    return text + (f"; after {len(meshes) - 1} coarser meshes" if len(meshes) > 1 else "")


def _effort(stats: dict[str, Any]) -> str:
    parts = [f"{stats['iterations']} iterations"] if "iterations" in stats else []
    parts += [f"{stats[name]:.2f} s {name}" for name in ("build", "solve") if name in stats]
    return ", ".join(parts)


def _checked(solution: Solution) -> list[tuple[str, str]]:
    certificate = getattr(solution, "_certificate", None)
    if certificate is None:
        return [
            (
                "checked",
                "not yet: print(solution.certificate) integrates and checks the solution independently",
            )
        ]
    rows: list[tuple[str, str]] = []
    for name, label in _CHECKS.items():
        value = getattr(certificate, name, None)
        if value is not None:
            rows.append(("", f"{label:<26} {'no figure' if np.isnan(value) else f'{value:.1e}'}"))
    notes = len(certificate.notes)
    if notes:
        rows.append(("", f"and {notes} note{'s' if notes > 1 else ''}: print(solution.certificate)"))
    return [("checked", rows[0][1]), *rows[1:]] if rows else []
