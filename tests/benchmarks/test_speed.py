"""CPU time of build and solve on a fixed mesh, as a ratio to a hand-written collocation of the same mesh."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ocnet as oc
from problems import synaptic_control, weight_program

sys.path.insert(0, str(Path(__file__).parent))
import reference_collocation as reference
from instances import instance

INTERVALS = {"synaptic_control": 40, "weight_program": 20}
CASES = [("synaptic_control", n) for n in (4, 8, 16, 32)] + [("weight_program", n) for n in (4, 8, 16)]
NAMES = {"synaptic_control": ("u", "xi"), "weight_program": ("z", "W")}


def state(family, data):
    """State the instance as ocnet's own families do."""
    if family == "weight_program":
        return weight_program.problem(data.inputs, data.targets, beta=data.beta, tf=data.tf)
    bounds = (data.silent, data.present)
    return synaptic_control.problem(
        data.A, initial=data.initial, bounds=bounds, discount=data.discount, tf=data.tf
    )


def hand_written(data, intervals):
    """Build and solve once by the reference; its report and its guess."""
    built = reference.build(data, intervals)
    guess = reference.uncontrolled(data, built.times)
    report = reference.solve(built, guess)
    return report["cpu_build"] + report["cpu_solve"], report, built.times, guess


def by_ocnet(family, data, intervals, times, guess):
    """Build and solve once by ocnet from the same guess; certificates are not part of it."""
    problem = state(family, data)
    start = time.process_time()
    method = oc.Collocation(intervals=intervals, degree=3, refine_to=None, polish=False)
    states, controls = NAMES[family]
    given = {states: (times, np.asarray(guess[0])), controls: (times[1:], np.asarray(guess[1]))}
    solution = oc.solve(problem, method, guess=given)
    return time.process_time() - start - solution.stats["estimate"], solution


@pytest.mark.bench
@pytest.mark.parametrize(("family", "n"), CASES)
def test_ratio_to_a_hand_written_collocation(family, n):
    data, intervals = instance(family, n, 0), INTERVALS[family]
    theirs, ours = [], []
    for _ in range({4: 30, 8: 8}.get(n, 3)):  # in turn, so that a busy machine disturbs both alike
        theirs.append(hand_written(data, intervals))
        times, guess = np.asarray(theirs[0][2]), theirs[0][3]
        ours.append(by_ocnet(family, data, intervals, times, guess))
    ratio = min(t for t, _ in ours) / min(t for t, *_ in theirs)
    report, solution = theirs[0][1], ours[0][1]
    print(
        f"\n{family} n={n}: ratio {ratio:.2f} ({min(t for t, _ in ours):.3f} s to "
        f"{min(t for t, *_ in theirs):.3f} s CPU), iterations {solution.stats['iterations']} to "
        f"{report['iterations']}, nonzeros of Jacobian {report['nnz_jac']}, of Hessian {report['nnz_hess']}"
    )
    assert solution.cost == pytest.approx(report["cost"], rel=1e-6)
    assert ratio < 1.5, "far above the 1.15 that a quiet machine shows at most"
