# %% [markdown]
# # Does a memory wander? Optimisers that stop early, horizons that grow, cycles and chaos
# slow
#
# F. Cardin, A. Lovison, A. Maritan and A. Megighian (arXiv 2305.14360) name two fates in which no equilibrium
# is reached: association, a limit cycle, and wandering, a path without a limit. A computed path that looks
# like wandering can also be an optimisation that stopped early: the verdict needs a residual beside it.

# %%
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import ocnet as oc
from ocnet.memory import classify
from problems import brain_memory, synaptic_control

Path("out").mkdir(exist_ok=True)

# %% [markdown]
# ## E4: the authors' wandering is where their optimiser stopped
# λ = ¼, α = β = ½, 50 steps. At the last step the weight of the cost is e^{−12} = 5e-6. From twelve random
# starts the converged cost is the same, and the path ends in the memory of the network.

# %%
problem = brain_memory.problem(0.5, 0.5, discount=0.25)
solver, rng = oc.prepare(problem), np.random.default_rng(4)
found = [solver.solve(guess=brain_memory.guess(rng)) for _ in range(12)]
outcomes = [classify(solution) for solution in found]
costs = np.array([solution.cost for solution in found])
print(f"E4, twelve random starts: J = {costs.min():.9f}, spread {np.ptp(costs):.1e}")
print(f"classes: {sorted({outcome.name for outcome in outcomes})}, "
      f"largest residual {max(outcome.residual for outcome in outcomes):.1e}")  # fmt: skip

# %% [markdown]
# The way of the authors: their cost as a program, finite differences, L-BFGS-B with its own idea of when to
# stop. `oc.replay` makes a Solution of what it finds.


# %%
def programmed(v):
    """J of the controls v (100,), two for each step."""
    u1, u2, total = *brain_memory.START, 0.0
    for k in range(50):
        x12, x21, weight = v[2 * k], v[2 * k + 1], math.exp(-0.25 * k)
        g1, g2 = math.atan(u1 / 0.1) / math.pi + 0.5, math.atan(u2 / 0.1) / math.pi + 0.5
        n1, n2 = (1 + x12) * g2, (1 + x21) * g1
        motion = 0.5 if k == 0 else 0.5 * math.exp(0.25)
        total += weight * (motion * ((n1 - u1) ** 2 + (n2 - u2) ** 2) + 0.5 * (x12**2 + x21**2))
        u1, u2 = n1, n2
    return total


theirs = []
for seed in range(3):
    start = np.random.default_rng(seed).uniform(-0.5, 0.5, 100)
    stopped = minimize(programmed, start, method="L-BFGS-B", bounds=[(-0.5, 0.5)] * 100)
    xi = np.zeros((50, 2, 2))
    xi[:, 0, 1], xi[:, 1, 0] = stopped.x[::2], stopped.x[1::2]
    left = oc.replay(problem, {"xi": xi})
    theirs.append(left)
    outcome = classify(left)
    print(
        f"L-BFGS-B, start {seed}: J = {left.cost:.9f} ({left.cost - costs.min():.1e} too much), residual "
        f"{outcome.residual:.2f}, {outcome.name}; u_50 = {np.round(left.states['u'][-1], 3)}"
    )
print(f"  {outcome.reason}")

# %% [markdown]
# ## Recorded, but for how long?
# With a price of control every recorded memory drifts back: transversality drives p and with it ξ to zero at
# any stable equilibrium. The longer the horizon, the less of it is left at the same step.

# %%
horizons, ends = (50, 100, 200, 400, 800), {}
print(f"\n{'M':>5} {'J':>10} {'u_1 at k = 50':>14} {'u_1 at the end':>15} {'ξ_12 at the end':>16}  class")
for M in horizons:
    solution = ends[M] = oc.solve(brain_memory.problem(0.9995, steps=M))
    u, last = solution.states["u"][:, 0], solution.controls["xi"][-1, 0, 1]
    print(f"{M:5} {solution.cost:10.6f} {u[50]:14.4f} {u[-1]:15.4f} {last:16.1e}  {classify(solution).name}")

# %% [markdown]
# ## Association: a limit cycle that control does not stop
# Two neurons of which one excites and one inhibits the other, in continuous time. The origin is
# an unstable equilibrium under every admissible ξ (the trace of A + ξ − 1 stays positive). The class rests on
# the Floquet multipliers of the network with the mean control of a period held.

# %%
turning = np.array([[1.5, -2.5], [2.5, 1.5]])
rotation = synaptic_control.problem(
    turning, [0.4, 0.2], bounds=(0.1, 0.1), discount=0.0, motion=0.1, effort=0.9, tf=24.0
)
cycle = oc.solve(rotation, oc.Pontryagin())
association = classify(cycle, window=(6.0, 18.0))
print(f"\n{association}")

# %% [markdown]
# ## Wandering: chaos, and why control ends it
# X. Wang's two neurons (logistic, A = 3·[[−5, 5], [−25, 25]]) are chaotic. If motion costs nothing, ξ = 0 is
# optimal (J = 0 cannot be beaten), and the path wanders. If motion has a price, most random starts lead to
# local optima that wander too, each stationary to rounding. But the best of them has been steered to an
# unstable equilibrium by its last steps, and there it can stay for nothing.

# %%
chaos = 3 * np.array([[-5.0, 5.0], [-25.0, 25.0]])


def chaotic(steps, motion, **more):
    return synaptic_control.problem(
        chaos, [0.1, 0.2], bounds=(0.05, 0.05), discount=0.0, motion=motion, effort=1 - motion,
        activation="logistic", steps=steps, **more,
    )  # fmt: skip


alone = oc.solve(chaotic(400, 0.0))
wandering = classify(alone)
print(f"\n{wandering}\n")

steps = 60
priced, rng = oc.prepare(chaotic(steps, 0.5)), np.random.default_rng(1)
tried = []
for _ in range(24):
    xi = rng.uniform(-0.05, 0.05, size=(steps, 2, 2))
    solution = priced.solve(guess={"xi": (np.arange(float(steps)), xi)}, throw=False)
    tried.append((solution.cost, classify(solution, window=(30, 60)), solution))
print("motion with a price, 24 random starts, 60 steps:")
for name in ("wandering", "association", "recognised", "recorded", "undecided"):
    group = [cost for cost, outcome, _ in tried if outcome.name == name]
    if group:
        print(f"  {name:<12} {len(group):>2} local optima, J from {min(group):.0f} to {max(group):.0f}")

# %% [markdown]
# The best path, continued at that equilibrium to twice the number of steps, costs nothing more; paths that
# wander go on paying.

# %%
best = min(tried, key=lambda one: one[0])[2]
u, xi = best.states["u"], np.zeros((2 * steps, 2, 2))
xi[:steps] = best.controls["xi"]
longer = oc.prepare(chaotic(2 * steps, 0.5))
rest = longer.solve(
    guess={
        "u": (np.arange(2.0 * steps + 1), np.vstack([u, np.tile(u[-1], (steps, 1))])),
        "xi": (np.arange(2.0 * steps), xi),
    }
)
wild = best
print(f"the best of them, J = {best.cost:.1f}, continued to {2 * steps} steps:")
steered = classify(rest, window=(90, 115))
print(f"  J = {rest.cost:.1f}, residual {steered.residual:.0e}, {steered.name}: {steered.reason}")
for seed in range(4):
    xi = np.random.default_rng(seed).uniform(-0.05, 0.05, size=(2 * steps, 2, 2))
    other = longer.solve(guess={"xi": (np.arange(2.0 * steps), xi)}, throw=False)
    outcome = classify(other, window=(60, 120))
    wild = other if outcome.name == "wandering" else wild
    print(f"  a random start, {2 * steps} steps: J = {other.cost:.1f}, {outcome.name}")

# %%
plt.rcParams["axes.titlesize"] = "medium"
blue, orange, green, grey = "#0072B2", "#D55E00", "#009E73", "0.6"
figure, axes = plt.subplots(2, 2, figsize=(9.5, 7.0), layout="constrained")
for i, left in enumerate(theirs):
    label = "L-BFGS-B, three starts" if i == 0 else None
    axes[0, 0].plot(
        left.states["u"][:, 0], color=orange, linewidth=0.8, marker=".", markersize=4, label=label
    )
axes[0, 0].plot(
    found[0].states["u"][:, 0], color=blue, marker="o", markersize=3, linewidth=1, label="converged"
)
axes[0, 0].set(xlabel="step $k$", ylabel="$u_1$ (dimensionless)", title="(a) E4: wandering by stopping early")
axes[0, 0].legend(fontsize="small", frameon=False, loc="lower right")
shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(ends)))
for shade, (M, solution) in zip(shades, ends.items(), strict=True):
    axes[0, 1].plot(solution.states["u"][1:, 0], color=shade, linewidth=1.4, label=f"$M$ = {M}")
axes[0, 1].axhline(brain_memory.EQUILIBRIUM, color=grey, linestyle="--", linewidth=0.8)
axes[0, 1].set(
    xlabel="step $k$",
    ylabel="$u_1$ (dimensionless)",
    title=r"(b) recorded ($\alpha$ = 0.9995), but for how long",
)
axes[0, 1].legend(fontsize="small", frameon=False, loc="lower right")
t = np.linspace(0.0, 24.0, 1500)
u = cycle.state("u", t)
axes[1, 0].plot(*u.T, color=blue, linewidth=1.0, label="path")
frozen = np.mean([cycle.control("xi", s) for s in np.linspace(18.0 - association.period, 18.0, 200)], axis=0)
closed = oc.limit_cycle(rotation, cycle.state("u", 18.0), controls={"xi": frozen})
axes[1, 0].plot(
    *closed.trajectory.x.values.T, color=orange, linestyle="--", label=r"limit cycle of $A+\bar{\xi}$"
)
axes[1, 0].plot(0, 0, "o", color=grey, fillstyle="none", label="source")
axes[1, 0].set(xlabel="$u_1$ (dimensionless)", ylabel="$u_2$ (dimensionless)", title="(c) association")
axes[1, 0].legend(
    fontsize="small", frameon=False, loc="upper center", ncols=3, columnspacing=0.8, handlelength=1.2
)
axes[1, 0].set_ylim(-1.6, 2.0)
axes[1, 1].plot(wild.states["u"][:, 1], color=orange, linewidth=0.8, marker=".", markersize=4,
                label=f"a local optimum, J = {wild.cost:.0f}")  # fmt: skip
axes[1, 1].plot(rest.states["u"][:, 1], color=blue, linewidth=1.0, marker="o", markersize=2.5,
                label=f"steered to rest, J = {rest.cost:.0f}")  # fmt: skip
axes[1, 1].set(
    xlabel="step $k$", ylabel="$u_2$ (dimensionless)", title="(d) chaos under control", ylim=(-1, 27)
)
axes[1, 1].legend(fontsize="small", frameon=False, loc="upper right", ncols=2)
figure.savefig("out/11_wandering.png", dpi=200)
