"""Remedies in messages work: each is run by a test."""

from __future__ import annotations

import logging
import re
import shlex

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret.cli import main
from mlflow_interpret.stores import spool

X, y = load_iris(return_X_y=True, as_frame=True)


def fit():
    DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)


def warning(caplog):
    """The only warning."""
    (text,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    return text


def run_command(text, **words):
    """Run the command at the end of a message, with words replaced, and return its output."""
    command = re.search(r"mlflow-interpret ([^,]*)", text.split("; log it later with:")[1])[1]
    for word, value in words.items():
        command = re.sub(rf"\b{word}\b", value, command)
    done = CliRunner().invoke(main, shlex.split(command))
    assert done.exit_code == 0, done.output
    return done.output


def is_explained(run_id, uri):
    tags = MlflowClient(uri).get_run(run_id).data.tags
    return tags.get("mlflow_interpret.status") == "complete"


def test_an_explanation_for_a_run_in_another_store_is_logged_by_the_command(
    store, other_store, caplog
):
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        mlflow.set_tracking_uri(other_store)
        fit()
        mlflow.set_tracking_uri(store)
    text = warning(caplog)
    assert f"does not exist in {other_store}" in text
    assert "MLFLOW_TRACKING_URI" not in text  # the command would go to the other store
    mlflow.set_tracking_uri(other_store)
    run_command(text, URI=store)
    assert is_explained(run.info.run_id, store)
    assert spool.folders() == []


def test_an_explanation_that_a_store_refused_is_logged_by_the_command(store, tmp_path, caplog):
    mlflow_interpret.autolog(log_figures=False)
    in_the_way = tmp_path / "artifacts"
    in_the_way.write_text("a file where the store wants a folder")
    with mlflow.start_run() as run:
        fit()
    in_the_way.unlink()
    run_command(warning(caplog))
    assert is_explained(run.info.run_id, store)


def test_an_explanation_for_an_address_with_a_password_is_logged_by_the_command(store, caplog):
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        mlflow.set_tracking_uri("http://user:hunter2@127.0.0.1:9")  # nothing listens there
        fit()
        mlflow.set_tracking_uri(store)
    text = warning(caplog)
    assert "hunter2" not in text
    run_command(text, URI=store)
    assert is_explained(run.info.run_id, store)


def test_the_variable_names_a_folder_that_can_be_written(store, tmp_path, caplog, monkeypatch):
    mlflow_interpret.autolog(log_figures=False)
    (tmp_path / "artifacts").write_text("a file where the store wants a folder")
    (tmp_path / "spool").write_text("a file where the spool would be")
    with mlflow.start_run():
        fit()
        variable = re.search(r"environment variable (\w+)", warning(caplog))[1]
        monkeypatch.setenv(variable, str(tmp_path / "other spool"))
        fit()
    assert len(spool.folders()) == 1


@pytest.fixture
def other_store(store, tmp_path):
    """The URI of a second store."""
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    (tmp_path / "other.db").write_bytes((tmp_path / "mlflow.db").read_bytes())
    return uri
