"""Logged models whose predictions come with their contributions."""

from __future__ import annotations

import json
import logging
import threading
import urllib.request

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mlflow_interpret
from conftest import tracking_to
from explained_runs import DIABETES, IRIS, PROGRESSION, SPECIES
from mlflow_interpret import CannotExplainError, OptionError
from mlflow_interpret.api import explainable_model
from mlflow_interpret.interpret_community import to_record
from mlflow_server import model_server

pytestmark = pytest.mark.usefixtures("tracked_models")

ROWS = DIABETES.head(4)


@pytest.fixture(scope="module")
def linear(model_store):
    with tracking_to(model_store), mlflow.start_run() as run:
        model = LinearRegression().fit(DIABETES, PROGRESSION)
        info = mlflow_interpret.log_explainable_model(model, DIABETES, registered_model_name="rows")
    return run.info.run_id, info


def log_and_load(model, rows, **options):
    info = mlflow_interpret.log_explainable_model(
        model, rows, pip_requirements=["mlflow"], silent=True, **options
    )
    return mlflow.pyfunc.load_model(info.model_uri)


def formula(rows):
    coefficients = LinearRegression().fit(DIABETES, PROGRESSION).coef_
    return coefficients * (rows - DIABETES.mean()).to_numpy()


def check_linear(table):
    names = [f"contribution/{name}" for name in DIABETES]
    assert list(table) == ["prediction", "expected_value", *names]
    np.testing.assert_allclose(table[names], formula(ROWS), atol=1e-9)
    sums = table["expected_value"] + table[names].sum(axis=1)
    np.testing.assert_allclose(sums, table["prediction"])


def test_predictions_come_with_contributions(linear):
    model = mlflow.pyfunc.load_model("models:/rows/1")
    check_linear(model.predict(ROWS))
    check_linear(model.predict(ROWS.assign(other="ignored")[["other", *DIABETES.columns[::-1]]]))
    alone = model.predict(ROWS, params={"contributions": False})
    expected = LinearRegression().fit(DIABETES, PROGRESSION).predict(ROWS)
    assert list(alone) == ["prediction"]
    np.testing.assert_allclose(alone["prediction"], expected)


def test_it_names_its_input_output_and_environment(linear):
    info = linear[1]
    assert info.signature.inputs.input_names() == list(DIABETES)
    assert info.signature.outputs.input_names()[:2] == ["prediction", "expected_value"]
    model = mlflow.pyfunc.load_model(info.model_uri)
    requirements = mlflow.pyfunc.get_model_dependencies(info.model_uri)
    with open(requirements, encoding="utf-8") as file:
        names = [line.partition("=")[0] for line in file.read().splitlines()]
    assert {"mlflow", "mlflow-interpret", "scikit-learn"} <= set(names)
    pd.testing.assert_frame_equal(
        model.input_example.reset_index(drop=True), DIABETES.head(3).reset_index(drop=True)
    )


def test_its_run_has_the_explanation_and_explains_further_rows(linear):
    run_id, info = linear
    stored = to_record(mlflow_interpret.load_explanation(run_id))
    assert stored.features == tuple(DIABETES)
    for name in (run_id, info.model_uri):
        explained = to_record(mlflow_interpret.explain_rows(name, ROWS))
        assert explained.method == "shap_linear"
        np.testing.assert_allclose(explained.local_values, formula(ROWS), atol=1e-9)


def test_it_is_served_by_another_process(linear, model_store, tmp_path):
    body = json.dumps({"dataframe_split": ROWS.to_dict(orient="split")}).encode()
    with model_server(linear[1].model_uri, model_store, tmp_path) as url:
        request = urllib.request.Request(
            f"{url}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
    check_linear(pd.DataFrame(answer["predictions"]))


MIXED = DIABETES[["bmi", "bp"]].assign(
    sex=np.where(DIABETES["sex"] > 0, "m", "f"),
    age=pd.Categorical(np.where(DIABETES["age"] > 0, "old", "young"), ["young", "old"]),
)


def pipeline():
    encoder = make_column_transformer((OneHotEncoder(), ["sex", "age"]), remainder="passthrough")
    return make_pipeline(encoder, Ridge())


@pytest.mark.parametrize(
    ("model", "rows", "labels", "options"),
    [
        (pipeline(), MIXED, PROGRESSION, {}),
        (RandomForestClassifier(3, random_state=0), IRIS, SPECIES, {"classes": ["a", "b", "c"]}),
        (RandomForestClassifier(3, random_state=0), IRIS.to_numpy(), SPECIES == 1, {}),
        (LogisticRegression(), IRIS.set_axis(range(4), axis=1), SPECIES > 0, {}),
    ],
    ids=["pipeline", "classes", "array", "numbered columns"],
)
def test_contributions_equal_those_of_explain(model, rows, labels, options):
    model.fit(rows, labels)
    table = log_and_load(model, rows, **options).predict(
        pd.DataFrame(rows).head(5).rename(columns=lambda label: f"x{label}")
        if isinstance(rows, np.ndarray)
        else rows.head(5)
        .rename(columns=str)
        .astype(
            {"age": str} if "age" in rows else {}  # MLflow has no type for categories
        )
    )
    explained = to_record(mlflow_interpret.explain(model, rows, rows[:5], **options))
    local = explained.local_values
    if local.ndim == 3:
        local = local[1] if len(local) == 2 else np.concatenate(list(local), axis=1)
    np.testing.assert_allclose(table.filter(like="contribution/"), local)
    assert table["prediction"].tolist() == model.predict(rows[:5]).tolist()
    if options:
        assert [name for name in table if name.startswith("expected")] == [
            "expected_value/a", "expected_value/b", "expected_value/c"
        ]  # fmt: skip


def test_lightgbm_predicts_unseen_categories_as_missing():
    rows = MIXED[["bmi", "age"]]
    regressor = pytest.importorskip("lightgbm").LGBMRegressor
    model = regressor(n_estimators=5, verbose=-1).fit(rows, PROGRESSION)
    new = pd.DataFrame({"bmi": [0.1, 0.1, -0.1], "age": ["old", "zz", "young"]})
    table = log_and_load(model, rows).predict(new)
    known = new.assign(age=["old", None, "young"])
    expected = model.predict(known.astype({"age": pd.CategoricalDtype(["young", "old"])}))
    np.testing.assert_allclose(table["prediction"], expected)
    sums = table["expected_value"] + table.filter(like="contribution/").sum(axis=1)
    np.testing.assert_allclose(sums, expected)


def test_texts_have_the_contribution_of_the_whole_text():
    texts = ["good film", "bad film", "good book", "bad book"] * 5
    model = make_pipeline(CountVectorizer(), LogisticRegression())
    model.fit(texts, [text.startswith("good") for text in texts])
    table = log_and_load(model, texts).predict(pd.DataFrame({"text": ["good film", "bad film"]}))
    assert list(table) == ["prediction", "expected_value", "contribution/text"]
    log_odds = model.decision_function(["good film", "bad film"])
    np.testing.assert_allclose(table["expected_value"] + table["contribution/text"], log_odds)


def test_warnings_of_other_threads_are_shown():
    logger, shown = logging.getLogger("mlflow.of_another_library"), []
    logger.setLevel(logging.WARNING)  # other tests change the level of MLflow
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(record.getMessage())
    logging.getLogger("mlflow").addHandler(handler)
    try:
        with explainable_model._without_advice():
            logger.warning("advice")
            logger.error("an error")
            thread = threading.Thread(target=logger.warning, args=("of another thread",))
            thread.start()
            thread.join()
        logger.warning("later")
    finally:
        logging.getLogger("mlflow").removeHandler(handler)
    assert shown == ["an error", "of another thread", "later"]


def test_what_is_not_allowed():
    with pytest.raises(OptionError, match="initialization_examples must be a table of rows"):
        mlflow_interpret.log_explainable_model(LinearRegression(), None)
    with pytest.raises(CannotExplainError):
        mlflow_interpret.log_explainable_model(LinearRegression(), DIABETES)  # not fitted
    with pytest.raises(OptionError, match="output must be"):
        mlflow_interpret.log_explainable_model(LinearRegression(), DIABETES, output="none")
