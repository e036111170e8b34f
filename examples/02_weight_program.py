# %% [markdown]
# # The weight program: one W(t) for fourteen pairs
# slow
#
# Farotimi, Dembo and Kailath (NIPS 1989) ask for the time-dependent weights W(t) of a network of n
# neurons that carry L inputs to L desired outputs at once. The optimum is known in closed form,
# W*(t) = β Θ G(t)ᵀ, and so is the cost of every other schedule. Here the problem is solved as if
# nothing were known, by direct collocation, and then compared.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from problems import weight_program

Path("out").mkdir(exist_ok=True)
rng = np.random.default_rng(0)
targets = rng.choice([-1.0, 1.0], size=(8, 14))
inputs = 0.9 * weight_program.corrupt(targets, errors=21, rng=rng)

# %% [markdown]
# ## Stated and solved

# %%
problem = weight_program.problem(inputs, targets, beta=0.5, tf=1.0)
print(problem)
solution = oc.solve(problem)
print(solution)
print("cost", solution.cost, "optimum", weight_program.optimal_cost(inputs, targets))
oc.plot.weights(solution, "W").savefig("out/02_weights.png", dpi=200)

# %% [markdown]
# ## Against the closed form
# `closed_form` integrates the network under W*; nothing in it is shared with the solver.
# `sub_optimality` is the exact price of any schedule above the optimum, (1/2β) ∫ ‖W − βΘGᵀ‖² dt.

# %%
exact = weight_program.closed_form(inputs, targets, beta=0.5, tf=1.0)
t = np.linspace(0.0, 1.0, 1001)
errors = {
    "activations $z$": solution.state("z", t) - exact.state("z", t),
    "weights $W$": solution.control("W", t) - exact.control("W", t),
    r"costates $-\Theta$": solution.costate("z", t) - exact.costate("z", t),
}
for name, error in errors.items():
    print(f"largest error of {name}: {np.abs(error).max():.1e}")

outer = {"W": weight_program.outer_product(targets, 0.5)}
rule = oc.simulate(problem, schedule=outer, initial=problem.start)
print(f"price above the optimum: solved {weight_program.sub_optimality(solution):.1e},", end=" ")
print(f"outer-product rule {weight_program.sub_optimality(rule, problem):.1f}")

# %% [markdown]
# ## Recall
# A network of eight neurons that starts from one of the training inputs and runs under the recorded
# weights does what that input did during training.

# %%
recalled = oc.simulate(weight_program.network(8), schedule=solution, initial=solution.states["z"][0, :, 0])
difference = np.abs(recalled.state("x", t) - solution.state("z", t)[:, :, 0]).max()
print(f"recall of pair 0 differs from its training path by {difference:.1e}")


# %%
def cosine(z):
    """cos of the angle between the targets and z (time, 8, 14), at each time."""
    return np.sum(z * targets, axis=(1, 2)) / np.linalg.norm(z, axis=(1, 2)) / np.linalg.norm(targets)


blue, orange, green, purple = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
plt.rcParams["axes.titlesize"] = "medium"
figure, axes = plt.subplots(2, 2, figsize=(9.5, 6.6), layout="constrained", sharex=True)
nodes = np.linspace(0.0, 1.0, 26)
for (i, j), colour in {(0, 0): blue, (0, 1): orange, (3, 5): green, (6, 2): purple}.items():
    axes[0, 0].plot(t, exact.control("W", t)[:, i, j], color=colour, label=f"$W_{{{i + 1}{j + 1}}}$")
    axes[0, 0].plot(nodes, solution.control("W", nodes)[:, i, j], "o", color=colour, markersize=3.5)
axes[0, 0].set(ylabel="weight (dimensionless)", title="(a) closed form (lines) and collocation (dots)")
axes[0, 0].legend(ncols=4, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.02))

for (name, error), colour in zip(errors.items(), (blue, orange, green), strict=True):
    size = np.abs(error).reshape(len(t), -1).max(axis=1)
    axes[0, 1].semilogy(t, np.maximum(size, 1e-17), color=colour, linewidth=1, label=name)
axes[0, 1].set(ylabel="largest error (dimensionless)", title="(b) collocation less closed form")
axes[0, 1].legend(ncols=3, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.02))

for z, colour, name in (
    (exact.state("z", t), blue, "optimal weights"),
    (rule.state("z", t), orange, "outer-product rule"),
):
    axes[1, 0].plot(t, cosine(z), color=colour, label=rf"{name}: $\cos\angle(\theta, z)$")
    axes[1, 0].plot(t, cosine(np.tanh(z)), "--", color=colour, label=rf"{name}: $\cos\angle(\theta, g(z))$")
axes[1, 0].set(xlabel="time (time constants)", ylabel="cosine (dimensionless)", ylim=(0.56, 0.79))
axes[1, 0].set_title("(c) correlation with the targets")
axes[1, 0].legend(fontsize="small", loc="lower right")

for i in range(8):
    axes[1, 1].plot(t, recalled.state("x", t)[:, i], color=blue if targets[i, 0] > 0 else orange)
    axes[1, 1].plot(nodes, solution.state("z", nodes)[:, i, 0], ".", color="0.2", markersize=4)
axes[1, 1].set(xlabel="time (time constants)", ylabel="activation (dimensionless)")
axes[1, 1].set_title("(d) recall of pair 1 (lines), training (dots)")
axes[1, 1].plot([], [], color=blue, label="target +1")
axes[1, 1].plot([], [], color=orange, label="target −1")
axes[1, 1].legend(fontsize="small", loc="lower left")
figure.savefig("out/02_weight_program.png", dpi=200)
