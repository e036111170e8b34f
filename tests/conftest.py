"""One quiet environment for all tests, and what of this folder is collected."""

import os

# Set before numpy or matplotlib is loaded, in this process and in those that tests start.
os.environ["MPLBACKEND"] = "Agg"
for pool in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMBA"):
    os.environ[f"{pool}_NUM_THREADS"] = "1"


def pytest_ignore_collect(collection_path):
    """Look for doctests in the packages, not in what stands beside the tests (scripts of the benchmarks)."""
    if collection_path.suffix == ".py" and collection_path.is_relative_to(os.path.dirname(__file__)):
        return not collection_path.name.startswith("test_") or None
    return None
