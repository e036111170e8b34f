# %% [markdown]
# # Synaptic control: a network that may move its synapses
#
# Cardin, Lovison, Maritan and Megighian (arXiv 2305.14360): u̇ = (A + ξ) g(u) − u, where the
# control ξ is bounded by K at the synapses that are present and by k ≪ K at the silent ones, and
# motion and control both have a price, discounted over an infinite horizon.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from problems import synaptic_control

Path("out").mkdir(exist_ok=True)
A = np.array([[0.2, 1.4], [-0.9, 0.0]])
start = [1.0, -0.8]
silent, present, discount = 0.05, 0.5, 0.5
problem = synaptic_control.problem(A, initial=start, bounds=(silent, present), discount=discount)
print(problem)

# %%
direct = oc.solve(problem, oc.Collocation())
print(direct)
print(oc.verify(direct))

# %% [markdown]
# ## What the control does
# The same network left alone, and what it then costs: control pays by slowing the motion down while
# the discount is young.

# %%
t = np.linspace(0.0, 6.0, 601)
free = oc.simulate(problem, schedule={"xi": np.zeros((2, 2))}, initial=start, tf=40.0)
u, xi = direct.state("u", t), direct.control("xi", t)


def motion(trajectory, t):
    """|u̇|² along a trajectory, from the right-hand side."""
    x = trajectory.state("u", t)
    weights = A + trajectory.control("xi", t)
    return np.sum((np.einsum("tij,tj->ti", weights, np.tanh(x)) - x) ** 2, axis=1)


fine = np.linspace(0.0, 36.0, 36001)
cost_free = np.trapezoid(np.exp(-discount * fine) * motion(free, fine), fine)
print(f"cost with the best control {direct.cost:.6f}, without control {cost_free:.6f}")

# %% [markdown]
# ## The shape of the control
# Pontryagin's principle says that the optimal ξ is a clipped rank-one matrix, Hebbian in form: ξ_ij
# = clip(−q_i g(u_j), ±b_ij) with q = u̇ + p/2. The solver was not told; its costates p show it.

# %%
p = direct.costate("u", t)
velocity = np.einsum("tij,tj->ti", A + xi, np.tanh(u)) - u
q = velocity + p / 2
bound = synaptic_control.bound_matrix(A, (silent, present))
hebbian = np.clip(-q[:, :, None] * np.tanh(u)[:, None, :], -bound, bound)
print(f"largest difference between ξ and the clipped rank-one matrix: {np.abs(xi - hebbian).max():.1e}")

# %%
colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
plt.rcParams["axes.titlesize"] = "medium"
figure, axes = plt.subplots(2, 2, figsize=(9.5, 6.6), layout="constrained")

for i in range(2):
    axes[0, 0].plot(t, u[:, i], color=colours[i], label=f"$u_{i + 1}$, controlled")
    axes[0, 0].plot(t, free.state("u", t)[:, i], "--", color=colours[i], label=f"$u_{i + 1}$, free")
axes[0, 0].set(xlabel="time (time constants)", ylabel="activation (dimensionless)", title="(a) state")
axes[0, 0].legend(fontsize="small")

for k, (i, j) in enumerate(np.ndindex(2, 2)):
    axes[0, 1].plot(t, xi[:, i, j], color=colours[k], label=rf"$\xi_{{{i + 1}{j + 1}}}$")
    axes[0, 1].plot(t[::25], hebbian[::25, i, j], "o", color=colours[k], markersize=3)
axes[0, 1].set(xlabel="time (time constants)", ylabel=r"control $\xi$ (dimensionless)")
axes[0, 1].set_title(r"(b) control (lines) and $\mathrm{clip}(-q_i\,g_j,\ \pm b_{ij})$ (dots)")
axes[0, 1].legend(fontsize="small", ncols=2)

side = np.linspace(-1.2, 1.2, 25)
X, Y = np.meshgrid(side, side)
field = np.einsum("ij,jab->iab", A, np.tanh([X, Y])) - [X, Y]
axes[1, 0].streamplot(side, side, *field, color="0.82", linewidth=0.7, arrowsize=0.7, density=0.9)
axes[1, 0].plot(*u.T, color=colours[0], label="controlled")
axes[1, 0].plot(*free.state("u", t).T, "--", color=colours[1], label="free")
axes[1, 0].plot(*start, "ko", markersize=5)
axes[1, 0].annotate("$u(0)$", start, xytext=(-8, -14), textcoords="offset points")
axes[1, 0].set(
    xlabel="$u_1$ (dimensionless)",
    ylabel="$u_2$ (dimensionless)",
    title="(c) plane of states, free flow in grey",
)
axes[1, 0].set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
axes[1, 0].legend(fontsize="small", loc="lower left")

weight = np.exp(-discount * t)
axes[1, 1].plot(t, weight * motion(direct, t), color=colours[0], label=r"motion $|\dot u|^2$, controlled")
axes[1, 1].plot(t, weight * np.sum(xi**2, axis=(1, 2)), color=colours[2], label=r"control $|\xi|^2$")
axes[1, 1].plot(t, weight * motion(free, t), "--", color=colours[1], label=r"motion $|\dot u|^2$, free")
axes[1, 1].set(
    xlabel="time (time constants)",
    ylabel="discounted stage cost (dimensionless)",
    title="(d) where the cost arises",
)
axes[1, 1].legend(fontsize="small")
figure.savefig("out/04_synaptic_control.png", dpi=200)
