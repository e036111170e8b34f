# %% [markdown]
# # A sweep: how much freedom of the synapses is worth its price?
#
# Two neurons with synapses A are shown a state between their memories. The control may move every
# synapse by K at most, motion and control have the same price, and the future is discounted at the rate
# λ (arXiv 2305.14360). 8 bounds K times 6 rates λ are 48 problems: `sweep` solves them on all cores and
# returns one labelled table. The journal beside `out/14_sweep.nc` has a line for each finished case, so
# that a sweep that was killed, or stopped by Ctrl-C, goes on from there when the script is run again.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from problems import synaptic_control

A = np.array([[1.4, 0.5], [0.3, 1.2]])
START = [1.0, -0.8]


def build(K, discount):
    """The problem of one case, built where it is solved."""
    bounds = (0.0, K)
    return synaptic_control.problem(A, START, bounds=bounds, discount=discount), oc.Pontryagin()


def kept(solution):
    """What is kept of a solution: ∫ e^{−λt} |ξ|² dt, and the largest control of a synapse."""
    t = np.linspace(0.0, solution.time[-1], 4001)
    xi = solution.control("xi", t).reshape(len(t), -1)
    weight = np.exp(-solution.problem.horizon.rate * t)
    return {"effort": np.trapezoid(weight * (xi**2).sum(axis=1), t), "largest": np.abs(xi).max()}


# %% [markdown]
# Worker processes import this file: what they need stands above, and the call under the guard.

# %%
if __name__ == "__main__":
    Path("out").mkdir(exist_ok=True)
    grid = {"K": np.linspace(0.02, 0.16, 8), "discount": np.geomspace(0.5, 4.0, 6)}
    found = oc.sweep(build, grid, store="out/14_sweep.nc", reduce=kept, progress=True)
    print(found)
    print("cases that failed:", found.attrs["cases"] - found.attrs["succeeded"])
    print("largest estimated error of a cost, relative:", float(found.error_cost.max()))

    # %% [markdown]
    # The Dataset knows its axes. Where the bound is never met, nothing depends on K any more.

    # %%
    good = found.where(found.success).transpose("K", "discount")
    panels = {
        "price of the bound, $J(K) / J(0.16) - 1$ (%)": 100 * (good.cost / good.cost.isel(K=-1) - 1),
        "share of the control in $J$ (%)": 100 * good.effort / good.cost,
    }
    met = good.largest.values >= 0.999999 * found.K.values[:, None]
    columns = np.arange(found.sizes["discount"])
    x, y = np.meshgrid(columns, found.K)
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained", sharey=True)
    for ax, letter, (title, values) in zip(axes, "ab", panels.items(), strict=True):
        colours = ax.pcolormesh(columns, found.K, values, shading="nearest")
        ax.plot(x[met], y[met], "X", color="white", markeredgecolor="black", label="the bound is met")
        ax.set(xlabel="discount rate $\\lambda$ (1 / time constant)", title=f"({letter}) {title}")
        ax.set_xticks(columns, [f"{rate:.2f}" for rate in found.discount.values])
        figure.colorbar(colours, ax=ax)
    axes[0].set(ylabel="bound $K$ of the control of a synapse")
    axes[0].legend(loc="upper right")
    figure.savefig("out/14_sweep.png", dpi=200)
