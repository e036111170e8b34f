# %% [markdown]
# # Landscapes: what a network remembers, where it turns, and what control adds
#
# Memories are sinks, the borders between them run through saddles and sources, associations are
# limit cycles (Hopfield 1982, 1984; Krotov and Hopfield 2021; Cardin, Lovison, Maritan and Megighian,
# arXiv 2305.14360).

# %%
from pathlib import Path

import casadi as ca
import numpy as np

import ocnet as oc
from ocnet import networks
from problems import synaptic_control

Path("out").mkdir(exist_ok=True)

# %% [markdown]
# ## A symmetric network runs downhill
# All equilibria in a box are found by bisection with interval bounds: the list is proved to be complete.

# %%
T = np.array([[1.6, 0.6], [0.6, 1.9]])
network = networks.hopfield(T)
memories = oc.landscape(network, -3, 3)
print(memories)

starts = [[0.2, -2.2], [-0.3, 0.1], [-2.0, 1.9], [1.2, -0.9]]
paths = [oc.simulate(network, initial=start, tf=100.0, until=1e-8) for start in starts]
E = networks.energy(T)
for path in paths:
    print(E.along(path))
oc.plot.landscape(memories, paths, energy=E).savefig("out/09_symmetric.png", dpi=200)

# %% [markdown]
# ## Synapses that depend on the outputs
# T(V) = ∇²Φ(V) has an energy by Legendre's transform; other T(V) have one if T(V) V is a gradient.

# %%
phi = networks.Krotov(lambda V: 0.6 * ca.sumsqr(V) + 0.5 * (V[0] * V[1]) ** 2 - 0.2 * V[0] ** 3, n=2)
krotov = oc.landscape(networks.hopfield(phi, 2), -6, 6)
print(krotov)
oc.plot.landscape(krotov, energy=networks.energy(phi)).savefig("out/09_krotov.png", dpi=200)


def turned(V):
    """∇²Φ and a part that takes V to 0: the same field T(V) V, but no Hessian any more."""
    side = ca.vertcat(-V[1], V[0])
    return phi(V) + ca.mtimes(side, side.T)


def lopsided(V):
    """Symmetric, but T(V) V is no gradient."""
    return ca.diag(ca.vertcat(V[1], V[0]))


for name, synapses in (("∇²Φ", phi), ("∇²Φ + (KV)(KV)ᵀ", turned), ("diag(V₂, V₁)", lopsided)):
    print(f"T = {name}: {networks.closure(synapses, 2)}")

# %% [markdown]
# ## An asymmetric network turns
# The only equilibrium is a source, so every path tends to a limit cycle: an association.

# %%
A = np.array([[1.8, -1.2], [1.5, 1.6]])
turning = networks.hopfield(A)
around = oc.landscape(turning, -3, 3)
cycle = oc.limit_cycle(turning, [0.1, 0.0])
print(around)
print(cycle)
paths = [oc.simulate(turning, initial=start, tf=8.0) for start in ([0.2, 0.1], [-2.6, -2.4])]
oc.plot.landscape(around, paths, cycles=[cycle]).savefig("out/09_cycle.png", dpi=200)

# %% [markdown]
# ## The same field under A and under A + ξ
# The network A has one sink, at the origin: it remembers nothing. From this start the optimal control
# holds the state back; under the synapses that it has made by t = 5 there are two memories, and one of
# them is near the state.

# %%
A = np.array([[0.2, 2.0], [-0.5, 1.6]])
problem = synaptic_control.problem(A, [0.3, -1.8], bounds=(0.1, 0.9), discount=0.1, effort=0.005)
solution = oc.solve(problem, oc.Collocation())
xi = solution.control("xi", 5.0)
before = oc.landscape(problem, -3, 3, controls={"xi": 0.0})
after = oc.landscape(problem, -3, 3, controls={"xi": xi})
print(before)
print(after)
held = after.nearest(solution.state("u", 5.0))
print(f"state at t = 5: {solution.state('u', 5.0)}, nearest equilibrium of A + ξ: {held.kind} {held.x}")
figure = oc.plot.landscape({"under A": before, "under A + ξ(5)": after}, solution)
figure.savefig("out/09_control.png", dpi=200)
