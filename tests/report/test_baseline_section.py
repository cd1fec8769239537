"""Section of the report that compares an explanation with its baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explanations import HOSTILE, explanation
from mlflow_interpret.compare.baseline import compare_with_baseline
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import importances_of
from mlflow_interpret.report.baseline_section import baseline_section
from mlflow_interpret.report.page import render_report


def with_baseline(now, before):
    own = replace(explanation(3), features=tuple("abc"), global_values=np.array(now))
    other = replace(explanation(3), features=tuple("abc"), global_values=np.array(before))
    baseline = compare_with_baseline(importances_of(own), importances_of(other))
    return replace(
        own,
        details=Details.from_json(
            {"baseline": {**baseline, "run_id": "run-6", "run_name": "before"}}
        ),
    )


def test_ranks_and_shares_of_both_explanations():
    result = baseline_section(with_baseline([1.0, 2.0, 1.0], [6.0, 3.0, 1.0]))
    first = result["rows"][0]
    assert (first["name"], first["rank"], first["rank_before"]) == ("b", 1, "2")
    assert (first["share"], first["share_before"]) == ("50.0 %", "30.0 %")
    assert float(first["width"]) == pytest.approx(100 * 50 / 60, abs=0.1)
    facts = dict(result["facts"])
    assert facts["Baseline"] == "before (run-6)"
    assert "Spearman" in facts["Rank correlation"]
    assert facts["Largest riser"].startswith(("b: rank 2 → 1", "c: rank 3 →"))


def test_feature_that_the_baseline_lacks_has_a_dash():
    own = replace(explanation(1), features=("new",))
    result = baseline_section(
        replace(own, details=Details.from_json({"baseline": {"importances": []}}))
    )
    assert result["rows"][0]["rank_before"] == result["rows"][0]["share_before"] == "-"


@pytest.mark.parametrize("details", [{}, {"baseline": None}])
def test_no_section_without_a_baseline(details):
    assert baseline_section(replace(explanation(), details=Details.from_json(details))) is None


def test_section_is_on_the_page_with_escaped_names():
    hostile = with_baseline([1.0, 2.0, 1.0], [6.0, 3.0, 1.0])
    baseline = {**hostile.details.baseline, "run_name": HOSTILE[0], "marks": [HOSTILE[2]]}
    page = render_report(replace(hostile, details=Details.from_json({"baseline": baseline})))
    assert "Comparison with the baseline" in page
    assert HOSTILE[0] not in page
    assert "<img" not in page
