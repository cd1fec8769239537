"""Comparison of the explanations of several runs."""

from mlflow_interpret.compare.comparison import RunComparison

__all__ = ["RunComparison"]
