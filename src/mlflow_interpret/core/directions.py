"""The direction in which a feature moves the output of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.column_order import Categories, values_in_order
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray, rank, sample_rows

MAX_DIRECTIONS = 100
"""The number of leading features that get a direction."""

_MAX_ENTRIES = 300  # of features and outputs, where there are several outputs
_MIN_FEATURES = 10
_MAX_ROWS = 10_000  # a sample of more rows has the same rank correlations
_CLEAR = 0.5  # the smallest rank correlation that is called a direction
_MIN_ROWS = 5  # of a category, for a mean contribution
_CATEGORY_LENGTH = 40
_MAX_OUTPUTS_IN_TEXT = 2


@dataclass(frozen=True)
class Direction:
    """The direction in which a feature moves the output.

    Attributes:
        correlation: Spearman correlation of the feature's values and their contributions; None for
            categories.
        highest: The category with the highest mean contribution, None for numbers.
        lowest: The category with the lowest mean contribution.
        outputs: The directions by class or target where the model has several; the other attributes
            are None then.
    """

    correlation: float | None = None
    highest: str | None = None
    lowest: str | None = None
    outputs: Mapping[str, Direction] = field(default_factory=dict)

    @property
    def is_clear(self) -> bool:
        """Whether higher values raise, or lower, the output."""
        return self.correlation is not None and abs(self.correlation) >= _CLEAR

    @property
    def opposite(self) -> Direction:
        """The direction for the other one of two classes."""
        correlation = None if self.correlation is None else -self.correlation
        return Direction(correlation, self.lowest, self.highest)

    @property
    def text(self) -> str:
        """The direction in a few words."""
        if self.outputs:
            return _text_of_outputs(self.outputs)
        if self.highest is not None:
            return f"highest for {self.highest}, lowest for {self.lowest}"
        if self.correlation is None:
            return ""
        if not self.is_clear:
            return "mixed"
        return "higher values raise it" if self.correlation > 0 else "higher values lower it"

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are known."""
        known = {"correlation": self.correlation, "highest": self.highest, "lowest": self.lowest}
        entry: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
        if self.outputs:
            entry["outputs"] = {name: value.to_json() for name, value in self.outputs.items()}
        return entry


def _text_of_outputs(outputs: Mapping[str, Direction]) -> str:
    correlations = {
        name: value.correlation for name, value in outputs.items() if value.correlation is not None
    }
    if not correlations:
        texts = [f"{name}: {value.text}" for name, value in outputs.items()]
        n_others = len(texts) - _MAX_OUTPUTS_IN_TEXT
        others = [f"and {n_others} more"] if n_others > 0 else []
        return "; ".join([*texts[:_MAX_OUTPUTS_IN_TEXT], *others])
    raised = max(correlations, key=correlations.__getitem__)
    lowered = min(correlations, key=correlations.__getitem__)
    changes = [f"raise {raised}"] if correlations[raised] >= _CLEAR else []
    changes += [f"lower {lowered}"] if correlations[lowered] <= -_CLEAR else []
    return f"higher values {', '.join(changes)}" if changes else "mixed"


def directions_of(explanation: Explanation) -> dict[str, dict[str, Any]] | None:
    """Return the directions of an explanation's leading features, by name, as JSON values.

    Those of two classes are about the second one. None without values or contributions of single
    rows.
    """
    rows, local = explanation.evaluation_rows, explanation.local_values
    if rows is None or local is None or rows.shape[1] != local.shape[-1]:
        return None
    if explanation.has_two_classes and local.ndim == 3:
        local = local[1]
    names = explanation.output_names
    return directions(explanation.features, explanation.global_values, rows, local, names) or None


def directions(
    features: tuple[str, ...],
    importances: FloatArray,
    rows: pd.DataFrame,
    local: FloatArray,
    output_names: Sequence[Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the directions of the leading features, by name, as JSON values.

    Args:
        features: ``(F,)`` names.
        importances: ``(F,)`` importances.
        rows: ``(R, F)`` values of the explained rows.
        local: ``(R, F)`` contributions to the output, or ``(C, R, F)`` to several outputs.
        output_names: ``(C,)`` names of the outputs.
    """
    if len(rows) > _MAX_ROWS:
        chosen = sample_rows(len(rows), _MAX_ROWS, seed=0)
        rows, local = rows.iloc[chosen], local[..., chosen, :]
    n_features, outputs = MAX_DIRECTIONS, None
    if local.ndim == 3:
        outputs = _largest_outputs(local, list(map(str, output_names or range(len(local)))))
        n_features = max(_MIN_FEATURES, _MAX_ENTRIES // max(len(outputs), 1))
    leading = [i for i in rank(importances)[:n_features] if importances[i] > 0]
    known = {}
    for i in leading:
        if outputs is None:
            entry = direction(rows.iloc[:, i], local[:, i])
        else:
            entry = _direction_by_output(rows.iloc[:, i], local[..., i], outputs)
        if entry is not None:
            known[features[i]] = entry.to_json()
    return known


def _largest_outputs(local: FloatArray, names: Sequence[str]) -> dict[str, int]:
    """The positions of the outputs with the largest contributions, by name."""
    sizes = np.nan_to_num(np.abs(local).mean(axis=(1, 2)), posinf=0.0)
    largest = np.argsort(-sizes, kind="stable")[: _MAX_ENTRIES // _MIN_FEATURES]
    return {names[i]: int(i) for i in largest}


def _direction_by_output(
    column: pd.Series, contributions: FloatArray, outputs: Mapping[str, int]
) -> Direction | None:
    """The direction of a feature for several outputs; contributions are ``(C, R)``."""
    entries = _directions(values_in_order(column), contributions[list(outputs.values())])
    known = {name: entry for name, entry in zip(outputs, entries, strict=True) if entry is not None}
    return Direction(outputs=known) if known else None


def direction(column: pd.Series, contributions: FloatArray) -> Direction | None:
    """Return the direction of a feature.

    Args:
        column: ``(R,)`` values.
        contributions: ``(R,)`` contributions.

    Returns:
        None where the values or their contributions do not vary.
    """
    return _directions(values_in_order(column), contributions[None])[0]


def direction_of(details: Mapping[str, Any] | None, feature: str) -> Direction | None:
    """Return the direction of a feature from the details of an explanation."""
    return _from_json((details or {}).get(feature))


def _from_json(entry: Any) -> Direction | None:
    if not isinstance(entry, Mapping):
        return None
    outputs = entry.get("outputs")
    by_output = {
        str(name): value
        for name, value in ((n, _from_json(e)) for n, e in _items(outputs))
        if value is not None
    }
    correlation, highest, lowest = (entry.get(key) for key in ("correlation", "highest", "lowest"))
    return Direction(
        correlation=float(correlation) if isinstance(correlation, (int, float)) else None,
        highest=None if highest is None else str(highest),
        lowest=None if lowest is None else str(lowest),
        outputs=by_output,
    )


def _items(entries: Any) -> Sequence[tuple[Any, Any]]:
    return list(entries.items()) if isinstance(entries, Mapping) else []


def _directions(
    values: FloatArray | Categories, contributions: FloatArray
) -> list[Direction | None]:
    """The directions of a feature for ``(C, R)`` contributions to outputs."""
    if isinstance(values, Categories):
        return [_direction_of_categories(values, output) for output in contributions]
    return [
        None if correlation is None else Direction(correlation=round(correlation, 3))
        for correlation in _rank_correlations(values, contributions)
    ]


def _rank_correlations(values: FloatArray, contributions: FloatArray) -> list[float | None]:
    """Spearman correlations of ``(R,)`` values with ``(C, R)`` contributions; None if constant."""
    from scipy.stats import rankdata  # slow to import, for processes that only draw

    is_known = np.isfinite(values) & np.isfinite(contributions).all(axis=0)
    if not is_known.any():
        return [None] * len(contributions)
    ranks = rankdata(values[is_known])
    ranks_of_outputs = rankdata(contributions[:, is_known], axis=1)
    ranks -= ranks.mean()
    ranks_of_outputs -= ranks_of_outputs.mean(axis=1, keepdims=True)
    scales = np.sqrt((ranks**2).sum() * (ranks_of_outputs**2).sum(axis=1))
    products = ranks_of_outputs @ ranks
    return [
        float(product / scale) if scale > 0 else None
        for product, scale in zip(products, scales, strict=True)
    ]


def _direction_of_categories(categories: Categories, contributions: FloatArray) -> Direction | None:
    is_known = categories.codes >= 0
    codes = categories.codes[is_known]
    counts = np.bincount(codes, minlength=len(categories.names))
    sums = np.bincount(codes, contributions[is_known], minlength=len(categories.names))
    frequent = np.flatnonzero(counts >= _MIN_ROWS)
    means = sums[frequent] / counts[frequent]
    if len(means) < 2 or not np.ptp(means) > 0:
        return None
    highest, lowest = (categories.names[frequent[i]] for i in (means.argmax(), means.argmin()))
    return Direction(highest=highest[:_CATEGORY_LENGTH], lowest=lowest[:_CATEGORY_LENGTH])
