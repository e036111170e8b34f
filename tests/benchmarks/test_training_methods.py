"""Four ways to train one neural ODE on the same data to the same loss, and what continuation does for them.

The cubic spiral: 2-16-2 tanh, 100 samples on (0, 25], noise 0.05. Each fit ends when the rollout over all
samples is within 1.05 of the realised noise, or where the method ends by itself; success is judged by the
rollout at the model's own tolerance. The seeds are not those on which any setting was chosen.
"""

import numpy as np
import pytest

from ocnet import learning
from problems import spirals

pytestmark = pytest.mark.bench

CLOSE = 1.05
SEEDS = range(8000, 8010)
MORE = range(8000, 8020)


def trained(method, seeds=SEEDS, *, irregular=False, stop=True, **options):
    """Print a line of the table; return how many fits were close enough, and their CPU seconds."""
    model = learning.NeuralODE(learning.layers((2, 16, 2)))
    learning.fit(model, spirals.samples(0)[0].until(2.0), rng=0)  # compiled before anything is timed
    ratios, seconds = [], []
    for seed in seeds:
        samples, noise = spirals.samples(seed, irregular=irregular)
        found = learning.fit(
            model, samples, method, rng=seed, target=CLOSE * noise if stop else None, **options
        )
        ratios.append(found.rms / noise)
        seconds.append(found.history["seconds"][-1])
    ratios, seconds = np.array(ratios), np.array(seconds)
    reached = int(np.sum(ratios <= 1.001 * CLOSE))
    told = "".join(f", {name}={value}" for name, value in options.items())
    print(
        f"\n{method.label}{' to the end' * (not stop)}{', irregular' * irregular}{told}: {reached} of "
        f"{len(ratios)}; seconds median {np.median(seconds):.2f}, worst {seconds.max():.2f}; rms/noise "
        f"median {np.median(ratios):.3f}, worst {ratios.max():.3f}",
        flush=True,
    )
    return reached, seconds


@pytest.mark.parametrize(
    ("method", "least"),
    [
        (learning.GaussNewton(), 10),
        (learning.AllAtOnce(), 10),
        (learning.LBFGS(), 8),
        (learning.Adam(rate=0.03, iterations=50_000, stage_iterations=300), 5),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
def test_to_the_same_loss(method, least):
    assert trained(method)[0] >= least


@pytest.mark.parametrize("method", [learning.GaussNewton(), learning.AllAtOnce()], ids=lambda m: m.label)
def test_to_the_end(method):
    assert trained(method, stop=False)[0] == 10


@pytest.mark.parametrize("decay_start", [0.1, 10.0])
@pytest.mark.parametrize("method", [learning.GaussNewton(), learning.AllAtOnce()], ids=lambda m: m.label)
def test_weight_decay_homotopy(method, decay_start):
    trained(method, decay_start=decay_start)


@pytest.mark.parametrize("growing", [True, "segments"])
def test_times_drawn_at_random(growing):
    assert trained(learning.GaussNewton(), MORE, irregular=True, growing=growing)[0] >= 10
