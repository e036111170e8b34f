"""What learning gives: the network, how it ended, and the curves on the way, in files too."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from ocnet.checkpoint_files import write_whole
from ocnet.errors import StorageError
from ocnet.learning.additive.network import AdditiveNetwork
from ocnet.trajectory import FORMAT, open_dataset

KIND = "LearnedNetwork"
CURVES = (
    "error",
    "energy",
    "worst",
    "worst_input",
    "time_scale",
    "time",
    "gradient_T",
    "gradient_decay",
    "gradient_gain",
    "evaluations",
    "validation",
)


@dataclass(frozen=True)
class Learned:
    """A network that has learned, or has tried to.

    Attributes
    ----------
    network : AdditiveNetwork
    success : bool
        Whether the root-mean-square error is within the tolerance, at the fixed points that the dynamics
        reach when an implicit integrator follows them from u = 0.
    status : {"learned", "stationary", "iterations", "patience", "interrupted", "no fixed point", "unreached"}
        "unreached": Newton's method found fixed points within the tolerance that the dynamics do not reach.
    message : str
    method : str
    history : dict of ndarray (iterations + 1,)
        By name: "error" (root mean square over samples, input and output units), "energy" (3.5), "worst" and
        "worst_input" (largest error of an output and of an input unit), "time_scale" τ (4.5), "time" of the
        flow, "gradient_T", "gradient_decay", "gradient_gain" (norms), "evaluations" (gradients so far),
        "validation" (error there; NaN without a validation set). Dimensionless.
    """

    network: AdditiveNetwork
    success: bool
    status: str
    message: str
    method: str
    history: dict[str, np.ndarray]

    def __str__(self) -> str:
        h = self.history
        return (
            f"{'learned' if self.success else 'NOT learned'} by {self.method}: {self.message} After "
            f"{len(h['error']) - 1} iterations and {int(h['evaluations'][-1])} gradients: error "
            f"{h['error'][-1]:.2e}, worst output error {h['worst'][-1]:.2e}."
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF file; an existing one is replaced when the new one is complete.

        Nothing in it can be executed.
        """
        import xarray

        net = self.network
        data = {
            "T": (("to", "from"), net.T),
            "mask": (("to", "from"), net.mask),
            "decay": (("to",), net.decay),
            "gain": (("to",), net.gain),
        }
        curves = {f"history_{name}": (("iteration",), self.history[name]) for name in CURVES}
        attributes = {
            "format": f"ocnet {FORMAT}",
            "kind": KIND,
            "inputs": list(net.inputs),
            "outputs": list(net.outputs),
            "bias": list(net.bias) or [-1],
            "order": net.order,
            "success": int(self.success),
            "status": self.status,
            "message": self.message,
            "method": self.method,
        }
        write_whole(xarray.Dataset(data | curves, attrs=attributes), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Learned:
        """Read what :meth:`save` wrote.

        Raises
        ------
        StorageError
            If the file is missing, damaged, or holds something else.
        """
        data = open_dataset(path)
        if data.attrs.get("kind") != KIND:
            raise StorageError(f"load: '{path}' holds a {data.attrs.get('kind')}; expected a {KIND}.")
        try:
            inputs, outputs, bias = (
                [int(unit) for unit in np.atleast_1d(data.attrs[which])]
                for which in ("inputs", "outputs", "bias")
            )
            network = AdditiveNetwork(
                data["T"].values,
                inputs=inputs,
                outputs=outputs,
                mask=data["mask"].values.astype(bool),
                bias=[unit for unit in bias if unit >= 0],
                decay=data["decay"].values,
                gain=data["gain"].values,
                order=int(data.attrs["order"]),
            )
            history = {name: np.asarray(data[f"history_{name}"].values, dtype=float) for name in CURVES}
            status, message, method = (str(data.attrs[name]) for name in ("status", "message", "method"))
            return cls(network, bool(data.attrs["success"]), status, message, method, history)
        except (KeyError, ValueError, TypeError) as error:
            raise StorageError(
                f"load: '{path}' lacks a part or has one of the wrong form ({error!r})."
            ) from error
