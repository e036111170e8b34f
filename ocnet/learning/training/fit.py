"""What training gives: the parameters, how it ended, and the curves on the way; saved and read back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np

from ocnet.checkpoint_files import write_whole
from ocnet.errors import OptionError, StorageError
from ocnet.learning.neural_odes.neural_ode import NeuralODE
from ocnet.learning.neural_odes.vector_field import layers
from ocnet.networks.activations import Activation, activation, arctan
from ocnet.trajectory import FORMAT, open_dataset

KIND = "NeuralODE"
CURVES = ("horizon", "cost", "rms", "validation", "seconds")


@dataclass(frozen=True, eq=False)
class Fit:
    """A neural ODE that was trained, or that training did not finish.

    Attributes
    ----------
    model : NeuralODE
    theta : ndarray (P,)
    initial : ndarray (trajectories, n)
        Initial states, learned or as given.
    rms : float
        Root mean square of x(t_i) − x_i over all observations, rolled out from the initial states at the
        model's own tolerance; infinite if the model cannot be integrated. In the unit of the states.
    success : bool
        Whether training reached its target; if there was none, whether it came to rest on the whole horizon
        or the validation error stopped falling.
    status : str
        One of "target reached", "at rest", "iteration limit", "stopped early" (for the validation error, or
        with the target reached at the tolerance of training but not at the model's own), "interrupted",
        "failed" (the model cannot be integrated, or has no derivative where training began).
    method : str
    history : dict of ndarray (iterations,)
        "horizon" (time), "cost" and "rms" (on that horizon, at the tolerance of training), "validation" (rms
        there; NaN where it was not computed), "seconds" (CPU since the start).
    state : dict of ndarray
        What resuming needs.
    """

    model: NeuralODE
    theta: np.ndarray
    initial: np.ndarray
    rms: float
    success: bool
    status: str
    method: str
    history: dict[str, np.ndarray]
    state: dict[str, np.ndarray] = field(repr=False)

    def __str__(self) -> str:
        seconds = self.history["seconds"]
        return (
            f"neural ODE {self.model.field} by {self.method}: {self.status} after {len(seconds)} iterations "
            f"and {seconds[-1] if len(seconds) else 0.0:.2f} s CPU; rolled-out rms error {self.rms:.6g}"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF file that :func:`load` reads: numbers and names, nothing that is executed.

        Parameters
        ----------
        path : path
            An existing file is replaced when the new one is complete.
        """
        import xarray

        f = self.model.field
        variables = {
            "theta": ("parameter", self.theta),
            "initial": (("trajectory", "component"), self.initial),
            **{f"history_{name}": ("iteration", self.history[name]) for name in CURVES},
            **{
                f"state_{name}": ([f"{name}_{d}" for d in range(value.ndim)], value)
                for name, value in self.state.items()
            },
        }
        attributes = {
            "format": f"ocnet {FORMAT}",
            "kind": KIND,
            "method": self.method,
            "status": self.status,
            "success": int(self.success),
            "rms": self.rms,
            "tolerance": self.model.tolerance,
            "euler_step": self.model.euler_step or 0.0,
            "sizes": np.array(f.sizes or (0,)),
            "activation": f.activation,
            "time": int(f.time),
            "states": f.states,
            "parameters": f.parameters,
        }
        write_whole(xarray.Dataset(variables, attrs=attributes), path)


def load(path: str | os.PathLike[str], model: NeuralODE | None = None) -> Fit:
    """Read what :meth:`Fit.save` wrote.

    Parameters
    ----------
    path : path
    model : NeuralODE, optional
        Needed if the vector field is an expression, or layers with an activation of one's own: files hold no
        code. Otherwise the model is made from the sizes and names in the file.

    Returns
    -------
    Fit

    Raises
    ------
    OptionError
        If `model` is no NeuralODE.
    StorageError
        If the file is missing, damaged, of another kind, or belongs to another model: other numbers of states
        and parameters, another Euler step, other layers. Of an expression the file holds the numbers alone.
    """
    if model is not None and not isinstance(model, NeuralODE):
        raise OptionError(
            f"load: model is {model!r:.60}; expected a NeuralODE, such as learning.NeuralODE(field)."
        )
    data = open_dataset(path)
    attributes = data.attrs
    if attributes.get("kind") != KIND:
        raise StorageError(f"load: '{path}' holds a {attributes.get('kind')}; expected a {KIND}.")
    try:
        if model is None:
            model = _model(attributes, path)
        field = model.field
        written = (int(attributes["states"]), int(attributes["parameters"]))
        if (field.states, field.parameters) != written:
            raise StorageError(
                f"load: '{path}' holds {written[1]} parameters for {written[0]} states; the model, {field}, "
                f"has {field.parameters} for {field.states}."
            )
        _compare(attributes, model, path)
        return Fit(
            model,
            data["theta"].to_numpy(),
            data["initial"].to_numpy(),
            float(attributes["rms"]),
            bool(attributes["success"]),
            str(attributes["status"]),
            str(attributes["method"]),
            {name: data[f"history_{name}"].to_numpy() for name in CURVES},
            {str(name)[6:]: data[name].to_numpy() for name in data if str(name).startswith("state_")},
        )
    except (KeyError, ValueError, TypeError) as error:
        raise StorageError(
            f"load: '{path}' lacks a part or has one of the wrong form ({error!r})."
        ) from error


def _compare(attributes: dict[str, object], model: NeuralODE, path: str | os.PathLike[str]) -> None:
    """Refuse a model that is not the one of the file, as far as the file tells."""
    f, step = model.field, float(str(attributes["euler_step"])) or None
    pairs = [("euler_step", step, model.euler_step)]
    sizes = tuple(int(s) for s in np.atleast_1d(np.asarray(attributes["sizes"])))
    if sizes[0] and f.sizes:  # an expression has no layers
        pairs += [
            ("sizes", sizes, f.sizes),
            ("activation", str(attributes["activation"]), f.activation),
            ("time", bool(attributes["time"]), f.time),
        ]
    different = [
        f"{name} {written!r} in place of {given!r}" for name, written, given in pairs if written != given
    ]
    if different:
        raise StorageError(
            f"load: '{path}' belongs to another model than the one given: it has {', '.join(different)}."
        )


def _model(attributes: dict[str, object], path: str | os.PathLike[str]) -> NeuralODE:
    """Make the model that a file names."""
    sizes, name = np.atleast_1d(np.asarray(attributes["sizes"])), str(attributes["activation"])
    known: dict[str, Activation] = {key: activation(key) for key in ("tanh", "logistic")}
    if name.startswith("arctan("):
        known[name] = arctan(float(name[7:-1]))
    if sizes[0] == 0 or name not in known:
        what = "an expression" if sizes[0] == 0 else f"the activation '{name}'"
        raise StorageError(
            f"load: '{path}' was made with {what}, which a file cannot hold; give it: "
            "learning.load(path, model)."
        )
    time = bool(attributes["time"])
    widths = [int(sizes[0]) - time, *(int(s) for s in sizes[1:])]
    step = float(str(attributes["euler_step"]))
    return NeuralODE(
        layers(widths, known[name], time=time),
        tolerance=float(str(attributes["tolerance"])),
        euler_step=step if step > 0 else None,
    )
