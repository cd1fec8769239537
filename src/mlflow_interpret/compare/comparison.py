"""Runs side by side: importances as tables, figures and a page; pure."""

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
    """The explanations of several runs side by side; `mlflow_interpret.compare_runs` makes it.

    The first run is the reference: marks and differences are told against it.

    Attributes:
        importances: The compared importances, one for each run.
        skipped: Why a run that was asked for is not compared, by run id.
        top_k: So many features are drawn, and make the top of `agreement`.
    """

    importances: tuple[Importances, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    top_k: int = 10

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each run and feature, the most important first.

        ``feature``, ``run_id``, ``importance`` (mean absolute contribution, on the run's scale),
        ``share`` (of the run's total), ``rank`` (from 1, ties share the best) and
        ``standard_error`` (of the importance, as a mean over the explained rows).
        """
        return tables.tidy(self.importances)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row for each run: what was explained and how.

        ``run_id``, ``name``, ``model_class``, ``method``, ``scale``, ``rows``, ``rows_of``,
        ``rows_source``, ``features`` (their number), ``explanation_id``, and ``marks``: what to
        mind when it is compared with the first run.
        """
        return tables.overview(self.importances)

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """A row for each pair of runs: how alike their rankings are, over the shared features.

        ``run_a``, ``run_b``, ``spearman``, ``kendall`` (tau-b), ``top_k_overlap``, ``k`` and
        ``shared_features``. The overlap is the share of the ``k`` most important features that both
        runs have in common; ``k`` is ``top_k``, but at most half of the shared features, and at
        most as many as are not 0 in the run with fewer of them. Of more than 100 runs, each is
        compared with the first only.
        """
        return tables.agreement(self.importances, self.top_k)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """A row for each run but the first and each shared feature: the difference to the first.

        ``compared`` is ``importance`` where both runs have the same scale, else ``share``, of the
        shared features' total. ``difference`` has a ``standard_error`` and a 95 % interval from
        ``low`` to ``high``; ``p_value`` is that of Welch's t test, ``p_adjusted`` that for the
        number of tests (Benjamini and Hochberg), and ``differs`` says whether it is below 0.05:
        the difference is beyond the error bars. ``rank_change`` counts the ranks that a feature has
        risen among the shared ones. The errors know of the explained rows only, not of what
        another seed or sample of training rows would have changed.
        """
        return significance.differences(self.importances[0], self.importances[1:])

    def plot(self, kind: Literal["slope", "heatmap"] = "slope", top_k: int | None = None) -> Figure:
        """Draw the most important features of the first 20 runs.

        Args:
            kind: ``"slope"``: their order in each run, a line for each feature, with its rank
                among all of the run's features. ``"heatmap"``: their share of each run's total.
            top_k: So many features, those with the largest mean share. Default: that of the
                comparison.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            OptionError: An argument is not allowed.
        """
        from mlflow_interpret.compare import figures

        draw = {"slope": figures.slope_chart, "heatmap": figures.heat_map}.get(kind)
        if draw is None:
            raise OptionError(f"kind must be 'slope' or 'heatmap', got {kind!r}.")
        top_k = self.top_k if top_k is None else top_k
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise OptionError(f"top_k must be a positive integer or None, got {top_k!r}.")
        return draw(self.importances, top_k)

    @overload
    def to_html(self, path: None = None) -> str: ...

    @overload
    def to_html(self, path: str | Path) -> Path: ...

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """The comparison as one HTML page that stands alone: it asks for nothing.

        Args:
            path: Where to write it.

        Returns:
            The page, or the path where one is given.
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
