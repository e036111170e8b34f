"""Every figure says what it was given and what it draws."""

import pytest

import ocnet as oc
from ocnet import plot
from ocnet.errors import ProblemError

KINDS = {
    "attention": "Relaxation",
    "contours": "ValueFunction",
    "convergence": "ValueFunction",
    "landscape": "Landscape",
    "learning": "Learned",
    "memories": "LearningHistory",
    "pareto": "ParetoFront",
    "slices": "ValueFunction",
    "surface": "ValueFunction",
}
ARRAYS = {"film", "recall"}  # they draw plain numbers


@pytest.mark.parametrize("name", sorted(set(plot.__all__) - ARRAYS))
def test_wrong_object(name):
    problem = oc.Problem("no solution", horizon=oc.Finite(1.0))
    names = {"weights": ["x"], "phase": ["x", "x"], "convergence": [[0.0]]}.get(name, [])
    wrong = {"a": problem} if name == "compare" else problem
    kind = KINDS.get(name, "Solution")
    with pytest.raises(ProblemError, match=rf"plot\.{name}.*got Problem; expected a {kind}"):
        getattr(plot, name)(wrong, *names)
