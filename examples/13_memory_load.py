# %% [markdown]
# # How many memories? Hebb's rule, control and consolidation against the load
# slow
#
# Networks of 64 to 256 neurons, u̇ = (A + ξ) tanh(u) − u, store P random patterns s by Hebb's rule,
# A = (2/N) Σ s sᵀ without self-connections, and are shown patterns of which 15 % of the signs are flipped.
# What they recall is asked in three ways, against the load P/N (cost and classes of Cardin, Lovison, Maritan
# and Megighian, arXiv 2305.14360):
#
# * by the Hebbian matrix alone;
# * under optimal control of all synapses, |ξ_ij| ≤ 1/N, which knows no pattern: ∫ e^{−t/5} (|u̇|² + β|ξ|²) dt;
# * alone again, after each clean pattern was shown once to the controlled network and A ← A + ξ(t = 1).
#
# A pattern counts as recalled if its overlap with the signs is at least 0.95 at the end (2.5 % wrong).

# %%
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet.memory import consolidate
from problems import synaptic_control

Path("out").mkdir(exist_ok=True)
FLIPPED, GAIN, DISCOUNT, PRICE, ENOUGH, SHOWN = 0.15, 2.0, 0.2, 0.03, 0.95, 6
FULL = os.environ.get("OCNET_FULL_STUDY") == "1"  # some ten minutes of one core
ROAD = oc.Pontryagin(refine_to=1e-2)


def overlap(u, pattern):
    """Mean agreement of the signs: 1 is the pattern, −1 its negative."""
    return np.mean(np.sign(u) * pattern, axis=-1)


def alone(A, u, time=60.0, step=0.1):
    """Where networks (n, N) without control end: exponential Euler, exact in the leak."""
    for _ in range(round(time / step)):
        field = np.tanh(u) @ A.T
        u = field + (u - field) * np.exp(-step)
    return u


def controlled(A, start, bound):
    """The optimal path from a start under synapses that may move by `bound`/N."""
    N = len(A)
    b = np.where(np.eye(N, dtype=bool), 0.0, bound / N)
    problem = synaptic_control.problem(A, start, bounds=b, discount=DISCOUNT, motion=1.0, effort=PRICE)
    return oc.solve(problem, ROAD, tolerance=1e-6, throw=False)


def life(neurons, load, bound, seed):
    """One network: the last solution, with the shares of patterns that are recalled in its stats."""
    rng = np.random.default_rng([seed, neurons])
    S = rng.choice([-1.0, 1.0], size=(max(1, round(load * neurons)), neurons))
    A = GAIN / neurons * S.T @ S
    np.fill_diagonal(A, 0.0)
    asked = S[:SHOWN]
    cues = 1.5 * np.where(rng.random(asked.shape) < FLIPPED, -asked, asked)
    found = {"hebb": np.mean(overlap(alone(A, cues), asked) >= ENOUGH)}
    paths = [controlled(A, cue, bound) for cue in cues]
    good = np.array([path.success for path in paths])
    ends = [overlap(path.state("u", 20.0), s) for path, s in zip(paths, asked, strict=True)]
    found["controlled"] = np.mean((np.array(ends) >= ENOUGH) & good)
    kept, unsolved = A.copy(), int((~good).sum())
    for s in S:
        solution = controlled(kept, 1.5 * s, bound)
        unsolved += not solution.success
        if solution.success:
            kept = consolidate(kept, solution, at=1.0)
    found["consolidated"] = np.mean(overlap(alone(kept, cues), asked) >= ENOUGH)
    found["clean_before"] = np.mean(overlap(alone(A, 1.5 * asked), asked) >= ENOUGH)
    found["clean_after"] = np.mean(overlap(alone(kept, 1.5 * asked), asked) >= ENOUGH)
    found["change"] = np.linalg.norm(kept - A) / np.linalg.norm(A)
    solution.stats["life"] = {**{k: float(v) for k, v in found.items()}, "unsolved": float(unsolved)}
    return solution


def recalled(solution):
    """What the sweep keeps of one network."""
    return solution.stats["life"]


# %% [markdown]
# ## The study
# Every network is kept in a file as soon as it is done, so that a run that is broken off goes on where it
# stopped. The reduced study takes less than a minute, the full one (OCNET_FULL_STUDY=1) some ten.

# %%
BOUND = 1.0
sizes = {64: ((0.05, 0.1, 0.15, 0.2), 3)}
if FULL:
    sizes = {
        64: ((0.05, 0.1, 0.15, 0.2, 0.3), 6),
        128: ((0.05, 0.1, 0.15), 2),
        256: ((0.05,), 2),
    }
cases = [
    {"neurons": N, "load": load, "bound": BOUND, "seed": seed}
    for N, (loads, seeds) in sizes.items()
    for load in loads
    for seed in range(seeds)
]
store = f"out/13_memory_load{'_full' if FULL else ''}.nc"
study = oc.sweep(life, cases, executor=ThreadPoolExecutor(1), store=store, reduce=recalled)

# %%
WAYS = {
    "hebb": ("Hebb alone", "#555555", "o"),
    "controlled": ("under control", "#D55E00", "^"),
    "consolidated": ("consolidated", "#0072B2", "s"),
}
table = study.to_dataframe()
groups = table.groupby(["neurons", "load"])
shown = [*WAYS, "clean_before", "clean_after", "change"]
print(f"recalled shares, mean ± standard error over seeds; {int(table['unsolved'].sum())} solves failed")
print(f"{'N':>4} {'P/N':>5} {'seeds':>5}  " + "  ".join(f"{name:>13}" for name in shown))
for (N, load), rows in groups:
    error = rows[shown].std(ddof=1) / np.sqrt(len(rows))
    cells = [f"{rows[name].mean():6.2f} ± {error[name]:4.2f}" for name in shown]
    print(f"{N:>4} {load:5.2f} {len(rows):>5}  " + "  ".join(cells))

# %%
plt.rcParams["axes.titlesize"] = "medium"
numbers = sorted(sizes)
figure, axes = plt.subplots(
    1, len(numbers), figsize=(3.2 + 3.0 * (len(numbers) - 1), 3.4), sharey=True, squeeze=False,
    layout="constrained",
)  # fmt: skip
for axis, N in zip(axes[0], numbers, strict=True):
    for i, (name, (label, colour, marker)) in enumerate(WAYS.items()):
        by_load = table[table["neurons"] == N].groupby("load")[name]
        mean, error = by_load.mean(), by_load.std(ddof=1) / np.sqrt(by_load.count())
        axis.errorbar(
            mean.index + 0.002 * (i - 1), mean, yerr=error, color=colour, marker=marker, markersize=5,
            linewidth=1.2, capsize=2, label=label,
        )  # fmt: skip
    axis.set(xlabel="load $P/N$", title=f"$N$ = {N}", ylim=(-0.05, 1.08), xlim=(0.03, 0.32))
    axis.spines[["top", "right"]].set_visible(False)
axes[0, 0].set_ylabel("share of patterns recalled")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
figure.savefig("out/13_memory_load.png", dpi=200)
