"""What collocation returns: errors by source, statistics, multipliers turned into sensitivities."""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.horizon import Discounted
from ocnet.methods.estimate import Stage
from ocnet.methods.ipopt import Ending
from ocnet.methods.result import Result, Status
from ocnet.methods.transcription import Transcription


def answer(
    stage: Stage, status: Status, p: np.ndarray, history: list[Any], method: str, stats: dict[str, Any]
) -> Result:
    """Turn the last mesh into what a road returns."""
    t, ending = stage.transcription, stage.ending
    f = t.functions
    by_w, by_p, _ = stage.slopes
    if not np.isfinite(stage.x.values).all() or not np.isfinite(ending.cost):
        status = Status.NOT_FINITE
    size = max(1e-12, abs(ending.cost))
    bias = stage.bias
    by_mesh = float(np.abs(stage.errors.cost).sum() / size)
    if len(history) > 1:  # of first order only: what the last refinement changed bounds its optimism
        by_mesh = max(by_mesh, abs(history[-1]["cost"] - history[-2]["cost"]) / size / 10)
    errors = {"mesh": float(stage.errors.states.max(initial=0.0)), "cost": by_mesh}
    errors |= {"control shape": float(np.abs(stage.errors.shape).sum() / size), "barrier": bias / size}
    if isinstance(t.kernels.problem.horizon, Discounted):
        errors["tail"] = _tail(stage, p) / size
    stats |= {
        "intervals": t.mesh.size, "points": t.mesh.points, "unknowns": t.nw, "constraints": t.program.ng,
        "degrees": [int(t.mesh.degrees.min()), int(t.mesh.degrees.max())], "meshes": history,
        "solver": ending.reason,
    }  # fmt: skip
    if t.mesh.name != "steps":
        stats["control_error"] = float(stage.errors.control.max(initial=0.0))
        stats["interval_errors"] = stage.errors.states.tolist()
    names = {Status.SOLVED: "local optimum", Status.NOT_VERIFIED: "local optimum of the discrete problem"}
    message = f"{names.get(status, 'no optimum')}: {status.value} ({ending.reason})"

    def sensitivity() -> np.ndarray:
        return _sensitivity(t, ending, p, by_w, by_p)

    return Result(
        status=status, message=message, cost=ending.cost, x=stage.x, u=stage.u if f.nu else None,
        p=stage.p, q=stage.point.q, parameters=p, mesh_error=float(stage.errors.states.max(initial=0.0)),
        method=method, errors=errors, stats=stats, sensitivity=sensitivity,
        second_order=None if not status.success else not ending.regularised,
    )  # fmt: skip


def _tail(stage: Stage, p: np.ndarray) -> float:
    """Size of the cost that is left out, if the stage cost stays what it is at the end."""
    f, rate_ = stage.transcription.functions, stage.transcription.kernels.rate
    t, x = stage.x.breaks[-1], stage.x.values[-1]
    u = stage.u.values[-1] if f.nu else np.zeros(0)
    flow = f.dynamics(t, x, 0, u, stage.point.q, p)
    value = float(f.stage(t, x, flow, u, stage.point.q, p))
    return float(np.exp(-rate_ * (t - stage.x.breaks[0])) * abs(value) / rate_)


def _sensitivity(
    t: Transcription, ending: Ending, p: np.ndarray, by_w: np.ndarray, by_p: np.ndarray
) -> np.ndarray:
    """dJ/dp: through the functions, and through every bound that contains a parameter."""
    f = t.functions
    function = f.bound_function
    jacobian = np.nan_to_num(function.jacobian()(p, function(p)).full())
    lam = -by_w
    x_lam, u_lam = lam[t.x_index], lam[np.unique(t.u_index, axis=0)]
    first, last = x_lam[0].copy(), x_lam[-1].copy()
    b = f.bounds(p)
    x_lam[0, ~np.isnan(b.initial)] = 0.0
    x_lam[-1, ~np.isnan(b.final)] = 0.0
    shares = []
    for values in (x_lam, u_lam, lam[None, t.q_at : t.end_at]):
        shares += [np.minimum(values, 0).sum(axis=0), np.maximum(values, 0).sum(axis=0)]
    shares += [np.where(np.isnan(b.initial), 0, first), np.where(np.isnan(b.final), 0, last)]
    rows = dict(zip(["path", *t.kernels.ends], t.groups, strict=True))
    for place in ("path", "initial", "final"):
        values = np.zeros((1, f.nx if place == "path" else 0))
        if place in rows:
            values = ending.lam_g[rows[place].rows].reshape(rows[place].count, -1)
        values = values[:, f.nx :] if place == "path" else values
        shares += [np.minimum(values, 0).sum(axis=0), np.maximum(values, 0).sum(axis=0)]
    return by_p - np.concatenate(shares) @ jacobian
