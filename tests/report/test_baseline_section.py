"""The report sets an explanation beside its baseline's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explanations import HOSTILE, explanation
from mlflow_interpret.compare.baseline import shift
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import importances_of
from mlflow_interpret.report.baseline_section import section
from mlflow_interpret.report.page import render_report


def beside(now, before):
    own = replace(explanation(3), features=tuple("abc"), global_values=np.array(now))
    other = replace(explanation(3), features=tuple("abc"), global_values=np.array(before))
    found = shift(importances_of(own), importances_of(other))
    return replace(
        own,
        details=Details.from_json({"baseline": {**found, "run_id": "run-6", "run_name": "before"}}),
    )


def test_ranks_and_shares_stand_beside_those_of_the_baseline():
    found = section(beside([1.0, 2.0, 1.0], [6.0, 3.0, 1.0]))
    first = found["rows"][0]
    assert (first["name"], first["rank"], first["rank_before"]) == ("b", 1, "2")
    assert (first["share"], first["share_before"]) == ("50.0 %", "30.0 %")
    assert float(first["width"]) == pytest.approx(100 * 50 / 60, abs=0.1)
    facts = dict(found["facts"])
    assert facts["Baseline"] == "before (run-6)"
    assert "Spearman" in facts["Rank correlation"]
    assert facts["Largest riser"].startswith(("b: rank 2 → 1", "c: rank 3 →"))


def test_a_feature_that_the_baseline_does_not_know_has_a_dash():
    own = replace(explanation(1), features=("new",))
    found = section(replace(own, details=Details.from_json({"baseline": {"importances": []}})))
    assert found["rows"][0]["rank_before"] == found["rows"][0]["share_before"] == "-"


@pytest.mark.parametrize("details", [{}, {"baseline": None}, {"baseline": "run-6"}])
def test_without_a_baseline_there_is_no_section(details):
    assert section(replace(explanation(), details=Details.from_json(details))) is None


def test_it_is_in_the_page_and_escaped():
    hostile = beside([1.0, 2.0, 1.0], [6.0, 3.0, 1.0])
    baseline = {**hostile.details.baseline, "run_name": HOSTILE[0], "marks": [HOSTILE[2]]}
    page = render_report(replace(hostile, details=Details.from_json({"baseline": baseline})))
    assert "Against the baseline" in page
    assert HOSTILE[0] not in page
    assert "<img" not in page
