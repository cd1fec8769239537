"""log_data=False: no value of a row leaves the process; with True, the search finds the values.

Values are planted in the rows, labels and predictions. All that the double of Azure ML received,
the MLflow store with its artifacts and the spool are searched for them.
"""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.tree import DecisionTreeRegressor

import mlflow_interpret
from azureml_double import AzureMLDouble
from conftest import enter
from mlflow_interpret.stores import mlflow as mlflow_store
from programs import logging_to, run_python

# Each row has a number and a text of its own, and so have labels, which the tree learns by heart.
ROWS = 40
NUMBERS = [7131.0625 + 13.03125 * i for i in range(ROWS)]
TEXTS = [f"planted-text-{i:02}" for i in range(ROWS)]
LABELS = [90210.5 + 17.15625 * i for i in range(ROWS)]
PLANTED = [*map(repr, NUMBERS), *TEXTS, *map(repr, LABELS)]

PROGRAM = """
import mlflow, mlflow_interpret, numpy as np, pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeRegressor

X = pd.DataFrame({{"number": {numbers}, "text": {texts}}})
y = pd.Series({labels}, name="target")

front = make_column_transformer(
    (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["text"]),
    remainder="passthrough",
)
explained = make_pipeline(front, DecisionTreeRegressor(random_state=0))
mlflow_interpret.autolog(
    evaluation_examples=(X, y), log_data={log_data}, comment="a comment"
)
with mlflow.start_run():
    explained.fit(X, y)
assert mlflow_interpret.flush()
"""


def program(*, log_data: bool) -> str:
    return PROGRAM.format(log_data=log_data, numbers=NUMBERS, texts=TEXTS, labels=LABELS)


def readable(name: str, content: bytes) -> str:
    """The values in a file of any format."""
    if name.endswith(".parquet"):
        frame = pd.read_parquet(io.BytesIO(content))
        return frame.to_json(orient="split", double_precision=15)
    return content.decode(errors="replace")


def database(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        return "\n".join(connection.iterdump())


def in_folder(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): readable(path.name, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def in_azure(double: AzureMLDouble) -> dict[str, str]:
    """All that the double received: bodies, headers and blobs."""
    requests = [
        (request.method, request.host, request.path, request.query, dict(request.headers),
         request.body)
        for request in double.requests
    ]  # fmt: skip
    found = {"requests": json.dumps(requests), "assets": json.dumps(double.assets)}
    found["runs"] = json.dumps(double.runs)
    for run_id in double.runs:
        for path in double.artifacts(run_id):
            found[path] = readable(path, double.read_artifact(run_id, path))
    return found


def planted_in(places: dict[str, str]) -> dict[str, list[str]]:
    """Which places hold which of the planted values."""
    found = {
        name: [value for value in PLANTED if value in content] for name, content in places.items()
    }
    return {name: values for name, values in found.items() if values}


def received(tmp_path, store, code, run):
    """Run a program as an Azure ML job; all that was received and kept, by place."""
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("private")
        environment = logging_to(store, double.job_environment(run_id, tmp_path / "home"))
        environment["MLFLOW_INTERPRET_SPOOL"] = str(tmp_path / "spool")
        output = run(code, environment, tmp_path / "job")
        mlflow_places = in_folder(tmp_path / "artifacts")
        mlflow_places["database"] = database(Path(store.removeprefix("sqlite:///")))
        return in_azure(double), mlflow_places, output


def test_without_data_nothing_of_a_row_leaves_the_process(store, tmp_path):
    azure, kept, output = received(tmp_path, store, program(log_data=False), run_python)
    assert any(path.startswith("explanation/") for path in azure)
    assert any(path.endswith("explanation.json") for path in kept)
    assert planted_in(azure) == {}
    assert planted_in(kept) == {}
    assert planted_in({"output": output}) == {}
    assert not any(path.endswith(".parquet") for path in kept)
    assert not any("_viz" in path or "local" in path for path in azure)


@pytest.mark.usefixtures("_uploads_here")
def test_the_search_finds_what_is_logged_by_default(store, tmp_path, monkeypatch):
    """In this very process, which is quicker: here it is the search that is tested."""

    def run_here(code, environment, folder):
        enter(monkeypatch, environment)
        exec(code, {})

    azure, kept, _ = received(tmp_path, store, program(log_data=True), run_here)
    found = {value for values in planted_in(azure).values() for value in values}
    assert found == set(PLANTED)
    found = {value for values in planted_in(kept).values() for value in values}
    assert found == set(PLANTED)
    assert any("eval_data_viz" in path for path in planted_in(azure))
    assert any(path.endswith(".parquet") for path in planted_in(kept))


class Quotes(RegressorMixin, BaseEstimator):
    """A model whose errors quote its rows, as those of scikit-learn do."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        raise ValueError(f"could not convert {X.iloc[0, 1]!r} or {X.iloc[0, 0]!r}")


class OutOfMemory(Quotes):
    def predict(self, X):
        raise MemoryError(f"no room for {X.iloc[0, 1]!r}")


@pytest.mark.parametrize("log_data", [False, True])
@pytest.mark.parametrize("model", [Quotes(), OutOfMemory()])
def test_an_error_that_quotes_a_row_is_not_logged_without_data(
    store, tmp_path, capfd, log_data, model
):
    X, y = pd.DataFrame({"number": NUMBERS, "text": TEXTS}), np.array(LABELS)
    mlflow_interpret.autolog(log_data=log_data)
    with mlflow.start_run() as run:
        model.fit(X, y)
    mlflow_interpret.autolog(disable=True)
    kept = in_folder(tmp_path / "artifacts")
    kept["database"] = database(Path(store.removeprefix("sqlite:///")))
    kept["output"] = "".join(capfd.readouterr())
    reason = mlflow_store.status_of(run.info.run_id, store)["reason"]
    assert ("its text may hold" in reason or reason == "MemoryError") is not log_data
    assert bool(planted_in(kept)) is log_data


class Unpicklable(RegressorMixin, BaseEstimator):
    """A model that cannot be pickled; a note quotes its error."""

    def fit(self, X, y):
        self.kept_ = X.iloc[:3].to_numpy().tolist()
        return self

    def predict(self, X):
        return np.asarray(X["number"], dtype=float)

    def __getstate__(self):
        raise TypeError(f"cannot pickle {self.kept_}")


@pytest.mark.parametrize("again", [False, True])
def test_a_note_that_quotes_a_row_is_not_logged_without_data(store, tmp_path, again):
    """The explanation was computed, and perhaps logged, with rows before."""
    X = pd.DataFrame({"number": NUMBERS, "text": TEXTS})
    explanation = mlflow_interpret.explain(Unpicklable().fit(X, LABELS), X, n_jobs=2)
    places = []
    for log_data in (True, False):
        run_id = mlflow_interpret.log_explanation(explanation, log_data=log_data)
        places.append(in_folder(tmp_path / "artifacts" / run_id))
        if again:
            explanation = mlflow_interpret.load_explanation(run_id)
    statuses = [
        next(text for name, text in place.items() if name.endswith("status.json"))
        for place in places
    ]
    assert "cannot pickle [[7131.0625" in statuses[0]
    assert planted_in(places[1]) == {}
    assert "cannot be sent to other processes: TypeError (its text may hold" in statuses[1]


@pytest.mark.parametrize("log_data", [False, True])
def test_the_spool_holds_no_row_without_data(tmp_path, log_data):
    X = pd.DataFrame({"number": NUMBERS, "other": LABELS})
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    try:
        mlflow_interpret.autolog(evaluation_examples=(X, LABELS), log_data=log_data)
        DecisionTreeRegressor(random_state=0).fit(X, LABELS)
    finally:
        mlflow.set_tracking_uri(before)
    kept = in_folder(tmp_path / "spool")
    assert any(path.endswith("entry.json") for path in kept)
    assert bool(planted_in(kept)) is log_data
