# %% [markdown]
# # Recognised, recorded, forgotten, restored: the experiments of Cardin et al.
# slow
#
# Two neurons, u_{k+1} = (A + ξ_k) g(u_k) with A = [[0, 1], [1, 0]], g(s) = arctan(s/0.1)/π + ½,
# controls off the diagonal only, |ξ| ≤ ½, 50 steps from u_0 = (−1, ½), no discount (arXiv 2305.14360). The
# prices α of motion and β = 1 − α of control decide between recognising the memory that the network has,
# (0.967, 0.967), and recording one that is nearer.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet.memory import classify, consolidate, learn_sequence
from problems import brain_memory, synaptic_control

Path("out").mkdir(exist_ok=True)
STARTS, OLD = 12, np.full(2, brain_memory.EQUILIBRIUM)


def solved(problem, seed=0):
    """The optimum, its class, and by how much the best of twelve random starts is cheaper."""
    solver, rng = oc.prepare(problem), np.random.default_rng(seed)
    best = solver.solve()
    costs = [solver.solve(guess=brain_memory.guess(rng)).cost for _ in range(STARTS)]
    return best, classify(best), best.cost - min(costs), max(costs) - min(costs)


def row(head, solution, outcome, lower, spread):
    """One line of a table."""
    (u1, u2), xi = solution.states["u"][-1], solution.controls["xi"][-1]
    print(
        f"{head:>14} {solution.cost:10.6f} {lower:9.0e} {spread:8.0e} ({u1:8.5f}, {u2:8.5f}) "
        f"({xi[0, 1]:8.5f}, {xi[1, 0]:8.5f}) {outcome.residual:8.0e} {outcome.lifetime:9.3g}  {outcome.name}"
    )


HEAD = (
    f"{'J':>10} {'lower by':>9} {'spread':>8} {'u_50':^20} {'ξ_49 (12, 21)':^20} {'residual':>8} "
    f"{'lifetime':>9}  class"
)

# %% [markdown]
# ## E1: six prices
# "lower by" is by how much a random start was cheaper (never), "spread" how far the costs of all starts
# are apart, "lifetime" how many steps a recorded memory lasts at the pace of the last ten steps.

# %%
print(f"{'E1: α':>14} {HEAD}")
first = {}
for alpha in brain_memory.PRICES:
    first[alpha] = solved(brain_memory.problem(alpha))
    row(f"{alpha:g}", *first[alpha])
worst = max(found[2] for found in first.values())

# %% [markdown]
# ## E2: six rounds from the same start
# After each round the synapses keep the control of the last step, A ← A + ξ_49. The memory moves towards
# what is shown, and each memory is lost with the next.

# %%
print(f"\n{'E2: round':>14} {HEAD}")
A, rounds, equilibria = brain_memory.SYNAPSES, [], [OLD]
for k in range(6):
    found = solved(brain_memory.problem(A=A), seed=k)
    row(f"{k + 1}", *found)
    A, worst = consolidate(A, found[0]), max(worst, found[2])
    rounds.append(found)
    equilibria.append(found[1].equilibrium_held)

# %% [markdown]
# ## E3: a grid of starts

# %%
print(f"\n{'E3: u_0':>14} {HEAD}")
grid, third = np.linspace(-1.5, 1.5, 5), {}
for u1 in grid:
    for u2 in grid:
        found = third[u1, u2] = solved(brain_memory.problem(initial=(u1, u2)), seed=100)
        row(f"({u1:g}, {u2:g})", *found)
        worst = max(worst, found[2])
print(f"\nlargest gain of a random start over all {6 + 6 + 25} optima: {worst:.1e}")
assert worst < 1e-8

# %% [markdown]
# ## Forgotten and restored
# Two patterns on opposite sides: the first moves the memory away, the second brings it back, though the old
# memory itself is never shown. A memory counts as recognised if the network without control, started
# there, comes to rest within 0.05 of it, relative to 1 + |u|.

# %%
cues = [brain_memory.START, (1.5, 1.5), (1.5, 0.75), (-0.75, 0.75), (1.5, 1.5)]
history = learn_sequence(
    lambda A, cue: brain_memory.problem(A=A, initial=cue), brain_memory.SYNAPSES, cues, memories=[OLD]
)
print(f"\n{history}")
for m, memory in enumerate(history.memories):
    print(f"  memory {m}: ({memory[0]:.4f}, {memory[1]:.4f})")
oc.plot.memories(history).savefig("out/10_forgotten_restored.png", dpi=200)

# %% [markdown]
# How often? Random networks of three neurons (tanh, entries normal, scaled to the spectral radius 1.8), each
# shown six random patterns; the first 4 networks, or all 80 if OCNET_FULL_STUDY is 1 (two minutes).

# %%
events, tally = [], {}
for seed in range(80 if os.environ.get("OCNET_FULL_STUDY") == "1" else 4):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(3, 3))
    A *= 1.8 / np.abs(np.linalg.eigvals(A)).max()

    def build(A, cue):
        return synaptic_control.problem(
            A, cue, bounds=np.full((3, 3), 0.5), discount=0.0, motion=0.9995, effort=0.0005, steps=50
        )

    try:
        learned = learn_sequence(build, A, rng.uniform(-1.5, 1.5, size=(6, 3)))
    except oc.errors.SolveError as error:
        print(f"network {seed}: {error}")
        continue
    for step in learned.steps:
        tally[step.outcome.name] = tally.get(step.outcome.name, 0) + 1
    found = {what for _, _, what in learned.events()}
    events.append(found)
    if "restored" in found:
        print(f"\nnetwork {seed}: {learned}")
print(f"\noutcomes of {len(events)} networks: {tally}")
for what in ("forgotten", "restored"):
    print(f"  networks with a memory {what}: {sum(what in found for found in events)}")

# %%
colours = ["#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7"]
markers = ["o", "s", "^", "D", "v", "P"]
plt.rcParams["axes.titlesize"] = "medium"
figure, axes = plt.subplots(2, 2, figsize=(9.5, 7.4), layout="constrained")
for (alpha, (solution, outcome, *_)), colour, marker in zip(first.items(), colours, markers, strict=True):
    u, xi = solution.states["u"], solution.controls["xi"][:, 0, 1]
    look = {"color": colour, "marker": marker, "markersize": 3.5, "linewidth": 0.6}
    axes[0, 0].plot(solution.time[1:], u[1:, 0], **look, label=rf"E1, $\alpha$ = {alpha:g}: {outcome.name}")
    axes[0, 1].plot(solution.control_time, xi, **look)
axes[0, 0].axhline(OLD[0], color="0.5", linestyle="--", linewidth=0.8)
axes[0, 0].set(xlabel="step $k$", ylabel="$u_1$ (dimensionless)", title="(a) E1: first neuron")
axes[0, 1].axhline(-brain_memory.BOUND, color="0.5", linestyle="--", linewidth=0.8)
axes[0, 1].set(xlabel="step $k$", ylabel=r"$\xi_{12}$ (dimensionless)", title="(b) E1: control, bound dashed")
path = np.array(equilibria)
axes[1, 0].plot(*path.T, color="0.6", linewidth=0.8)
axes[1, 0].plot(*path[1:].T, "o", color=colours[0], markersize=5)
for k, place in enumerate(path):
    axes[1, 0].annotate(f"{k}", place, (5, 3), textcoords="offset points", fontsize="small")
axes[1, 0].plot(*OLD, "k*", markersize=12, fillstyle="none", label="equilibrium of $A$")
axes[1, 0].plot(*brain_memory.START, "kx", label="$u_0$ of every round")
axes[1, 0].legend(fontsize="small", frameon=False, loc="lower right")
axes[1, 0].set(title="(c) E2: the memory after each round")
for start, (solution, outcome, *_) in third.items():
    end = solution.states["u"][-1]
    kind = {"recorded": (colours[0], "o"), "recognised": (colours[2], "s")}
    colour, marker = kind.get(outcome.name, (colours[4], "^"))
    axes[1, 1].plot(*zip(start, end, strict=True), color=colour, linewidth=0.5, alpha=0.6)
    axes[1, 1].plot(*start, marker=marker, color=colour, fillstyle="none", markersize=5)
    axes[1, 1].plot(*end, marker=".", color=colour, markersize=6)
axes[1, 1].plot(*OLD, "k*", markersize=12, fillstyle="none")
for outcome, (colour, marker) in kind.items():
    if any(found[1].name == outcome for found in third.values()):
        axes[1, 1].plot([], [], marker, color=colour, fillstyle="none", label=f"E3: start, {outcome}")
axes[1, 1].plot([], [], ".", color="0.3", label="E3: state after 50 steps")
handles, labels = (
    a + b for a, b in zip(*(axes[i, i].get_legend_handles_labels() for i in (0, 1)), strict=True)
)
figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
axes[1, 1].set(title=r"(d) E3: 25 starts, $\alpha$ = 0.9995")
for axis in axes[1]:
    axis.set(xlabel="$u_1$ (dimensionless)", ylabel="$u_2$ (dimensionless)")
figure.savefig("out/10_brain_memory_outcomes.png", dpi=200)
