# %% [markdown]
# # A value function, seen from all sides
#
# Two neurons whose synapses are controlled have several places to rest. The value function says what it costs
# to get to the best one from every state, and where the choice between two of them flips.

# %%
# slow
from pathlib import Path

import numpy as np

import ocnet as oc
from ocnet.value_rest import rest_points
from problems import synaptic_control

Path("out").mkdir(exist_ok=True)
A = np.array([[1.6, 0.3], [0.3, 1.5]])
problem = synaptic_control.problem(A, initial=[1.0, 1.0], bounds=(0.1, 0.3), discount=0.5)
box = oc.Grid(lower=[-3, -3], upper=[3, 3], shape=241)
value = oc.solve_hjb(problem, box)
print(value)

# %% [markdown]
# ## Where the closed loop rests
# Zeros of the flow under the feedback, with the real parts of their growth rates. Where v = 0 the network
# rests without control; at the other sinks a control that costs a little, for ever, is cheaper than to go on.

# %%
for point in rest_points(value):
    place, rates = np.array2string(point.x, precision=4), np.array2string(point.growth, precision=3)
    print(f"{point.kind:7} at {place:20} growth {rates:18} v = {value(point.x):.2e}")

# %% [markdown]
# ## Contours with the flow, optimal paths and ridges; the surface
# Black ridges part the basins (Skiba sets): on them two ways cost the same, and the feedback jumps.

# %%
starts = np.random.default_rng(1).uniform(-2.7, 2.7, (10, 2))
oc.plot.contours(value, starts).savefig("out/08_contours.png")
oc.plot.surface(value).savefig("out/08_surface.png")

# %% [markdown]
# ## Three neurons, plane by plane

# %%
ring = 1.5 * np.eye(3) + 0.3 * (np.roll(np.eye(3), 1, axis=1) - np.roll(np.eye(3), -1, axis=1))
three = synaptic_control.problem(ring, initial=np.zeros(3), bounds=(0.1, 1.0), discount=0.5)
cube = oc.solve_hjb(three, oc.Grid(lower=[-3] * 3, upper=[3] * 3, shape=41), tolerance=1e-6)
oc.plot.slices(cube).savefig("out/08_slices.png")

# %% [markdown]
# ## How good it is
# Errors against open-loop optima from 20 states (the best that start from the feedback's paths into the
# basins nearby), and what the value functions say of their errors themselves.

# %%
x = np.random.default_rng(2).uniform(-2, 2, (20, 2))
solver = oc.prepare(problem, oc.Pontryagin())
best = np.array([solver.solve(parameters={"initial": point}, guess=value).cost for point in x])
values = [oc.solve_hjb(problem, box.resized(m)) for m in (31, 61, 121, 241, 481)]
oc.plot.convergence(values, x, best).savefig("out/08_convergence.png")
for v in values:
    error = np.abs(v(x) - best)
    print(
        f"{v.grid.shape[0]:4}²: {v.stats['seconds']:5.2f} s, median error {np.median(error):.1e} "
        f"(estimated {np.median(v.error_at(x)):.1e}), largest {error.max():.1e}"
    )
