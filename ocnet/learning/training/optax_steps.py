"""Any optimiser of optax on the gradient of the reverse sweep; optax and JAX are optional."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ocnet.errors import DataError, OptionError
from ocnet.learning.training.gauss_newton import Report, State
from ocnet.learning.training.gradient_steps import follow
from ocnet.learning.training.objective import Objective
from ocnet.learning.training.options import check_whole


@dataclass(frozen=True)
class Optax:
    """Steps by a gradient transformation of optax: Adam, AdamW, Lion, schedules, clipping, chains of them.

    The gradients are ocnet's own; JAX carries nothing but the optimiser, in double precision whatever its own
    setting is.

    Parameters
    ----------
    optimizer : optax.GradientTransformation, optional
        ``optax.adam(0.01)`` if not given. Its memory is kept when the horizon grows, and saved.
    iterations : int
        On the whole horizon.
    stage_iterations : int
        On each shorter one.

    Raises
    ------
    OptionError
        If optax or JAX is not installed (``pip install 'ocnet[jax]'``; :class:`Adam` needs neither), or if
        `optimizer` is no gradient transformation.
    DataError
        On resuming a training with another optimiser.

    Examples
    --------
    >>> import optax  # doctest: +SKIP
    >>> clipped = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.01))  # doctest: +SKIP
    >>> found = learning.fit(model, samples, learning.Optax(clipped))  # doctest: +SKIP
    """

    optimizer: Any = None
    iterations: int = 4000
    stage_iterations: int = 200

    label = "optax"
    horizons = ()  # as far as the prediction follows the data
    tolerance = 1e-5

    def __post_init__(self) -> None:
        check_whole(self, "iterations", "stage_iterations")
        _, optax = _modules()
        chosen = optax.adam(0.01) if self.optimizer is None else self.optimizer
        if not (callable(getattr(chosen, "init", None)) and callable(getattr(chosen, "update", None))):
            raise OptionError(
                f"Optax: optimizer is {chosen!r:.60}; expected a gradient transformation such as "
                "optax.adam(0.01)."
            )
        object.__setattr__(self, "optimizer", chosen)

    def run(self, objective: Objective, state: State, last: bool, report: Report) -> tuple[State, bool]:
        """Improve state["z"] on one horizon; return it and whether it came to rest, which is never known."""
        jax, _ = _modules()
        owner = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")  # before jax 0.8
        with owner.enable_x64(True):
            first, structure = jax.tree.flatten(self.optimizer.init(state["z"]))
            update = jax.jit(self.optimizer.update)

            def rule(slope: np.ndarray, state: State, _: float) -> tuple[np.ndarray, State]:
                known = [np.asarray(state.get(f"optax_{i}", leaf)) for i, leaf in enumerate(first)]
                count = sum(name.startswith("optax_") for name in state)
                if count not in (0, len(first)) or [a.shape for a in known] != [a.shape for a in first]:
                    raise DataError("Optax: the training to resume was made with another optimizer.")
                try:
                    step, memory = update(slope, jax.tree.unflatten(structure, known), state["z"])
                except (TypeError, ValueError) as error:
                    raise OptionError(
                        f"Optax: the optimizer cannot make a step of a gradient alone ({error!s:.120}); "
                        "expected one such as optax.adam(0.01). L-BFGS and line searches: learning.LBFGS()."
                    ) from error
                leaves = jax.tree.leaves(memory)
                return np.asarray(step), {f"optax_{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}

            total = self.iterations if last else self.stage_iterations
            return follow(objective, state, total, rule, report), False


def _modules() -> tuple[Any, Any]:
    """Return jax and optax, or raise OptionError."""
    try:
        return import_module("jax"), import_module("optax")
    except ImportError as error:
        raise OptionError(
            f"Optax: {error.name or 'a part of it'} is not installed; `pip install 'ocnet[jax]'` brings "
            "optax and JAX. learning.Adam(), LBFGS() and GaussNewton() need neither."
        ) from error
