"""Names of the columns that the steps of a pipeline compute."""

from __future__ import annotations

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from mlflow_interpret.explaining.column_shuffles import UnknownLineageError
from mlflow_interpret.explaining.step_sources import (
    Sources,
    TracedStep,
    is_step,
    selections,
    trace_step,
    trace_steps,
)


def column_names(traced: TracedStep, names: list[str], unnamed: list[str]) -> list[str]:
    """Return a name for each column of a step.

    The step names its columns, or its output does. A step that contains others fails if one of them
    has no names; only the columns of that one are numbered then.

    Args:
        traced: The step, its rows, and the sources of its columns.
        names: The names of its input columns.
        unnamed: Gets the classes of transformers that name no columns.
    """
    step, sources = traced.step, traced.sources
    if not is_step(step):
        return names
    try:
        labels = step.get_feature_names_out(names)
    except Exception:  # some transformers have no names, and some require those of their fit
        labels = getattr(traced.output, "columns", None)
    if labels is None or len(labels) != len(sources):
        labels = _names_of_parts(traced, names, unnamed)
    if labels is None or len(labels) != len(sources):
        labels = _numbered(step, names, sources, unnamed)
    return [str(label) for label in labels]


def _names_of_parts(traced: TracedStep, names: list[str], unnamed: list[str]) -> list[str] | None:
    """The names of a step that contains others; None for other steps."""
    step = traced.step
    if isinstance(step, Pipeline):
        try:
            for inner in trace_steps(step.steps, traced.rows, []):
                names = column_names(inner, names, unnamed)
        except UnknownLineageError:  # a step inside returns no table, such as dictionaries
            return None
        return names
    labels: list[str] = []
    if isinstance(step, ColumnTransformer):
        for name, child, positions, rows in selections(step, traced.rows):
            selected = [names[i] for i in positions]
            part = column_names(trace_step(child, rows, []), selected, unnamed)
            has_prefix = step.verbose_feature_names_out is True
            labels += [f"{name}__{label}" if has_prefix else label for label in part]
        return labels
    if isinstance(step, FeatureUnion):
        for name, child in step.transformer_list:
            if child != "drop":
                part = column_names(trace_step(child, traced.rows, []), names, unnamed)
                labels += [f"{name}__{label}" for label in part]
        return labels
    return None


def _numbered(step: Any, names: list[str], sources: Sources, unnamed: list[str]) -> list[str]:
    """Names after the sources of the columns, with numbers where several have the same."""
    kind = type(step).__name__
    base_of = {s: names[min(s)] if len(s) == 1 else kind.lower() for s in set(sources)}
    bases = [base_of[columns] for columns in sources]
    if len(base_of) == len(sources):
        return bases
    unnamed.append(kind)
    return [f"{base}_{k}" for k, base in enumerate(bases)]
