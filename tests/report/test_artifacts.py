"""Artifacts of an explanation: data, figures and report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.report import artifacts

RECORD = Explanation("shap_tree", "regression", None, ("a", "b"), np.array([1.0, 2.0]))
VALUES = np.random.default_rng(0).normal(size=(2, 5, 2))
CLASSES = replace(
    RECORD, task="classification", classes=("x", "y"), per_class_values=np.abs(VALUES).mean(axis=1),
    local_values=VALUES,
)  # fmt: skip
FIGURES = {artifacts.FIGURE, artifacts.BEESWARM, artifacts.PER_CLASS}


def drawn_files(folder):
    return {path.name for path in folder.iterdir() if path.suffix in {".png", ".html"}}


@pytest.mark.parametrize("figures", [True, False])
@pytest.mark.parametrize("report", [True, False])
def test_data_figures_and_report_are_written(tmp_path, figures, report):
    assert artifacts.write(CLASSES, tmp_path, figures=figures, report=report) == {}
    assert explanation_io.read(tmp_path).features == ("a", "b")
    expected = (FIGURES if figures else set()) | ({artifacts.REPORT} if report else set())
    assert drawn_files(tmp_path) == expected


def test_figures_that_need_rows_or_classes_are_omitted_without_them(tmp_path):
    assert artifacts.write(RECORD, tmp_path, figures=True, report=True) == {}
    assert drawn_files(tmp_path) == {artifacts.FIGURE, artifacts.REPORT}


def test_engineered_view_has_its_own_report(tmp_path):
    both = replace(CLASSES, engineered=replace(RECORD, features=("only_here", "b")))
    artifacts.write(both, tmp_path, figures=False, report=True)
    page = (tmp_path / explanation_io.ENGINEERED / artifacts.REPORT).read_text("utf-8")
    assert "only_here" in page
    assert "only_here" not in (tmp_path / artifacts.REPORT).read_text("utf-8")


def test_report_has_the_id_of_the_run(tmp_path):
    artifacts.write(RECORD, tmp_path, figures=False, report=True, run_facts={"run_id": "run-7"})
    assert "run-7" in (tmp_path / artifacts.REPORT).read_text("utf-8")


def test_failure_of_a_figure_does_not_affect_the_other_files(tmp_path, monkeypatch):
    def broken(explanation, *_):
        raise RuntimeError("no font\nat all")

    monkeypatch.setattr("mlflow_interpret.report.figures.importances", broken)
    failures = artifacts.write(CLASSES, tmp_path, figures=True, report=True)
    assert failures == {artifacts.FIGURE: "no font at all"}
    assert drawn_files(tmp_path) == {artifacts.REPORT, artifacts.BEESWARM, artifacts.PER_CLASS}
    assert explanation_io.read(tmp_path).features == ("a", "b")
