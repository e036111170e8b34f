"""The demonstration behind `make demo`: two problems solved, certified and drawn into out/."""

# %%
from pathlib import Path

import numpy as np

import ocnet as oc
from problems import synaptic_control, weight_program

out = Path("out")
out.mkdir(exist_ok=True)

# %% A weight program: one W(t) that maps 14 corrupted patterns of 8 neurons to their originals
rng = np.random.default_rng(0)
targets = rng.choice([-1.0, 1.0], size=(8, 14))
inputs = 0.9 * weight_program.corrupt(targets, errors=21, rng=rng)
problem = weight_program.problem(inputs, targets, beta=0.5, tf=1.0)
print(problem, "\n")

program = oc.solve(problem, progress=True)
optimum = weight_program.optimal_cost(inputs, targets)
print(program, "\n")
difference = program.cost / optimum - 1
print(f"closed form of the optimal cost: {optimum:.12g}, relative difference {difference:.1e}\n")
print(program.certificate, "\n")
oc.plot.weights(program, "W").savefig(out / "weight_program.png", dpi=150)

# %% Synaptic control: the cheapest change of the synapses that settles a network of two neurons
A = np.array([[0.2, 1.4], [-0.9, 0.0]])
problem = synaptic_control.problem(A, initial=[1.0, -0.8], bounds=(0.05, 0.5), discount=0.5)
print(problem, "\n")

synapses = oc.solve(problem)
print(synapses, "\n")
print(synapses.certificate)
oc.plot.trajectories(synapses).savefig(out / "synaptic_control.png", dpi=150)
print(f"\nfigures: {out / 'weight_program.png'}, {out / 'synaptic_control.png'}")
