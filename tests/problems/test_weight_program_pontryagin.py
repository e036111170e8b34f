"""The weight program on Pontryagin's road, against its closed form."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.solution import Status
from problems import weight_program

N, PAIRS = 4, 3


def data(seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1.0, 1.0], size=(N, PAIRS))
    return 0.9 * weight_program.corrupt(targets, errors=3, rng=rng), targets


@pytest.mark.parametrize("index", ["activation", "output", "both"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_against_the_closed_form(index, seed):
    inputs, targets = data(seed)
    problem = weight_program.problem(inputs, targets, index=index)
    solution = oc.solve(problem, oc.Pontryagin(refine_to=1e-8))
    exact = weight_program.closed_form(inputs, targets, index=index)
    assert solution.status is Status.SOLVED
    assert solution.cost == pytest.approx(problem.reference, rel=1e-9)
    t = np.linspace(0, 1, 41)
    np.testing.assert_allclose(solution.state("z", t), exact.state("z", t), atol=1e-7)
    np.testing.assert_allclose(solution.costate("z", t), exact.costate("z", t), atol=1e-6)
    np.testing.assert_allclose(solution.control("W", t), exact.control("W", t), atol=1e-6)
    if index == "activation":
        np.testing.assert_allclose(solution.costate("z", t), np.tile(-targets, (41, 1, 1)), atol=1e-7)
    assert weight_program.sub_optimality(solution) < 1e-12


@pytest.mark.parametrize("beta", [0.1, 0.3])
def test_in_discrete_time(beta):
    inputs, targets = data()
    problem = weight_program.problem(inputs, targets, beta=beta, steps=4)
    solution = oc.solve(problem, oc.Pontryagin())
    exact = weight_program.closed_form(inputs, targets, beta=beta, steps=4)
    assert solution.status is Status.SOLVED
    assert solution.cost == pytest.approx(problem.reference, rel=1e-10)
    np.testing.assert_allclose(solution.states["z"], exact.states["z"], atol=1e-8)
    np.testing.assert_allclose(solution.costates["z"], exact.costates["z"], atol=1e-8)
    np.testing.assert_allclose(solution.controls["W"], exact.controls["W"], atol=1e-8)


def test_in_discrete_time_from_another_road():
    problem = weight_program.problem(*data(), beta=0.5, steps=4)
    solution = oc.solve(problem, oc.Pontryagin(), guess=oc.solve(problem))
    assert solution.cost == pytest.approx(problem.reference, rel=1e-12)
    assert solution.stats["newton_steps"] <= 3


def test_the_exact_hamiltonian_and_the_derived_one_agree():
    from ocnet.hamiltonian import DerivedHamiltonian

    inputs, targets = data()
    exact = weight_program.problem(inputs, targets)
    derived = weight_program.problem(inputs, targets)
    derived.hamiltonian = DerivedHamiltonian(derived)
    a, b = (oc.solve(problem, oc.Pontryagin()) for problem in (exact, derived))
    assert a.cost == pytest.approx(b.cost, rel=1e-10)
    assert a.stats["newton_steps"] == b.stats["newton_steps"]


def test_certificate():
    certificate = oc.solve(weight_program.problem(*data()), oc.Pontryagin()).certificate
    assert certificate.resimulation_error <= 5e-6
    assert certificate.hamiltonian_gap < 1e-9
    assert certificate.costate_residual < 1e-5
    assert certificate.transversality < 1e-8
