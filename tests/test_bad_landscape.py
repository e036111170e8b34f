"""Messages of landscapes, cycles and networks for what cannot be."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, UnsupportedError
from ocnet.networks import BinaryHopfield, hopfield

NETWORK = hopfield([[0.0, 2.0], [2.0, 0.0]])


def controlled():
    problem = oc.Problem("controlled", horizon=oc.Finite(1.0))
    x, u = problem.state("x", 2), problem.control("u", 2)
    problem.dynamics(x, u - x)
    return problem


# ---------------------------------------------------------------------- landscapes


@pytest.mark.parametrize(
    ("ends", "error", "message"),
    [
        (([0.0, 0.0, 0.0], 1.0), ShapeError, r"lower has shape \(3,\); expected \(2,\) or a number"),
        ((-1.0, np.nan), DataError, "upper is nan; expected finite numbers"),
        ((-1.0, [1.0, np.inf]), DataError, "upper is .*inf.*; expected finite numbers"),
        ((-1.0, [1.0, -1.0]), DataError, r"the box is empty in u\[1\]: lower is -1.0 and upper -1.0"),
    ],
)
def test_boxes(ends, error, message):
    with pytest.raises(error, match=message):
        oc.landscape(NETWORK, *ends)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"starts": [[1.0, 2.0, 3.0]]}, ShapeError, r"got states of shape \(1, 3\); expected \(..., 2\)"),
        ({"starts": np.zeros((1, 1, 2))}, ShapeError, r"starts has shape \(1, 1, 2\); expected \(k, 2\)"),
        ({"starts": [[1.0, np.nan]]}, DataError, "starts contain values that are not finite"),
        ({"trials": 0}, OptionError, "trials is 0 and most 200000; expected at least 1"),
        ({"most": 0}, OptionError, "trials is None and most 0; expected at least 1"),
        ({"controls": {"xi": 0.0}}, ProblemError, r"the controls \['xi'\] are unknown; expected a constant"),
        ({"parameters": {"gain": 1.0}}, ProblemError, r"the parameters \['gain'\] are unknown"),
        ({"unknowns": {"leak": 1.0}}, ProblemError, r"the unknowns \['leak'\] are unknown"),
        ({"unknowns": [1.0]}, ProblemError, "unknowns is .*; expected arrays by name in a dict"),
    ],
)
def test_options(options, error, message):
    with pytest.raises(error, match=message):
        oc.landscape(NETWORK, -3, 3, **options)


@pytest.mark.parametrize(
    ("controls", "error", "message"),
    [
        (None, ProblemError, r"the controls \['u'\] have no values; .* for example controls=\{'u': 0.0\}"),
        ({"u": [1.0, 2.0, 3.0]}, ShapeError, r"controls 'u': got an array of shape \(3,\)"),
        ({"u": [1.0, np.nan]}, DataError, r"controls 'u': component \[1\] is nan; expected finite numbers"),
    ],
)
def test_controls_that_are_not_held(controls, error, message):
    with pytest.raises(error, match=message):
        oc.landscape(controlled(), -3, 3, controls=controls)


def test_time_has_no_equilibria():
    problem = oc.Problem("clock", horizon=oc.Finite(1.0))
    x = problem.state("x")
    problem.dynamics(x, ca.sin(problem.time) - x)
    with pytest.raises(ProblemError, match="landscape of 'clock': the dynamics contain time"):
        oc.landscape(problem, -1, 1)


def test_an_exhaustive_search_that_is_impossible():
    problem = oc.Problem("relay", horizon=oc.Finite(1.0))
    x = problem.state("x")
    problem.dynamics(x, -ca.sign(x))
    with pytest.raises(UnsupportedError, match=r"exhaustive=True is not possible here: .* may jump"):
        oc.landscape(problem, -1, 1, exhaustive=True)


def test_places_of_another_dimension():
    found = oc.landscape(NETWORK, -3, 3)
    with pytest.raises(ShapeError, match=r"got states of shape \(3,\); expected \(..., 2\)"):
        found.nearest([1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match=r"nearest got shape \(1, 2\); expected \(2,\)"):
        found.nearest([[1.0, 2.0]])
    with pytest.raises(ShapeError, match=r"got states of shape \(\)"):
        found.field(1.0)


# ---------------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ("T", "options", "error", "message"),
    [
        ([[1.0, 2.0]], {}, ShapeError, r"hopfield: T has shape \(1, 2\); expected a square matrix"),
        ([[1.0]], {"n": 2}, ShapeError, r"hopfield: T has shape \(1, 1\); expected \(2, 2\)"),
        ([[np.nan]], {}, DataError, r"hopfield: T: component \[0, 0\] is nan"),
        ("weights", {}, DataError, "hopfield: T: got 'weights'"),
        (
            [[1.0]],
            {"threshold": [0.0, 1.0]},
            ShapeError,
            r"hopfield: threshold: got an array of shape \(2,\)",
        ),
        ([[1.0]], {"threshold": np.inf}, DataError, "hopfield: threshold: component .* expected finite"),
        ([[1.0]], {"activation": "relu"}, OptionError, "activation: got 'relu'"),
        (ca.diag, {}, OptionError, r"hopfield: n is None; a T that depends on the outputs needs .* n=..."),
        (ca.diag, {"n": 0}, OptionError, "hopfield: n is 0"),
        (lambda V: V, {"n": 2}, ShapeError, r"hopfield: T\(V\) has shape \(2, 1\); expected \(2, 2\)"),
        (lambda V: 1 / 0, {"n": 2}, OptionError, r"T\(V\) fails on CasADi symbols \(ZeroDivisionError"),
    ],
)
def test_networks(T, options, error, message):
    with pytest.raises(error, match=message):
        hopfield(T, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BinaryHopfield([[1.0, 2.0]]), ShapeError, "expected a square matrix"),
        (
            lambda: BinaryHopfield([[1.0]], threshold=[1.0, 2.0]),
            ShapeError,
            "threshold: got an array of shape",
        ),
        (lambda: BinaryHopfield([[1.0]]).step([0.5]), DataError, "got the value 0.5; expected -1 or 1"),
        (lambda: BinaryHopfield([[1.0]]).step([np.nan]), DataError, "got the value nan; expected -1 or 1"),
        (lambda: BinaryHopfield([[1.0]]).step([1.0, 1.0]), ShapeError, r"got states of shape \(2,\)"),
        (
            lambda: BinaryHopfield([[1.0]]).run([[1.0]]),
            ShapeError,
            r"start has shape \(1, 1\); expected \(1,\)",
        ),
        (
            lambda: BinaryHopfield([[1.0]]).run([1.0], update="random"),
            OptionError,
            "update is 'random'; expected",
        ),
        (lambda: BinaryHopfield([[1.0]]).run([1.0], most=0), OptionError, "most is 0; expected at least 1"),
        (
            lambda: BinaryHopfield([[1.0]]).run([1.0], rng=np.random.default_rng(0)),
            OptionError,
            "rng orders asynchronous updates",
        ),
    ],
)
def test_binary_networks(call, error, message):
    with pytest.raises(error, match=message):
        call()
