# slow
# %% [markdown]
# Neural ODEs: a network as the right-hand side of ẋ = f(x, t; θ), learned from 100 noisy samples of a spiral.
# Four methods on the same data: Gauss-Newton, L-BFGS and Adam roll the model out and differentiate it through
# the steps of the integrator; collocation finds states and parameters together.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ocnet as oc
from ocnet import learning
from problems import spirals

out = Path("out")
out.mkdir(exist_ok=True)
samples, noise = spirals.samples(0)
model = learning.NeuralODE(learning.layers((2, 16, 2)))
print(f"{model.field}: {model.field.parameters} parameters, {samples.count} numbers, noise {noise:.4f}")

# %% One gradient: forward through the steps, back through the same steps.
theta = model.field.draw(0)
loss, by_theta, by_initial = model.gradient(theta, samples)
print(f"loss {loss:.3f}, |dloss/dθ| {np.linalg.norm(by_theta):.3f}, costate at the start {by_initial[0]}")

# %% Learn by four methods; each stops when its rollout is as close to the data as the truth is.
methods = (
    learning.GaussNewton(),
    learning.AllAtOnce(),
    learning.LBFGS(),
    learning.Adam(rate=0.03, iterations=8000),
)
fits = {m.label: learning.fit(model, samples, m, rng=0, target=1.02 * noise) for m in methods}
for fit in fits.values():
    print(fit, f"= {fit.rms / noise:.2f} noise")
best = fits["Gauss-Newton"]

# %% How good is the rollout, within the data and beyond, and is the flow invertible?
t = np.linspace(0.01, 40.0, 6000)
exact = oc.simulate(spirals.problem(40.0), initial=spirals.INITIAL).state("x", t)
learned = model.solve(best.theta, spirals.INITIAL, t)
print(f"back from t = 25 to 0: {model.inversion_error(best.theta, spirals.INITIAL, 25.0):.1e}")

# %% A residual network is Euler's method: the same weights in 500 layers of 1/20 each drift away.
slow = learning.NeuralODE(model.field, euler_step=0.05)
layered = slow.solve(best.theta, spirals.INITIAL, t[t <= 25])

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
within = t <= 25
left.plot(*samples.values[0].T, ".", color="0.6", ms=4, label="samples")
left.plot(*exact[within].T, color="k", lw=0.8, label="truth")
left.plot(*learned[within].T, color="C0", lw=1.5, label="order 8")
left.plot(*layered.T, "--", color="C3", lw=0.9, label="500 Euler layers")
left.set(xlabel="$x_1$", ylabel="$x_2$", title="Rollout from (2, 0)", aspect="equal")
left.set(xlim=(-2.4, 3.0), ylim=(-2.4, 3.0))
left.legend(fontsize=8, loc="upper right")

middle.plot(t, exact[:, 0], color="k", lw=0.8, label="truth")
middle.plot(t, learned[:, 0], color="C0", lw=1.5, label="learned")
middle.plot(samples.times[0], samples.values[0, :, 0], ".", color="0.6", ms=4, label="samples")
middle.axvline(25.0, color="0.5", ls=":", lw=1)
middle.annotate("no data", (25.4, 1.75), fontsize=8, color="0.4")
middle.set(xlabel="t", ylabel="$x_1$", title="Within the data and beyond")
middle.legend(fontsize=8)

for name, fit in fits.items():
    seconds, rms = fit.history["seconds"], fit.history["rms"] / noise
    whole = fit.history["horizon"] >= 25.0
    line = right.loglog(seconds, rms, lw=0.5, alpha=0.5)[0]
    right.loglog(seconds[whole], np.minimum.accumulate(rms[whole]), color=line.get_color(), lw=2, label=name)
    right.plot(seconds[-1], fit.rms / noise, "o", color=line.get_color(), ms=5)
right.axhline(1.0, color="k", lw=0.6)
right.set(xlabel="CPU seconds", ylabel="rms error / noise", xlim=(1e-2, 10), ylim=(0.1, 30))
right.set_title("Four methods (thick: best on the whole)")
right.legend(fontsize=8, loc="lower left")
figure.savefig(out / "neural_ode.png", dpi=150)

# %% Parameters as constant controls: the same task as a Problem, for collocation and other adjoints.
print(model.problem(samples.until(1.0), theta=best.theta, weight_decay=1e-3))

# %% A model is saved as numbers and names; nothing in the file is executed when it is read.
best.save(out / "spiral.nc")
print(learning.load(out / "spiral.nc"))
