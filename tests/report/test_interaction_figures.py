"""Figure and report section of interactions."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from explanations import HOSTILE, explanation
from mlflow_interpret import ExplanationNotFoundError
from mlflow_interpret.api.display import ExplanationDisplay
from mlflow_interpret.api.global_explanation import GlobalExplanation
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.interactions import Interactions
from mlflow_interpret.report import artifacts
from mlflow_interpret.report.page import render_report

RECORD = explanation()
NAMES = tuple(RECORD.features[i] for i in np.argsort(-RECORD.global_values))
SIZES = np.triu(np.random.default_rng(1).random((6, 6)), k=1)
SIZES = SIZES + SIZES.T
WITH = replace(RECORD, interactions=Interactions(NAMES, SIZES, SIZES / 10, 40, is_sampled=False))


def data_of(page):
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(block)


def test_the_figure_has_the_largest_pairs_and_their_intervals():
    figure = ExplanationDisplay(WITH).plot_interactions(top_k=4)
    (axes,) = figure.axes
    ranked = WITH.interactions.ranked()[:4]
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths, [pair.interaction for pair in ranked])
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"{pair.feature_1} × {pair.feature_2}" for pair in ranked]
    assert "exact, 40 rows), top 4 of 15 pairs" in figure.get_suptitle()


def test_the_figure_is_an_artifact_if_there_are_interactions(tmp_path):
    artifacts.write(WITH, tmp_path, figures=True, report=False)
    assert (tmp_path / artifacts.INTERACTIONS).stat().st_size > 1000
    zeros = replace(WITH, interactions=replace(WITH.interactions, values=np.zeros((6, 6))))
    assert 'id="interactions"' not in render_report(zeros)
    for record in (RECORD, zeros):
        with pytest.raises(ExplanationNotFoundError, match="interactions=True"):
            ExplanationDisplay(record).plot_interactions()


def test_the_report_lists_the_pairs_and_names_the_partners():
    page = render_report(WITH)
    first = WITH.interactions.ranked()[0]
    assert f"<bdi>{first.feature_1}</bdi> × <bdi>{first.feature_2}</bdi>" in page
    assert "Pairs of the 6 most important features, exact, over 40 rows." in page
    partners = data_of(page)["partners"]
    assert partners == {
        str(i): NAMES.index(WITH.interactions.strongest_partner(name))
        for i, name in enumerate(NAMES)
    }
    without = render_report(RECORD)
    assert 'id="interactions"' not in without
    assert data_of(without)["partners"] == {}


def test_the_report_without_rows_has_the_pairs_only():
    page = render_report(WITH.without_rows())
    assert 'id="interactions"' in page
    assert data_of(page)["partners"] == {}


def test_unordered_categories_are_no_colors():
    rows = RECORD.evaluation_rows.assign(**{NAMES[1]: ["u", "v", "w", "x"] * 10})
    sizes = np.zeros((6, 6))
    sizes[0, 1] = sizes[1, 0] = 1.0
    interactions = Interactions(NAMES, sizes, None, 40, is_sampled=True)
    record = replace(RECORD, evaluation_rows=pd.DataFrame(rows), interactions=interactions)
    page = render_report(record)
    assert data_of(page)["partners"] == {"1": 0}
    assert "estimated from sampled coalitions of 40 rows" in page


def test_names_stay_text():
    names = tuple(f"{name}{i}" for i, name in enumerate(HOSTILE[:6]))
    rows = RECORD.evaluation_rows.set_axis(names, axis=1)
    record = replace(
        WITH,
        features=names,
        evaluation_rows=rows,
        interactions=replace(WITH.interactions, features=names),
    )
    assert "<script>alert(1)" not in render_report(record)


def test_the_table_of_the_public_explanation():
    table = GlobalExplanation(WITH).get_interactions()
    assert list(table) == ["feature_1", "feature_2", "interaction", "share", "standard_error"]
    assert len(table) == 15
    assert table["interaction"].is_monotonic_decreasing
    assert table["share"].sum() == pytest.approx(1)
    with pytest.raises(CannotExplainError, match="interactions=True"):
        GlobalExplanation(RECORD).get_interactions()
