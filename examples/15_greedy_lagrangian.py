# %% [markdown]
# # One Lagrangian, many descents
#
# L = K(v̇, v) + dE/dt, extremised at each moment without regard to later ones (∂L/∂v̇ = 0), gives a
# descent of E for every cost of movement K (Mjolsness and Miranker, NIPS 1990). Steepest descent with a
# bound of the velocity, the Hopfield network, and a cost of one's own come from the same object.

# %%
from pathlib import Path

import casadi as ca
import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet.lagrangian import Lagrangian, coordinates
from ocnet.lagrangians.descent import hopfield, quadratic, steepest_descent, weighted
from ocnet.lagrangians.dissipation import descent, eigenvalue_range, fixed_point_shift
from ocnet.networks import activation

Path("out").mkdir(exist_ok=True)
rng = np.random.default_rng(1)
T = np.array([[0.0, 1.8], [1.8, 0.0]])
h = np.array([0.3, -0.1])
v, rate = coordinates("v", 2)
energy = quadratic(v, T, h) + ca.sum1(activation("tanh").integral(v))

# %% [markdown]
# ## Four descents of one objective
# The quartic cost has no closed form: its velocity is solved for, to ten digits, inside the right-hand side.

# %%
bounded = steepest_descent(energy, v, bound=0.5, name="|v̇| < 0.5")
plain = steepest_descent(energy, v, transfer="linear", name="v̇ = −∂E/∂v")
own = Lagrangian.from_cost(energy, ca.sum1(rate**2 / 2 + rate**4), v, rate, name="K = v̇²/2 + v̇⁴")
network = hopfield(quadratic(v, T, h), v, name="Hopfield")
start = np.array([-0.9, 0.6])
lowest = descent(plain, oc.simulate(plain.greedy(), initial=start, tf=40.0)).energy.min()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for made in (plain, bounded, own, network):
    q0 = np.arctanh(start) if made is network else start
    path = oc.simulate(made.greedy(), initial=q0, tf=40.0)
    along = descent(made, path)
    states = path.states["u" if made is network else "v"]
    outputs = np.tanh(states) if made is network else states
    print(f"{made.name:14} ({made.road}): E from {along.energy[0]:.4f} to {along.energy[-1]:.6f}, largest "
          f"dE/dt {along.rate.max():.1e}, |∂K/∂q̇| at rest {fixed_point_shift(made, states):.1e}")  # fmt: skip
    left.plot(outputs[:, 0], outputs[:, 1], label=made.name)
    right.plot(along.time, along.energy - lowest + 1e-15)
grid = np.linspace(-0.99, 0.99, 101)
X, Y = np.meshgrid(grid, grid)
E = ca.Function("E", [v], [energy]).map(X.size)(np.stack([X.ravel(), Y.ravel()])).full().reshape(X.shape)
left.contour(X, Y, E, 25, colors="0.8", linewidths=0.6, zorder=0)
left.set(xlabel="v₁", ylabel="v₂")
left.legend(fontsize="small")
right.set(xlabel="time", ylabel="E − lowest E", yscale="log", ylim=(1e-9, 10), xlim=(0, 40))
figure.savefig("out/15_descents.png", dpi=150)

# %% [markdown]
# ## How stiff is each metric?
# K = ½Σ m(g') u̇². The conjecture of section 2.4 says that m = g' (the Hopfield network) makes the ratio of
# the largest to the smallest eigenvalue of the linearised dynamics least, if the eigenvalues of −T are
# bounded and positive. Every point of |u| ≤ 3 is made a fixed point by its own input.
#
# Among powers of g' that is so. But with eigenvalues of −T in [a, b], a > 0, the metric g'(1 + c g') with
# any c in [a, b] has the ratio (1 + b)/(1 + a), less than the 1 + b of g': the conjecture as printed does
# not hold, and needs a → 0 (or metrics that do not know T).

# %%
n, a, b = 4, 1.0, 4.0
Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
negative = -Q @ np.diag(np.linspace(a, b, n)) @ Q.T
v4, _ = coordinates("v", n)
inputs = ca.MX.sym("h", n)
points = np.vstack([rng.uniform(-3, 3, (400, n)), np.zeros((1, n)), np.full((1, n), 3.0)])
needed = points - np.tanh(points) @ negative
metrics = {f"g'^{k:g}": (lambda s, k=k: s**k) for k in (0, 0.5, 1, 1.5, 2)}
metrics["g'(1 + 2g')"] = lambda s: s * (1 + 2 * s)
ratios = {}
for name, metric in metrics.items():
    made = weighted(quadratic(v4, negative) - ca.dot(inputs, v4), v4, "tanh", metric,
                    parameters=[(inputs, np.zeros(n))])  # fmt: skip
    found = eigenvalue_range(made, points, h=needed)
    ratios[name] = found.ratio
    print(f"{name:12} eigenvalues {found.least:.4g} to {found.largest:.4g}, ratio {found.ratio:.4g}")
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
labels = ["1", "$g'^{1/2}$", "$g'$", "$g'^{3/2}$", "$g'^2$", "$g'(1 + 2g')$"]
axes.bar(labels, list(ratios.values()), color="0.6")
axes.axhline((1 + b) / (1 + a), color="C1", linestyle="--", label="$(1 + b)/(1 + a)$")
axes.set(yscale="log", ylabel="largest / smallest eigenvalue", xlabel="metric m")
axes.legend()
figure.savefig("out/15_eigenvalue_ratios.png", dpi=150)
