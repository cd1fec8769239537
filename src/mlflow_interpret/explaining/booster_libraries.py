"""Functions of XGBoost, LightGBM and CatBoost for contributions and interactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.native_models import (
    NativeClassifier,
    NativeRegressor,
    as_columns,
    catboost_contributions,
    catboost_interactions,
    catboost_pool,
    refuse_gblinear,
)

_CATBOOST = "catboost ShapValues"


def is_booster(model: Any) -> bool:
    """Whether the model is of XGBoost, LightGBM or CatBoost, or of a subclass."""
    return library_of(model) is not None


def library_of(model: Any) -> Library | None:
    """The library of a model; None for other models."""
    if isinstance(model, (NativeClassifier, NativeRegressor)):
        name = model.native.implementation
        interactions = None if name.startswith("lightgbm") else _native_interactions
        return Library(name, _native, _check_native, _native_notes, interactions)
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
    return as_float64(values), as_columns(model.predict(rows, output_margin=True))


def _xgboost_interactions(model: Any, rows: Any) -> FloatArray:
    return as_float64(_xgboost_predict(model, rows, pred_interactions=True))[..., :-1, :-1]


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
    return as_float64(dense).reshape(*margins.shape, -1) / trees, margins / trees


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
class Library:
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
    ("xgboost", "XGBModel"): Library(
        "xgboost pred_contribs", _xgboost, interactions=_xgboost_interactions
    ),
    ("lightgbm", "LGBMModel"): Library("lightgbm pred_contrib", _lightgbm),
    ("catboost", "CatBoost"): Library(
        _CATBOOST, _catboost, _check_catboost, _catboost_notes, _catboost_interactions
    ),
}


def as_float64(values: Any) -> FloatArray:
    """An array in double precision."""
    return np.asarray(values, dtype=np.float64)
