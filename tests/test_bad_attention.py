"""Attention refuses what it cannot do, in words."""

import numpy as np
import pytest
import scipy.sparse as sp

from ocnet.attention import (
    Benefit,
    Clock,
    ControlCosts,
    IndependentSelection,
    JumpingWindow,
    Network,
    RollingWindow,
    anneal,
    relax,
)
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError
from ocnet.networks import arctan, custom

NET = Network(np.zeros((6, 6)), 1.0)
NOW = Clock(control=1.0)
CASES = {
    "asymmetric": (
        lambda: Network([[0.0, 1.0], [0.5, 0.0]]),
        DataError,
        r"\[0, 1\] is 1 and \[1, 0\] is 0.5; .*symmetric",
    ),
    "one-sided": (lambda: Network([[0.0, 1.0], [0.0, 0.0]]), DataError, "expected a symmetric"),
    "nan in T": (
        lambda: Network([[0.0, np.nan], [np.nan, 0.0]]),
        DataError,
        r"\[0, 1\] is nan; expected finite",
    ),
    "not square": (lambda: Network(np.zeros((2, 3))), ShapeError, r"shape \(2, 3\); expected a square"),
    "no numbers": (lambda: Network("x"), DataError, "expected a matrix of real numbers"),
    "complex": (
        lambda: Network([[0.0, 1j], [1j, 0.0]]),
        DataError,
        "type complex128; expected a matrix of real",
    ),
    "complex, sparse": (lambda: Network(sp.eye_array(2) * 1j), DataError, "type complex128"),
    "three axes": (lambda: Network(np.zeros((2, 2, 2))), ShapeError, r"shape \(2, 2, 2\)"),
    "none in T": (lambda: Network([[None, 1.0], [1.0, None]]), DataError, "is nan"),
    "overflow": (
        lambda: Network([[0.0, 1e308], [1e308, 0.0]], 1.0),
        DataError,
        r"neuron 0 add up to 1e\+308.*overflow",
    ),
    "empty": (lambda: Network(np.zeros((0, 0))), ShapeError, "expected a square"),
    "inputs": (
        lambda: Network(np.zeros((2, 2)), [1.0, 2.0, 3.0]),
        ShapeError,
        "inputs: got an array of shape",
    ),
    "nan in h": (
        lambda: Network(np.zeros((2, 2)), [1.0, np.nan]),
        DataError,
        r"inputs: component \[1\] is nan",
    ),
    "activation": (
        lambda: Network(np.zeros((2, 2)), 0, arctan(0.1)),
        OptionError,
        "expected 'tanh' or 'logistic'",
    ),
    "gain": (lambda: Network(np.zeros((2, 2)), gain=0.0), OptionError, "gain is 0.0; expected a positive"),
    "gain, complex": (lambda: Network([[0.0]], gain=np.complex128(1j)), OptionError, "expected a positive"),
    "gain, word": (lambda: NET.with_gain("a"), OptionError, "gain is 'a'"),
    "gain, bool": (lambda: NET.with_gain(True), OptionError, "gain is True"),
    "gains, number": (lambda: anneal(NET, 0.5), OptionError, "gains is 0.5; expected a sequence"),
    "annealed, array": (
        lambda: anneal(np.eye(2), [1.0]),
        ProblemError,
        "of type ndarray; expected attention",
    ),
    "gain, annealed": (lambda: anneal(NET, [1.0, -1.0]), OptionError, "gain is -1.0"),
    "no gains": (lambda: anneal(NET, []), OptionError, "gains is empty"),
    "A > N": (lambda: relax(NET, IndependentSelection(7)), OptionError, "active is 7; expected at most 6"),
    "A": (lambda: IndependentSelection(0), OptionError, "active is 0; expected a positive integer"),
    "score": (lambda: JumpingWindow(2, score="size"), OptionError, "score is 'size'; expected 'benefit'"),
    "blocks": (lambda: relax(NET, JumpingWindow(7)), OptionError, "blocks is 7; expected at most 6"),
    "blocks, floats": (lambda: relax(NET, JumpingWindow([0.5] * 6)), OptionError, "as an integer array"),
    "blocks, length": (lambda: relax(NET, JumpingWindow([0, 1])), OptionError, "each of the 6 neurons"),
    "blocks, gap": (lambda: relax(NET, JumpingWindow([0, 0, 0, 2, 2, 2])), OptionError, "without gaps"),
    "assignments": (
        lambda: relax(Network(np.zeros((600, 600))), IndependentSelection(10), clock=Clock(control=1.0)),
        OptionError,
        "6000 assignments; expected at most 1000",
    ),
    "blocks, huge": (lambda: relax(NET, JumpingWindow([0] * 5 + [10**13])), OptionError, "without gaps"),
    "blocks, negative": (lambda: relax(NET, JumpingWindow([-1, 0, 1, 1, 1, 1])), OptionError, "without gaps"),
    "blocks, ragged": (lambda: relax(NET, JumpingWindow([[0], [0, 1]])), OptionError, "as an integer array"),
    "score, list": (lambda: JumpingWindow(2, score=["benefit"]), OptionError, "score is"),
    "benefit": (
        lambda: relax(NET, JumpingWindow(2, benefit="tanh"), clock=NOW),
        OptionError,
        r"Benefit\(\.\.\.\)",
    ),
    "costs, dict": (
        lambda: relax(NET, IndependentSelection(2, costs={}), clock=NOW),
        OptionError,
        r"costs is \{\}; expected ControlCosts\(",
    ),
    "benefit, rolling": (lambda: RollingWindow((4, 5), 2, benefit=1.0), OptionError, "benefit is 1.0"),
    "unbounded b": (
        lambda: Benefit(custom(lambda s: s, inverse=lambda v: v)),
        OptionError,
        "expected a bounded one",
    ),
    "even b": (lambda: Benefit("logistic"), OptionError, "expected an odd"),
    "unknown b": (lambda: Benefit("identity"), OptionError, "activation: got 'identity'"),
    "scale": (lambda: Benefit(scale=-1.0), OptionError, "scale is -1.0; expected a positive"),
    "costs": (
        lambda: ControlCosts(sum_to_one=-1.0),
        OptionError,
        "sum_to_one is -1.0; expected a number of at",
    ),
    "costs, gain": (lambda: ControlCosts(gain=0.0), OptionError, "gain is 0.0"),
    "step": (lambda: Clock(step=0.0), OptionError, "step is 0.0; expected a positive"),
    "neurons": (lambda: Clock(neurons=0), OptionError, "neurons is 0; expected a positive integer"),
    "control": (lambda: Clock(control=np.nan), OptionError, "control is nan"),
    "window": (lambda: RollingWindow((4, 5), (5, 5)), OptionError, "no larger than the lattice"),
    "window, axes": (lambda: RollingWindow((4, 5), (2, 2, 2)), OptionError, "one for each axis of the 2"),
    "lattice": (lambda: RollingWindow((4, -5), 2), OptionError, "lattice is .*expected positive integers"),
    "flank": (
        lambda: RollingWindow((9, 9), 3, flank=4.0),
        OptionError,
        "flank is 4.0; expected a number from 1 to 3",
    ),
    "lattice, ragged": (lambda: RollingWindow([[3], [3, 4]], 2), OptionError, "expected positive integers"),
    "start, word": (
        lambda: RollingWindow((9, 9), 3, start="x"),
        DataError,
        "start is 'x'; expected 2 numbers",
    ),
    "flank, nan": (lambda: RollingWindow((9, 9), 3, flank=np.nan), OptionError, "flank is nan"),
    "start": (lambda: RollingWindow((9, 9), 3, start=[0.0, 4.0]), DataError, "so that the window lies on"),
    "start, shape": (lambda: RollingWindow((9, 9), 3, start=4.0), ShapeError, r"expected \(2,\)"),
    "sites": (lambda: relax(NET, RollingWindow((3, 3), 2)), ShapeError, "has 9 sites; expected 6"),
    "rule": (lambda: relax(NET, "jumping"), OptionError, "attention is 'jumping'; expected Everything"),
    "rule, class": (lambda: relax(NET, JumpingWindow), OptionError, "expected Everything"),
    "network": (lambda: relax(np.eye(2)), ProblemError, "of type ndarray; expected attention.Network"),
    "clock": (lambda: relax(NET, clock=5), OptionError, r"clock is 5; expected Clock\("),
    "rng": (lambda: relax(NET, rng="x"), OptionError, "rng is 'x'"),
    "initial": (lambda: relax(NET, initial=[1.0, 2.0]), ShapeError, "initial: got an array of shape"),
    "initial, nan": (lambda: relax(NET, initial=np.full(6, np.nan)), DataError, "initial: component"),
    "tolerance": (lambda: relax(NET, tolerance=-1.0), OptionError, "tolerance is -1.0"),
    "phases": (lambda: relax(NET, phases=0), OptionError, "phases is 0"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name):
    case, error, pattern = CASES[name]
    with pytest.raises(error, match=pattern) as caught:
        case()
    assert type(caught.value) is error
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
