"""What every neural-ODE peer measures: gradients on a ladder of tolerances, and the time until the k-th one.

A peer is a file with ``prepare(case) -> (tolerance -> (θ -> (loss, gradient)))`` and ``MODULES``, what it
imports (before any clock starts). It reads cases as JSON from standard input and prints one line of JSON.
"""

import importlib
import json
import os
import sys
import time


def measure(prepare, case):
    """Return, for each tolerance, seconds of CPU per gradient and the gradient itself."""
    import numpy as np

    theta = np.array(case["theta"])
    at_tolerance = prepare(case)
    answers = []
    for tolerance in case["tolerances"]:
        gradient = at_tolerance(tolerance)
        slope = gradient(theta)[1]
        seconds = []
        for _ in range(case["repeats"]):
            start = time.process_time()
            for _ in range(case["inner"]):
                gradient(theta)
            seconds.append((time.process_time() - start) / case["inner"])
        answer = {"tolerance": tolerance, "seconds": min(seconds), "gradient": np.asarray(slope).tolist()}
        answers.append(answer)
    return {"answers": answers}


def wait(prepare, case):
    """Return the seconds of CPU until the k-th gradient, compilation included, for the k of the case."""
    import numpy as np

    theta = np.array(case["theta"])
    start = time.process_time()
    gradient = prepare(case)(case["tolerances"][0])
    until = {}
    for k in range(1, max(case["until"]) + 1):
        gradient(theta)
        if k in case["until"]:
            until[k] = time.process_time() - start
    return {"until": until}


def main(prepare, modules):
    """Measure every case of the standard input."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    for module in modules:
        importlib.import_module(module)
    cases = json.load(sys.stdin)
    print("\n" + json.dumps([(wait if "until" in case else measure)(prepare, case) for case in cases]))
