"""Local explanations with the interface of interpret-community's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret import interpret_community
from mlflow_interpret.api.conversions import Conversions
from mlflow_interpret.api.dashboard_data import overview, row_data, selector_table
from mlflow_interpret.api.feature_maps import combined_weights, raw_record
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray, rank

Method = TypeVar("Method", bound=Callable[..., Any])


def available_with(part: str) -> Callable[[Method], Any]:
    """Hide a method, also from `hasattr`, if the explanation has no such part."""

    def decorate(method: Method) -> Any:
        return _AvailableMethod(method, part)

    return decorate


class _AvailableMethod:
    """Descriptor of a method that exists only if the explanation has the data that it needs."""

    def __init__(self, method: Callable[..., Any], part: str) -> None:
        self._method, self._part = method, part
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name

    def __get__(self, explanation: LocalExplanation | None, owner: type) -> Any:
        if explanation is None:
            return self._method
        explanation._check(self._part, self.__name__)
        return self._method.__get__(explanation, owner)


class LocalExplanation(Conversions):
    """A local explanation of a model: the contributions of each feature for each explained row.

    It has the attributes and methods of interpret-community's local explanations, and no need of
    that package. An attribute whose data are not there does not exist: of a regression
    ``hasattr(explanation, "classes")`` is False.

    Shapes: ``F`` features, ``R`` explained rows, ``C`` classes or targets.
    """

    def __init__(self, record: Explanation) -> None:
        """Create the explanation.

        Args:
            record: The record that holds the values.
        """
        self._mlflow_interpret_record = record

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(method={self.method!r}, model_task={self.model_task!r}, "
            f"num_features={self.num_features}, id={self.id!r})"
        )

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name.startswith("__") or hasattr(self, name)]

    @property
    def method(self) -> str:
        """How the values were computed, such as ``shap_tree``."""
        return self._mlflow_interpret_record.method

    @property
    def model_task(self) -> str:
        """``classification`` or ``regression``; several targets count as classes."""
        outputs = self._mlflow_interpret_record.output_names
        return "regression" if outputs is None else "classification"

    @property
    def model_type(self) -> str | None:
        """The class of the explained model."""
        return self._mlflow_interpret_record.model_class

    @property
    def id(self) -> str:
        """The GUID of the explanation."""
        return self._mlflow_interpret_record.id

    @property
    def name(self) -> str:
        """A name for displays: the type and the beginning of the id."""
        return f"{type(self).__name__}_{self.id[:8]}"

    @property
    def features(self) -> list[str]:
        """The ``F`` feature names."""
        return list(self._mlflow_interpret_record.features)

    @property
    def num_features(self) -> int:
        """The number of features."""
        return len(self._mlflow_interpret_record.features)

    @property
    def is_raw(self) -> bool:
        """Whether the features are the raw columns of a pipeline."""
        return self._mlflow_interpret_record.is_raw

    @property
    def is_engineered(self) -> bool:
        """Whether the features are columns that a pipeline made."""
        return self._mlflow_interpret_record.is_engineered

    @property
    def classes(self) -> list[Any]:
        """The ``C`` classes, or targets, in the order of the values."""
        self._check("outputs", "classes")
        return list(self._mlflow_interpret_record.output_names or ())

    @property
    def num_classes(self) -> int:
        """The number of classes, or targets."""
        self._check("outputs", "num_classes")
        return len(self.classes)

    @property
    def expected_values(self) -> list[float]:
        """The mean model output over the background rows, one for each class."""
        self._check("expected_values", "expected_values")
        values: list[float] = np.atleast_1d(
            np.asarray(self._mlflow_interpret_record.expected_values)
        ).tolist()
        return values

    @property
    def local_importance_values(self) -> list[Any]:
        """``(R, F)`` or, by class, ``(C, R, F)`` contributions in the order of the features."""
        values: list[Any] = self._local_importance_values.tolist()
        return values

    @property
    def _local_importance_values(self) -> FloatArray:  # ExplanationClient reads the array
        self._check("local_values", "local_importance_values")
        return np.asarray(self._mlflow_interpret_record.local_values)

    @property
    def is_local_sparse(self) -> bool:
        """Whether the local values are sparse; they never are."""
        self._check("local_values", "is_local_sparse")
        return False

    @property
    def num_examples(self) -> int:
        """The number of explained rows."""
        self._check("local_values", "num_examples")
        return int(self._local_importance_values.shape[-2])

    @property
    def init_data(self) -> None:
        """The background rows, which are not kept."""
        self._check("evaluation_rows", "init_data")

    @property
    def eval_data(self) -> list[list[Any]]:
        """The ``R`` explained rows."""
        self._check("evaluation_rows", "eval_data")
        rows: list[list[Any]] = self._eval_data.to_numpy().tolist()
        return rows

    @property
    def _eval_data(self) -> pd.DataFrame:  # ExplanationClient reads the table
        self._check("evaluation_rows", "_eval_data")
        return self._mlflow_interpret_record.evaluation_rows

    @property
    def eval_y_predicted(self) -> list[Any] | None:
        """``(R,)`` predictions for the explained rows."""
        self._check("evaluation_rows", "eval_y_predicted")
        return _to_list(self._mlflow_interpret_record.predicted)

    @property
    def eval_y_predicted_proba(self) -> list[Any] | None:
        """``(R, C)`` class probabilities of the explained rows."""
        self._check("evaluation_rows", "eval_y_predicted_proba")
        return _to_list(self._mlflow_interpret_record.predicted_probabilities)

    @available_with("local_values")
    def get_local_importance_rank(self) -> list[Any]:
        """Positions of the features by falling contribution, in the shape of the local values."""
        ranks: list[Any] = rank(self._local_importance_values).tolist()
        return ranks

    @available_with("local_values")
    def get_ranked_local_names(self, top_k: int | None = None) -> list[Any]:
        """Feature names by falling contribution, in the shape of the local values.

        Args:
            top_k: Number of names for each row. Default: all.
        """
        order = rank(self._local_importance_values)
        names: list[Any] = np.asarray(self.features)[order][..., :top_k].tolist()
        return names

    @available_with("local_values")
    def get_ranked_local_values(self, top_k: int | None = None) -> list[Any]:
        """Contributions in falling order, in the shape of the local values.

        Args:
            top_k: Number of values for each row. Default: all.
        """
        values = self._local_importance_values
        ranked = np.take_along_axis(values, rank(values), axis=-1)
        values_of_rows: list[Any] = ranked[..., :top_k].tolist()
        return values_of_rows

    def get_raw_feature_importances(self, feature_maps: Sequence[Any]) -> list[Any]:
        """Values by raw column, from those by engineered column.

        Args:
            feature_maps: ``(n_raw, n_generated)`` weights of the engineered columns in the raw
                ones, as arrays or sparse matrices, one for each of a sequence of transformations.
        """
        values: list[Any] = (self._values() @ combined_weights(feature_maps).T).tolist()
        return values

    def get_raw_explanation(
        self,
        feature_maps: Sequence[Any],
        raw_feature_names: Sequence[str] | None = None,
        eval_data: Any = None,
    ) -> Any:
        """The explanation by raw column, from one by engineered column.

        Args:
            feature_maps: As for `get_raw_feature_importances`.
            raw_feature_names: The names of the raw columns. Default: ``x0``, ``x1``, ...
            eval_data: The explained rows with their raw columns.
        """
        weights = combined_weights(feature_maps)
        names = raw_feature_names or [f"x{i}" for i in range(len(weights))]
        if len(names) != len(weights):
            raise OptionError(
                f"raw_feature_names must be {len(weights)} names, one for each row of the feature "
                f"maps, got {len(names)}."
            )
        return type(self)(raw_record(self._mlflow_interpret_record, weights, names, eval_data))

    def data(self, key: int | None = None) -> dict[str, Any]:
        """The explanation as interpret's dashboards read it.

        Args:
            key: The position of a row; -1 for all rows with the values over all rows; None for the
                values over all rows.
        """
        if key is None:
            return self._overall()
        if key != -1:
            return self._row(key)
        has_rows = self._mlflow_interpret_record.local_values is not None
        rows = [self._row(i) for i in range(self.num_examples)] if has_rows else None
        return {"overall": self._overall(), "specific": rows, "mli": self._mli(rows)}

    def visualize(self, key: int | None = None) -> Any:
        """Interpret's plot of the explanation, or of a row.

        Args:
            key: The position of a row. Default: the values over all rows.

        Raises:
            CannotExplainError: interpret-community is not installed.
        """
        return self.to_interpret_community().visualize(key)

    def to_interpret_community(self) -> Any:
        """The same explanation as an object of interpret-community.

        Raises:
            CannotExplainError: interpret-community cannot be imported; the message says why.
        """
        return interpret_community.to_local_interpret_community(self._mlflow_interpret_record)

    @property
    def selector(self) -> pd.DataFrame:
        """A table for interpret's dashboards, with a row for each explained row."""
        self._check("evaluation_rows", "selector")
        return selector_table(self._mlflow_interpret_record, self.num_examples)

    def _values(self) -> FloatArray:
        return self._local_importance_values

    def _overall(self) -> dict[str, Any]:
        return {"mli": []}

    def _row(self, key: int) -> dict[str, Any]:
        scores = self._local_importance_values
        return row_data(
            self._mlflow_interpret_record, key, self.features, scores, self._intercept()
        )

    def _mli(self, rows: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        if rows is None:
            return []
        return [overview(rows, self.local_importance_values, self._intercept())]

    def _intercept(self) -> list[float] | None:
        missing = self._mlflow_interpret_record.expected_values is None
        return None if missing else self.expected_values

    def _check(self, part: str, name: str) -> None:
        """Raise AttributeError where the data of an attribute are not there."""
        record = self._mlflow_interpret_record
        names = {"outputs": "output_names"}
        value = (
            interpret_community.per_class_values(record)
            if part == "per_class_values"
            else getattr(record, names.get(part, part))
        )
        if value is None:
            raise AttributeError(f"this {record.task} explanation has no {name}")


def _to_list(values: npt.NDArray[Any] | None) -> list[Any] | None:
    return None if values is None else list(values.tolist())
