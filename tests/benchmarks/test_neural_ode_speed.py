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

import casadi as ca
import numpy as np
import pytest

from ocnet import learning
from ocnet.learning.neural_odes import sweeps
from ocnet.learning.neural_odes.compiled import meanwhile

pytestmark = pytest.mark.bench

PEERS = Path(__file__).parent / "peers"
PYTHON = os.environ.get("OCNET_PEER_PYTHON", sys.executable)
SIZES = ((2, 8, 2), (4, 16, 4), (10, 50, 10))  # 42, 148 and 1060 parameters
LADDER = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
COUNTS = (1, 10, 100, 1000)
ACCURACY = 1e-7  # relative error of the gradient


def case(sizes, seed=0, **more):
    rng = np.random.default_rng(seed)
    theta = learning.layers(sizes).draw(rng)
    return {
        "sizes": sizes, "theta": theta.tolist(), "times": np.sort(rng.uniform(0, 10, 20)).tolist(),
        "initial": rng.normal(size=sizes[0]).tolist(), "targets": rng.normal(size=(20, sizes[0])).tolist(),
        "tolerances": LADDER, "repeats": 20, "inner": 10,
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


def test_waiting_for_gradients(tmp_path):
    """CPU from the imported package to the k-th gradient, compilation included, caches empty."""
    for number, sizes in enumerate(SIZES):
        c = [case(sizes, tolerances=[1e-8], until=COUNTS)]
        ours, theirs = [], []
        for turn in range(2):
            theirs.append(asked("diffrax_peer", c, tmp_path)[0]["until"])
            ours.append(asked("ocnet_neural_ode_peer", c, tmp_path / f"{number}{turn}")[0]["until"])
        for k in COUNTS:
            mine, other = (min(run[str(k)] for run in runs) for runs in (ours, theirs))
            print(
                f"\n{len(c[0]['theta'])} parameters, gradient {k}: ocnet {mine:.3f} s, "
                f"diffrax {other:.2f} s, ratio {mine / other:.3f}",
                end="",
            )
            # Plain Python makes the first hundred or so; with the compilation that follows it is near 1.
            assert mine < {1: 0.25, 10: 0.25, 100: 0.5}.get(k, 1.5) * other
        loaded = asked("ocnet_neural_ode_peer", c, tmp_path / f"{number}1")[0]["until"]["1"]
        print(f"\n{len(c[0]['theta'])} parameters, gradient 1, compiled before: {loaded:.2f} s", end="")
        assert loaded < other / 4


def fields():
    """Layers, the same networks and others as CasADi expressions; parameters at which to differentiate."""
    rng = np.random.default_rng(0)
    for sizes in SIZES:
        field = learning.layers(sizes)
        theta = field.draw(rng)
        yield f"layers {sizes}", field, theta
        plain = learning.expression(field.rule, states=field.states, parameters=field.parameters)
        yield f"expression {sizes}", plain, theta
    pendulum = learning.expression(
        lambda x, t, q: [x[1], -q[0] * ca.sin(x[0]) - q[1] * x[1]], states=2, parameters=2
    )
    yield "pendulum", pendulum, np.array([1.0, 0.1])
    network = learning.ScalarNetwork(2, (8,))
    yield (
        "Hamiltonian network",
        learning.LearnedHamiltonian(network, 1, network.parameters).field,
        network.draw(rng),
    )


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "repeated"])
def test_gradient_in_forward_solves(kept, monkeypatch):
    """The loops alone at 1e-8, with the values of the stages in memory or evaluated again."""
    monkeypatch.setattr(meanwhile, "limit", 0.0)
    if not kept:
        monkeypatch.setattr(sweeps, "MOST_KEPT", 0)
    rng = np.random.default_rng(1)
    for name, field, theta in fields():
        times, initial = np.sort(rng.uniform(0, 10, 20))[None], rng.normal(size=(1, field.states))
        seeds = rng.normal(size=(1, 20, field.states))
        loops = learning.NeuralODE(field).sweeps
        forward, reverse = [], []
        for _ in range(30):  # alternately, so that other load meets both
            start = time.process_time()
            for _ in range(5):
                loops.forward(theta, np.zeros(1), initial, times, 1e-8)
            middle = time.process_time()
            for _ in range(5):
                loops.reverse(seeds)
            forward.append((middle - start) / 5)
            reverse.append((time.process_time() - middle) / 5)
        loops.jacobian()
        jacobian = []
        for _ in range(5):
            start = time.process_time()
            loops.jacobian()
            jacobian.append(time.process_time() - start)
        ratio, rows = 1 + min(reverse[1:]) / min(forward[1:]), 1 + min(jacobian) / min(forward[1:])
        print(
            f"\n{name}: {1e3 * min(forward):.3f} ms forward, gradient {ratio:.2f} of it, Jacobian {rows:.1f}",
            end="",
        )
        assert ratio < 3
        assert min(jacobian) < seeds.size * min(reverse[1:])  # a reverse sweep for each observation
