"""The direction in which a feature moves the output of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.statistics import FloatArray, rank

MAX_DIRECTIONS = 30
"""The number of leading features that get a direction."""

_CLEAR = 0.5  # the smallest rank correlation that is called a direction
_MIN_ROWS = 5  # of a category, for a mean contribution
_CATEGORY_LENGTH = 40


@dataclass(frozen=True)
class Direction:
    """The direction in which a feature moves the output.

    Attributes:
        correlation: Spearman correlation of the feature's values and their contributions; None for
            categories.
        highest: The category with the highest mean contribution, None for numbers.
        lowest: The category with the lowest mean contribution.
    """

    correlation: float | None = None
    highest: str | None = None
    lowest: str | None = None

    @property
    def is_clear(self) -> bool:
        """Whether higher values raise, or lower, the output."""
        return self.correlation is not None and abs(self.correlation) >= _CLEAR

    @property
    def text(self) -> str:
        """The direction in a few words."""
        if self.highest is not None:
            return f"highest for {self.highest}, lowest for {self.lowest}"
        if self.correlation is None:
            return ""
        if not self.is_clear:
            return "mixed"
        return "higher values raise it" if self.correlation > 0 else "higher values lower it"

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def directions(
    features: tuple[str, ...], importances: FloatArray, rows: pd.DataFrame, local: FloatArray
) -> dict[str, dict[str, Any]]:
    """Return the directions of the leading features, by name, as JSON values.

    Args:
        features: ``(F,)`` names.
        importances: ``(F,)`` importances.
        rows: ``(R, F)`` values of the explained rows.
        local: ``(R, F)`` contributions to the output.
    """
    leading = [i for i in rank(importances)[:MAX_DIRECTIONS] if importances[i] > 0]
    known = {features[i]: direction(rows.iloc[:, i], local[:, i]) for i in leading}
    return {name: value.to_json() for name, value in known.items() if value is not None}


def direction(column: pd.Series, contributions: FloatArray) -> Direction | None:
    """Return the direction of a feature.

    Args:
        column: ``(R,)`` values.
        contributions: ``(R,)`` contributions.

    Returns:
        None where the values or their contributions do not vary.
    """
    values = _numbers(column)
    if values is None:
        return _direction_of_categories(column, contributions)
    is_known = np.isfinite(values) & np.isfinite(contributions)
    from scipy.stats import rankdata  # slow to import, for processes that only draw

    ranks = [rankdata(part[is_known]) for part in (values, contributions)]
    if any(len(part) == 0 or np.ptp(part) == 0 for part in ranks):
        return None
    return Direction(correlation=round(float(np.corrcoef(*ranks)[0, 1]), 3))


def direction_of(details: Mapping[str, Any] | None, feature: str) -> Direction | None:
    """Return the direction of a feature from the details of an explanation."""
    entry = (details or {}).get(feature)
    return Direction(**entry) if isinstance(entry, Mapping) else None


def _numbers(column: pd.Series) -> FloatArray | None:
    """``(R,)`` numbers in the order of a column's values; None for a column of categories."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(column.dtype, pd.CategoricalDtype):
        if not column.cat.ordered:
            return None
        codes = column.cat.codes.to_numpy(dtype=np.float64)
        return np.where(codes < 0, np.nan, codes)
    if column.dtype.kind in "mM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        # Ranks suffice; Arrow's dates have no conversion to integers.
        return np.asarray(column.rank().to_numpy(dtype=np.float64, na_value=np.nan))
    if column.dtype.kind in "biuf":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return None


def _direction_of_categories(column: pd.Series, contributions: FloatArray) -> Direction | None:
    groups: dict[str, list[float]] = {}  # pandas' type of strings rejects lone surrogates
    for cell, contribution in zip(column, contributions, strict=True):
        if not _is_missing(cell):
            groups.setdefault(str(cell), []).append(float(contribution))
    means = {
        name: float(np.mean(values)) for name, values in groups.items() if len(values) >= _MIN_ROWS
    }
    if len(set(means.values())) < 2:
        return None
    highest, lowest = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    return Direction(highest=highest[:_CATEGORY_LENGTH], lowest=lowest[:_CATEGORY_LENGTH])


def _is_missing(cell: Any) -> bool:
    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))
