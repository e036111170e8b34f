# %% [markdown]
# Lagrangian and Hamiltonian networks: the energy is learned from noisy positions and momenta of a pendulum,
# and mechanics makes the motion of it. What is gained over a plain neural ODE, and over a plain integrator?

# %%
from pathlib import Path

import casadi as ca
import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet import learning
from ocnet.lagrangian import Lagrangian, coordinates
from ocnet.lagrangians.legendre import legendre
from ocnet.lagrangians.symplectic import SCHEMES, integrate, reversal_error
from problems import mechanics

out = Path("out")
out.mkdir(exist_ok=True)

# %% Euler-Lagrange: a charge in a magnetic field. The order of mixed derivatives is the sign of the force.
r, v = coordinates("r", 2)
motion = Lagrangian(r, v, ca.sumsqr(v) / 2 + 2 * r[0] * v[1], name="charge").euler_lagrange()
path = oc.simulate(motion, initial={"r": [0, 0], "r_dot": [1, 0.5]}, tf=1e-6)
print(f"acceleration {(path.state('r_dot', 1e-6) - [1, 0.5]) / 1e-6}; expected (1, -2)")

# %% Data: 25 trajectories of a pendulum, 45 noisy observations each.
truth = legendre(mechanics.pendulum())
rng, times = np.random.default_rng(0), np.linspace(0, 3, 45)
seen = mechanics.observe(truth.problem(), mechanics.ring(25, 1.3, 2.3, rng), times, noise=0.1, rng=rng)

# %% Learn H by trajectories; a plain field of about as many parameters from the same data.
network = learning.ScalarNetwork(2, (8,))
hamiltonian = learning.LearnedHamiltonian(network, 1, network.parameters)
options = {"rng": 1, "learn_initial": True, "weight_decay": 1e-2, "tolerance": 1e-4}
model, plain = learning.NeuralODE(hamiltonian.field), learning.NeuralODE(learning.layers((2, 8, 2)))
fit = learning.fit(model, seen.samples, theta=network.draw(1), **options)
baseline = learning.fit(plain, seen.samples, **options)
print(fit, baseline, sep="\n")

# %% Roll both out over sixteen times the length of the data.
start, t = np.array([2.0, 0.0]), np.linspace(0, 50, 2001)[1:]
rolled = {"learned H": model.solve(fit.theta, start, t), "plain field": plain.solve(baseline.theta, start, t)}
energy = truth.function().map(len(t))
energies = {name: energy(*x.T[:, None]).full()[0] for name, x in rolled.items()}
true_energy = float(truth.function()(2.0, 0.0))
for name, values in energies.items():
    print(f"{name}: largest energy error until t = 50: {np.abs(values - true_energy).max():.2g}")

# %% Symplectic and plain integration of the learned H: drift, and going there and back.
system = hamiltonian.system(fit.theta)
paths = {s: integrate(system, [2.0], [0.0], step=0.1, steps=4000, scheme=s) for s in SCHEMES[:3]}
lengths = (10, 30, 100, 300, 1000, 3000)
reversals = {
    s: [reversal_error(system, [2.0], [0.0], step=0.1, steps=k, scheme=s) for k in lengths] for s in paths
}
for name, found in paths.items():
    print(f"{name}: energy error {found.energy_error:.1e}, drift {found.energy_drift:.1e} per unit of time")

# %% The action of a learned path is stationary: variations that vanish at the ends change it in second order.
nodes, weights = np.polynomial.legendre.leggauss(60)
moments, lagrangian = nodes + 1, system.lagrangian()
x = model.solve(fit.theta, [1.5, 0.0], moments)
rates = system.function(system.velocity).map(60)(*x.T[:, None]).full()[0]
value = lagrangian.function().map(60)


def action(size):
    """∫L dt along the path moved by size·sin(πt/2)."""
    bump, slope = np.sin(np.pi * moments / 2), np.pi / 2 * np.cos(np.pi * moments / 2)
    return float(value((x[:, 0] + size * bump)[None], (rates + size * slope)[None]).full()[0] @ weights)


sizes = np.logspace(-3, -0.5, 12)
changes = np.array([abs(action(e) - action(0)) for e in sizes])
print(f"order of the change of the action: {np.polyfit(np.log(sizes), np.log(changes), 1)[0]:.2f}")

# %%
figure, axes = plt.subplots(2, 3, figsize=(14, 8), layout="constrained")
(phase, kept, against), (drift, back, stationary) = axes
grid = np.linspace(-3.0, 3.0, 101)
Q, P = np.meshgrid(grid, grid)
learned = hamiltonian.energy(fit.theta, np.stack([Q, P], axis=-1))
exact = 3 * (1 - np.cos(Q)) + P**2
learned += true_energy - hamiltonian.energy(fit.theta, start)  # H is known up to a constant
levels = (0.5, 1.5, 3.0, 4.25, 5.5)
phase.plot(*seen.samples.values.reshape(-1, 2).T, ".", color="0.8", ms=2, label="data")
phase.contour(Q, P, exact, levels, colors="k", linewidths=0.8)
phase.contour(Q, P, learned, levels, colors="C0", linewidths=1.6, linestyles="--")
phase.plot(*rolled["plain field"].T, color="C3", lw=0.6, label="plain field, t to 50")
phase.plot([], [], "k", lw=0.8, label="true H")
phase.plot([], [], "C0--", lw=1.6, label="learned H")
phase.set(xlabel="q (rad)", ylabel="p", title="Phase portrait", xlim=(-3, 3), ylim=(-3, 4))
phase.legend(fontsize=8, loc="upper center", ncols=2)

kept.axhline(true_energy, color="k", lw=0.8, label="truth")
for (name, values), color in zip(energies.items(), ("C0", "C3"), strict=True):
    kept.plot(t, values, color=color, lw=1.2, label=name)
kept.axvspan(0, 3, color="0.9")
kept.annotate("data", (3.4, 4.315), fontsize=8, color="0.4")
kept.set(xlabel="t", ylabel="true energy of the rollout", title="Energy from (2, 0)", ylim=(None, 4.33))
kept.legend(fontsize=8)

inside = exact < 5.5
against.plot(exact[inside], learned[inside], ".", ms=2, color="C0", rasterized=True)
against.plot([0, 5.5], [0, 5.5], "k", lw=0.8)
against.set(xlabel="true H", ylabel="learned H", title="Learned against true energy")

for (name, found), color in zip(paths.items(), ("C0", "C2", "C3"), strict=True):
    error = np.abs(found.energy - found.energy[0])
    tops = np.maximum(error[1:].reshape(-1, 50).max(axis=1), 1e-16)
    drift.loglog(found.time[50::50], tops, color=color, label=name)
    back.loglog(
        np.array(lengths) * 0.1, np.maximum(reversals[name], 1e-17), "o-", ms=3, color=color, label=name
    )
drift.set(
    xlabel="t", ylabel="largest |H − H(0)| in 5 units of time", title="Drift of the learned H, step 0.1"
)
drift.legend(fontsize=8)
back.set(xlabel="t before turning back", ylabel="relative distance from the start", title="Reversibility")
back.legend(fontsize=8)

stationary.loglog(sizes, changes, "o-", ms=3, color="C0", label="learned path")
stationary.loglog(sizes, changes[0] * (sizes / sizes[0]) ** 2, "k--", lw=0.8, label="second order")
stationary.set(xlabel="size of the variation", ylabel="change of the action", title="Stationary action")
stationary.legend(fontsize=8)
figure.savefig(out / "mechanics.png", dpi=150)
