# %% [markdown]
# # A window rolls over an image
#
# A noisy image of 512 × 512 pixels is restored by a lattice of 262 144 neurons, of which 64 × 64 are
# simulated at a time. The window climbs towards more benefit, Σ w g'(∂E/∂v)² (Mjolsness and Miranker, NIPS
# 1990, section 3.4); when nothing is left to gain where it is, it starts again where outputs are due the
# largest change.

# %%
# slow
from pathlib import Path

import numpy as np

import ocnet as oc
from ocnet.attention import Clock, Everything, JumpingWindow, RollingWindow, relax
from problems import lattice

Path("out").mkdir(exist_ok=True)
N, WINDOW = 512, 64
clean = lattice.image(N, N)
pixels = lattice.noisy(clean, 0.2)
network = lattice.network(pixels)
start = 2.0 * pixels.reshape(-1)
print(network)
print(f"wrong pixels before: {lattice.wrong(pixels, clean):.4f}")

# %% [markdown]
# ## What attention costs and saves

# %%
runs = {}
for name, rule in {
    "full network": Everything(),
    "rolling window": RollingWindow((N, N), WINDOW),
    "jumping window": JumpingWindow(N * N // WINDOW**2),
}.items():
    clock = Clock(neurons=1) if name == "full network" else Clock()  # a record after each sweep
    runs[name] = relax(network, rule, initial=start, clock=clock, tolerance=1e-2)
    c = runs[name].counters
    print(f"{name:15} {runs[name].status}, wrong pixels {lattice.wrong(runs[name].v, clean):.4f}, E "
          f"{runs[name].energy:.1f}, {c.connection_updates} connection updates, {c.phases} phases "
          f"({c.rescues} rescues), at most {c.peak_active} neurons and {c.bytes_active} bytes "
          "active")  # fmt: skip
oc.plot.attention(runs).savefig("out/17_economy.png", dpi=150)

# %% [markdown]
# ## A film strip
# The same run in parts, each continued from where the last one ended.

# %%
frames, places, titles = [pixels], [None], [f"noisy, {lattice.wrong(pixels, clean):.1%} wrong"]
state, place, phases = start, None, 0
while len(frames) < 6:
    part = relax(
        network, RollingWindow((N, N), WINDOW, start=place), initial=state, tolerance=1e-2, phases=70
    )
    state, place, phases = part.u, part.places[-1], phases + part.counters.phases
    frames.append(part.v.reshape(N, N))
    places.append(place)
    titles.append(f"phase {phases}, {lattice.wrong(part.v, clean):.1%} wrong")
figure = oc.plot.film(frames, places, (WINDOW, WINDOW), titles=titles)
figure.savefig("out/17_film.png", dpi=150)

# %% [markdown]
# ## The window's own dynamics
# With a time τ for control, the window moves by dx/dτ = b'(B) ∂B/∂x and real neurons on its flanks are shared
# between two virtual ones: only those change hands. On 96 × 96 pixels, against jumps to the summit.

# %%
n = 96
small = lattice.noisy(lattice.image(n, n), 0.2)
network = lattice.network(small)
for name, clock, flank in (("summit", Clock(), 1.0), ("dynamics", Clock(control=30.0), 3.0)):
    rule = RollingWindow((n, n), 16, flank=flank)
    run = relax(network, rule, initial=2.0 * small.reshape(-1), clock=clock, tolerance=1e-2)
    before, after = run.history["benefit_before"], run.history["benefit_after"]
    rolled = ~run.history["rescue"] & (np.abs(after - before) > 0)
    print(f"{name:9} {run.status}, wrong pixels {lattice.wrong(run.v, lattice.image(n, n)):.4f}, "
          f"{run.counters.connection_updates} connection updates, {run.counters.phases} phases; "
          f"{np.mean(after[rolled] > before[rolled]):.3f} of the moves went uphill")  # fmt: skip
figure = oc.plot.film([small, run.v.reshape(n, n)], window=(16, 16), path=run.places,
                      titles=["noisy", "restored, and the window's path"])  # fmt: skip
figure.savefig("out/17_path.png", dpi=150)
