# %% [markdown]
# # Recognised or recorded? The discrete-time experiment of Cardin et al.
#
# Two neurons, u_{k+1} = (A + ξ_k) g(u_k) with A = [[0, 1], [1, 0]], g(s) = arctan(s/0.1)/π + ½,
# controls off the diagonal only, |ξ| ≤ 0.5, 50 steps from u_0 = (−1, 0.5), no discount (arXiv
# 2305.14360). The price α of motion and the price β = 1 − α of control decide between recognising
# the existing memory (0.967, 0.967) and recording one that is nearer.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet.networks import arctan
from problems import synaptic_control

Path("out").mkdir(exist_ok=True)
A = np.array([[0.0, 1.0], [1.0, 0.0]])
start = [-1.0, 0.5]
off_diagonal = ~np.eye(2, dtype=bool)


def experiment(alpha, steps=50):
    """The problem with prices alpha of motion and 1 - alpha of control."""
    return synaptic_control.problem(
        A, start, bounds=(0.5, 0.5), mask=off_diagonal, discount=0.0,
        motion=alpha, effort=round(1 - alpha, 10), activation=arctan(0.1), steps=steps,
    )  # fmt: skip


# %% [markdown]
# ## Six prices, twelve starts each
# All starts give the same cost. A state is called recognised here if it ends within 1e-3 of the
# existing equilibrium without control, recorded if a control of more than 0.1 still holds it at the
# last step, drifting otherwise. The certificate's stationarity says that the verdict is not that of
# an optimiser that stopped early.

# %%
alphas = [0.0, 0.95, 0.995, 0.9995, 0.99995, 1.0]
equilibrium = np.array([0.96720628, 0.96720628])
solutions = {}
print(f"{'α':>8} {'J':>9} {'spread of J':>12} {'u_50':>17} {'ξ_49 (12, 21)':>18} {'stationarity':>13}  class")
for alpha in alphas:
    solver = oc.prepare(experiment(alpha))
    rng = np.random.default_rng(50)
    found = []
    for _ in range(12):
        xi = rng.uniform(-0.5, 0.5, size=(50, 2, 2)) * off_diagonal
        found.append(solver.solve(guess={"xi": (np.arange(50.0), xi)}))
    best = min(found, key=lambda s: s.cost)
    solutions[alpha] = best
    spread = round(max(s.cost for s in found) - best.cost, 20)
    end, last = best.states["u"][-1], best.controls["xi"][-1][off_diagonal]
    held = np.abs(last).max()
    name = "recorded" if held > 0.1 else "drifting"
    if held < 1e-3 and np.abs(end - equilibrium).max() < 1e-3:
        name = "recognised"
    print(
        f"{alpha:8g} {best.cost:9.5f} {spread:12.1e} {end[0]:8.4f} {end[1]:8.4f} "
        f"{last[0]:9.4f} {last[1]:8.4f} {round(best.certificate.stationarity, 20):13.1e}  {name}"
    )

# %% [markdown]
# ## Recorded, but for how long?
# As long as control has a price, a recorded state is metastable: with a longer horizon it drifts
# back to the existing equilibrium. A class needs its horizon stated beside it.

# %%
long = oc.solve(experiment(0.9995, steps=800))
for k in (50, 100, 200, 400, 600):
    print(f"α = 0.9995, 800 steps: u_{k} = ({long.states['u'][k][0]:.4f}, {long.states['u'][k][1]:.4f})")

# %%
colours = ["#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7"]
markers = ["o", "s", "^", "D", "v", "P"]
plt.rcParams["axes.titlesize"] = "medium"
figure, axes = plt.subplots(2, 2, figsize=(9.5, 7), layout="constrained")
for (alpha, solution), colour, marker in zip(solutions.items(), colours, markers, strict=True):
    u, xi = solution.states["u"], solution.controls["xi"]
    look = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 0.6}
    axes[0, 0].plot(*u[1:].T, linestyle=":", **look, label=rf"$\alpha$ = {alpha:g}")
    axes[0, 1].plot(solution.time[1:], u[1:, 0], linestyle="none", **look)
    for axis, (i, j) in ((axes[1, 0], (0, 1)), (axes[1, 1], (1, 0))):
        held = np.append(xi[:, i, j], xi[-1, i, j])
        axis.step(solution.time, held, where="post", color=colour, linewidth=0.8)
        axis.plot(
            solution.control_time, xi[:, i, j], linestyle="none", color=colour, marker=marker, markersize=3
        )
axes[0, 0].plot(*equilibrium, "k*", markersize=13, zorder=3, fillstyle="none", label="equilibrium of $A$")
axes[0, 0].set(
    xlabel="$u_1$ (dimensionless)", ylabel="$u_2$ (dimensionless)", title="(a) plane of states, steps 1 to 50"
)
axes[0, 1].set(xlabel="step $k$", ylabel="$u_1$ (dimensionless)", title="(b) first neuron, steps 1 to 50")
for axis, letter, name in ((axes[1, 0], "c", "12"), (axes[1, 1], "d", "21")):
    axis.axhline(-0.5, color="0.5", linewidth=0.8, linestyle="--")
    axis.axhline(0.5, color="0.5", linewidth=0.8, linestyle="--")
    axis.set(xlabel="step $k$", ylabel=rf"$\xi_{{{name}}}$ (dimensionless)", ylim=(-0.56, 0.56))
    axis.set_title(rf"({letter}) control $\xi_{{{name}}}$, bounds dashed")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
figure.savefig("out/05_brain_memory_E1.png", dpi=200)
