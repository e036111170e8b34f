import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import SolveError


@pytest.mark.parametrize("cost", [lambda x: ca.log(x) ** 2, lambda x: 1 / x**2])
def test_costs_that_are_no_numbers_are_no_places_to_rest(cost):
    problem = oc.Problem("singular", oc.Discounted(0.5))
    x, u = problem.state("x"), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, u)
    problem.minimize(stage=cost(x) + u**2)
    with pytest.raises(SolveError, match=r"not a finite number at x = .*grid without that state"):
        oc.solve_hjb(problem, oc.Grid(-1, 1, 41))
    assert np.isfinite(oc.solve_hjb(problem, oc.Grid(0.01, 3, 41)).values).all()


def test_the_same_from_a_hamiltonian_with_differences_of_its_own():
    class Broken:
        rate, concurrent = 0.5, False

        def upwind(self, t, x, minus, plus):
            stage = (x**2).sum(axis=1)
            stage[x[:, 0] < -0.9] = np.nan
            return -x, stage

        def value(self, t, x, p):
            return (x**2 - x * p).sum(axis=1)

        def gradient(self, t, x, p):
            return 2 * x - p, -x

    problem = oc.Problem("broken", oc.Discounted(0.5))
    x, u = problem.state("x"), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, -x)
    problem.minimize(stage=x**2 + u**2)
    problem.hamiltonian = Broken()
    with pytest.raises(SolveError, match=r"not a finite number at x = \[-1"):
        oc.solve_hjb(problem, oc.Grid(-1, 1, 41))
