"""Figures of learning: curves on the way, and what a network recalls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import ShapeError
from ocnet.figures.panels import COLOURS, DASHES, GREY, expect
from ocnet.learning.additive.learned import Learned

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["learning", "recall"]


def learning(learned: Learned, *, figsize: tuple[float, float] = (8.4, 6.0)) -> Figure:
    """Draw how a network learned: error, worst case, time scale and gradient over the iterations.

    Parameters
    ----------
    learned : Learned
        What :func:`ocnet.learning.learn` returned.
    figsize : (float, float)
        In inches.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    The four panels of Figure 1 of Barhen, Toomarian and Gulati (NIPS 1989), on logarithmic axes.
    """
    import matplotlib.pyplot as plt

    expect(learned, Learned, "learning", "ocnet.learning.learn")
    h = learned.history
    k = np.arange(len(h["error"]))
    groups = (
        ("(a) error", "error (dimensionless)", (("error", "root mean square"), ("validation", "validation"))),
        (
            "(b) worst case",
            "largest error (dimensionless)",
            (("worst", "outputs"), ("worst_input", "inputs")),
        ),
        (
            "(c) adaptive time scale",
            r"$\tau$ (dimensionless)",
            (("time_scale", r"$\tau=\chi|\nabla E|^{-2/3}$"),),
        ),
        (
            "(d) gradient",
            "norm (dimensionless)",
            (
                ("gradient_T", r"$|\partial E/\partial T|$"),
                ("gradient_decay", r"$|\partial E/\partial\ln\kappa|$"),
                ("gradient_gain", r"$|\partial E/\partial\ln\gamma|$"),
            ),
        ),
    )
    figure, axes = plt.subplots(2, 2, figsize=figsize, layout="constrained", sharex=True)
    for panel, (title, label, curves) in zip(axes.flat, groups, strict=True):
        for i, (name, text) in enumerate(curves):
            values = np.where(np.isfinite(h[name]) & (h[name] > 0), h[name], np.nan)
            if np.isfinite(values).any():
                panel.plot(k, values, DASHES[i], color=COLOURS[i], label=text, linewidth=1.4)
        panel.set_title(title, fontsize="medium")
        panel.set(ylabel=label, yscale="log")
        panel.legend(fontsize="small", frameon=False)
    for panel in axes[1]:
        panel.set_xlabel("iteration")
    return figure


def recall(
    inputs: ArrayLike,
    answers: ArrayLike,
    *,
    targets: ArrayLike | None = None,
    samples: tuple[ArrayLike, ArrayLike] | None = None,
    title: str = "",
    figsize: tuple[float, float] = (4.6, 3.6),
) -> Figure:
    """Draw what a network with one input and one output answers, beside what it should and what it learned.

    Parameters
    ----------
    inputs, answers : array_like (R,) or (R, 1)
    targets : array_like (R,) or (R, 1), optional
        What is right there.
    samples : (inputs, targets), optional
        What was learned.
    title : str
    figsize : (float, float)
        In inches.

    Raises
    ------
    ShapeError
        If there are not as many answers or targets as inputs.
    """
    import matplotlib.pyplot as plt

    x, y = (np.asarray(v, dtype=float).reshape(-1) for v in (inputs, answers))
    right = None if targets is None else np.asarray(targets, dtype=float).reshape(-1)
    for name, values in (("answers", y), ("targets", right)):
        if values is not None and values.shape != x.shape:
            raise ShapeError(f"recall: {len(values)} {name} for {len(x)} inputs; expected one for each.")
    order = np.argsort(x)
    figure, axes = plt.subplots(figsize=figsize, layout="constrained")
    if right is not None:
        axes.plot(x[order], right[order], color=GREY, linewidth=3, alpha=0.5, label="target")
    axes.plot(x[order], y[order], ".", color=COLOURS[0], markersize=4, label="recalled")
    if samples is not None:
        a, b = (np.asarray(v, dtype=float).reshape(-1) for v in samples)
        axes.plot(a, b, "o", color=COLOURS[1], markersize=7, fillstyle="none", label="learned")
    axes.set(xlabel="input (dimensionless)", ylabel="output (dimensionless)")
    axes.set_title(title, fontsize="medium")
    axes.legend(fontsize="small", frameon=False)
    return figure
