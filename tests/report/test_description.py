"""The description of a run: a sentence, a table, and nothing that markup in names could change."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.report.description import describe, escape, summary

DIRECTIONS = {"bmi": {"correlation": 0.9}, "s5": {"highest": "x|y", "lowest": "z"}}


def explanation(features=("bp", "bmi", "s5"), values=(1.0, 3.0, 2.0), **changes):
    record = Explanation(
        method="shap_tree",
        task="regression",
        model_class="sklearn.ensemble.RandomForestRegressor",
        features=tuple(features),
        global_values=np.asarray(values, dtype=float),
        details=Details.from_json({
            "directions": DIRECTIONS, "output_scale": "prediction",
            "rows": {"source": "training rows", "available": 442, "explained": 100},
        }),
    )  # fmt: skip
    return replace(record, **changes)


def test_the_sentence_names_the_leading_features_with_share_and_direction():
    assert summary(explanation()) == (
        "bmi, s5 and bp carry 100 % of the importance in RandomForestRegressor; "
        "higher values of bmi raise the prediction."
    )
    single = explanation(values=(0.0, 2.0, 0.0), classes=("no", "yes"))
    assert summary(single) == (
        "bmi carries 100 % of the importance in RandomForestRegressor; "
        "higher values of bmi raise the output for class yes."
    )
    assert summary(explanation(values=(0, 0, 0))) == (
        "No feature changes the output of RandomForestRegressor."
    )


def test_the_table_has_share_bar_and_direction():
    text = describe(explanation(), "#/report")
    assert "| 1 | bmi | 50 % | ██████████ | higher values raise it |" in text
    assert r"| 2 | s5 | 33 % | ███████ | highest for x\|y, lowest for z |" in text
    assert "Computed by tree SHAP for 100 of 442 training rows" in text
    assert text.splitlines()[0].endswith("raise the prediction. [Open the report](#/report)")


@pytest.mark.parametrize("limit", [1000, 600, 300, 120, 10])
def test_the_text_stays_within_the_limit(limit):
    names = [f"a rather long name of a feature, number {i}" for i in range(50)]
    text = describe(explanation(names, np.arange(50)), "#/report", limit)
    assert len(text) <= limit
    if limit >= 600:
        assert "[Open the report](#/report)" in text


def unescape(text):
    text = re.sub(r"\\(.)", r"\1", text)
    for entity, character in [("&#46;", "."), ("&#58;", ":"), ("&#64;", "@"), ("&lt;", "<"),
                              ("&gt;", ">"), ("&amp;", "&")]:  # fmt: skip
        text = text.replace(entity, character)
    return text


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
def test_escaped_text_has_no_markup_and_is_read_as_it_was(text):
    escaped = escape(text)
    assert unescape(escaped) == text
    assert not re.search(r"[<>@]|www\.|://", escaped, re.IGNORECASE)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|~#!](?<!&#)", re.sub(r"&#\d+;", "", escaped))


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "[x](javascript:alert(1))", "a|b", "![x](http://evil/x.png)",
     "www.evil.example", "*bold*", "`code`", "# head", "line\nbreak", "\u202eevil", "&lt;b&gt;"],
)  # fmt: skip
def test_hostile_names_are_text(name):
    text = describe(explanation([name, "x"], [2.0, 1.0], model_class=f"m.{name}"))
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]", text)
    assert "://" not in text
    rows = [line for line in text.splitlines() if line.startswith("| 1 |")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 6
