"""Figures of attention: legends only where there are names, and no figure of nothing."""

import warnings

import numpy as np
import pytest

import ocnet as oc
from ocnet.attention import JumpingWindow, Network, relax
from ocnet.errors import ProblemError

NET = Network(np.diag(np.ones(15), 1) + np.diag(np.ones(15), -1), 0.1)


def test_one_run_has_no_legend():
    run = relax(NET, JumpingWindow(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = oc.plot.attention(run)
    assert figure.axes[0].get_legend() is None
    figure = oc.plot.attention({"window": run, "full": relax(NET)})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["window", "full"]


def test_a_run_without_phases_is_refused():
    class Interrupted:
        def begin(self, network, clock, rng):
            return self

        def attend(self, state, measure=None):
            raise KeyboardInterrupt

    run = relax(NET, Interrupted())
    with pytest.raises(ProblemError, match=r"the run has no phase .*'interrupted'"):
        oc.plot.attention(run)
    with pytest.raises(ProblemError, match="the run 'window' has no phase"):
        oc.plot.attention({"full": relax(NET), "window": run})
