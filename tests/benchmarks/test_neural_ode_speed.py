"""Gradients of neural ODEs: their price in forward solves, and ratios to diffrax and torchdiffeq.

The peers run in the environment whose interpreter OCNET_PEER_PYTHON names (`pip install -e
'.[bench-learning]'` there), or in this one if it has them; without them their tests are skipped. All times
are CPU seconds of one run, one thread each, processes one after the other.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ocnet import learning

pytestmark = pytest.mark.bench

PEERS = Path(__file__).parent / "peers"
PYTHON = os.environ.get("OCNET_PEER_PYTHON", sys.executable)
SIZES = ((2, 8, 2), (4, 16, 4), (10, 50, 10))  # 42, 148 and 1060 parameters
LADDER = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
ACCURACY = 1e-7  # relative error of the gradient


def case(sizes, seed=0, **more):
    rng = np.random.default_rng(seed)
    theta = learning.layers(sizes).draw(rng)
    return {
        "sizes": sizes, "theta": theta.tolist(), "times": np.sort(rng.uniform(0, 10, 20)).tolist(),
        "initial": rng.normal(size=sizes[0]).tolist(), "targets": rng.normal(size=(20, sizes[0])).tolist(),
        "tolerances": LADDER, "repeats": 5, "inner": 4,
    } | more  # fmt: skip


def asked(peer, cases, tmp_path):
    """Answers of one peer in a process of its own, with an empty cache of compiled loops."""
    own = peer.startswith("ocnet")
    module = {"diffrax_peer": "diffrax", "torchdiffeq_peer": "torchdiffeq"}.get(peer)
    python = sys.executable if own else PYTHON
    if module and subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode:
        pytest.skip(f"{module} is not installed for {python}; name another with OCNET_PEER_PYTHON")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    if not own:
        environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, str(PEERS / f"{peer}.py")], input=json.dumps(cases), capture_output=True, text=True,
        env=environment, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def reference(of):
    model = learning.NeuralODE(learning.layers(of["sizes"]), tolerance=1e-13)
    return model.gradient(of["theta"], learning.Samples(of["times"], of["targets"], of["initial"]))[1]


def cheapest(answers, exact):
    """Seconds, tolerance and error of the cheapest setting that is accurate enough, or of the finest one."""
    rows = [
        (a["seconds"], a["tolerance"], np.abs(np.array(a["gradient"]) - exact).max() / np.abs(exact).max())
        for a in answers
    ]
    return min((row for row in rows if row[2] <= ACCURACY), default=rows[-1])  # the finest, if none is


@pytest.mark.parametrize(("peer", "ratio"), [("diffrax_peer", 1.0), ("torchdiffeq_peer", 10.0)])
def test_equal_accuracy(peer, ratio, tmp_path):
    cases = [case(sizes) for sizes in SIZES]
    slow = [c | {"repeats": 2, "inner": 1} for c in cases] if "torch" in peer else cases
    theirs = asked(peer, slow, tmp_path)
    ours = asked("ocnet_neural_ode_peer", cases, tmp_path)
    ratios = []
    for c, mine, other in zip(cases, ours, theirs, strict=True):
        exact = reference(c)
        a, b = cheapest(mine["answers"], exact), cheapest(other["answers"], exact)
        assert a[2] <= ACCURACY
        ratios.append(b[0] / a[0])
        print(
            f"\n{len(c['theta'])} parameters: ocnet {1e3 * a[0]:.3f} ms (tolerance {a[1]:g}, error "
            f"{a[2]:.1e}), {peer} {1e3 * b[0]:.3f} ms ({b[1]:g}, {b[2]:.1e}), ratio {ratios[-1]:.1f}"
        )
    assert min(ratios) >= ratio


def test_first_gradient(tmp_path):
    """From the imported package to the first gradient, compilation included, caches empty."""
    for k, sizes in enumerate(SIZES):
        c = [case(sizes, tolerances=[1e-8], repeats=1, inner=1)]
        theirs = asked("diffrax_peer", c, tmp_path)[0]["first"]
        ours = asked("ocnet_neural_ode_peer", c, tmp_path / str(k))[0]["first"]
        print(
            f"\n{len(c[0]['theta'])} parameters: ocnet {ours['cpu']:.2f} s CPU ({ours['wall']:.2f} s), "
            f"diffrax {theirs['cpu']:.2f} s ({theirs['wall']:.2f} s), ratio {ours['cpu'] / theirs['cpu']:.3f}"
        )
        assert ours["cpu"] < theirs["cpu"] / 4


def test_gradient_in_forward_solves():
    for sizes in SIZES:
        c = case(sizes)
        model = learning.NeuralODE(learning.layers(sizes), tolerance=1e-8)
        samples = learning.Samples(c["times"], c["targets"], c["initial"])
        model.gradient(c["theta"], samples)
        forward, whole = [], []
        for _ in range(40):  # alternately, so that other load meets both
            start = time.process_time()
            for _ in range(10):
                model.solve(c["theta"], c["initial"], c["times"])
            middle = time.process_time()
            for _ in range(10):
                model.gradient(c["theta"], samples)
            forward.append(middle - start)
            whole.append(time.process_time() - middle)
        ratio = np.median(np.array(whole) / np.array(forward))
        print(
            f"\n{len(c['theta'])} parameters: {1e2 * np.median(forward):.3f} ms forward, "
            f"gradient {ratio:.2f} of it"
        )
        assert ratio < 3


def test_training_methods_to_the_same_loss():
    """The cubic spiral by four methods: CPU seconds until the rollout is within 1.05 of the noise."""
    from problems import spirals

    model = learning.NeuralODE(learning.layers((2, 16, 2)))
    methods = (
        learning.GaussNewton(), learning.AllAtOnce(), learning.LBFGS(),
        learning.Adam(iterations=40000),
    )  # fmt: skip
    learning.fit(model, spirals.samples(0)[0].until(2.0), rng=0)
    for method in methods:
        reached, seconds, ratios = 0, [], []
        for seed in range(3):
            samples, noise = spirals.samples(3000 + seed)
            found = learning.fit(model, samples, method, rng=seed, target=1.05 * noise)
            reached += found.success
            ratios.append(found.rms / noise)
            seconds.append(found.history["seconds"][-1])
        print(
            f"\n{method.label}: {reached} of 3; seconds {np.round(seconds, 2)}; "
            f"rms/noise {np.round(ratios, 3)}"
        )
        if isinstance(method, (learning.GaussNewton, learning.AllAtOnce)):
            assert reached == 3
