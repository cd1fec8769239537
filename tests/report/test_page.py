"""The report: complete without a script, small, and silent about what is not to be shown."""

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
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.report.page import render_report


class Table(HTMLParser):
    """The rows of the table as texts, and the texts of the page outside of it."""

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
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(found)


DETAILS = {
    "model": {"fitted": "GridSearchCV", "explained": "Pipeline", "estimator": "SVC"},
    "engine": "sampled permutations",
    "output_scale": "probability",
    "additivity_error": 2.5e-7,
    "sampling_error": 0.031,
    "rows": {"source": "evaluation_examples", "available": 5000, "explained": 40},
    "background_rows": 1000,
    "random_state": 3,
    "notes": ["Explained as a black box, because <reason>."],
    "seconds": 1.25,
    "versions": {"python": "3.12.1", "shap": "0.46.0"},
    "row_budget": {"asked": 10, "used": 7},
}


def test_the_table_needs_no_script():
    explained = explanation(8)
    table = Table(render_report(explained))
    ranked = explained.ranked()
    assert [row[1] for row in table.rows] == [name for name, _ in ranked]
    assert [row[0] for row in table.rows] == [str(i) for i in range(1, 9)]
    reach = dict(zip(explained.features, 1.96 * explained.standard_errors()))
    for row, (name, value) in zip(table.rows, ranked):
        assert row[3].strip() == f"{format_number(value)} ± {format_number(reach[name], 2)}"


def test_bars_and_their_intervals_are_drawn_to_scale():
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


def test_what_was_explained_and_how_is_told():
    text = Table(render_report(
        replace(explanation(), model_class="sklearn.svm.SVC", expected_values=np.array([0.25]), details=Details.from_json(DETAILS)),
        {"run_id": "run-7", "created": "2026-01-02", "comment": "first <try>"},
    )).text  # fmt: skip
    for told in (
        "GridSearchCV with SVC", "GridSearchCV → Pipeline → SVC", "sklearn.svm.SVC", "m, sampled permutations",
        "probability", "40 of 5,000 evaluation examples", "1,000", "2.5e-7", "3.1 %", "1.25 s", "0.250",
        "python 3.12.1, shap 0.46.0", "run-7", "2026-01-02", "first <try>", "because <reason>.",
        "Row budget", "asked 10, used 7", "95 % intervals",
    ):  # fmt: skip
        assert told in text, told


def test_targets_of_different_units_are_no_silent_mean():
    classes = explanation(n_classes=2)
    targets = replace(classes, classes=None, targets=("kg", "m"))
    assert (
        "all 2 targets. Targets of larger numbers weigh more" in Table(render_report(targets)).text
    )
    assert "weigh more" not in Table(render_report(classes)).text


def test_a_breach_of_additivity_is_seen_at_once():
    page = render_report(
        replace(
            explanation(),
            details=Details.from_json({**DETAILS, "additivity_breach": "It is <off>."}),
        )
    )
    assert '<div class="notice" role="note"><p>It is &lt;off&gt;.</p></div>' in page
    assert "does not add up" in Table(page).text
    page = render_report(
        replace(explanation(), details=Details.from_json({**DETAILS, "partial": True}))
    )
    assert "time budget ended" in Table(page).text
    assert "time budget ended" not in Table(render_report(explanation())).text


@pytest.mark.parametrize(
    ("stopped", "told"),
    [
        ("all rows", "yes, all that there are"), ("settled", "was settled"),
        ("max_rows", "may not be settled"), ("time_budget", "no, the time budget was spent"),
    ],
)  # fmt: skip
def test_whether_there_were_enough_rows_is_told_in_words(stopped, told):
    details = {**DETAILS, "stopped": stopped, "settled": stopped == "settled", "time_budget": 5.0}
    text = Table(render_report(replace(explanation(), details=Details.from_json(details)))).text
    assert "Enough rows" in text
    assert told in text
    assert "Time budget 5 s" in text
    assert "Stopped" not in text


def test_a_page_names_files_beside_it_only_where_there_are_some():
    assert "explanation.json" in Table(render_report(explanation(), {"run_id": "run-7"})).text
    assert "explanation.json" not in Table(render_report(explanation(), {"run_id": None})).text


def test_a_baseline_is_shown_where_there_is_one():
    details = {
        **DETAILS,
        "baseline": {"run_id": "run-6", "spearman": 0.875, "marks": ["a", "<b>"]},
    }
    text = Table(render_report(replace(explanation(), details=Details.from_json(details)))).text
    assert "Against the baseline" in text
    assert "0.875" in text
    assert "a <b>" in text
    assert "Against the baseline" not in Table(render_report(explanation())).text


def test_without_details_there_is_still_a_page():
    bare = replace(explanation().without_rows(), global_errors=None)
    page = render_report(bare)
    assert len(Table(page).rows) == 6
    assert "95 %" not in page
    assert "no distributions" in Table(page).text
    assert "contributions against" not in Table(page).text
    assert "contributions against" in Table(render_report(explanation())).text


def test_aggregates_only_hold_nothing_of_a_single_row():
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
     ((700, 235, 5), 400), ((500, 1000, 30), 450), ((3000, 20, 3), 400)],
    ids=str,
)  # fmt: skip
def test_a_page_is_small(shape, kilobytes):
    explained = explanation(*shape)
    names = [f"feature_with_a_name_{i}" for i in range(shape[0])]
    explained = replace(explained, features=tuple(names), details=Details.from_json(DETAILS))
    explained.evaluation_rows.columns = names
    assert len(render_report(explained).encode()) <= kilobytes * 1000


def test_a_page_of_names_beyond_ascii_is_small():
    names = [f"年齢と職業と学歴の階級を表す特徴量の番号 {i}" for i in range(100)]
    cells = [f"階級の{i % 12}番" for i in range(1000)]
    rows = pd.DataFrame({name: np.roll(cells, i) for i, name in enumerate(names)})
    explained = replace(explanation(100, 1000, rows=rows), features=tuple(names))
    assert len(render_report(explained).encode()) <= 400_000


def test_two_pages_of_one_explanation_are_equal():
    explained = explanation(10, 5000)
    assert render_report(explained) == render_report(explained)
    assert "1,000 of 5,000 explained rows" in Table(render_report(explained)).text


def test_hostile_names_are_text_everywhere():
    explained = hostile()
    names = explained.features
    page = render_report(explained, {"run_id": HOSTILE[0], "comment": HOSTILE[1]})
    table, plain = Table(page), Table(render_report(explanation(len(names), 5, 3)))
    assert {row[1] for row in table.rows} == {truncate(name) for name in names}
    assert set(table.tags) <= {*plain.tags, "ul", "li"}
    assert table.tags.count("script") == 2
    assert "<img" not in page
    assert "alert(1)</script>" not in page
    assert data_of(page)["blocks"][1]["name"] == truncate(names[0], 80)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_any_importances_make_a_page(value):
    values = np.array([value, 1.0, value])
    explained = replace(explanation(3).without_rows(), global_values=values, global_errors=values)
    assert len(Table(render_report(explained)).rows) == 3
