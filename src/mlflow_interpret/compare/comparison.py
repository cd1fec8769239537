"""The result of `mlflow_interpret.compare_runs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import pandas as pd

from mlflow_interpret.compare import significance, tables
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Importances

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class RunComparison:
    """Comparison of the explanations of several runs, as `mlflow_interpret.compare_runs` returns.

    The first run is the reference. As the last line of a notebook cell, the comparison is shown as
    a page.

    Attributes:
        importances: The compared importances, one item for each run.
        skipped: The reason why a run is not compared, by run id.
        top_k: Number of features in figures, and of top features in `agreement`.

    Example:
        >>> comparison = mlflow_interpret.compare_runs([run_id, other_id])
        >>> significant = comparison.differences.query("differs")
        >>> significant["feature"].head(2).tolist()
        ['age', 'sex']
    """

    importances: tuple[Importances, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    top_k: int = 10

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each run and feature, the most important features first.

        Columns: ``feature``, ``name`` and ``run_id`` (of the run), ``importance`` (mean absolute
        contribution, on the scale of the run), ``share`` (of the total of the run), ``rank`` (from
        1; ties share the best rank) and ``standard_error`` (of the importance, as a mean over the
        explained rows).

        Examples:
            >>> shares = comparison.table.pivot(index="feature", columns="name", values="share")
            >>> shares.shape
            (10, 2)
        """
        return tables.importance_table(self.importances)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row for each run.

        Columns: ``name`` (with the id if several runs have the name; the id alone if the run has
        none), ``run_id``, ``model_class``, ``method``, ``scale``, ``rows`` (number of explained
        rows), ``rows_of`` (number of available rows), ``rows_source``, ``features`` (number of
        features), ``explanation_id``, ``marks`` (caveats for the comparison with the first run),
        and, named as by `mlflow.search_runs`, ``metrics.<name>`` and ``params.<name>``: at most 20
        metrics, and 20 of the params that differ.
        """
        return tables.run_table(self.importances)

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """One row for each pair of runs: the agreement of their rankings of the shared features.

        Columns: ``name_a`` and ``name_b``, ``run_a`` and ``run_b`` (the ids), ``spearman``,
        ``kendall`` (tau-b), ``top_k_overlap``, ``k`` and ``shared_features``. The overlap is the
        share of the ``k`` most important features that both runs have in common. ``k`` is `top_k`,
        but at most half of the shared features, and at most the number of features with a nonzero
        importance in the run that has fewer of them. Of more than 100 runs, each is compared with
        the first one only.
        """
        return tables.agreement_table(self.importances, self.top_k)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """One row for each shared feature of each run but the first: the difference from the first.

        ``name`` and ``run_id`` are those of the run. ``compared`` is ``importance`` if both runs
        have the same scale, and otherwise ``share``, of the total of the shared features.
        ``difference`` has a ``standard_error`` and a 95 % interval from ``low`` to ``high``.
        ``p_value`` is that of Welch's t-test, ``p_adjusted`` is adjusted for multiple tests
        (Benjamini and Hochberg), and ``differs`` says whether it is below 0.05. ``rank_change`` is
        the number of ranks that a feature rose among the shared features. The errors cover the
        choice of the explained rows only, not the variation of the model with the seed or the
        training rows.
        """
        return significance.difference_table(self.importances[0], self.importances[1:])

    def plot(self, kind: Literal["slope", "heatmap"] = "slope", top_k: int | None = None) -> Figure:
        """Draw the most important features of the first 20 runs.

        Args:
            kind: ``"slope"`` draws the order of the features in each run, with a line for each
                feature and its rank among all features of the run. ``"heatmap"`` draws the share of
                each feature in the total of the run.
            top_k: Number of features: those with the largest mean share. Default: `top_k` of the
                comparison.

        Returns:
            A `matplotlib.figure.Figure` that is independent of pyplot.

        Raises:
            OptionError: An argument is not allowed.
        """
        from mlflow_interpret.compare import figures

        draw = {"slope": figures.slope_chart, "heatmap": figures.heat_map}.get(kind)
        if draw is None:
            message = f"kind must be 'slope' or 'heatmap', got {kind!r}."
            raise OptionError(message, argument="kind")
        top_k = self.top_k if top_k is None else top_k
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            message = f"top_k must be a positive integer or None, got {top_k!r}."
            raise OptionError(message, argument="top_k")
        return draw(self.importances, top_k)

    @overload
    def to_html(self, path: None = None) -> str: ...

    @overload
    def to_html(self, path: str | Path) -> Path: ...

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """Render the comparison as a self-contained HTML page that works offline.

        Args:
            path: File to write the page to. Default: return the page.

        Returns:
            The page, or the path if one is given.
        """
        from mlflow_interpret.compare.page import render_comparison

        text = render_comparison(self)
        if path is None:
            return text
        Path(path).write_text(text, encoding="utf-8")
        return Path(path)

    def _repr_html_(self) -> str:
        from mlflow_interpret.rendering.html import frame

        return frame(self.to_html(), "Comparison of explanations", height=760)

    def __repr__(self) -> str:
        return f"RunComparison({len(self.importances):,} runs, {len(self.skipped):,} skipped)"
