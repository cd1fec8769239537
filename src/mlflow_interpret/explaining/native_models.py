"""Models of XGBoost, LightGBM and CatBoost without scikit-learn's interface."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray


class NativeModel(ABC):
    """A native model that takes raw rows.

    Attributes:
        native_model: The model that the library trained.
        implementation: Name of the computation of contributions, for the status record.
        notes: Notes on the explained output, for the status record.
    """

    implementation: str
    notes: tuple[str, ...] = ()

    def __init__(self, native_model: Any) -> None:
        self.native_model = native_model

    @abstractmethod
    def n_classes(self) -> int:
        """The number of classes; 0 for a model that predicts numbers."""

    def classes(self) -> npt.NDArray[Any]:
        """The class labels; the training data of XGBoost and LightGBM hold 0, 1, ..."""
        return np.arange(self.n_classes())

    @abstractmethod
    def predictions(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` or ``(n_rows, n_outputs)`` predictions of the native model."""

    @abstractmethod
    def margins(self, rows: Any) -> FloatArray:
        """``(n_rows, n_outputs)`` outputs before the link function."""

    @abstractmethod
    def contributions(self, rows: Any) -> FloatArray:
        """``(n_rows, n_outputs, n_features + 1)`` contributions and bias to the margins.

        Raises:
            CannotExplainError: The library has no Shapley values for this model.
        """

    def interactions(self, rows: Any) -> FloatArray:  # noqa: ARG002
        """``(n_rows, n_outputs, n_features, n_features)`` interactions in the margins.

        Raises:
            CannotExplainError: The library has none.
        """
        raise CannotExplainError(f"the library of {self.implementation} has no interactions")


class NativeRegressor:
    """A native model that predicts numbers: targets, ranks, counts.

    Args:
        native: The native model.
    """

    def __init__(self, native: NativeModel) -> None:
        self.native = native

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` or ``(n_rows, n_targets)`` predictions."""
        return self.native.predictions(rows)


class NativeClassifier:
    """A native model with an objective for classes.

    Args:
        native: The native model.
    """

    def __init__(self, native: NativeModel) -> None:
        self.native = native
        self.classes_ = native.classes()

    def predict_proba(self, rows: Any) -> FloatArray:
        """``(n_rows, n_classes)`` probabilities."""
        predicted: FloatArray = np.asarray(self.native.predictions(rows), dtype=np.float64)
        if predicted.ndim == 1 and len(self.classes_) == 2:
            return np.column_stack([1.0 - predicted, predicted])
        if predicted.ndim == 1:  # XGBoost's multi:softmax predicts labels
            probabilities: FloatArray = special.softmax(self.native.margins(rows), axis=1)
            return probabilities
        return predicted

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` classes."""
        labels: npt.NDArray[Any] = self.classes_[self.predict_proba(rows).argmax(axis=1)]
        return labels


def adapt_native(model: Any) -> Any:
    """Give a Booster scikit-learn's interface, and models on Dask clusters that of local rows.

    Other models are not changed.
    """
    model = _local_model(model)
    if type(model).__name__ == "CatBoost" and type(model).__module__.startswith("catboost"):
        return NativeClassifier(_CatBoost(model)) if len(model.classes_) else model
    for base in type(model).__mro__:
        key = base.__module__.partition(".")[0], base.__name__
        if key in _MODELS:
            native = _MODELS[key](model)
            return NativeClassifier(native) if native.n_classes() else NativeRegressor(native)
    return model


def _local_model(model: Any) -> Any:
    """A model that takes rows in memory, for one that takes Dask collections."""
    for base in type(model).__mro__:
        if base.__module__.startswith("lightgbm.dask") and hasattr(model, "to_local"):
            return model.to_local()
        if base.__module__.startswith("xgboost.dask") and hasattr(model, "get_booster"):
            return model.get_booster()
    return model


def original_model(model: Any) -> Any:
    """The model that the user trained."""
    is_native = isinstance(model, (NativeRegressor, NativeClassifier))
    return model.native.native_model if is_native else model


def refuse_gblinear(booster: Any) -> None:
    """Refuse contributions that are differences from a row of zeros, not from the mean.

    Args:
        booster: A ``xgboost.Booster``.

    Raises:
        CannotExplainError: The booster is linear.
    """
    settings = json.loads(booster.save_config())
    if settings["learner"]["gradient_booster"]["name"] == "gblinear":
        # weight x value is the difference from the output of a row of zeros, not from the mean
        raise CannotExplainError(
            "XGBoost's contributions of booster='gblinear' are not SHAP values"
        )


class _XGBoost(NativeModel):
    implementation = "xgboost pred_contribs"

    def __init__(self, native_model: Any) -> None:
        super().__init__(native_model)
        try:
            self._iterations = 0, native_model.best_iteration + 1
        except AttributeError:  # no early stopping: all iterations
            self._iterations = 0, 0
            return
        note = (
            "Training stopped early: the iterations up to the best one are explained. "
            "Booster.predict uses all iterations unless it gets iteration_range."
        )
        self.notes = (note,)

    def n_classes(self) -> int:
        learner = json.loads(self.native_model.save_config())["learner"]
        objective = learner["objective"]["name"]
        if objective == "binary:logistic":
            return 2
        is_multiclass = objective in {"multi:softprob", "multi:softmax"}
        return int(learner["learner_model_param"]["num_class"]) if is_multiclass else 0

    def predictions(self, rows: Any) -> npt.NDArray[Any]:
        return self._predict(rows)

    def margins(self, rows: Any) -> FloatArray:
        return as_columns(self._predict(rows, output_margin=True))

    def contributions(self, rows: Any) -> FloatArray:
        refuse_gblinear(self.native_model)
        values = self._predict(rows, pred_contribs=True, strict_shape=True)
        return np.asarray(values, dtype=np.float64)

    def interactions(self, rows: Any) -> FloatArray:
        refuse_gblinear(self.native_model)
        values = self._predict(rows, pred_interactions=True, strict_shape=True)
        return np.asarray(values, dtype=np.float64)[..., :-1, :-1]

    def _predict(self, rows: Any, **kind: bool) -> npt.NDArray[Any]:
        predicted: npt.NDArray[Any] = self.native_model.predict(
            self._matrix(rows), iteration_range=self._iterations, **kind
        )
        return predicted

    def _matrix(self, rows: Any) -> Any:
        from xgboost import DMatrix

        types, dtypes = self.native_model.feature_types, getattr(rows, "dtypes", ())
        has_codes = "c" in (types or ()) and (
            not hasattr(rows, "columns")
            or not any(str(dtype) in {"category", "Categorical"} for dtype in dtypes)
        )
        matrix = DMatrix(rows, feature_types=types if has_codes else None, enable_categorical=True)
        names = self.native_model.feature_names
        if names is None or not hasattr(rows, "columns"):
            matrix.feature_names = names
        return matrix


class _LightGBM(NativeModel):
    implementation = "lightgbm pred_contrib"

    def __init__(self, native_model: Any) -> None:
        super().__init__(native_model)
        dump = native_model.dump_model(num_iteration=1)
        self._objective = str(dump.get("objective", "")).partition(" ")[0]
        self._is_averaged = bool(dump["average_output"])
        self._n_outputs = int(dump["num_tree_per_iteration"])

    def n_classes(self) -> int:
        if self._objective == "binary":
            return 2
        return self._n_outputs if self._objective in {"multiclass", "multiclassova"} else 0

    def predictions(self, rows: Any) -> npt.NDArray[Any]:
        return np.asarray(self.native_model.predict(rows))

    def margins(self, rows: Any) -> FloatArray:
        margins = as_columns(self.native_model.predict(rows, raw_score=True))
        return margins / self._n_averaged()

    def contributions(self, rows: Any) -> FloatArray:
        params = self.native_model.params
        if params.get("linear_tree") or params.get("linear_trees"):
            raise CannotExplainError("LightGBM has no contributions for linear trees")
        values = self.native_model.predict(rows, pred_contrib=True)
        outputs = values if isinstance(values, list) else [values]
        dense = np.hstack([o.toarray() if sparse.issparse(o) else o for o in outputs])
        stacked = np.asarray(dense, dtype=np.float64).reshape(len(dense), self._n_outputs, -1)
        return stacked / self._n_averaged()

    def _n_averaged(self) -> int:
        """The trees of an output that a random forest averages; contributions are their sums."""
        return self.native_model.num_trees() // self._n_outputs if self._is_averaged else 1


class _CatBoost(NativeModel):
    implementation = "catboost ShapValues"

    def n_classes(self) -> int:
        return len(self.native_model.classes_)

    def classes(self) -> npt.NDArray[Any]:
        return np.asarray(self.native_model.classes_)

    def predictions(self, rows: Any) -> npt.NDArray[Any]:
        predicted = self.native_model.predict(rows, prediction_type="Probability")
        return np.asarray(predicted)

    def margins(self, rows: Any) -> FloatArray:
        return as_columns(self.native_model.predict(rows, prediction_type="RawFormulaVal"))

    def contributions(self, rows: Any) -> FloatArray:
        return catboost_contributions(self.native_model, catboost_pool(self.native_model, rows))

    def interactions(self, rows: Any) -> FloatArray:
        return catboost_interactions(self.native_model, catboost_pool(self.native_model, rows))


def catboost_pool(model: Any, rows: Any) -> Any:
    """Rows with the kinds of columns that a CatBoost model was trained with."""
    from catboost import Pool

    return Pool(
        rows,
        cat_features=model.get_cat_feature_indices(),
        text_features=model.get_text_feature_indices() or None,
        embedding_features=model.get_embedding_feature_indices() or None,
    )


def catboost_contributions(model: Any, pool: Any) -> FloatArray:
    """``(n_rows, n_outputs, n_features + 1)`` contributions of a CatBoost model."""
    values = np.asarray(model.get_feature_importance(pool, type="ShapValues"), dtype=np.float64)
    return values if values.ndim == 3 else values[:, None, :]


def catboost_interactions(model: Any, pool: Any) -> FloatArray:
    """``(n_rows, n_outputs, n_features, n_features)`` interactions of a CatBoost model."""
    values = model.get_feature_importance(pool, type="ShapInteractionValues")
    array: FloatArray = np.asarray(values, dtype=np.float64)[..., :-1, :-1]
    return array if array.ndim == 4 else array[:, None]


_MODELS: dict[tuple[str, str], type[NativeModel]] = {
    ("xgboost", "Booster"): _XGBoost,
    ("lightgbm", "Booster"): _LightGBM,
}


def as_columns(margins: Any) -> FloatArray:
    """``(n_rows, n_outputs)`` outputs, also if there is one."""
    array: FloatArray = np.asarray(margins, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array
