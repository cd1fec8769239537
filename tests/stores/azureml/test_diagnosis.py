"""Findings about Azure ML on this machine, for the doctor."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from conftest import enter
from mlflow_interpret import doctor
from mlflow_interpret.cli import main
from mlflow_interpret.stores.azureml import diagnosis

needs_identity = pytest.mark.skipif(
    not diagnosis.is_installed("azure.identity"),
    reason="needs: pip install 'mlflow-interpret[azure]'",
)


def findings(uri, location=None):
    return list(diagnosis.examine_access(uri, location))


def states(findings):
    return {finding.state for finding in findings}


def text(findings):
    return " | ".join(f"{finding.text} -> {finding.remedy}" for finding in findings)


def job(laptop, tmp_path, monkeypatch, **changes):
    run_id = laptop.create_run("an experiment")
    enter(monkeypatch, laptop.job_environment(run_id, tmp_path / "job", **changes))
    return run_id


def test_a_job_and_its_token_are_recognised(laptop, tmp_path, monkeypatch):
    run_id = job(laptop, tmp_path, monkeypatch)
    found = list(doctor.examine("sqlite:///none.db"))
    assert "broken" not in states(found)
    report = text(found)
    assert f"this process is the job {run_id}" in report
    assert "the job's token, valid for 24.0 hours" in report
    assert (
        "ExplanationClient" in report
        or "by mlflow-interpret itself: azureml-interpret is not" in report
    )
    assert os.environ["AZUREML_RUN_TOKEN"] not in report


def test_an_expired_token_of_a_job_is_broken(laptop, tmp_path, monkeypatch):
    job(laptop, tmp_path, monkeypatch, token_lifetime=-60)
    found = findings("sqlite:///none.db")
    assert "has expired" in text(found)
    assert "broken" in states(found)


def test_the_missing_variables_of_a_job_are_named(laptop, tmp_path, monkeypatch):
    job(laptop, tmp_path, monkeypatch)
    monkeypatch.delenv("AZUREML_RUN_TOKEN")
    found = findings("sqlite:///none.db")
    assert "AZUREML_RUN_TOKEN are not set" in text(found)
    assert states(found) == {"note", "ok"}


@needs_identity
def test_a_named_workspace_is_checked(laptop):
    found = findings("sqlite:///none.db", laptop.workspace_coordinates.scope)
    assert states(found) == {"ok"}
    assert "EnvironmentCredential" in text(found)
    assert "workspace double-workspace answers at https://eastus.api.azureml.ms" in text(found)


@needs_identity
@pytest.mark.parametrize("fault", ["secret", "forbidden"])
def test_a_workspace_that_cannot_be_used_is_broken(laptop, monkeypatch, fault):
    if fault == "secret":
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong-Secret-3")
    else:
        laptop.fail("GET", "/rp/workspaces", status=403)
    scope = laptop.workspace_coordinates.scope
    done = CliRunner().invoke(
        main, ["doctor", "--tracking-uri", "sqlite:///none.db", "--workspace", scope]
    )
    assert done.exit_code == 1
    assert ("az login" if fault == "secret" else "answered 403") in done.output
    secrets = {"wrong-Secret-3", *laptop.secrets}
    assert not any(secret in done.output for secret in secrets)


@needs_identity
def test_an_azureml_uri_needs_the_plug_in_and_a_login(laptop, monkeypatch):
    uri = laptop.workspace_coordinates.tracking_uri
    is_installed = diagnosis.is_installed
    monkeypatch.setattr(diagnosis, "is_installed", lambda name: name != "azureml.mlflow")
    found = findings(uri)
    assert states(found) == {"broken"}
    assert "pip install 'mlflow-interpret[azure]'" in text(found)
    monkeypatch.setattr(
        diagnosis, "is_installed", lambda name: name == "azureml.mlflow" or is_installed(name)
    )
    calls = []
    monkeypatch.setattr("webbrowser.open", lambda *args, **_: calls.append(args))
    found = findings(uri)
    assert states(found) == {"ok"}
    assert calls == []


def test_the_error_of_an_import_of_the_client_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(diagnosis, "is_installed", lambda _: True)
    package = tmp_path / "azureml" / "interpret"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text("raise ImportError('needs numpy below 1.24')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "needs numpy below 1.24" in diagnosis.client_import_error()
    (package / "__init__.py").write_text("ExplanationClient = None")
    assert diagnosis.client_import_error() is None
