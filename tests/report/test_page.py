"""Report: complete without scripts, small, and without private values."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from explanations import HOSTILE, explanation, hostile
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.group_views import with_groups
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.report.description import summary
from mlflow_interpret.report.page import render_report


class Table(HTMLParser):
    """The rows of the table as texts, and the other texts of the page."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.around, self.inside, self.tags, self.skip = [], [], False, [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.skip = tag in {"script", "style"}
        if tag == "tbody":
            self.inside = True
        if tag == "tr" and self.inside:
            self.rows.append([])
        if tag in {"td", "th"} and self.inside:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.skip = False
        self.inside = self.inside and tag != "tbody"

    def handle_data(self, data):
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
        elif not self.skip:
            self.around.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.around).split())


def data_of(page):
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(block)


DETAILS = {
    "model": {"fitted": "GridSearchCV", "explained": "Pipeline", "estimator": "SVC"},
    "engine": "sampled permutations",
    "output_scale": "probability",
    "additivity_error": 2.5e-7,
    "sampling_error": 0.031,
    "attribution_check": {"outcome": "declined", "explainer": "a library", "reason": "of a swap"},
    "rows": {"source": "evaluation_examples", "available": 5000, "explained": 40},
    "background_rows": 1000,
    "random_state": 3,
    "notes": ["Explained as a black box, because <reason>."],
    "seconds": 1.25,
    "versions": {"python": "3.12.1", "shap": "0.46.0"},
    "row_budget": {"asked": 10, "used": 7},
}


def test_table_without_a_script():
    explained = explanation(8)
    table = Table(render_report(explained))
    ranked = explained.ranked()
    assert [row[1] for row in table.rows] == [name for name, _ in ranked]
    assert [row[0] for row in table.rows] == [str(i) for i in range(1, 9)]
    half_widths = dict(zip(explained.features, 1.96 * explained.standard_errors()))
    for row, (name, value) in zip(table.rows, ranked):
        assert row[3].strip() == f"{format_number(value)} ± {format_number(half_widths[name], 2)}"


def test_bars_and_intervals_are_to_scale():
    explained = explanation(8)
    page = render_report(explained)
    widths = [float(width) for width in re.findall(r'<rect width="([\d.]+)%"', page)]
    lines = [
        (float(low), float(low) + float(span))
        for low, span in re.findall(r'class="error" x="([\d.]+)%" width="([\d.]+)%"', page)
    ]
    values = np.array([value for _, value in explained.ranked()])
    longest = (explained.global_values + 1.96 * explained.standard_errors()).max()
    assert widths == pytest.approx(100 * values / longest, abs=0.01)
    assert max(high for _, high in lines) == pytest.approx(100, abs=0.02)
    assert all(low < width < high for width, (low, high) in zip(widths, lines))


def test_facts_about_the_explanation():
    text = Table(render_report(
        replace(explanation(), model_class="sklearn.svm.SVC", expected_values=np.array([0.25]), details=Details.from_json(DETAILS)),
        {"run_id": "run-7", "created": "2026-01-02", "comment": "first <try>"},
    )).text  # fmt: skip
    for fact in (
        "GridSearchCV with SVC", "GridSearchCV → Pipeline → SVC", "sklearn.svm.SVC", "m, sampled permutations",
        "probability", "40 of 5,000 evaluation examples", "1,000", "2.5e-7", "3.1 %", "declined, a library: of a swap", "1.25 s", "0.250",
        "python 3.12.1, shap 0.46.0", "run-7", "2026-01-02", "first <try>", "because <reason>.",
        "Row budget", "asked 10, used 7", "95 % intervals",
    ):  # fmt: skip
        assert fact in text, fact


def test_mean_over_targets_with_different_units_is_pointed_out():
    classes = explanation(n_classes=2)
    targets = replace(classes, classes=None, targets=("kg", "m"))
    assert (
        "both targets. Targets with larger values have more weight"
        in Table(render_report(targets)).text
    )
    assert "more weight" not in Table(render_report(classes)).text


def test_the_page_starts_with_a_sentence_about_the_leading_features():
    text = Table(render_report(explanation())).text
    assert summary(explanation()) in text
    assert "carry" in summary(explanation())


def test_metrics_of_the_run_are_beside_the_headline():
    metrics = {"training_score": 0.91234567, "<b>loss</b>": np.nan, "rmse": 54321.0}
    page = render_report(explanation(), {"metrics": metrics})
    text = Table(page).text
    assert "training_score 0.9123 <b>loss</b> not finite rmse 54,321" in text
    assert text.index(summary(explanation())) < text.index("training_score") < text.index("Method")
    assert 'aria-label="Metrics of the run"' in page
    many = {f"metric {i}": float(i) for i in range(20)}
    text = Table(render_report(explanation(), {"metrics": many})).text
    assert "metric 11 11.00 and 8 more in the run" in text
    for empty in ({}, None):
        assert "Metrics of the run" not in render_report(explanation(), {"metrics": empty})


def test_breach_of_additivity_is_a_notice():
    page = render_report(
        replace(
            explanation(),
            details=Details.from_json({**DETAILS, "additivity_breach": "It is <off>."}),
        )
    )
    assert '<div class="notice" role="note"><p>It is &lt;off&gt;.</p></div>' in page
    assert "contributions do not add up" in Table(page).text
    page = render_report(
        replace(explanation(), details=Details.from_json({**DETAILS, "partial": True}))
    )
    assert "Pass a longer time_budget." in Table(page).text
    assert "Pass a longer time_budget." not in Table(render_report(explanation())).text


def test_terms_are_explained_where_they_stand():
    details = Details.from_json(DETAILS)
    page = render_report(replace(explanation(), method="shap_tree", details=details))
    text = Table(page).text
    for sentence in (
        "tree SHAP SHAP values divide the difference between an output of the model and the base",
        "✓ contributions add up to the probability The base value and the contributions",
        "The largest difference is 2.5e-7.",
        "Contributions are changes of the probability of a class, from 0 to 1.",
        "The importance of a feature is its mean absolute contribution",
        "A contribution is the amount by which a feature moves the output for a single row",
        "95 % intervals (±1.96 standard errors): the range of importances that",
        "The base value is the mean output for the background data: rows that stand for a feature",
    ):
        assert sentence in text, sentence
    tiles = page[page.index('class="tiles"') : page.index('id="importances"')]
    assert "shap_tree" not in tiles
    assert tiles.count("<summary>") == 3


@pytest.mark.parametrize(
    ("stopped", "text"),
    [
        ("all rows", "yes, all available rows"), ("settled", "was stable"),
        ("max_rows", "may not be stable"), ("time_budget", "no, the time budget was used up"),
    ],
)  # fmt: skip
def test_stopping_reason_is_explained(stopped, text):
    details = {**DETAILS, "stopped": stopped, "settled": stopped == "settled", "time_budget": 5.0}
    page_text = Table(
        render_report(replace(explanation(), details=Details.from_json(details)))
    ).text
    assert "Enough rows" in page_text
    assert text in page_text
    assert "Time budget 5 s" in page_text
    assert "Stopped" not in page_text


def test_other_files_are_named_only_if_the_explanation_is_in_a_run():
    assert "explanation.json" in Table(render_report(explanation(), {"run_id": "run-7"})).text
    assert "explanation.json" not in Table(render_report(explanation(), {"run_id": None})).text


def test_baseline_section_is_shown_with_a_baseline():
    details = {
        **DETAILS,
        "baseline": {"run_id": "run-6", "spearman": 0.875, "marks": ["a", "<b>"]},
    }
    text = Table(render_report(replace(explanation(), details=Details.from_json(details)))).text
    assert "Comparison with the baseline" in text
    assert "0.875" in text
    assert "a <b>" in text
    assert "Comparison with the baseline" not in Table(render_report(explanation())).text


def test_page_without_details():
    bare = replace(explanation().without_rows(), global_errors=None)
    page = render_report(bare)
    assert len(Table(page).rows) == 6
    assert "95 %" not in page
    assert "no distributions" in Table(page).text
    assert "contributions against" not in Table(page).text
    assert "contributions against" in Table(render_report(explanation())).text


def test_page_of_aggregates_has_no_values_of_rows():
    rows = pd.DataFrame({f"f{i}": [f"secret-{i}-{n}" for n in range(40)] for i in range(6)})
    whole = explanation(rows=rows)
    assert "secret-" in render_report(whole)
    page = render_report(whole.without_rows())
    assert "secret-" not in page
    assert data_of(page)["points"] is None
    assert "95 % intervals" in Table(page).text


@pytest.mark.parametrize(
    ("shape", "kilobytes"),
    [((100, 1000, None), 400), ((100, 1000, 2), 400), ((100, 1000, 10), 400), ((500, 1000, None), 400),
     ((700, 235, 5), 400), ((500, 1000, 30), 480), ((3000, 20, 3), 420)],
    ids=str,
)  # fmt: skip
@pytest.mark.slow
def test_size_of_a_page(shape, kilobytes):
    explained = explanation(*shape)
    names = [f"feature_with_a_name_{i}" for i in range(shape[0])]
    explained = replace(explained, features=tuple(names), details=Details.from_json(DETAILS))
    explained.evaluation_rows.columns = names
    assert len(render_report(explained).encode()) <= kilobytes * 1000


def test_size_of_a_page_with_names_beyond_ascii():
    names = [f"年齢と職業と学歴の階級を表す特徴量の番号 {i}" for i in range(100)]
    cells = [f"階級の{i % 12}番" for i in range(1000)]
    rows = pd.DataFrame({name: np.roll(cells, i) for i, name in enumerate(names)})
    explained = replace(explanation(100, 1000, rows=rows), features=tuple(names))
    assert len(render_report(explained).encode()) <= 400_000


def test_pages_are_reproducible():
    explained = explanation(10, 5000)
    assert render_report(explained) == render_report(explained)
    assert "1,000 of 5,000 explained rows" in Table(render_report(explained)).text


def test_hostile_names_are_escaped():
    explained = hostile()
    names = explained.features
    page = render_report(explained, {"run_id": HOSTILE[0], "comment": HOSTILE[1]})
    plain = with_groups(explanation(len(names), 5, 3), {"a": ["f0", "f1"], "b": ["f2", "f3"]})
    table, plain = Table(page), Table(render_report(plain))
    assert {row[1] for row in table.rows[: len(names)]} == {truncate(name) for name in names}
    assert set(table.tags) <= {*plain.tags, "ul", "li"}
    assert table.tags.count("script") == 2
    assert "<img" not in page
    assert "alert(1)</script>" not in page
    assert data_of(page)["outputs"][1]["name"] == truncate(names[0], 80)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_page_of_unusual_importances(value):
    values = np.array([value, 1.0, value])
    explained = replace(explanation(3).without_rows(), global_values=values, global_errors=values)
    assert len(Table(render_report(explained)).rows) == 3


def test_groups_have_a_table_with_their_columns_and_shares():
    record = explanation()
    assert "Importances by group" not in render_report(record)
    record = with_groups(record, {"pair": ["f0", "f3"]})
    rows = Table(render_report(record)).rows[len(record.features) :]
    importances = dict(zip(record.groups.names, record.groups.values, strict=True))
    ranked = sorted(importances, key=importances.__getitem__, reverse=True)
    assert [row[0].split()[0] for row in rows] == ranked
    pair = rows[ranked.index("pair")]
    assert pair[0] == "pair f0, f3"
    assert pair[2].split()[0] == format_number(float(importances["pair"]))
    share = 100 * importances["pair"] / sum(importances.values())
    assert pair[3].strip() == f"{share:.1f} %"
