"""Groups of features as they were given, until the names of the features are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.feature_groups import FeatureGroups, group_importances, resolve_groups
from mlflow_interpret.explaining.convergence import interval_record, intervals

_WORDS_HINT = "The columns of this model are the leading words of its texts."


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups of features as the option gives them.

    Attributes:
        given: A dictionary or a function, as for `feature_groups.resolve_groups`.
        is_required: Groups that are not allowed are an error.
    """

    given: Any
    is_required: bool

    def resolve(
        self, features: Sequence[str], hint: str | None = None
    ) -> tuple[FeatureGroups | None, str | None]:
        """Return the groups, or the reason why there are none.

        Args:
            features: The names of all features.
            hint: A sentence for the reason.

        Raises:
            OptionError: Required groups are not allowed.
        """
        try:
            return resolve_groups(self.given, features), None
        except OptionError as error:
            reason = str(error) if hint is None else f"{error} {hint}"
            if self.is_required:
                raise OptionError(reason, argument=error.argument) from error
            return None, reason


def with_word_groups(explanation: Explanation, grouping: Grouping, n_available: int) -> Explanation:
    """Return an explanation by word with the importances of groups of words.

    Args:
        explanation: The explanation, with contributions of single rows.
        grouping: The groups.
        n_available: The number of rows of which the explained ones are a random sample.

    Raises:
        OptionError: Required groups are not allowed.
    """
    groups, reason = grouping.resolve(explanation.features, _WORDS_HINT)
    if groups is None or explanation.local_values is None:
        return replace(explanation, details=replace(explanation.details, groups_missing=reason))
    local = explanation.local_values
    of = intervals(groups.names, groups.sums(local), n_available)
    importances = replace(
        group_importances(groups, local), intervals=interval_record(of, n_available)
    )
    return replace(explanation, groups=importances)
