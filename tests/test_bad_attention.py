"""Attention refuses what it cannot do, in words."""

import numpy as np
import pytest

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
from ocnet.errors import DataError, OptionError, ShapeError
from ocnet.networks import arctan, custom

NET = Network(np.zeros((6, 6)), 1.0)
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
    "no numbers": (lambda: Network("x"), DataError, "expected a matrix of numbers"),
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
    "flank, nan": (lambda: RollingWindow((9, 9), 3, flank=np.nan), OptionError, "flank is nan"),
    "start": (lambda: RollingWindow((9, 9), 3, start=[0.0, 4.0]), DataError, "so that the window lies on"),
    "start, shape": (lambda: RollingWindow((9, 9), 3, start=4.0), ShapeError, r"expected \(2,\)"),
    "sites": (lambda: relax(NET, RollingWindow((3, 3), 2)), ShapeError, "has 9 sites; expected 6"),
    "rule": (lambda: relax(NET, "jumping"), OptionError, "attention is 'jumping'; expected Everything"),
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
