"""Figures of learning."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import ShapeError
from ocnet.learning import learn
from problems import recall_tasks


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_learning_curves_show_the_history():
    task = recall_tasks.xor(np.random.default_rng(0))
    result = learn(task.network, task.inputs, task.targets, iterations=4)
    figure = oc.plot.learning(result)
    panels = figure.axes
    assert [len(panel.lines) for panel in panels] == [1, 2, 1, 3]  # no validation set: no curve of it
    assert panels[0].lines[0].get_ydata() == pytest.approx(result.history["error"])
    assert all(panel.get_yscale() == "log" for panel in panels)


def test_recall_sorts_by_input():
    figure = oc.plot.recall(
        [0.3, -0.2], [[0.1], [0.4]], targets=[0.2, 0.5], samples=([0.0], [0.1]), title="x"
    )
    target, answer, learned = figure.axes[0].lines
    assert answer.get_ydata() == pytest.approx([0.4, 0.1])
    assert target.get_ydata() == pytest.approx([0.5, 0.2])
    assert learned.get_xdata() == pytest.approx([0.0])
    with pytest.raises(ShapeError, match=r"1 answers for 2 inputs"):
        oc.plot.recall([0.1, 0.2], [0.1])
