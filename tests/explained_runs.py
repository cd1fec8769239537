"""Runs with a logged model and its explanation, for tests of new rows."""

from __future__ import annotations

import logging

import mlflow
from sklearn.datasets import load_diabetes, load_iris

import mlflow_interpret
from mlflow_interpret.interpret_community import to_record

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
DIABETES, PROGRESSION = load_diabetes(return_X_y=True, as_frame=True)


def log_model(model, name="model"):
    package = type(model).__module__.partition(".")[0]
    flavor = getattr(
        mlflow, package if package in {"xgboost", "lightgbm", "catboost"} else "sklearn"
    )
    options = {"serialization_format": "cloudpickle"} if flavor is mlflow.sklearn else {}
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return flavor.log_model(model, name=name, pip_requirements=["mlflow"], **options)


def log_run(model, rows, labels, **options):
    """The id of a run with a fitted model and its explanation, and the record of the latter."""
    model.fit(rows, labels)
    of_explain = {"max_rows", "classes", "feature_groups"} & options.keys()
    explanation = mlflow_interpret.explain(
        model, rows, **{key: options.pop(key) for key in of_explain}
    )
    with mlflow.start_run() as run:
        log_model(model)
        mlflow_interpret.log_explanation(
            explanation, log_figures=False, log_report=False, **options
        )
    return run.info.run_id, to_record(explanation)
