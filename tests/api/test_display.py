"""Figures and reports of explanations that were computed or loaded."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from explanations import explanation
from mlflow_interpret import ExplanationDisplay, ExplanationNotFoundError, OptionError
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.group_views import with_groups


def store_folder(run):
    return Path(url2pathname(urlsplit(run.info.artifact_uri).path)) / "mlflow_interpret"


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
    return mlflow_interpret.explain(model, X)


def test_figures_of_a_computed_explanation(iris):
    display = ExplanationDisplay.from_explanation(iris)
    names = [
        text.get_text() for text in display.plot_importances(top_k=2).axes[0].get_yticklabels()
    ]
    assert names == iris.get_ranked_global_names()[:2]
    assert "contribution to class 2" in display.plot_beeswarm(label=2).axes[0].get_xlabel()
    assert "contribution to class 2" in display.plot_beeswarm(label="2").axes[0].get_xlabel()
    assert "by class" in display.plot_per_class().get_suptitle()
    assert "DecisionTreeClassifier" in repr(display)


def test_groups_are_drawn(iris):
    record = with_groups(iris._mlflow_interpret_record, {"petal": list(iris.features[2:])})
    figure = ExplanationDisplay(record).plot_groups()
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert set(names) == {"petal", *iris.features[:2]}
    with pytest.raises(ExplanationNotFoundError, match="explain the model with feature_groups"):
        ExplanationDisplay.from_explanation(iris).plot_groups()


def test_figures_in_axes_of_the_user(iris):
    figure = Figure()
    display = ExplanationDisplay.from_explanation(iris)
    for draw, axes in zip(
        (display.plot_importances, display.plot_beeswarm, display.plot_per_class),
        figure.subplots(3),
    ):
        assert draw(ax=axes) is figure
        assert axes.get_title()


def test_figures_and_report_of_an_explanation_in_a_run(store, iris):
    with mlflow.start_run() as run:
        mlflow.log_metrics({"training_score": 0.973, "system/cpu": 12.0})
        run_id = mlflow_interpret.log_explanation(iris, log_figures=False)
        mlflow.log_metric("later_score", 0.125)
    (artifact,) = store_folder(run).glob("report.html")
    display = ExplanationDisplay.from_run(run_id)
    assert run_id in display.to_html()
    assert display.plot_beeswarm().axes
    logged, shown = artifact.read_text(encoding="utf-8"), display.to_html()
    metric = "<div><dt>{}</dt><dd>{}</dd></div>".format
    assert metric("training_score", "0.9730") in logged
    assert metric("training_score", "0.9730") in shown
    assert metric("later_score", "0.1250") in shown  # what the run holds now
    assert "later_score" not in logged
    for page in (logged, shown):  # of the machine, and of this package
        assert "<dt>system/" not in page
        assert "<dt>importance" not in page


def test_notebook_shows_the_report_in_a_sandboxed_frame(iris):
    display = ExplanationDisplay.from_explanation(iris)
    framed = display._repr_html_()
    (page,) = re.findall(r'srcdoc="([^"]*)"', framed)
    assert html.unescape(page) == display.to_html()
    assert 'sandbox="allow-scripts"' in framed


@pytest.mark.parametrize("suffix", ["html", "png", "svg", "pdf", "PNG"])
def test_suffix_of_the_file_determines_the_format(tmp_path, iris, suffix):
    path = ExplanationDisplay.from_explanation(iris).save(tmp_path / f"x.{suffix}")
    start = {"html": b"<!doctype", "png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[
        suffix.lower()
    ]
    assert path.read_bytes().startswith(start)


def test_errors_name_the_argument_and_the_allowed_values(tmp_path, iris):
    display = ExplanationDisplay.from_explanation(iris)
    with pytest.raises(
        OptionError, match=r"path must end in one of .html, .png, .svg, .pdf, got 'x.doc'"
    ):
        display.save(tmp_path / "x.doc")
    with pytest.raises(
        OptionError, match=r"label must be one of the model's classes \(0, 1, 2\), got 7"
    ):
        display.plot_beeswarm(label=7)
    with pytest.raises(OptionError, match="top_k must be a positive integer, got 0"):
        display.plot_importances(top_k=0)
    with pytest.raises(CannotExplainError, match="global explanation"):
        ExplanationDisplay.from_explanation(3)


def test_missing_parts_of_an_explanation_cannot_be_drawn():
    display = ExplanationDisplay.from_explanation(explanation().without_rows())
    with pytest.raises(ExplanationNotFoundError, match="log_data=False"):
        display.plot_beeswarm()
    with pytest.raises(ExplanationNotFoundError, match="single output"):
        display.plot_per_class()
    several = replace(explanation(n_classes=2), classes=None, targets=("a", "b"), task="regression")
    assert np.size(ExplanationDisplay.from_explanation(several).plot_per_class().axes) == 1
