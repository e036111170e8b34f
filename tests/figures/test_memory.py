"""The figure of a Pareto front."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import ProblemError
from problems import brain_memory


def test_pareto_figure_shows_the_points_and_names_the_ends(tmp_path):
    front = oc.pareto_front(
        lambda mu: brain_memory.problem(1 - mu, mu, steps=10), 5, ends=(1e-3, 0.9), names=("motion", "effort")
    )
    figure = oc.plot.pareto(front)
    left, right = figure.axes
    np.testing.assert_allclose(left.collections[0].get_offsets(), front.costs)
    assert [text.get_text().split(",")[0] for text in left.texts] == ["innovative", "conservative"]
    assert "motion" in left.get_xlabel()
    for line, cost in zip(right.lines, front.costs.T, strict=True):
        np.testing.assert_allclose(line.get_xdata(), np.log10(front.weights / (1 - front.weights)))
        np.testing.assert_allclose(line.get_ydata(), (cost - cost.min()) / np.ptp(cost))
    figure.savefig(tmp_path / "front.png")
    with pytest.raises(ProblemError, match="got dict; expected a ParetoFront"):
        oc.plot.pareto({})
