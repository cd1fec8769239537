"""Names, metrics and params of compared runs."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from compare.runs import run
from mlflow_interpret.compare import RunComparison
from mlflow_interpret.compare.run_facts import (
    best_runs,
    differing_params,
    metric_names,
    run_names,
)


def test_names_have_an_id_where_they_are_equal_or_absent():
    ids = [f"{letter}{'0' * 31}" for letter in "abcd"]
    names = ["depth 3", "depth 8", "depth 3", ""]
    runs = [run(i, [1], run_name=name) for i, name in zip(ids, names)]
    assert run_names(runs) == ["depth 3 (a0000000)", "depth 8", "depth 3 (c0000000)", ids[3]]
    alike = [run(f"same start {i}", [1], run_name="x") for i in range(2)]
    assert run_names(alike) == ["x (same start 0)", "x (same start 1)"]


def test_tables_have_names_and_ids():
    runs = [run("A", [3, 1], [1, 1]), run("B", [1, 3], [1, 1]), run("C", [1, 2], [1, 1])]
    comparison = RunComparison(tuple(runs))
    assert comparison.runs[["name", "run_id"]].to_numpy().tolist() == [
        ["run A", "A"], ["run B", "B"], ["run C", "C"],
    ]  # fmt: skip
    shares = comparison.table.pivot(index="feature", columns="name", values="share")
    assert shares.loc["a"].to_dict() == {
        "run A": 0.75,
        "run B": 0.25,
        "run C": pytest.approx(1 / 3),
    }
    pairs = comparison.agreement[["name_a", "name_b", "run_a", "run_b"]].to_numpy().tolist()
    assert pairs[1] == ["run A", "run C", "A", "C"]
    assert set(comparison.differences["name"]) == {"run B", "run C"}
    assert all("run " + comparison.differences["run_id"] == comparison.differences["name"])


def test_metrics_and_differing_params_are_columns_named_as_by_search_runs():
    runs = [
        run("A", [1], metrics={"score": 0.5, "rare": 1.0}, params={"depth": "3", "seed": "0"}),
        run("B", [1], metrics={"score": 0.75}, params={"depth": "8", "seed": "0", "only b": "x"}),
    ]
    assert metric_names(runs) == ["score", "rare"]
    assert differing_params(runs) == ["depth", "only b"]
    table = RunComparison(tuple(runs)).runs
    columns = [name for name in table if name.startswith(("metrics.", "params."))]
    assert columns == ["metrics.score", "metrics.rare", "params.depth", "params.only b"]
    assert table["metrics.score"].tolist() == [0.5, 0.75]
    assert math.isnan(table["metrics.rare"][1])
    assert table["params.depth"].tolist() == ["3", "8"]
    assert pd.isna(table["params.only b"][0])


def test_numbers_of_metrics_and_params_are_bounded():
    many = {f"m{i:03}": float(i) for i in range(100)}
    runs = [run(name, [1], metrics=many, params={k: f"{name}{v}" for k, v in many.items()})
            for name in "AB"]  # fmt: skip
    comparison = RunComparison(tuple(runs))
    columns = [name for name in comparison.runs if name.startswith(("metrics.", "params."))]
    assert len(columns) == 40
    page = comparison.to_html()
    assert "The first 20 of 100 metrics are shown." in page
    assert "The first 20 of 100 differing params are shown." in page


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("training_accuracy_score", [0.5, 0.9, 0.9], {1, 2}),
        ("val/loss", [0.5, 0.9, math.nan], {0}),
        ("log_loss", [0.5, 0.4, 0.9], {1}),
        ("test.RMSE", [3.0, 2.0, 5.0], {1}),
        ("neg_mean_squared_error", [-3.0, -2.0, -5.0], {1}),
        ("brier_score", [0.5, 0.1, 0.2], {1}),
        ("roc_auc", [0.5, 0.5, 0.5], set()),
        ("epochs", [1.0, 2.0, 3.0], set()),
    ],
)
def test_best_runs_where_the_name_tells_the_direction(name, values, best):
    runs = [run(str(i), [1], metrics={name: value}) for i, value in enumerate(values)]
    assert best_runs(name, runs) == best
    assert best_runs(name, [*runs, run("none", [1])]) == best
