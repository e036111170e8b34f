# %% [markdown]
# # Three roads to one optimum
#
# The same network of two neurons whose synapses are controlled, solved by direct collocation, by
# Pontryagin's conditions and by the Hamilton-Jacobi-Bellman equation. The first two find one path
# from one state; the third finds the cost from every state at once, and a feedback.

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet.figures import value as plot_value
from problems import synaptic_control

Path("out").mkdir(exist_ok=True)
A = np.array([[1.7, 0.5], [-0.2, 1.1]])
start = np.array([1.6, 1.8])
problem = synaptic_control.problem(A, initial=start, bounds=(0.1, 0.3), discount=0.5)


def timed(action):
    begun = time.process_time()
    result = action()
    return result, time.process_time() - begun


# %% [markdown]
# ## The three answers, with what each says of its own error

# %%
direct, direct_seconds = timed(lambda: oc.solve(problem, oc.Collocation()))
indirect, indirect_seconds = timed(lambda: oc.solve(problem, oc.Pontryagin()))
grid = oc.Grid(lower=[-3, -3], upper=[3, 3], shape=(401, 401))
value, value_seconds = timed(lambda: oc.solve_hjb(problem, grid))
refined, refined_seconds = timed(lambda: value.refined(start, 1e-10))
print(value)

rows = [
    ("collocation", direct.cost, oc.verify(direct).cost_error, direct_seconds),
    ("Pontryagin", indirect.cost, oc.verify(indirect).cost_error, indirect_seconds),
    ("value function v", value(start), value.error_at(start), value_seconds),
    ("the same, refined", refined.value, refined.error, refined_seconds),
    (
        "its feedback, followed: J",
        value.upper_bound(start),
        abs(value.upper_bound(start) - value(start)),
        0.0,
    ),
]
print(f"\n{'road':28}{'cost':>16}{'its error estimate':>20}{'s CPU':>8}")
for name, cost, error, seconds in rows:
    print(f"{name:28}{cost:16.10f}{error:20.1e}{seconds:8.2f}")

# %% [markdown]
# ## Closed loop
# The feedback needs no plan: it answers any state.

# %%
closed = oc.simulate(problem, policy=value.policy, initial=start, tf=20.0)
t = np.linspace(0, 12, 300)
apart = np.abs(closed.state("u", t) - indirect.state("u", t)).max()
print(f"closed loop and open loop differ by at most {apart:.1e}")

# %% [markdown]
# ## The picture
# Contours of the value with the flow under the feedback, paths from several states and where they end,
# and in black the ridges: there the gradient jumps, because two ways cost the same (a Skiba set). The closed
# loop rests at the red dots; from the blue one it moves away.

# %%
rng = np.random.default_rng(3)
starts = np.vstack([start, rng.uniform(-2.6, 2.6, (9, 2))])
figure, panels = plt.subplots(1, 3, figsize=(15.5, 4.8), layout="constrained")
plot_value.draw(panels[0], value, starts)
panels[0].set_title("(a) optimal cost, feedback's flow, ridges")

panels[1].plot(t, indirect.state("u", t), lw=1.6)
panels[1].set_prop_cycle(None)
panels[1].plot(t, closed.state("u", t), "k:", lw=1.6)
panels[1].set_prop_cycle(None)
panels[1].plot(t[::15], direct.state("u", t[::15]), "o", ms=4)
panels[1].set(xlabel="time (time constants)", ylabel="activation (dimensionless)")
panels[1].legend(["$u_1$", "$u_2$"])
panels[1].set_title("(b) Pontryagin (lines), collocation (dots), feedback (dotted)")

sizes, errors, seconds = (51, 101, 201, 401), [], []
inner = rng.uniform(-2, 2, (30, 2))
solver = oc.prepare(problem, oc.Pontryagin())
best = np.array([solver.solve(parameters={"initial": x}).cost for x in inner])
for m in sizes:
    trial, spent = timed(lambda m=m: oc.solve_hjb(problem, grid.resized(m)))
    errors.append([np.median(np.abs(trial(inner) - best)), np.median(trial.error_at(inner))])
    seconds.append(spent)
panels[2].loglog(seconds, np.array(errors)[:, 0], "o-", label="error at 30 states, median")
panels[2].loglog(seconds, np.array(errors)[:, 1], "s--", label="its estimate, median")
for m, s, (e, _) in zip(sizes, seconds, errors, strict=True):
    panels[2].annotate(f"{m}²", (s, e), textcoords="offset points", xytext=(5, 5))
panels[2].set(xlabel="CPU time (s)", ylabel="error of the cost (dimensionless)", title="(c) time and error")
panels[2].xaxis.set_minor_formatter("")
panels[2].set_xlim(0.01, 2)
panels[2].legend(fontsize="small")
figure.savefig("out/07_three_roads.png", dpi=150)
