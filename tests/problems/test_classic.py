"""Every classic benchmark problem, solved by every method, against its reference optimum."""

import pytest

import ocnet as oc
from problems.classic import BENCHMARKS

# One entry for each road: a function of the benchmark that returns the method.
METHODS = {"collocation": lambda benchmark: benchmark.method}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_optimum(name, method):
    benchmark = BENCHMARKS[name]
    solution = oc.solve(benchmark.build(), METHODS[method](benchmark))
    assert solution.success, solution.message
    assert benchmark.relative_error(solution.cost) <= benchmark.tolerance, (solution.cost, benchmark.optimum)


def test_enough_benchmarks():
    assert len(BENCHMARKS) >= 10
    assert sum(benchmark.needs_refinement for benchmark in BENCHMARKS.values()) >= 3
    assert all(benchmark.tolerance <= 1e-6 for benchmark in BENCHMARKS.values())


@pytest.mark.parametrize("name", BENCHMARKS)
def test_problem_carries_its_reference(name):
    benchmark = BENCHMARKS[name]
    problem = benchmark.build()
    assert problem.reference == benchmark.optimum
    assert problem.source == benchmark.source != ""
    assert problem is not benchmark.build()  # a solve freezes a problem: each call states a new one
