"""Reading back what was saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocnet import learning
from ocnet.errors import StorageError
from ocnet.solution import Solution
from ocnet.trajectory import Trajectory, open_dataset
from ocnet.value_function import ValueFunction
from ocnet.verify import verify

if TYPE_CHECKING:
    import xarray

    from ocnet.problem import Problem


LEARNED = {"NeuralODE": learning.load, "LearnedNetwork": learning.Learned.load}


def load(
    path: str | os.PathLike[str], problem: Problem | None = None
) -> Solution | Trajectory | ValueFunction | learning.Fit | learning.Learned | xarray.Dataset:
    """Read what ``save`` wrote.

    Parameters
    ----------
    path : path
        A netCDF file written by the method ``save`` of a Solution, a Trajectory, a ValueFunction, or a Fit or
        Learned of :mod:`ocnet.learning`, or the store of a sweep.
    problem : Problem, optional
        The problem that was solved, needed to verify or simulate again; its variables must match.

    Returns
    -------
    Solution, Trajectory, ValueFunction, Fit, Learned or (of a sweep) xarray.Dataset

    Raises
    ------
    StorageError
        If the file is missing, damaged, not ocnet's, or belongs to another problem. A Fit whose vector field
        is an expression needs its model: ``learning.load(path, model)``.
    """
    data = open_dataset(path)
    if data.attrs.get("kind") in LEARNED:
        if problem is not None:
            raise StorageError(f"load: '{path}' holds a trained network; expected no problem for it.")
        return LEARNED[data.attrs["kind"]](path)
    try:
        if data.attrs["kind"] == "Trajectory":
            return Trajectory.from_dataset(data)
        if data.attrs["kind"] == "Sweep":
            return data
        if data.attrs["kind"] == "ValueFunction":
            return ValueFunction.load(path, problem)
        solution = Solution.from_dataset(data, problem)
        solution.certify_with(verify)
    except (KeyError, ValueError, TypeError) as error:
        raise StorageError(
            f"load: '{path}' lacks a part or has one of the wrong form ({error!r})."
        ) from error
    if problem is not None:
        wanted = [(v.name, v.shape) for v in problem.functions.states + problem.functions.controls]
        found = solution.state_layout + solution.control_layout
        if wanted != found:
            raise StorageError(f"load: '{path}' holds {found}; the problem '{problem.name}' has {wanted}.")
    return solution
