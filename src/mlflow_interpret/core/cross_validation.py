"""The folds of a cross-validation, in which each model is explained on its held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import InvalidExplanationError
from mlflow_interpret.core.json_files import from_json_numbers, to_json_numbers
from mlflow_interpret.core.statistics import FloatArray


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Importances and scores by fold.

    Shapes: ``K`` folds, ``F`` features.

    Attributes:
        splitter: The splitter, as text.
        importances: ``(K, F)`` importances of the features in each fold.
        train_rows: ``(K,)`` numbers of training rows.
        test_rows: ``(K,)`` numbers of held-out rows.
        scores: ``(K,)`` results of scikit-learn's `cross_validate` by name, such as ``test_score``.
        ranking_agreement: Kendall's coefficient of concordance of the folds' rankings, from 0 to
            1; None for a single feature.
    """

    splitter: str
    importances: FloatArray
    train_rows: tuple[int, ...]
    test_rows: tuple[int, ...]
    scores: Mapping[str, tuple[float, ...]]
    ranking_agreement: float | None = None

    def __len__(self) -> int:
        return len(self.importances)

    def standard_deviations(self) -> FloatArray:
        """Return ``(F,)`` standard deviations of the importances over the folds."""
        deviations: FloatArray = self.importances.std(axis=0, ddof=1)
        return deviations


def to_json(folds: CrossValidation) -> dict[str, Any]:
    """Return the folds as JSON values, with all digits."""
    return {
        "splitter": folds.splitter,
        "importances": to_json_numbers(folds.importances),
        "train_rows": list(folds.train_rows),
        "test_rows": list(folds.test_rows),
        "scores": {name: to_json_numbers(list(values)) for name, values in folds.scores.items()},
        "ranking_agreement": folds.ranking_agreement,
    }


def from_json(entry: Mapping[str, Any] | None, n_features: int) -> CrossValidation | None:
    """Return the folds that `to_json` wrote.

    Raises:
        InvalidExplanationError: The entry has other types or shapes.
    """
    if entry is None:
        return None
    try:
        importances = np.asarray(from_json_numbers(entry["importances"]), dtype=np.float64)
        train_rows, test_rows = (
            tuple(int(count) for count in entry[name]) for name in ("train_rows", "test_rows")
        )
        scores = {
            str(name): tuple(float(value) for value in np.ravel(from_json_numbers(values)))
            for name, values in entry["scores"].items()
        }
        agreement = entry.get("ranking_agreement")
        folds = CrossValidation(
            str(entry["splitter"]), importances, train_rows, test_rows, scores,
            None if agreement is None else float(agreement),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidExplanationError("'cross_validation' has other entries") from error
    lengths = {len(train_rows), len(test_rows), *map(len, scores.values())}
    if importances.ndim != 2 or importances.shape[1] != n_features or lengths != {len(folds)}:
        raise InvalidExplanationError("'cross_validation' does not fit the features")
    return folds
