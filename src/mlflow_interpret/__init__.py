"""Explanations of models in each MLflow training run: ``mlflow_interpret.autolog()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_interpret.api.cross_explain import CrossExplanation, cross_explain
    from mlflow_interpret.api.display import ExplanationDisplay
    from mlflow_interpret.api.explain_now import explain_now
    from mlflow_interpret.api.explain_rows import explain_rows
    from mlflow_interpret.api.explainable_model import log_explainable_model
    from mlflow_interpret.api.explanation_client import ExplanationClient, Run
    from mlflow_interpret.api.explanations import explain, load_explanation, log_explanation
    from mlflow_interpret.api.global_explanation import GlobalExplanation
    from mlflow_interpret.api.runs import compare_runs, flush, push
    from mlflow_interpret.api.tabular_explainer import TabularExplainer
    from mlflow_interpret.autologging.autolog import autolog
    from mlflow_interpret.core.errors import (
        AzureMLError,
        CannotExplainError,
        ExplanationNotFoundError,
        InvalidExplanationError,
        MlflowInterpretError,
        OptionError,
        RunNotFoundError,
        TrackingUnavailableError,
    )

    __version__: str

__all__ = [
    "AzureMLError",
    "CannotExplainError",
    "CrossExplanation",
    "ExplanationClient",
    "ExplanationDisplay",
    "ExplanationNotFoundError",
    "GlobalExplanation",
    "InvalidExplanationError",
    "MlflowInterpretError",
    "OptionError",
    "Run",
    "RunNotFoundError",
    "TabularExplainer",
    "TrackingUnavailableError",
    "__version__",
    "autolog",
    "compare_runs",
    "cross_explain",
    "explain",
    "explain_now",
    "explain_rows",
    "flush",
    "load_explanation",
    "log_explainable_model",
    "log_explanation",
    "push",
]

_HOMES = {
    "ExplanationClient": "api.explanation_client",
    "Run": "api.explanation_client",
    "CrossExplanation": "api.cross_explain",
    "cross_explain": "api.cross_explain",
    "ExplanationDisplay": "api.display",
    "GlobalExplanation": "api.global_explanation",
    "TabularExplainer": "api.tabular_explainer",
    "autolog": "autologging.autolog",
    "compare_runs": "api.runs",
    "explain": "api.explanations",
    "explain_now": "api.explain_now",
    "explain_rows": "api.explain_rows",
    "flush": "api.runs",
    "load_explanation": "api.explanations",
    "log_explainable_model": "api.explainable_model",
    "log_explanation": "api.explanations",
    "push": "api.runs",
}


def __getattr__(name: str) -> Any:
    # Each name is imported at its first use, so that importing the package stays fast.
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("mlflow-interpret")
    if name in __all__:
        from mlflow_interpret.runtime import progress

        if progress.is_notebook():
            progress.import_tqdm()  # before MLflow imports it
        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'core.errors')}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
