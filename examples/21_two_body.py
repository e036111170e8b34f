# slow
# %% [markdown]
# Two bodies that attract each other, learned from noisy orbits: by a plain vector field, by a network that is
# the Hamiltonian of all eight coordinates, and by one that is told that the bodies act on each other along
# the distance between them. How well is the energy kept, and what is gained by telling more?

# %%
from pathlib import Path

import casadi as ca
import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet import learning
from ocnet.errors import SimulationError
from ocnet.lagrangians.legendre import legendre
from ocnet.lagrangians.symplectic import integrate
from problems import mechanics

out = Path("out")
out.mkdir(exist_ok=True)

# %% Data: 25 nearly circular orbits with radii between 0.5 and 1.5, 21 observations on [0, 10], noise 0.01.
truth, rng, times = legendre(mechanics.two_body()), np.random.default_rng(0), np.linspace(0, 10, 21)
starts, others = (mechanics.near_circles(25, 0.5, 1.5, rng) for _ in range(2))
seen = mechanics.observe(truth.problem(), starts, times, noise=0.01, rng=rng)
test = mechanics.observe(truth.problem(), others, times, noise=0.0, rng=rng)
points = (seen.samples.values.reshape(-1, 8), seen.rates.reshape(-1, 8))
derivatives = learning.derivative_samples(*points)  # exact rates at noisy states


def energy(states):
    """True energy at states (..., 8)."""
    flat = states.reshape(-1, 8).T
    return truth.function().map(flat.shape[1])(flat[:4], flat[4:]).full().reshape(states.shape[:-1])


# %% Three fields. The last one: H = |p|²/2 + V(distance), and V is a network of one input.
whole, alone = learning.ScalarNetwork(8, (30,)), learning.ScalarNetwork(1, (8,))


def pair(q, p, theta):
    return ca.sumsqr(p) / 2 + alone(ca.norm_2(q[:2] - q[2:]), ca.DM(0, 1), theta)


plain = learning.layers((8, 30, 8))
general = learning.LearnedHamiltonian(whole, 4, whole.parameters)
central = learning.LearnedHamiltonian(pair, 4, alone.parameters)
kinds = {
    "plain field": (plain, plain.draw(np.random.default_rng(1))),
    "H of eight coordinates": (general.field, whole.draw(1)),
    "H with V(distance)": (central.field, alone.draw(1)),
}


# %% From derivatives, and from the noisy orbits alone; judged on 25 other orbits.
def judged(field, theta):
    """Mean squared energy error and rms error of states up to t = 10; relative energy error at t = 100."""
    model, far = learning.NeuralODE(field), []
    path = model.solve(theta, others, times[1:])
    for start in others:
        try:
            end = model.solve(theta, start, [100.0])
            far.append(abs(energy(end)[0] / energy(start[None])[0] - 1))
        except SimulationError:  # the learned bodies collide or flee
            far.append(np.inf)
    wrong = path - test.exact[:, 1:]
    squared = np.mean((energy(path) - energy(test.exact[:, 1:])) ** 2)
    return squared, np.sqrt(np.mean(wrong**2)), np.median(far), max(far)


fits, short = {}, learning.GaussNewton(iterations=40, stage_iterations=8)
for name, (field, theta) in kinds.items():
    matched = learning.fit(
        learning.NeuralODE(field, euler_step=1.0), derivatives, theta=theta, weight_decay=1e-4, growing=False
    )
    followed = learning.fit(
        learning.NeuralODE(field), seen.samples, short, theta=theta, weight_decay=1e-4, learn_initial=True,
        tolerance=1e-4,
    )  # fmt: skip
    for source, found in (("derivatives", matched), ("orbits", followed)):
        squared, rms, middle, worst = judged(field, found.theta)
        fits[name, source] = found
        print(
            f"{name}, {len(found.theta)} parameters, from {source}: energy {squared:.1e}, states {rms:.3f}, "
            f"at t = 100 {middle:.1e} (worst {worst:.1e}); {found.history['seconds'][-1]:.1f} s CPU"
        )

# %% Symplectic integration of what was learned: the drift of the learned and of the true energy.
start = others[np.argmin(np.linalg.norm(others[:, :2], axis=1))]  # the tightest orbit turns fastest
known = oc.simulate(
    truth.problem(), initial=dict(zip(("q", "q_momentum"), np.split(start, 2), strict=True)), tf=100.0
)
learned = {
    "H of eight coordinates": general.system(fits["H of eight coordinates", "derivatives"].theta),
    "H with V(distance)": central.system(fits["H with V(distance)", "orbits"].theta),
}
paths = {
    name: integrate(system, start[:4], start[4:], step=0.02, steps=5000, scheme="implicit midpoint")
    for name, system in learned.items()
}
for name, path in paths.items():
    print(f"{name}: drift of the learned energy {path.energy_drift:.1e} per unit of time")

# %%
figure, (orbits, kept, force) = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
colors = {"plain field": "C3", "H of eight coordinates": "C1", "H with V(distance)": "C0"}
t = np.linspace(0, 30, 1500)[1:]
exact = known.state("q", t)
for name, source in (("plain field", "derivatives"), ("H of eight coordinates", "derivatives")):
    try:
        path = learning.NeuralODE(kinds[name][0]).solve(fits[name, source].theta, start, t)
    except SimulationError:
        path = learning.NeuralODE(kinds[name][0]).solve(fits[name, source].theta, start, t[t < 15])
    orbits.plot(path[:, 0], path[:, 1], color=colors[name], lw=0.7, label=name)
path = learning.NeuralODE(central.field).solve(fits["H with V(distance)", "orbits"].theta, start, t)
orbits.plot(path[:, 0], path[:, 1], color="C0", lw=1.8, label="H with V(distance)")
orbits.plot(exact[:, 0], exact[:, 1], "k--", lw=0.8, label="truth")
orbits.set(xlabel="$x_1$", ylabel="$y_1$", title="First body, t to 30 (data: 10)", aspect="equal")
orbits.set(xlim=(-0.8, 0.8), ylim=(-0.75, 1.05))
orbits.legend(fontsize=8, loc="upper center", ncols=2)

for name, path in paths.items():
    error = np.abs(energy(np.column_stack([path.q, path.p])) / energy(start[None]) - 1)
    kept.semilogy(path.time[50::50], error[1:].reshape(-1, 50).max(axis=1), color=colors[name], label=name)
kept.set(
    xlabel="t (shaded: data)",
    ylabel="relative error of the true energy",
    title="Implicit midpoint, step 0.02",
)
kept.axvspan(0, 10, color="0.9")
kept.legend(fontsize=8)

distance = np.linspace(0.8, 3.5, 120)
states = np.zeros((120, 8))  # on circles about 0, the first body on the right
states[:, 0], states[:, 2] = distance / 2, -distance / 2
states[:, 5], states[:, 7] = 0.5 / np.sqrt(distance / 2), -0.5 / np.sqrt(distance / 2)
for name in kinds:
    source = "orbits" if name == "H with V(distance)" else "derivatives"
    once = learning.NeuralODE(kinds[name][0], euler_step=1.0)
    attraction = (states - once.solve(fits[name, source].theta, states, [1.0])[:, 0])[:, 4]
    force.semilogy(distance, np.abs(attraction * distance**2 - 1), color=colors[name], lw=1.4, label=name)
force.axvspan(1, 3, color="0.9")
force.set(xlabel="distance (shaded: data)", ylabel="relative error of the force on the first body")
force.set_title("Force on circles")
force.legend(fontsize=8, loc="lower center")
figure.savefig(out / "two_body.png", dpi=150)
