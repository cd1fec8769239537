"""Contributions that XGBoost, LightGBM and CatBoost compute for their own models.

They are the path-dependent values of tree SHAP: for an unknown feature, both sides of a split count
in proportion to the training rows. The caller checks their sums: CatBoost's contributions of some
models with a single output and asymmetric trees (``grow_policy``) are wrong and do not add up. Sums
do not show that contributions are exchanged between columns, so models for which CatBoost does that
are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy import sparse, special

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.additivity import check_shapes
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    refuse_given_background,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.booster_interactions import (
    LightGBMInteractions,
    own_interactions,
)
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.native_models import (
    NativeClassifier,
    NativeRegressor,
    as_columns,
    catboost_contributions,
    catboost_interactions,
    catboost_pool,
    refuse_gblinear,
)
from mlflow_interpret.explaining.sklearn_trees import TREES_NOTE

_logger = logging.getLogger(__name__)

MAX_ROWS = 1_000
_CATBOOST = "catboost ShapValues"


@register(priority=70)
class BoosterExplainer(Explainer):
    """Explains a booster by the contributions that its own library computes."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return is_booster(adapter.model)

    def __init__(self, request: ExplainRequest) -> None:
        self._adapter = request.adapter
        model = request.adapter.model
        library = _library(model)
        if library is None:
            raise CannotExplainError(f"{request.adapter.name} is no booster")
        library.check(model)
        refuse_given_background(request)
        self.info = ExplainerInfo(
            method="shap_tree",
            implementation=library.implementation,
            max_rows=MAX_ROWS,
            notes=(
                TREES_NOTE,
                *library.notes(model),
                *weight_notes(request.background, of_trees=True),
            ),
            is_parallel=False,  # the library uses all cores itself
        )

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """Compute the attributions of a batch; the scale follows from the outputs of the batch.

        Raises:
            CannotExplainError: The library gives no contributions for the model or these rows.
        """
        adapter = self._adapter
        n_classes = None if adapter.classes is None else len(adapter.classes)
        try:
            attributions = booster_attributions(adapter.model, batch.original, n_classes)
            check_shapes(adapter, attributions.local_values, attributions.expected_values)
        except Exception as error:
            _logger.debug("%s gave no contributions", adapter.name, exc_info=True)
            raise CannotExplainError(
                f"{adapter.name} gave no contributions of its own", error
            ) from error
        return attributions

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        model, library = self._adapter.model, _library(self._adapter.model)
        if library is None:
            raise CannotExplainError(f"{self._adapter.name} is no booster")

        def contributions(rows: Any) -> FloatArray:
            return library.compute(model, rows)[0]

        try:
            if library.interactions is None:
                values = self._lightgbm_interactions.explain(contributions, batch, columns)
            else:
                matrices = partial(library.interactions, model)
                values = own_interactions(matrices, contributions, batch, columns)
        except CannotExplainError:
            raise
        except Exception as error:
            name = self._adapter.name
            raise CannotExplainError(f"{name} gave no interactions", error) from error
        is_binary = len(values) == 1 and len(self._adapter.classes or ()) == 2
        return np.concatenate([-values, values]) if is_binary else values

    @cached_property
    def _lightgbm_interactions(self) -> LightGBMInteractions:
        n_classes = len(self._adapter.classes or ())
        return LightGBMInteractions(self._adapter.model, n_classes if n_classes > 2 else 1)


def is_booster(model: Any) -> bool:
    """Whether the model is of XGBoost, LightGBM or CatBoost, or of a subclass."""
    return _library(model) is not None


def booster_attributions(model: Any, rows: Any, n_classes: int | None) -> Attributions:
    """Compute the contributions of a booster; the model is not changed.

    Args:
        model: A fitted model of XGBoost, LightGBM or CatBoost.
        rows: ``(n_rows, n_features)`` in the container that the model was fitted with.
        n_classes: Number of classes, None for regression.

    Returns:
        Attributions on the scale ``log-odds`` if the class probabilities are their logistic
        function or softmax, ``prediction`` if they add up to the predictions, else ``raw
        prediction``: the model has a link function or a custom objective.

    Raises:
        CannotExplainError: The library has no right contributions for the model.
        Exception: Any error of the library.
    """
    library = _library(model)
    if library is None:
        raise CannotExplainError(f"{type(model).__name__} is no booster")
    values, margins = library.compute(model, rows)  # the last column of the values is the bias
    if values.shape[:2] != margins.shape or values.shape[2] != rows.shape[1] + 1:
        raise CannotExplainError(
            f"{library.implementation} gave contributions of shape {values.shape} for outputs of "
            f"shape {margins.shape} and rows of shape {tuple(rows.shape)}"
        )
    local, expected = values[:, :, :-1].transpose(1, 0, 2), values[0, :, -1]
    if n_classes is None:
        single = margins.shape[1] == 1
        outputs = margins[:, 0] if single else margins
        scale = "prediction" if _is_prediction(model, rows, outputs) else "raw prediction"
        return Attributions(local[0] if single else local, expected, outputs, scale)
    _refuse_several_labels(model, rows)
    scale = "log-odds" if _are_log_odds(model, rows, margins) else "raw prediction"
    if margins.shape[1] == 1 and n_classes == 2:  # the margin of the second class
        local, expected = np.concatenate([-local, local]), np.concatenate([-expected, expected])
        margins = np.hstack([-margins, margins])
    if margins.shape[1] != n_classes:
        raise CannotExplainError(
            f"{library.implementation} has {margins.shape[1]} outputs for {n_classes} classes"
        )
    return Attributions(local, expected, margins, scale)


def _library(model: Any) -> _Library | None:
    if isinstance(model, (NativeClassifier, NativeRegressor)):
        name = model.native.implementation
        interactions = None if name.startswith("lightgbm") else _native_interactions
        return _Library(name, _native, _check_native, _native_notes, interactions)
    for base in type(model).__mro__:
        package = base.__module__.partition(".")[0]
        if (package, base.__name__) in _LIBRARIES:
            return _LIBRARIES[package, base.__name__]
    return None


def _native(model: Any, rows: Any) -> tuple[FloatArray, FloatArray]:
    return model.native.contributions(rows), model.native.margins(rows)


def _native_interactions(model: Any, rows: Any) -> FloatArray:
    values: FloatArray = model.native.interactions(rows)
    return values


def _check_native(model: Any) -> None:
    if model.native.implementation == _CATBOOST:
        _check_catboost(model.native.native_model)


def _native_notes(model: Any) -> tuple[str, ...]:
    is_catboost = model.native.implementation == _CATBOOST
    shared = _catboost_notes(model.native.native_model) if is_catboost else ()
    return (*model.native.notes, *shared)


def _xgboost(model: Any, rows: Any) -> tuple[FloatArray, FloatArray]:
    refuse_gblinear(model.get_booster())
    values = _xgboost_predict(model, rows, pred_contribs=True)
    return _float64(values), as_columns(model.predict(rows, output_margin=True))


def _xgboost_interactions(model: Any, rows: Any) -> FloatArray:
    return _float64(_xgboost_predict(model, rows, pred_interactions=True))[..., :-1, :-1]


def _xgboost_predict(model: Any, rows: Any, **kind: bool) -> Any:
    from xgboost import DMatrix

    matrix = DMatrix(
        rows,
        missing=model.missing,
        nthread=model.n_jobs,
        feature_types=model.feature_types,
        enable_categorical=model.enable_categorical,
    )
    return model.get_booster().predict(
        matrix, iteration_range=_iteration_range(model), strict_shape=True, **kind
    )


def _iteration_range(model: Any) -> tuple[int, int]:
    """The iterations that ``predict`` uses: those up to the best one after early stopping."""
    try:
        return 0, model.best_iteration + 1
    except AttributeError:
        return 0, 0  # all


def _lightgbm(model: Any, rows: Any) -> tuple[FloatArray, FloatArray]:
    settings = {**model.get_params(), **model.booster_.params}
    if settings.get("linear_tree") or settings.get("linear_trees"):
        # LightGBM would print an error in addition to raising it
        raise CannotExplainError("LightGBM has no contributions for linear trees")
    margins = as_columns(model.predict(rows, raw_score=True))
    values = model.predict(rows, pred_contrib=True)
    outputs = values if isinstance(values, list) else [values]  # a list of sparse arrays by class
    dense = np.hstack([o.toarray() if sparse.issparse(o) else o for o in outputs])
    # The contributions are sums over the trees of a random forest; predict averages them.
    averaged = model.booster_.dump_model(num_iteration=1)["average_output"]
    trees = model.booster_.num_trees() // margins.shape[1] if averaged else 1
    return _float64(dense).reshape(*margins.shape, -1) / trees, margins / trees


def _catboost(model: Any, rows: Any) -> tuple[FloatArray, FloatArray]:
    pool = catboost_pool(model, rows)
    # The predict of a CatBoostRanker takes no prediction_type; it gives the raw values.
    raw = {} if type(model).__name__ == "CatBoostRanker" else {"prediction_type": "RawFormulaVal"}
    margins = as_columns(model.predict(pool, **raw))
    return catboost_contributions(model, pool), margins


def _catboost_interactions(model: Any, rows: Any) -> FloatArray:
    return catboost_interactions(model, catboost_pool(model, rows))


def _accept(model: Any) -> None:
    pass


def _no_notes(model: Any) -> tuple[str, ...]:  # noqa: ARG001
    return ()


def _check_catboost(model: Any) -> None:
    if not model.get_cat_feature_indices():
        return
    for kind in ("text", "embedding"):
        if getattr(model, f"get_{kind}_feature_indices")():
            raise CannotExplainError(
                "CatBoost's ShapValues of models with categorical and "
                f"{kind} columns exchange contributions between columns"
            )


def _catboost_notes(model: Any) -> tuple[str, ...]:
    if len(model.get_cat_feature_indices()) < 2:
        return ()
    if model.get_all_params().get("max_ctr_complexity", 1) < 2:
        return ()
    shared = (
        "Where CatBoost splits on a combination of categorical columns, it shares the contribution "
        "evenly among them; max_ctr_complexity=1 makes no combinations."
    )
    return (shared,)


@dataclass(frozen=True)
class _Library:
    """A library that computes contributions for its own models.

    Attributes:
        implementation: Name of the computation, for the status record.
        compute: Maps a model and rows to ``(n_rows, n_outputs, n_features + 1)`` contributions and
            ``(n_rows, n_outputs)`` outputs.
        check: Raises `CannotExplainError` for a model whose contributions are known to be wrong.
        notes: Notes on a model, for the status record.
        interactions: Maps a model and rows to ``(n_rows, n_outputs, n_features, n_features)``
            interactions; None for LightGBM, which has none.
    """

    implementation: str
    compute: Callable[[Any, Any], tuple[FloatArray, FloatArray]]
    check: Callable[[Any], None] = _accept
    notes: Callable[[Any], tuple[str, ...]] = _no_notes
    interactions: Callable[[Any, Any], FloatArray] | None = None


_LIBRARIES = {
    ("xgboost", "XGBModel"): _Library(
        "xgboost pred_contribs", _xgboost, interactions=_xgboost_interactions
    ),
    ("lightgbm", "LGBMModel"): _Library("lightgbm pred_contrib", _lightgbm),
    ("catboost", "CatBoost"): _Library(
        _CATBOOST, _catboost, _check_catboost, _catboost_notes, _catboost_interactions
    ),
}


def _float64(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _refuse_several_labels(model: Any, rows: Any) -> None:
    shape = np.shape(model.predict(rows))
    if len(shape) == 2 and shape[1] > 1:
        raise CannotExplainError(
            f"{type(model).__name__} predicts {shape[1]} values for a row, not one class"
        )


# A link function is detected by the outputs, not by the objective: each library has dozens of
# objectives, with aliases and with parameters that change the link function.


def _is_prediction(model: Any, rows: Any, outputs: FloatArray) -> bool:
    predicted = _float64(model.predict(rows))
    return predicted.shape == outputs.shape and np.allclose(predicted, outputs, rtol=1e-5)


def _are_log_odds(model: Any, rows: Any, margins: FloatArray) -> bool:
    probabilities = _float64(model.predict_proba(rows))
    if probabilities.ndim != 2:  # raw scores of a custom objective
        return False
    if margins.shape[1] == 1:
        return np.allclose(special.expit(margins[:, 0]), probabilities[:, -1], atol=1e-5)
    candidates = (special.softmax(margins, axis=1), special.expit(margins))
    return any(
        candidate.shape == probabilities.shape and np.allclose(candidate, probabilities, atol=1e-5)
        for candidate in candidates
    )
