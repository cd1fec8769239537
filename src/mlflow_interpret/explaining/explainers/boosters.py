"""The contributions that XGBoost, LightGBM and CatBoost compute for their own models.

They are tree SHAP's path-dependent values: where a feature is not known, both sides of its splits
count, in the proportions of the training rows. The sums are for the caller to check: those of
CatBoost for one output and trees that are not symmetric (``grow_policy``) are wrong for some
models, and then do not add up.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse, special

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.explainers.additivity import check_shapes
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
)
from mlflow_interpret.explaining.explainers.tree_nodes import TREES_NOTE
from mlflow_interpret.explaining.model_adapter import ModelAdapter

_logger = logging.getLogger(__name__)

MAX_ROWS = 1_000


@dataclass(frozen=True, eq=False)
class Native:
    """What a booster says about some rows.

    Attributes:
        engine: The booster's own name of the computation.
        local_values: ``(n_classes, n_rows, n_features)`` for classification,
            ``(n_rows, n_features)`` for regression, ``(n_outputs, n_rows, n_features)`` for a
            regression with several targets.
        expected_values: ``(n_classes,)``, ``(1,)`` or ``(n_outputs,)``.
        scale: ``log-odds`` where the values add up to what the class probabilities are the logistic
            function or the softmax of, ``prediction`` where they add up to what the model predicts,
            else ``raw prediction``: a link stands between, or a custom objective.
        outputs: ``(n_rows, n_classes)``, ``(n_rows,)`` or ``(n_rows, n_outputs)`` outputs of the
            model on that scale, which ``local_values`` and ``expected_values`` should add up to.
    """

    engine: str
    local_values: FloatArray
    expected_values: FloatArray
    scale: str
    outputs: FloatArray


def is_booster(model: Any) -> bool:
    """Whether the model is an XGBoost, LightGBM or CatBoost one, or of a subclass of theirs."""
    return _engine(model) is not None


def native(model: Any, rows: Any, n_classes: int | None) -> Native:
    """The booster's own contributions; the model stays as it is.

    Args:
        model: A fitted model for which `is_booster` holds.
        rows: ``(n_rows, n_features)`` in the container that the model was fitted with.
        n_classes: The number of classes, None for regression.

    Raises:
        CannotExplainError: The model has no contributions of its own, or none that are right.
        Exception: Whatever the booster raises for such a model or such rows.
    """
    engine = _engine(model)
    if engine is None:
        raise CannotExplainError(f"{type(model).__name__} is no booster")
    name, compute = engine
    values, margins = compute(model, rows)  # with the bias as the last column
    if values.shape[:2] != margins.shape or values.shape[2] != rows.shape[1] + 1:
        raise CannotExplainError(
            f"{name} gave contributions of shape {values.shape} for outputs of shape "
            f"{margins.shape} and rows of shape {tuple(rows.shape)}"
        )
    local, expected = values[:, :, :-1].transpose(1, 0, 2), values[0, :, -1]
    if n_classes is None:
        single = margins.shape[1] == 1
        outputs = margins[:, 0] if single else margins
        scale = "prediction" if _predicts(model, rows, outputs) else "raw prediction"
        return Native(name, local[0] if single else local, expected, scale, outputs)
    _refuse_several_labels(model, rows)
    scale = "log-odds" if _are_log_odds(model, rows, margins) else "raw prediction"
    if margins.shape[1] == 1 and n_classes == 2:  # the margin of the second class
        local, expected = np.concatenate([-local, local]), np.concatenate([-expected, expected])
        margins = np.hstack([-margins, margins])
    if margins.shape[1] != n_classes:
        raise CannotExplainError(f"{name} has {margins.shape[1]} outputs for {n_classes} classes")
    return Native(name, local, expected, scale, margins)


@register(priority=70)
class BoosterExplainer(Explainer):
    """Explains a booster by the contributions that its own library computes."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return is_booster(adapter.model)

    def __init__(self, request: ExplainRequest) -> None:
        self._adapter = request.adapter
        model = request.adapter.model
        known = _engine(model)
        if known is None:
            raise CannotExplainError(f"{request.adapter.name} is no booster")
        self.info = ExplainerInfo(
            method="shap_tree",
            implementation=known[0],
            max_rows=MAX_ROWS,
            notes=(TREES_NOTE, *_notes(model, known[0])),
            is_parallel=False,  # the library uses all cores itself
        )

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """Compute the attributions of a batch; the scale follows from the outputs of the batch."""
        adapter = self._adapter
        n_classes = None if adapter.classes is None else len(adapter.classes)
        try:
            found = native(adapter.model, batch.original, n_classes)
            check_shapes(adapter, found.local_values, found.expected_values)
        except Exception as error:
            _logger.debug("%s gave no contributions", adapter.name, exc_info=True)
            raise CannotExplainError(
                f"{adapter.name} gave no contributions of its own", error
            ) from error
        return Attributions(found.local_values, found.expected_values, found.outputs, found.scale)


_Compute = Callable[[Any, Any], tuple[FloatArray, FloatArray]]


def _engine(model: Any) -> tuple[str, _Compute] | None:
    for cls in type(model).__mro__:
        package = cls.__module__.partition(".")[0]
        if (package, cls.__name__) in _ENGINES:
            return _ENGINES[package, cls.__name__]
    return None


def _xgboost(model: Any, rows: Any) -> tuple[FloatArray, FloatArray]:
    from xgboost import DMatrix

    booster = model.get_booster()
    settings = json.loads(booster.save_config())
    if settings["learner"]["gradient_booster"]["name"] == "gblinear":
        # weight x value: how far the output is from that of a row of zeros, not from the mean
        raise CannotExplainError("XGBoost's contributions of booster='gblinear' are no SHAP values")
    matrix = DMatrix(
        rows,
        missing=model.missing,
        nthread=model.n_jobs,
        feature_types=model.feature_types,
        enable_categorical=model.enable_categorical,
    )
    values = booster.predict(
        matrix,
        pred_contribs=True,
        iteration_range=model._get_iteration_range(None),  # as predict, after early stopping
        strict_shape=True,
    )
    return _float64(values), _columns(model.predict(rows, output_margin=True))


def _lightgbm(model: Any, rows: Any) -> tuple[FloatArray, FloatArray]:
    settings = {**model.get_params(), **model.booster_.params}
    if settings.get("linear_tree") or settings.get("linear_trees"):
        # asked all the same, LightGBM prints the refusal beside raising it
        raise CannotExplainError("LightGBM has no contributions for linear trees")
    margins = _columns(model.predict(rows, raw_score=True))
    values = model.predict(rows, pred_contrib=True)
    blocks = values if isinstance(values, list) else [values]  # sparse ones, one for each class
    dense = np.hstack([b.toarray() if sparse.issparse(b) else b for b in blocks])
    # The trees of a random forest are summed up here, and averaged by predict.
    averaged = model.booster_.dump_model(num_iteration=1)["average_output"]
    trees = model.booster_.num_trees() // margins.shape[1] if averaged else 1
    return _float64(dense).reshape(*margins.shape, -1) / trees, margins / trees


def _catboost(model: Any, rows: Any) -> tuple[FloatArray, FloatArray]:
    from catboost import Pool

    pool = Pool(
        rows,
        cat_features=model.get_cat_feature_indices(),
        text_features=model.get_text_feature_indices() or None,
        embedding_features=model.get_embedding_feature_indices() or None,
    )
    values = _float64(model.get_feature_importance(pool, type="ShapValues"))
    margins = _columns(model.predict(pool, prediction_type="RawFormulaVal"))
    return values if values.ndim == 3 else values[:, None, :], margins


_ENGINES: dict[tuple[str, str], tuple[str, _Compute]] = {
    ("xgboost", "XGBModel"): ("xgboost pred_contribs", _xgboost),
    ("lightgbm", "LGBMModel"): ("lightgbm pred_contrib", _lightgbm),
    ("catboost", "CatBoost"): ("catboost ShapValues", _catboost),
}


def _notes(model: Any, engine: str) -> tuple[str, ...]:
    if engine != "catboost ShapValues" or len(model.get_cat_feature_indices()) < 2:
        return ()
    if model.get_all_params().get("max_ctr_complexity", 1) < 2:
        return ()
    shared = (
        "Where CatBoost splits on a combination of categorical columns, it shares the contribution "
        "evenly among them; max_ctr_complexity=1 makes no combinations."
    )
    return (shared,)


def _float64(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _columns(margins: Any) -> FloatArray:
    """``(n_rows, n_outputs)``, also for a single output."""
    array = _float64(margins)
    return array[:, None] if array.ndim == 1 else array


def _refuse_several_labels(model: Any, rows: Any) -> None:
    shape = np.shape(model.predict(rows))
    if len(shape) == 2 and shape[1] > 1:
        raise CannotExplainError(
            f"{type(model).__name__} predicts {shape[1]} values for a row, not one class"
        )


# Whether a link stands between is asked of the model's outputs, not of its objective: each package
# has dozens of these, with aliases and parameters that change the link.


def _predicts(model: Any, rows: Any, outputs: FloatArray) -> bool:
    predicted = _float64(model.predict(rows))
    return predicted.shape == outputs.shape and np.allclose(predicted, outputs, rtol=1e-5)


def _are_log_odds(model: Any, rows: Any, margins: FloatArray) -> bool:
    probabilities = _float64(model.predict_proba(rows))
    if probabilities.ndim != 2:  # raw scores, under an objective of the user's own
        return False
    if margins.shape[1] == 1:
        return np.allclose(special.expit(margins[:, 0]), probabilities[:, -1], atol=1e-5)
    candidates = (special.softmax(margins, axis=1), special.expit(margins))
    return any(
        candidate.shape == probabilities.shape and np.allclose(candidate, probabilities, atol=1e-5)
        for candidate in candidates
    )
