# %% [markdown]
# # Graph matching with a quarter of the neurons
#
# n² neurons match the n vertices of one graph with those of another. The full network, jumping windows that
# hold a quarter of the rows (with both scores of Mjolsness and Miranker, NIPS 1990), and the quarter of the
# neurons with the most to gain are annealed from the same starts. FAQ and 2-opt of scipy stand outside.

# %%
# slow
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet.attention import Everything, IndependentSelection, JumpingWindow, anneal
from problems import graph_matching

Path("out").mkdir(exist_ok=True)
SIZES, SEEDS, PARTS = (8, 12, 16, 20, 24), 10, 4
OPTIONS = {"tolerance": 1e-2, "phases": 5000}


def rules(n):
    """By name: what is active at a time."""
    parts = graph_matching.blocks(n, PARTS)
    return {
        "full network": Everything(),
        "jumping, g'(∂E/∂v)²": JumpingWindow(parts),
        "jumping, |∂E/∂v|": JumpingWindow(parts, score="gradient"),
        "independent": IndependentSelection(n * n // PARTS),
    }


# %% [markdown]
# ## Five sizes, ten pairs of graphs each
# The second graph is a permuted copy of the first one of which a tenth of the edges was moved. Quality is the
# number of matched edges over that of the planted permutation, which need not be the best one. The
# coefficients and gains were tried out on other pairs (n = 12). FAQ starts from its usual middle, and the
# best of 20 starts takes about as much time as the full network; 2-opt starts once, at random.

# %%
NAMES = [*rules(8), "FAQ", "FAQ, best of 20", "2-opt"]
quality, recovered = np.zeros((len(NAMES), len(SIZES), SEEDS)), np.zeros((len(NAMES), len(SIZES), SEEDS))
updates, active = np.zeros((4, len(SIZES), SEEDS)), np.zeros((4, len(SIZES), SEEDS))
seconds = np.zeros(len(NAMES))
unfinished = 0
for a, n in enumerate(SIZES):
    for seed in range(SEEDS):
        graphs = graph_matching.instance(n, "noisy copy", rng=1000 + seed)
        network = graph_matching.network(graphs)
        planted = graph_matching.matched(graphs, graphs.planted)
        found = []
        for k, rule in enumerate(rules(n).values()):
            start = graph_matching.start(n, seed)
            clock = time.process_time()
            run = anneal(network, graph_matching.GAINS, rule, initial=start, **OPTIONS)
            seconds[k] += time.process_time() - clock
            unfinished += not run.success
            updates[k, a, seed] = run.counters.connection_updates
            active[k, a, seed] = run.counters.peak_active / n**2
            found.append(graph_matching.decode(run.v))
        for k, (method, starts) in enumerate((("faq", 1), ("faq", 20), ("2opt", 1)), start=4):
            clock = time.process_time()
            found.append(graph_matching.reference(graphs, method, seed, starts=starts))
            seconds[k] += time.process_time() - clock
        for k, permutation in enumerate(found):
            quality[k, a, seed] = graph_matching.matched(graphs, permutation) / planted
            recovered[k, a, seed] = quality[k, a, seed] >= 1

print(f"{'':22}" + "".join(f"  n = {n:<4}" for n in SIZES) + "   mean  planted or better  CPU s in all")
for k, name in enumerate(NAMES):
    row = "".join(f"  {q:.3f}   " for q in quality[k].mean(axis=1))
    print(
        f"{name:22}{row}  {quality[k].mean():.3f}  {recovered[k].mean():.2f}               {seconds[k]:.2f}"
    )
for k, name in enumerate(NAMES[:4]):
    print(f"{name:22} quality / full {quality[k].mean() / quality[0].mean():.3f}, "
          f"updates / full {updates[k].mean() / updates[0].mean():.2f}, "
          f"at most {active[k].max():.2f} of the neurons active")  # fmt: skip
print(f"runs that did not converge: {unfinished}")

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for k, name in enumerate(NAMES):
    style = {"linestyle": "--", "color": f"{0.1 + 0.25 * (k - 4)}"} if k > 3 else {"color": f"C{k}"}
    spread = quality[k].std(axis=1) / np.sqrt(SEEDS)
    left.errorbar(SIZES, quality[k].mean(axis=1), spread, label=name, capsize=2, **style)
    if k < 4:
        middle.plot(SIZES, updates[k].mean(axis=1), **style)
    if k < 2:
        held = "full network" if k == 0 else "jumping and independent"
        right.plot(SIZES, active[k].max(axis=1) * np.array(SIZES) ** 2, label=held, **style)
left.set(xlabel="vertices", ylabel="matched edges / planted")
left.legend(fontsize="x-small")
middle.set(xlabel="vertices", ylabel="connection updates", yscale="log")
right.set(xlabel="vertices", ylabel="neurons active at a time", ylim=(0, None))
right.legend(fontsize="x-small")
figure.savefig("out/16_graph_matching.png", dpi=150)

# %% [markdown]
# ## Structured instances
# Flows against closeness on a grid, as in facility location: the optimum is not known, FAQ is the measure.

# %%
for n in (9, 16):
    ratios = []
    for seed in range(5):
        graphs = graph_matching.instance(n, "structured", rng=1000 + seed)
        network = graph_matching.network(graphs)
        outside = graph_matching.matched(graphs, graph_matching.reference(graphs, "faq"))
        row = []
        for rule in rules(n).values():
            start = graph_matching.start(n, seed)
            run = anneal(network, graph_matching.GAINS, rule, initial=start, **OPTIONS)
            row.append(graph_matching.matched(graphs, graph_matching.decode(run.v)) / outside)
        ratios.append(row)
    shown = ", ".join(f"{name} {q:.3f}" for name, q in zip(NAMES, np.mean(ratios, axis=0), strict=False))
    print(f"structured, n = {n}, relative to FAQ: {shown}")

# %% [markdown]
# ## One annealing in detail

# %%
graphs = graph_matching.instance(16, rng=3)
network = graph_matching.network(graphs).with_gain(20.0)
runs = {name: oc.attention.relax(network, rule, initial=graph_matching.start(16, 3), tolerance=1e-2)
        for name, rule in rules(16).items()}  # fmt: skip
oc.plot.attention(runs).savefig("out/16_attention.png", dpi=150)
