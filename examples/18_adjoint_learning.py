# slow
# %% [markdown]
# # Adjoint learning: one transposed solve for every gradient
#
# Barhen, Toomarian and Gulati (NIPS 1989): a network answers by its fixed point, input units are
# held by terminal attractors, and all parameters learn along −τ∇E with an adaptive time scale τ.

# %%
import warnings
from pathlib import Path

import casadi as ca
import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet.errors import OptionError, SimulationError, SolveError
from ocnet.learning import check_gradient, learn
from problems import recall_tasks

Path("out").mkdir(exist_ok=True)
SEEDS = 20

# %% [markdown]
# ## The gradient, checked

# %%
task = recall_tasks.xor(np.random.default_rng(0))
net = task.network
found = net.gradient(task.inputs, task.targets)
check = check_gradient(
    lambda p: net.replaced(**p).gradient(task.inputs, task.targets).energy,
    {"T": net.T, "decay": net.decay, "gain": net.gain},
    {"T": found.T, "decay": found.decay, "gain": found.gain},
)
print(check)

# %% [markdown]
# ## Terminal attractors are stiff
# An input unit is drawn to its coordinate with a slope that grows without bound: explicit
# integrators are refused.

# %%
try:
    net.rest(task.inputs, method="RK45")
except OptionError as error:
    print(error)
t, u = net.motion(task.inputs[1], method="BDF")
print(f"at rest after {t[-1]:.1f} time constants")

# %% [markdown]
# ## Exclusive or: 2 inputs, 2 hidden units, 1 output with self-feedback, 1 bias

# %%
first = learn(net, task.inputs, task.targets)
print(first)
oc.plot.learning(first).savefig("out/18_exclusive_or.png", dpi=200)

for method in ("adaptive", "plain", "L-BFGS"):
    results = []
    for seed in range(SEEDS):
        task = recall_tasks.xor(np.random.default_rng(seed))
        results.append(learn(task.network, task.inputs, task.targets, method=method))
    good = [r for r in results if r.success]
    steps = [len(r.history["error"]) - 1 for r in good]
    work = [r.history["evaluations"][-1] for r in good]
    print(
        f"exclusive or, {method:8}: learned from {len(good)} of {SEEDS} seeds; median {np.median(steps):.0f} "
        f"iterations, {np.median(work):.0f} gradients"
    )

# %% [markdown]
# ## sin, tanh and a full wave with eight fully connected neurons
# Recall is judged on 100 random points, at the fixed points that Newton's method reaches from
# u = 0. A point without any counts as an infinite error of that network.

# %%


def answers(network, inputs):
    """Outputs, or NaN where there is no fixed point within reach."""
    try:
        return network.recall(inputs)
    except (SolveError, SimulationError):
        return np.full((len(inputs), 1), np.nan)


columns = {
    ("sin", 4): SEEDS,
    ("sin", 16): SEEDS,
    ("tanh", 4): SEEDS,
    ("tanh", 16): SEEDS,
    ("sine wave", 16): 10,
}
errors, median = {}, {}
print("curve       samples  learned  recall error (root mean square): quartiles and worst of the networks")
for (name, samples), seeds in columns.items():
    learned, found = 0, []
    for seed in range(seeds):
        task = recall_tasks.curve(name, samples, np.random.default_rng(seed))
        result = learn(task.network, task.inputs, task.targets, iterations=150, tolerance=1e-2)
        learned += result.success
        recalled = answers(result.network, task.recall_inputs)
        gap = recalled - task.recall_targets
        rms = np.sqrt(np.mean(gap**2)) if np.isfinite(gap).all() else np.inf
        found.append((rms, seed, task, recalled))
    found.sort(key=lambda row: row[:2])
    median[name, samples] = found[seeds // 2]
    errors[name, samples] = np.array([row[0] for row in found])
    q = errors[name, samples][[seeds // 4, seeds // 2, 3 * seeds // 4, -1]]
    print(f"{name:10}  {samples:7d}  {learned:3d}/{seeds}   " + "  ".join(f"{v:8.2e}" for v in q))

# %% [markdown]
# The network with the median error of each column:

# %%
figure, axes = plt.subplots(2, 3, figsize=(10.2, 6.0), layout="constrained", sharex=True, sharey=True)
for axis, (name, samples) in zip(axes.T.flat, columns, strict=False):
    axis.set_title(f"{name}, {samples} samples", fontsize="medium")
    _, _, task, recalled = median[name, samples]
    order = np.argsort(task.recall_inputs[:, 0])
    x = task.recall_inputs[order, 0]
    axis.plot(x, task.recall_targets[order, 0], color="0.7", linewidth=4, label="target")
    axis.plot(x, recalled[order, 0], ".", color="#0072B2", markersize=4, label="recalled")
    axis.plot(task.inputs[:, 0], task.targets[:, 0], "o", color="#D55E00", fillstyle="none", label="samples")
axes[1, 2].axis("off")
axes[0, 2].tick_params(labelbottom=True)
for axis in (axes[1, 0], axes[1, 1], axes[0, 2]):
    axis.set(xlabel="input (dimensionless)", xticks=[-0.8, -0.4, 0.0, 0.4, 0.8])
for axis in axes[:, 0]:
    axis.set_ylabel("output (dimensionless)")
axes[0, 0].legend(fontsize="small", frameon=False)
figure.savefig("out/18_recall.png", dpi=200)

# %%
figure, axis = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for place, values in enumerate(errors.values()):
    finite = values[np.isfinite(values)]
    axis.plot(
        place + np.linspace(-0.18, 0.18, len(finite)), finite, "o", color="#0072B2", markersize=4, alpha=0.7
    )
    if np.isfinite(values[len(values) // 2]):
        axis.hlines(values[len(values) // 2], place - 0.3, place + 0.3, color="#D55E00", linewidth=2)
    if len(finite) < len(values):
        text = f"{len(values) - len(finite)} without rest"
        axis.text(place, 0.03, text, ha="center", fontsize="small", transform=axis.get_xaxis_transform())
axis.set(yscale="log", ylabel="recall error, root mean square\n(dimensionless)")
labels = [f"{name}\n{samples} samples\n{seeds} networks" for (name, samples), seeds in columns.items()]
axis.set_xticks(range(len(columns)), labels)
axis.set_title("each network (dots) and the median (bars)", fontsize="medium")
figure.savefig("out/18_recall_errors.png", dpi=200)

# %% [markdown]
# ## Paths: what recomputing them backwards costs
# A Problem with unknown constants has a gradient by the continuous adjoint. "reverse-time" keeps no
# path, and its errors grow with the decay that it runs against; it warns with the drift of the
# first state, and refuses above a largest one (lifted here to show the drift).

# %%
rates, drifts, gaps = np.arange(1.0, 9.0), [], []
for rate in rates:
    problem = oc.Problem("relaxation", horizon=oc.Finite(2.0))
    k = problem.unknown("k", guess=rate)
    x = problem.state("x", initial=1.0)
    problem.dynamics(x, -k * (x - ca.cos(problem.time)))
    problem.minimize(stage=x**2)
    problem.cost_at(1.31, (x - 0.2) ** 2)
    exact = oc.learning.gradient(problem).gradient["k"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = oc.learning.gradient(problem, mode="reverse-time", largest_drift=1e9)
    drifts.append(found.drift)
    gaps.append(abs(found.gradient["k"] / exact - 1)[0])

figure, axis = plt.subplots(figsize=(5.4, 3.6), layout="constrained")
axis.semilogy(rates, drifts, "o-", color="#0072B2", label="drift of the first state")
axis.semilogy(rates, gaps, "s--", color="#D55E00", label="error of the gradient, relative")
axis.semilogy(rates, 1e-13 * np.exp(2 * rates), ":", color="0.5", label=r"$\propto e^{kT}$")
axis.set(xlabel="decay rate $k$ (per unit of time, $T = 2$)", ylabel="dimensionless")
axis.set_title("a path recomputed backwards", fontsize="medium")
axis.legend(fontsize="small", frameon=False)
figure.savefig("out/18_reverse_time.png", dpi=200)
