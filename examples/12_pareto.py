# %% [markdown]
# # Conservative or innovative? The Pareto front of motion and effort
# slow
#
# The weights (1 − μ) on motion and μ on the effort of control turn one cost into a family (F. Cardin,
# A. Lovison, A. Maritan and A. Megighian, arXiv 2305.14360): small μ let the network explore and record,
# μ near 1 keep it with the memories that it has. The front is traced with points at equal distances along it,
# and two identities of the value function are checked with numbers.

# %%
from pathlib import Path

import numpy as np

import ocnet as oc
from ocnet.memory import classify
from problems import brain_memory, synaptic_control

Path("out").mkdir(exist_ok=True)

# %% [markdown]
# ## The authors' network

# %%
front = oc.pareto_front(
    lambda mu: brain_memory.problem(1 - mu, mu), 21, ends=(1e-5, 0.999), names=("motion", "effort")
)
print(front)
print("\nclasses along the front:")
for mu, solution in zip(front.weights, front.solutions, strict=True):
    outcome = classify(solution)
    print(f"  μ = {mu:9.3g}: {outcome.name:<11} (largest control kept {outcome.control:.3g})")
oc.plot.pareto(front).savefig("out/12_pareto.png", dpi=200)

# %% [markdown]
# ## In continuous time, on an infinite horizon

# %%
A = np.array([[0.2, 1.4], [-0.9, 0.0]])


def network(discount, mu=0.5):
    return synaptic_control.problem(
        A, [1.0, -0.8], bounds=(0.05, 0.5), discount=discount, motion=1 - mu, effort=mu
    )


continuous = oc.pareto_front(
    lambda mu: network(0.25, mu), 11, ends=(1e-3, 0.999), names=("motion", "effort"), method=oc.Pontryagin()
)
print(f"\n{continuous}")
oc.plot.pareto(continuous).savefig("out/12_pareto_continuous.png", dpi=200)

# %% [markdown]
# ## Dynamic programming and the final value theorem
# The rest of an optimal path is optimal: V(u_0) is the cost up to t plus e^{−λt} V(u(t)), solved for again.
# And λJ tends to the limit of the stage cost, α|X_∞|² + β|ξ_∞|², which is 0 for a network that comes to rest.

# %%
solution = oc.solve(network(0.25), oc.Pontryagin())
print(f"\n{oc.dynamic_programming(solution, [0.5, 1.0, 2.0, 5.0], method=oc.Pontryagin())}")
print(oc.final_value(network, [0.5, 0.2, 0.1, 0.05, 0.02], method=oc.Pontryagin()))
