"""Explain a fitted model, without a run."""

from __future__ import annotations

from typing import Any

from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Explanation, Plan, TrainingContext
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.isolation import suppress_warnings


def explain_model(
    model: Any, initialization_examples: Any, options: Options, sample_weight: Any = None
) -> Explanation:
    """Compute the record of an explanation.

    Args:
        model: A fitted model.
        initialization_examples: ``(n_rows, n_features)`` training rows of the model.
        options: The options of `mlflow_interpret.explain`.
        sample_weight: ``(n_rows,)`` weights of these rows in the training, or None.

    Raises:
        OptionError: An argument is not allowed.
        CannotExplainError: The model or its rows cannot be explained.
    """
    from mlflow_interpret.explaining.explain import explain
    from mlflow_interpret.runtime.progress import progress

    if initialization_examples is None:
        raise OptionError(
            "initialization_examples must be a table of rows (DataFrame, 2-D array, sparse "
            "matrix): the training rows of the model, got None."
        )
    time_budget = options.time_budget
    if isinstance(time_budget, str):
        raise OptionError(
            "time_budget must be a positive number of seconds or None, got 'auto', which only "
            "autolog knows: it is a share of the time that fit takes."
        )
    context = TrainingContext(
        model=model,
        X=initialization_examples,
        sample_weight=sample_weight,
        rows_source="initialization_examples",
        evaluation_examples=options.evaluation_rows,
        evaluation_labels=options.evaluation_labels,
        features=options.features,
        classes=options.classes,
        feature_groups=options.feature_groups,
    )
    with (
        suppress_warnings(),
        fit_hooks.unrecorded(),
        progress("Explaining", unit="rows", silent=options.silent) as report,
    ):
        plan = Plan(
            options.max_rows,
            options.random_state,
            options.engine,
            options.n_jobs,
            time_budget,
            report,
            output=options.output,
            interactions=options.n_interacting,
        )
        return explain(context, plan)
