# %% [markdown]
# # Recalled, kept or held: a network of 784 neurons with 614 656 controlled synapses
# slow
#
# A network of 28 × 28 neurons stores four images by Hebb's rule, u̇ = (A + ξ) g(u) − u with
# A = (γ/N) Σ s sᵀ and no self-connections, and is shown one of them with a quarter of its pixels
# flipped. Every synapse is a control (Cardin, Lovison, Maritan and Megighian, arXiv 2305.14360),
# bounded by K where there is a synapse and by k ≪ K where there is none, and the cost
# ∫ e^{−λt} (|u̇|² + β|ξ|²) dt asks for little motion and little effort. It names no image: what
# the network is led to is not a target, but what is cheap.

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import psutil
from scipy.integrate import solve_ivp

import ocnet as oc
from problems import synaptic_control

Path("out").mkdir(exist_ok=True)
GAIN, DISCOUNT, SILENT = 2.0, 0.1, 0.2


def drawn(side):
    """Four images (4, side²) of ±1 pixels: a ring, a cross, a saltire and waves."""
    y, x = np.mgrid[:side, :side] * 2 / (side - 1) - 1
    radius = np.hypot(x, y)
    white = [
        (radius > 0.45) & (radius < 0.95),
        (np.abs(x) < 0.3) | (np.abs(y) < 0.3),
        np.minimum(np.abs(x - y), np.abs(x + y)) < 0.42,
        np.sin(2 * np.pi * y + 0.4) > 0,
    ]
    return np.where(np.reshape(white, (4, -1)), 1.0, -1.0)


def hebbian(images):
    """Synapses (N, N) that store images (number, N)."""
    A = GAIN / images.shape[1] * images.T @ images
    np.fill_diagonal(A, 0.0)
    return A


def corrupted(image, share=0.25, seed=1):
    """The image with a share of its pixels flipped."""
    flips = np.random.default_rng(seed).random(image.size) < share
    return np.where(flips, -image, image)


def experiment(side, present, price):
    """The problem; bounds are in units of 1/N, the price of effort in units of N, that of motion is 1."""
    images, N = drawn(side), side**2
    return synaptic_control.problem(
        hebbian(images), 1.5 * corrupted(images[1]), bounds=(SILENT / N, present / N),
        discount=DISCOUNT, motion=1.0, effort=price * N,
    )  # fmt: skip


# %% [markdown]
# ## The network left alone
# Shown the corrupted cross, the plain network comes near the cross and does not stay there: the
# stored images overlap, the cross is no equilibrium, and in the end it is lost to the negative of
# the saltire.

# %%
side = 28
N = side**2
images = drawn(side)
A, shown, cross = hebbian(images), corrupted(images[1]), images[1]
print(f"overlaps of the stored images:\n{np.round(images @ images.T / N, 2)}")
sizes = ", ".join(f"{size * N:.0f}/N" for size in np.unique(np.abs(A[A != 0]).round(12)))
print(f"synapses: {(A != 0).sum()} present, of sizes {sizes}, and {(A == 0).sum()} silent")

network = oc.Problem("network left alone", horizon=oc.Finite(100.0))
state = network.state("u", N)
network.dynamics(state, oc.networks.additive(state, A, oc.networks.activation("tanh")))
free = oc.simulate(network, initial=1.5 * shown, rtol=1e-6, atol=1e-8)
fine = np.linspace(0.0, 100.0, 2001)
u = free.state("u", fine)
motion = np.sum((np.tanh(u) @ A.T - u) ** 2, axis=1)
print(f"cost without control: {np.trapezoid(np.exp(-DISCOUNT * fine) * motion, fine):.2f}")

# %% [markdown]
# ## Two networks that may move their synapses
# The synapses present are 4/N or 8/N. With K = 1/N the control is too weak to hold the image that
# is shown; with K = 3/N it is strong enough. The silent ones have k = 0.2/N. Controls are formed
# one moment at a time: 784 × 784 numbers are 5 MB.

# %%
moments = np.concatenate([[0.0], np.geomspace(0.1, 60.0, 60)])
solutions, effort, clipped = {}, {}, {}
for present in (1.0, 3.0):
    problem = experiment(side, present, price=0.03)
    clock = time.perf_counter()
    solution = solutions[present] = oc.solve(problem, oc.Pontryagin(refine_to=1e-3))
    clock = time.perf_counter() - clock
    memory = psutil.Process().memory_info().rss / 2**30
    print(f"\nK = {present:g}/N\n{solution}")
    print(
        f"{solution.stats['newton_steps']} Newton steps on {len(solution.stats['meshes'])} meshes, "
        f"{clock:.0f} s, {memory:.1f} GiB held afterwards"
    )
    bounds = synaptic_control.bound_matrix(A, (SILENT / N, present / N))
    movable = bounds > 0
    sizes, shares = [], []
    for t in moments:
        xi = solution.control("xi", t)
        sizes.append(np.linalg.norm(xi))
        shares.append(np.mean(np.abs(xi[movable]) >= bounds[movable] * (1 - 1e-9)))
    effort[present], clipped[present] = np.array(sizes), np.array(shares)
    late = np.sign(solution.state("u", [60.0, 100.0, 120.0, 200.0])) != cross
    print(f"wrong pixels at t = 60, 100, 120 and 200: {late.sum(axis=1).tolist()}")
    print(f"synapses at their bounds: at the start {shares[0]:.1%} of {N**2}, at t = 60 {shares[-1]:.1%}")

# %% [markdown]
# ## Checked by integrating the network again
# The controls of the first 20 time constants are applied to the network, by an integrator that
# knows nothing of the solution but its controls.

# %%
for present, solution in solutions.items():
    again = solve_ivp(
        lambda t, u, s=solution: (A + s.control("xi", t)) @ np.tanh(u) - u,
        (0.0, 20.0), 1.5 * shown, rtol=1e-5, atol=1e-7, t_eval=np.linspace(0.0, 20.0, 41),
    )  # fmt: skip
    difference = np.abs(again.y.T - solution.state("u", again.t)).max()
    print(f"K = {present:g}/N: states integrated again differ by {difference:.1e} at most")

# %% [markdown]
# ## The price of effort
# The same experiment with 20 × 20 neurons and K = 1/N. If effort is dear the network does what it
# does alone, and the cross is lost; the cheaper it is, the longer the cross is kept.

# %%
later = [2.0, 5.0, 10.0, 30.0, 60.0]
print(f"\n{'β/N':>6} {'cost':>9} {'wrong pixels of 400 at t = 2, 5, 10, 30, 60':>45} {'seconds':>8}")
for price in (10.0, 0.3, 0.01):
    solution = oc.solve(experiment(20, 1.0, price), oc.Pontryagin(refine_to=1e-2))
    wrong = (np.sign(solution.state("u", later)) != drawn(20)[1]).sum(axis=1)
    print(f"{price:6g} {solution.cost:9.3f} {wrong.tolist()!s:>45} {solution.stats['solve']:8.1f}")

# %% [markdown]
# ## What is seen
# Neither control was told about the cross. Motion has a price, so both oppose it: K = 3/N holds what
# is shown until t = 2, K = 1/N has to let it go. On the way to the saltire both come to the cross,
# where the network moves slowly, and there a small effort is enough to stay for long. It is no
# equilibrium for all that: the top of the disc slowly turns, and its 60 pixels are wrong from
# t = 100 (K = 1/N) or 120 (K = 3/N) on, when the discount has fallen to 5e-5.

# %%
paths = {
    "no control": (free, "#555555", ":"),
    "$K = 1/N$": (solutions[1.0], "#0072B2", "-"),
    "$K = 3/N$": (solutions[3.0], "#D55E00", "--"),
}
columns = [0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]
plt.rcParams["axes.titlesize"] = "medium"
figure = plt.figure(figsize=(9.5, 9.0))
shades = {"cmap": "gray", "vmin": -1, "vmax": 1, "interpolation": "nearest"}
stored = figure.add_gridspec(1, 7, left=0.045, right=0.99, top=0.97, bottom=0.82, wspace=0.1).subplots()
cells = figure.add_gridspec(3, 7, left=0.045, right=0.99, top=0.79, bottom=0.34, wspace=0.1).subplots()
for axis in (*stored, *cells.flat):
    axis.set(xticks=[], yticks=[])
for axis, image, name in zip(stored, images, ("ring", "cross", "saltire", "waves"), strict=False):
    axis.imshow(image.reshape(side, side), **shades)
    axis.set_title(name)
for axis in stored[len(images) :]:
    axis.set_visible(False)
stored[0].set_ylabel("stored")
for row, (name, (path, colour, _)) in zip(cells, paths.items(), strict=True):
    row[0].set_ylabel(name, color=colour)
    for axis, t in zip(row, columns, strict=True):
        u = path.state("u", t)
        outputs = axis.imshow(np.tanh(u).reshape(side, side), **shades)
        axis.set_xlabel(f"{(np.sign(u) != cross).sum()} wrong", fontsize="small", labelpad=2)
for axis, t in zip(cells[0], columns, strict=True):
    axis.set_title(f"$t$ = {t:g}")
bar = figure.colorbar(outputs, cax=figure.add_axes((0.64, 0.9, 0.3, 0.015)), orientation="horizontal")
bar.set_label("output $g(u)$ (dimensionless)")

axes = figure.add_gridspec(1, 3, left=0.065, right=0.99, top=0.27, bottom=0.055, wspace=0.3).subplots()
for name, (path, colour, line) in paths.items():
    overlap = np.tanh(path.state("u", moments)) @ cross / N
    axes[0].semilogx(moments, overlap, color=colour, linestyle=line, label=name)
for present, name in ((1.0, "$K = 1/N$"), (3.0, "$K = 3/N$")):
    look = {"color": paths[name][1], "linestyle": paths[name][2]}
    axes[1].semilogx(moments, effort[present], **look)
    axes[2].semilogx(moments, 100 * clipped[present], **look)
axes[0].set(ylabel="$s\\cdot g(u)/N$ (dimensionless)", ylim=(0.4, 1.1))
axes[0].set_title("(a) overlap with the cross $s$")
axes[1].set(ylabel=r"$\|\xi\|$ (dimensionless)", title="(b) effort", ylim=(0, None))
axes[2].set(ylabel="share at the bounds (%)", title="(c) clipped synapses", ylim=(0, 100))
for axis in axes:
    axis.set(xlabel="time (time constants)", xlim=(0.1, 60))
    axis.spines[["top", "right"]].set_visible(False)
axes[0].legend(fontsize="small", frameon=False, loc="upper left")
figure.savefig("out/06_image_recall.png", dpi=200)
