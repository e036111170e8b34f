"""The classic benchmarks that Pontryagin's road can treat, to its own accuracy."""

import pytest

import ocnet as oc
from ocnet.errors import UnsupportedError
from ocnet.solution import Status
from problems.classic import BENCHMARKS

CASES = ["lqr", "van_der_pol", "rayleigh", "discounted_lqr", "discrete_lqr", "brock_mirman"]


@pytest.mark.parametrize("name", CASES)
def test_reference(name):
    case = BENCHMARKS[name]
    solution = oc.solve(case.build(), oc.Pontryagin(refine_to=1e-8))
    print(name, case.relative_error(solution.cost), solution.stats["newton_steps"])
    assert solution.status is Status.SOLVED
    assert case.relative_error(solution.cost) < 1e-11  # found: 3e-14 at most
    assert solution.stats["residual"] <= 1e-9


@pytest.mark.parametrize("name", ["van_der_pol", "rayleigh", "discounted_lqr"])
def test_reference_with_the_defaults(name):
    case = BENCHMARKS[name]
    assert case.relative_error(oc.solve(case.build(), oc.Pontryagin()).cost) < 1e-8


@pytest.mark.parametrize(
    "name", ["jacobson_lele", "goddard_rocket", "brachistochrone", "alpha_pinene", "orbit_raising"]
)
def test_what_it_cannot_treat_is_refused(name):
    with pytest.raises(UnsupportedError, match=r"Pontryagin cannot treat .*; use ocnet\.Collocation"):
        oc.solve(BENCHMARKS[name].build(), oc.Pontryagin())


def test_a_touched_state_bound_is_reported():
    solution = oc.solve(BENCHMARKS["bryson_denham"].build(), oc.Pontryagin(), throw=False)
    assert solution.status is Status.INFEASIBLE
