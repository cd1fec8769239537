"""The call of `mlflow.models.evaluate` that an evaluator is asked in.

MLflow does not pass to an evaluator whether the user named it. The public arguments of the call are
read from the stack.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EvaluateCall:
    """The arguments of a call.

    Attributes:
        evaluators: None where the user named no evaluators. MLflow then asks all that are
            installed, and replaces it with a list of those that accept.
        evaluator_config: The configuration of the user, for all evaluators or by their names.
    """

    evaluators: Any
    evaluator_config: Any

    def configures(self, evaluator: str) -> bool:
        """Return whether the configuration has a part of its own for an evaluator."""
        return isinstance(self.evaluator_config, Mapping) and evaluator in self.evaluator_config

    def names(self, evaluator: str) -> bool:
        """Return whether the user named an evaluator, before MLflow has asked it."""
        return self.evaluators is not None or self.configures(evaluator)

    def shares_config(self, evaluator: str) -> bool:
        """Return whether the configuration is that of several evaluators, after MLflow has asked.

        A single named evaluator has the configuration to itself.
        """
        is_single = isinstance(self.evaluators, list) and len(self.evaluators) == 1
        return not is_single and not self.configures(evaluator)


def current_call() -> EvaluateCall | None:
    """Return the call of `mlflow.models.evaluate` on the stack of this thread, or None."""
    import mlflow.models

    code = inspect.unwrap(mlflow.models.evaluate).__code__
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is code:
            arguments = frame.f_locals
            return EvaluateCall(arguments.get("evaluators"), arguments.get("evaluator_config"))
        frame = frame.f_back  # type: ignore[assignment]
    return None
