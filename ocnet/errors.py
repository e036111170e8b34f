"""The errors that ocnet raises.

Each message says what was got, what was expected, where (problem, variable, component, time) and what to
try. All of them derive from :class:`OcnetError`, so one ``except`` clause catches them all.
"""


class OcnetError(Exception):
    """Base class of every error that ocnet raises on purpose."""


class ProblemError(OcnetError, ValueError):
    """A control problem is stated wrongly or incompletely."""


class ShapeError(ProblemError):
    """An array or an expression does not have the shape of the thing that it describes."""


class DataError(ProblemError):
    """Data contain NaN, infinities where none are allowed, or nothing at all."""


class SymbolError(ProblemError, TypeError):
    """A symbolic expression is used in a way that has no meaning for symbols."""


class OptionError(OcnetError, ValueError):
    """An option of a method is unknown, or its value is out of range."""


class UnsupportedError(OcnetError, NotImplementedError):
    """The method cannot treat this kind of problem; the message says why and what can."""


class StorageError(OcnetError, OSError):
    """A file cannot be read back as what it is said to be."""


class SolveError(OcnetError, RuntimeError):
    """A solve failed; ``solution`` holds the last iterate, never marked as a success.

    Attributes
    ----------
    solution : Solution or None
        What the solver had when it stopped.
    """

    def __init__(self, message: str, solution: object = None) -> None:
        super().__init__(message)
        self.solution = solution


class SimulationError(OcnetError, RuntimeError):
    """A forward integration stopped before its end time."""
