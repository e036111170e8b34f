"""How exact the gradients of paths are: each mode and integrator, for slow and fast rates."""

import time
import warnings

import numpy as np
import pytest

from ocnet.errors import SimulationError
from ocnet.learning import AdjointGradient
from tests.learning.test_response import exact, stated, together

pytestmark = pytest.mark.bench

ROADS = (
    ("stored", "DOP853"),
    ("stored", "LSODA"),
    ("stored", "BDF"),
    ("stored", "Radau"),
    ("checkpointed", "DOP853"),
    ("reverse-time", "DOP853"),
)


def test_errors_against_tangent_linear_equations():
    print("\nrate  mode           integrator  worst component  of the largest  drift    CPU ms")
    for rate in (2.0, 200.0, 1000.0):
        reference = exact(rate, "all")
        for mode, integrator in ROADS:
            shown = "CVODES' BDF" if mode == "checkpointed" else integrator
            adjoint = AdjointGradient(stated(rate, "all"), mode=mode, integrator=integrator)
            start = time.process_time()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = adjoint()
            except SimulationError:
                print(f"{rate:5.0f} {mode:13}  {shown:11}  refused")
                assert mode == "reverse-time"
                continue
            spent = 1e3 * (time.process_time() - start)
            gap = np.abs(together(found) - reference)
            worst, scaled = (gap / np.abs(reference)).max(), gap.max() / np.abs(reference).max()
            print(
                f"{rate:5.0f} {mode:13}  {shown:11}  {worst:15.1e}  {scaled:14.1e}  {found.drift:.0e}  "
                f"{spent:6.0f}"
            )
            assert scaled < 1e-7
