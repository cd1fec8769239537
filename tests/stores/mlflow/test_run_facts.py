"""Metrics and params of a run beside its importances."""

from __future__ import annotations

from mlflow.entities import Metric, Param, Run, RunData, RunInfo

from mlflow_interpret.stores.mlflow.run_facts import model_metrics, read_model_metrics


def run_with(metrics=(), params=()):
    info = RunInfo("run", "1", "user", "FINISHED", 0, None, "active")
    return Run(
        info,
        RunData(
            metrics=[Metric(name, float(i), 0, 0) for i, name in enumerate(metrics)],
            params=[Param(name, value) for name, value in params],
        ),
    )


def test_importances_and_measurements_of_the_machine_are_no_metrics_of_the_model():
    own = ("importance", "importances/x", "my importance/x", "training/score", "a-1")
    others = (
        "importance/x", "importance-2/x", "importance_share/x", "importance_share-13/x",
        "importance_shift/spearman", "importance_shift-2/k", "system/cpu_utilization",
    )  # fmt: skip
    assert list(model_metrics(run_with([*own, *others]))) == sorted(own)


def test_metrics_of_a_run_that_cannot_be_read_are_none(store):
    assert read_model_metrics("no such run", store) == {}
