"""Evaluator plug-in for `mlflow.models.evaluate`: explains the evaluated model on its rows.

MLflow imports this module for every evaluation, so heavy imports are deferred.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from mlflow.models.evaluation.base import EvaluationResult, ModelEvaluator

from mlflow_interpret.core import importance_tables
from mlflow_interpret.core.details import Note
from mlflow_interpret.core.errors import CannotExplainError, OptionError, describe_error
from mlflow_interpret.core.options import Options
from mlflow_interpret.integrations.evaluate_call import current_call
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.messages import show_messages, warn

if TYPE_CHECKING:
    from mlflow.data.evaluation_dataset import EvaluationDataset

_logger = logging.getLogger("mlflow_interpret")

NAME = "mlflow_interpret"
"""The name of the evaluator in MLflow."""

TABLE = "mlflow_interpret/global_importances"
"""The artifact of an evaluation's result: the table of all importances."""

_FLAVORS = {"sklearn", "xgboost", "lightgbm", "catboost"}
"""Flavors whose models have an explainer of their own."""
_PASSED_BY_MLFLOW = {"explanation", "run_id", "model", "model_id", "evaluation_examples", "true_ys"}
"""Arguments that `mlflow.models.evaluate` passes itself."""
_DEFAULT_EVALUATOR_OPTIONS = {
    "average", "col_mapping", "ignore_exceptions", "label_list", "log_explainer",
    "log_model_explainability", "max_classes_for_multiclass_roc_pr", "metric_prefix", "pos_label",
    "sample_weights",
}  # fmt: skip
"""Options of MLflow's default evaluator in a configuration that all evaluators share; others begin
with ``explainability_``."""


class InterpretEvaluator(ModelEvaluator):  # type: ignore[misc, unused-ignore]
    """Explains the model that `mlflow.models.evaluate` evaluates, and logs the explanation.

    MLflow knows it as ``"mlflow_interpret"``. Its configuration takes the options of
    `mlflow_interpret.explain` and `mlflow_interpret.log_explanation`. Two defaults differ:
    ``time_budget`` is 60 seconds, and ``log_data`` is False, so that no rows of data are logged.

    MLflow asks every installed evaluator if the user names none. This one then explains only while
    `mlflow_interpret.autolog` is on, or if the configuration has a part for it.
    """

    @classmethod
    def can_evaluate(
        cls, *, model_type: str | None, evaluator_config: dict[str, Any], **_: Any
    ) -> bool:
        """Return whether the model is a classifier or regressor, and explanations are requested.

        Args:
            model_type: ``"classifier"``, ``"regressor"`` or another of MLflow's.
            evaluator_config: The configuration; ``log_model_explainability=False``, which is
                MLflow's own option, turns them off.
        """
        if model_type not in {"classifier", "regressor"}:
            return False
        is_enabled = evaluator_config.get("log_model_explainability", True)
        return bool(is_enabled) and _is_requested()

    def evaluate(
        self,
        *,
        dataset: EvaluationDataset,
        run_id: str,
        evaluator_config: dict[str, Any],
        model: Any = None,
        model_type: str = "regressor",
        model_id: str | None = None,
        **_: Any,
    ) -> EvaluationResult:
        """Explain the model on the rows of the dataset.

        The rows are also the background rows, unless the options have ``initialization_examples``.

        Args:
            dataset: The rows, ``(n_rows, n_features)``, and their labels.
            run_id: The run to log to.
            evaluator_config: The options.
            model: A pyfunc model. One of scikit-learn, XGBoost, LightGBM or CatBoost is explained
                by the explainer of its class; any other one, and a function, as a black box.
            model_type: ``"classifier"`` or ``"regressor"``.
            model_id: The logged model that the metrics are about.

        Returns:
            The metrics ``importance/<feature>``, and the table of all importances as the artifact
            ``mlflow_interpret/global_importances``. If the model cannot be explained, an empty
            result, and one warning.

        Raises:
            OptionError: An option does not exist, or its value is not allowed.
        """
        call = current_call()
        if call is not None and call.shares_config(NAME):
            evaluator_config = _known(evaluator_config)
        explain_options, options = _options(evaluator_config, model_id)
        show_messages()
        try:
            fitted_model, rows = _model_and_rows(model, dataset, model_type)
            return _explain(fitted_model, rows, dataset, run_id, explain_options, options)
        except OptionError:
            raise
        except Exception as error:
            _logger.debug("Explaining the evaluated model failed", exc_info=True)
            reason = describe_error(error, log_data=options.log_data)
            warn(options, f"The model evaluated in run {run_id} was not explained: {reason}")
            _log_reason(run_id, reason)
        return _result(run_id, {}, {})


def _is_requested() -> bool:
    """Return whether the user named this evaluator, or `autolog` is on."""
    call = current_call()
    if call is None or call.names(NAME):
        return True
    if "mlflow_interpret.autologging.autolog" not in sys.modules:
        return False
    from mlflow_interpret.autologging.autolog import is_on

    return is_on()


def _option_names() -> tuple[set[str], set[str]]:
    """Return the names of the options of `explain`, and of all options."""
    from mlflow_interpret.api import explanations

    explain_options = (
        set(signature(explanations.explain).parameters) - _PASSED_BY_MLFLOW - {"engineered"}
    )
    return explain_options, explain_options | (
        set(signature(explanations.log_explanation).parameters) - _PASSED_BY_MLFLOW
    )


def _known(config: dict[str, Any]) -> dict[str, Any]:
    """Return the options of this evaluator in a configuration for several evaluators."""
    _, known = _option_names()
    return {name: value for name, value in config.items() if name in known}


def _options(config: dict[str, Any], model_id: str | None) -> tuple[dict[str, Any], Options]:
    """The options of `explain`, and all options."""
    explain_options, known = _option_names()
    given = {
        name: value
        for name, value in config.items()
        if name not in _DEFAULT_EVALUATOR_OPTIONS and not name.startswith("explainability_")
    }
    unknown = sorted(set(given) - known)
    if unknown:
        raise OptionError(
            f"evaluator_config for mlflow_interpret may hold {', '.join(sorted(known))}, got "
            f"{unknown[0]!r}. Options of another evaluator belong under its own name: "
            "evaluator_config={'mlflow_interpret': {...}}."
        )
    chosen = {"time_budget": 60.0, "log_data": False, **given}
    return (
        {name: value for name, value in chosen.items() if name in explain_options},
        Options(**chosen, model_id=model_id),
    )


def _explain(
    fitted_model: Any,
    rows: Any,
    dataset: EvaluationDataset,
    run_id: str,
    explain_options: dict[str, Any],
    options: Options,
) -> EvaluationResult:
    from mlflow.models.evaluation.artifacts import JsonEvaluationArtifact

    from mlflow_interpret import interpret_community
    from mlflow_interpret.api import explanations
    from mlflow_interpret.autologging.baseline import log_to_run
    from mlflow_interpret.core import explanation_io
    from mlflow_interpret.stores import mlflow as mlflow_store

    background = explain_options.pop("initialization_examples", None)
    explanation = explanations.explain(
        fitted_model,
        rows if background is None else background,
        (rows, dataset.labels_data) if dataset.has_targets else rows,
        **explain_options,
    )
    record = interpret_community.to_record(explanation)
    if background is None:
        notes = (*record.details.notes, Note("The background rows are the evaluated rows."))
        record = replace(record, details=replace(record.details, notes=notes))
    with suppress_warnings():
        logged = log_to_run(record, run_id, mlflow_store.current_tracking_uri(), options)
    uri = f"runs:/{run_id}/{logged.folder}/{explanation_io.GLOBAL}"
    artifact: Any = JsonEvaluationArtifact
    return _result(
        run_id,
        dict(logged.metrics),
        {TABLE: artifact(uri, importance_tables.global_table(record))},
    )


def _result(run_id: str, metrics: dict[str, float], artifacts: dict[str, Any]) -> EvaluationResult:
    return EvaluationResult(metrics, artifacts, run_id)  # type: ignore[no-untyped-call]


def _model_and_rows(model: Any, dataset: EvaluationDataset, model_type: str) -> tuple[Any, Any]:
    """The fitted model inside a pyfunc model, else the pyfunc model as a black box; its rows."""
    if model is None:
        raise CannotExplainError("the evaluation has predictions only; evaluate a model.")
    flavors = getattr(getattr(model, "metadata", None), "flavors", {})
    if not _FLAVORS.isdisjoint(flavors):
        try:
            return model.get_raw_model(), dataset.features_data
        except (AttributeError, NotImplementedError):  # it is in another process
            _logger.debug("%s has no raw model", type(model).__name__)
    import pandas as pd

    from mlflow_interpret.api.black_box import black_box

    # The table that MLflow's own evaluators pass to the model.
    rows = pd.DataFrame(dataset.features_data, columns=dataset.feature_names)
    labels = dataset.labels_data if dataset.has_targets else None
    return black_box(model.predict, rows, labels, model_type), rows


def _log_reason(run_id: str, reason: str) -> None:
    """Log to the run why its model was not explained."""
    from mlflow_interpret.stores import mlflow as mlflow_store

    try:
        mlflow_store.note_skipped(run_id, mlflow_store.current_tracking_uri(), reason)
    except Exception:
        _logger.debug("The reason could not be logged", exc_info=True)
