"""Global explanations with the interface of interpret-community's."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from mlflow_interpret import interpret_community
from mlflow_interpret.api.conversions import with_conversions
from mlflow_interpret.api.local_explanation import LocalExplanation, available_with
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray, rank


def public_explanation(record: Explanation, top_k: int | None = None) -> GlobalExplanation:
    """The explanation that users get for a record.

    Args:
        record: The record.
        top_k: Number of features to rank. Default: all.

    Returns:
        interpret-community's global explanation where interpret-community can be imported, else a
        `GlobalExplanation`, which has the same interface.
    """
    if interpret_community.is_available():
        explanation = interpret_community.to_interpret_community(record, top_k)
        return cast("GlobalExplanation", with_conversions(explanation))  # with the same interface
    return GlobalExplanation(record, top_k)


def public_local_explanation(record: Explanation) -> Any:
    """A local explanation of a record with local values; see `public_explanation`."""
    if interpret_community.is_available():
        return with_conversions(interpret_community.to_local_interpret_community(record))
    return LocalExplanation(record)


class GlobalExplanation(LocalExplanation):
    """A global explanation of a model: the importance of each feature over all explained rows.

    It has the attributes and methods of interpret-community's global explanations. If the
    contributions of each row are known, it also has those of its local explanations.

    Example:
        >>> explanation.get_ranked_global_names(top_k=3)
        ['bmi', 's5', 'bp']
        >>> len(explanation.local_importance_values)  # a list for each explained row
        442
        >>> explanation.to_frame().columns.tolist()
        ['importance', 'share', 'rank', 'standard_error', 'direction']
    """

    def __init__(self, record: Explanation, top_k: int | None = None) -> None:
        """Create the explanation.

        Args:
            record: The record that holds the values.
            top_k: Number of features to rank. With it, the global values are the ``top_k`` largest
                in falling order. Default: all features.
        """
        super().__init__(record)
        self._top_k = top_k
        self._rank = rank(record.global_values)

    @property
    def global_importance_values(self) -> list[float]:
        """``(F,)`` importances in the order of the features."""
        if self._top_k is not None and self._top_k < self.num_features:
            return self.get_ranked_global_values()
        values: list[float] = self._mlflow_interpret_record.global_values.tolist()
        return values

    @property
    def global_importance_rank(self) -> list[int]:
        """Positions of the features by falling importance."""
        positions: list[int] = self._rank[: self._top_k].tolist()
        return positions

    def get_ranked_global_names(self, top_k: int | None = None) -> list[str]:
        """Feature names by falling importance.

        Args:
            top_k: Number of names. Default: all.
        """
        features = self._mlflow_interpret_record.features
        return [features[i] for i in self.global_importance_rank[:top_k]]

    def get_ranked_global_values(self, top_k: int | None = None) -> list[float]:
        """Importances in falling order.

        Args:
            top_k: Number of values. Default: all.
        """
        values = self._mlflow_interpret_record.global_values
        ranked: list[float] = values[self._rank[: self._top_k]][:top_k].tolist()
        return ranked

    def get_feature_importance_dict(self, top_k: int | None = None) -> dict[str, float]:
        """Importances by feature name, in falling order.

        Args:
            top_k: Number of features. Default: all.
        """
        names, values = self.get_ranked_global_names(top_k), self.get_ranked_global_values(top_k)
        return dict(zip(names, values, strict=True))

    @property
    def per_class_values(self) -> list[list[float]]:
        """``(C, F)`` importances by class in the order of the features."""
        self._check("per_class_values", "per_class_values")
        if self._top_k is not None and self._top_k < self.num_features:
            ranked: list[list[float]] = self.get_ranked_per_class_values()
            return ranked
        values: list[list[float]] = self._class_values().tolist()
        return values

    @property
    def per_class_rank(self) -> list[list[int]]:
        """``(C, F)`` positions of the features by falling importance for each class."""
        self._check("per_class_values", "per_class_rank")
        order = rank(self._class_values())
        positions: list[list[int]] = order[:, : self._top_k].tolist()
        return positions

    @available_with("per_class_values")
    def get_ranked_per_class_names(self, top_k: int | None = None) -> list[list[str]]:
        """Feature names by falling importance, for each class.

        Args:
            top_k: Number of names for each class. Default: all.
        """
        features = self._mlflow_interpret_record.features
        return [[features[i] for i in order[:top_k]] for order in self.per_class_rank]

    @available_with("per_class_values")
    def get_ranked_per_class_values(self, top_k: int | None = None) -> list[list[float]]:
        """Importances in falling order, for each class.

        Args:
            top_k: Number of values for each class. Default: all.
        """
        values = self._class_values()
        ranked = np.take_along_axis(values, rank(values), axis=1)[:, : self._top_k][:, :top_k]
        values_of_classes: list[list[float]] = ranked.tolist()
        return values_of_classes

    def to_interpret_community(self) -> Any:
        """The same explanation as an object of interpret-community.

        Raises:
            CannotExplainError: interpret-community cannot be imported; the message says why.
        """
        return interpret_community.to_interpret_community(
            self._mlflow_interpret_record, self._top_k
        )

    @property
    def selector(self) -> pd.DataFrame:
        """A table for interpret's dashboards: the explained rows, else the features."""
        if self._mlflow_interpret_record.local_values is not None:
            return super().selector
        return pd.DataFrame(
            {"Name": self.features, "Type": "numeric", "# Unique": np.nan, "% Non-zero": np.nan}
        )

    def _values(self) -> FloatArray:
        return np.asarray(self.global_importance_values)

    def _overall(self) -> dict[str, Any]:
        intercept = self._intercept()
        return {
            "mli": [],
            **({} if intercept is None else {"intercept": intercept}),
            "names": self.features,
            "scores": self.global_importance_values,
        }

    def _mli(self, rows: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        entry: dict[str, Any] = {
            "explanation_type": "global_feature_importance",
            "value": {
                "scores": self.global_importance_values,
                "feature_list": self.features,
            },
        }
        if interpret_community.per_class_values(self._mlflow_interpret_record) is None:
            entry["explanation_class_dimension"] = "single"
        return [*super()._mli(rows), entry]

    def _class_values(self) -> FloatArray:
        return np.asarray(interpret_community.per_class_values(self._mlflow_interpret_record))
