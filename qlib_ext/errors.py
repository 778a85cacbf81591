"""Every error that qlib_ext raises on purpose; each message says what is wrong, where, and what to do."""

from __future__ import annotations


class QlibExtError(Exception):
    """Root of the errors of qlib_ext."""


class ConfigError(QlibExtError, ValueError):
    """A keyword is unknown, its value makes no sense, or two parts of a configuration do not fit together."""


class ProviderError(QlibExtError):
    """The Qlib provider folder is missing, empty or damaged."""


class DataError(QlibExtError, ValueError):
    """Rows, features or labels cannot be used as they are."""


class SegmentError(DataError):
    """A segment of the dataset is empty, missing, or cannot be cut cleanly from the next one."""


class WindowError(DataError):
    """The windows asked for cannot be made from the rows at hand."""


class ContractError(QlibExtError, AssertionError):
    """A model breaks one of the promises of ``qlib_ext.testing.check_model``."""


class CheckpointError(QlibExtError):
    """Saved weights are damaged or belong to another net."""


class NotFittedError(QlibExtError):
    """The model was asked to predict before it was trained."""


class NoWeakFactorsError(QlibExtError, TypeError):
    """The model's score is not made of weak factors."""


class TrainingError(QlibExtError):
    """Training cannot go on, for example because the loss is no longer a number."""


class InfeasibleError(QlibExtError):
    """No portfolio keeps all constraints of a day.

    relaxed   the block that is most in the way, with its bound and the nearest feasible one; None where no block may
              be named, as what is built in contradicts itself
    """

    def __init__(self, message: str, relaxed: object = None) -> None:
        super().__init__(message)
        self.relaxed = relaxed

    def __reduce__(self) -> tuple:
        return type(self), (*self.args, self.relaxed)  # a worker's error arrives whole


class SolverError(QlibExtError):
    """A solver found neither a portfolio nor a proof that there is none."""


class WorkerError(QlibExtError):
    """A process or a machine that was given work is gone, or cannot be had."""


class OutputError(QlibExtError):
    """A file of results cannot be written."""
