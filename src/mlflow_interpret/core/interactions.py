"""Interactions of pairs of features."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import InvalidExplanationError
from mlflow_interpret.core.json_files import from_json_numbers, to_json_numbers
from mlflow_interpret.core.statistics import FloatArray, significant, total

COLUMNS = ("feature_1", "feature_2", "interaction", "share", "standard_error")


@dataclass(frozen=True)
class RankedPair:
    """Two features with the size of their interaction.

    Attributes:
        feature_1: The feature that is more important alone.
        feature_2: The other feature.
        interaction: Mean absolute interaction.
        share: Share of the total of all pairs, from 0 to 1.
        standard_error: Standard error of the interaction, or None.
    """

    feature_1: str
    feature_2: str
    interaction: float
    share: float
    standard_error: float | None


@dataclass(frozen=True, eq=False)
class Interactions:
    """Mean absolute interactions of the leading features.

    An interaction is half of the Shapley interaction index of two features, as a cell of
    ``shap_interaction_values``: the whole effect of a pair is twice as large.

    Attributes:
        features: The ``k`` leading features, the most important first.
        values: ``(k, k)`` symmetric mean absolute interactions, 0 on the diagonal.
        errors: ``(k, k)`` their standard errors, None for a single row.
        n_rows: Number of rows.
        is_sampled: Whether the interactions are estimated from sampled coalitions.
    """

    features: tuple[str, ...]
    values: FloatArray
    errors: FloatArray | None
    n_rows: int
    is_sampled: bool

    def ranked(self) -> list[RankedPair]:
        """Return all pairs by falling interaction."""
        first, second = np.triu_indices(len(self.features), k=1)
        values = self.values[first, second]
        sum_of_pairs = total(values)
        return [
            RankedPair(
                self.features[first[i]],
                self.features[second[i]],
                float(values[i]),
                float(values[i] / sum_of_pairs),
                None if self.errors is None else float(self.errors[first[i], second[i]]),
            )
            for i in np.argsort(-values, kind="stable")
        ]

    def subset(self, features: Collection[str]) -> Interactions | None:
        """Return the interactions of some of the features, None for fewer than two."""
        chosen = [i for i, name in enumerate(self.features) if name in features]
        if len(chosen) < 2:
            return None
        pairs = np.ix_(chosen, chosen)
        return replace(
            self,
            features=tuple(self.features[i] for i in chosen),
            values=self.values[pairs],
            errors=None if self.errors is None else self.errors[pairs],
        )

    def strongest_partner(self, feature: str) -> str | None:
        """Return the feature with the largest interaction with another one, None without any."""
        if feature not in self.features:
            return None
        partners = self.values[self.features.index(feature)]
        position = int(np.nanargmax(partners))
        return self.features[position] if partners[position] > 0 else None


def interaction_table(interactions: Interactions) -> dict[str, Any]:
    """Return the ranked pairs as a table in the format of `mlflow.log_table`."""
    rows = [
        [
            pair.feature_1,
            pair.feature_2,
            significant(pair.interaction),
            round(pair.share, 4),
            None if pair.standard_error is None else significant(pair.standard_error, 2),
        ]
        for pair in interactions.ranked()
    ]
    return {"columns": list(COLUMNS), "data": rows}


def interactions_to_json(interactions: Interactions) -> dict[str, Any]:
    """Return the entry of ``explanation.json``."""
    return {
        "features": list(interactions.features),
        "values": to_json_numbers(interactions.values),
        "errors": to_json_numbers(interactions.errors),
        "rows": interactions.n_rows,
        "sampled": interactions.is_sampled,
    }


def interactions_from_json(entry: Any) -> Interactions | None:
    """Return the interactions of the entry that `interactions_to_json` wrote.

    Raises:
        InvalidExplanationError: The entry is damaged.
    """
    if entry is None:
        return None
    if not isinstance(entry, Mapping):
        raise InvalidExplanationError("'interactions' is not a map")
    features, n_rows = entry.get("features"), entry.get("rows")
    if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
        raise InvalidExplanationError("'interactions' has no list of features")
    if not isinstance(n_rows, int) or not isinstance(entry.get("sampled"), bool):
        raise InvalidExplanationError("'interactions' has no number of rows, or not how they were")
    values, errors = from_json_numbers(entry.get("values")), from_json_numbers(entry.get("errors"))
    shape = (len(features), len(features))
    if len(features) < 2 or np.shape(values) != shape or np.shape(errors) not in {(), shape}:
        raise InvalidExplanationError("'interactions' has numbers for other features")
    return Interactions(tuple(features), values, errors, n_rows, entry["sampled"])
