# %% [markdown]
# # Learning curves: the optimal weights against the outer-product rule
#
# The experiment of Farotimi, Dembo and Kailath (NIPS 1989, figures 1 and 2) in discrete time: eight
# neurons, fourteen vectors of ±1, 21 of the 112 bits of their starting points wrong. The paper
# shows one draw and does not give its vectors, β, gain or scale; here are means over 200 draws with
# tanh, β = 1 and starting points 20 times the corrupted vectors. No optimiser is involved: W(k) = β
# Θ G(k)ᵀ is the optimum in closed form.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from problems import weight_program

Path("out").mkdir(exist_ok=True)
rng = np.random.default_rng(1989)
n, pairs, wrong, draws, steps = 8, 14, 21, 200, 6


def distinct_vectors():
    """Fourteen different vectors of eight signs, as columns."""
    codes = rng.permutation(2**n)[:pairs]
    return np.where(codes >> np.arange(n)[:, None] & 1, 1.0, -1.0)


# %%
curves = []
for _ in range(draws):
    targets = distinct_vectors()
    spoilt = weight_program.corrupt(targets, errors=wrong, rng=rng)
    curves.append(weight_program.learning_curves(spoilt, targets, beta=1.0, steps=steps, start=20 * spoilt))

rules = ("optimal", "outer product")
measures = {
    "cosine_activation": r"$\cos\angle(\theta, x)$ (dimensionless)",
    "cosine_output": r"$\cos\angle(\theta, g(x))$ (dimensionless)",
    "bit_errors": f"wrong bits of {n * pairs}",
}
values = {(r, m): np.array([getattr(c[r], m) for c in curves]) for r in rules for m in measures}
mean = {key: v.mean(axis=0) for key, v in values.items()}
error = {key: v.std(axis=0, ddof=1) / np.sqrt(draws) for key, v in values.items()}

# %%
print(f"mean and standard error over {draws} draws")
print(f"{'iteration':<36}" + "".join(f"{k:>15}" for k in range(steps + 1)))
for m in measures:
    for r in rules:
        digits = 1 if m == "bit_errors" else 3
        row = "".join(
            f"{a:>8.{digits}f} ±{b:5.{digits}f}" for a, b in zip(mean[r, m], error[r, m], strict=True)
        )
        print(f"{m + ', ' + r:<36}{row}")

peak = int(np.argmin(mean["optimal", "bit_errors"]))
print(f"\nthe optimal rule has the fewest wrong bits after {peak} iteration(s): stop there; later it decays,")
print("because fourteen vectors overload eight neurons: recall is better, not exact.")

# %%
look = {"optimal": ("#0072B2", "o", "-"), "outer product": ("#D55E00", "s", "--")}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
k = np.arange(steps + 1)
for axis, (m, label) in zip(axes, measures.items(), strict=True):
    for r, (colour, marker, line) in look.items():
        axis.errorbar(
            k,
            mean[r, m],
            error[r, m],
            color=colour,
            marker=marker,
            linestyle=line,
            markersize=5,
            capsize=3,
            label=r,
        )
    axis.set(xlabel="iteration", ylabel=label)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
axes[0].legend(title="rule", frameon=False)
figure.suptitle(
    f"{pairs} vectors in {n} neurons, mean and standard error over {draws} draws", fontsize="medium"
)
figure.savefig("out/03_learning_curves.png", dpi=200)
