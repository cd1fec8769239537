"""What the doctor finds in each situation, that it is quick, and that it keeps secrets."""

from __future__ import annotations

import os

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner

from conftest import enter
from explanation_cases import made
from mlflow_interpret import doctor
from mlflow_interpret.cli import main
from mlflow_interpret.runtime import versions
from mlflow_interpret.runtime.versions import Installed
from mlflow_interpret.stores import spool


def findings(uri, topic, workspace=None):
    # The others are not asked: some of them take their time.
    probes = {
        "versions": doctor._versions,
        "MLflow store": lambda: doctor._store(uri),
        "Azure ML": lambda: doctor._azure(uri, workspace),
        "spool": doctor._spool,
    }
    return list(probes[topic]())


def states(found):
    return {each.state for each in found}


def text(found):
    return " | ".join(f"{each.text} -> {each.remedy}" for each in found)


def test_a_machine_where_all_is_well(store):
    done = CliRunner().invoke(main, ["doctor", "--tracking-uri", store])
    assert done.exit_code == 0, done.output
    assert "BROKEN" not in done.output
    assert f"{store} answers and can be written" in done.output
    assert "no job, and the tracking URI is no azureml:// one" in done.output
    assert f"numpy {np.__version__}" in done.output
    assert f"mlflow {mlflow.__version__}" in done.output
    assert len(done.output.splitlines()) < 40


def test_a_store_that_is_not_there_yet_is_not_made(tmp_path):
    path = tmp_path / "new" / "mlflow.db"
    (found,) = findings(f"sqlite:///{path}", "MLflow store")
    assert (found.state, "does not exist yet" in found.text) == ("ok", True)
    assert not path.parent.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_database_that_cannot_be_written_is_broken(tmp_path):
    path = tmp_path / "mlflow.db"
    path.touch(mode=0o400)
    assert states(findings(f"sqlite:///{path}", "MLflow store")) == {"broken"}


def test_a_server_that_does_not_answer_is_broken_and_its_password_hidden(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    arguments = ["doctor", "--tracking-uri", "http://me:pass-word-9@127.0.0.1:9"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "BROKEN" in done.output
    assert "http://127.0.0.1:9 does not answer" in done.output
    assert "pass-word-9" not in done.output


def job(laptop, tmp_path, monkeypatch, **changes):
    run_id = laptop.create_run("an experiment")
    enter(monkeypatch, laptop.job_environment(run_id, tmp_path / "job", **changes))
    return run_id


def test_a_job_is_seen_with_its_token(laptop, tmp_path, monkeypatch):
    run_id = job(laptop, tmp_path, monkeypatch)
    found = list(doctor.examine("sqlite:///none.db"))
    assert "broken" not in states(found)
    shown = text(found)
    assert f"this process is the job {run_id}" in shown
    assert "the job's token, valid for 24.0 hours" in shown
    assert "ExplanationClient" in shown or "our own writer: azureml-interpret is not" in shown
    assert os.environ["AZUREML_RUN_TOKEN"] not in shown


def test_a_job_s_token_that_has_expired_is_broken(laptop, tmp_path, monkeypatch):
    job(laptop, tmp_path, monkeypatch, token_lifetime=-60)
    found = findings("sqlite:///none.db", "Azure ML")
    assert "has expired" in text(found)
    assert "broken" in states(found)


def test_half_a_job_says_what_lacks(laptop, tmp_path, monkeypatch):
    job(laptop, tmp_path, monkeypatch)
    monkeypatch.delenv("AZUREML_RUN_TOKEN")
    found = findings("sqlite:///none.db", "Azure ML")
    assert "AZUREML_RUN_TOKEN are not set" in text(found)
    assert states(found) == {"note", "ok"}


needs_identity = pytest.mark.skipif(
    not doctor._is_installed("azure.identity"),
    reason="needs: pip install 'mlflow-interpret[azure]'",
)


@needs_identity
def test_a_workspace_that_is_named_is_asked(laptop):
    found = findings("sqlite:///none.db", "Azure ML", laptop.workspace_coordinates.scope)
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
    there = doctor._is_installed
    monkeypatch.setattr(doctor, "_is_installed", lambda name: name != "azureml.mlflow")
    found = findings(uri, "Azure ML")
    assert states(found) == {"broken"}
    assert "pip install 'mlflow-interpret[azure]'" in text(found)
    monkeypatch.setattr(
        doctor, "_is_installed", lambda name: name == "azureml.mlflow" or there(name)
    )
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda *args, **_: asked.append(args))
    found = findings(uri, "Azure ML")
    assert states(found) == {"ok"}
    assert asked == []


def test_why_the_client_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_is_installed", lambda _: True)
    package = tmp_path / "azureml" / "interpret"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text("raise ImportError('needs numpy below 1.24')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "needs numpy below 1.24" in doctor._why_no_client()
    (package / "__init__.py").write_text("ExplanationClient = None")
    assert doctor._why_no_client() is None


def test_what_waits_in_the_spool_is_counted(store):
    spool.keep(made(), spool.Entry(store, None, {"top_k": 3}))
    (found,) = findings(store, "spool")
    assert found.state == "note"
    assert found.text.startswith("1 explanation waits in")
    assert found.remedy == "mlflow-interpret flush"


def test_what_is_missing_has_its_pip_command(store, monkeypatch):
    lacking = Installed("lightgbm", ">=4.7", None, "lightgbm")
    old = Installed("xgboost", ">=3.2", "1.0", "xgboost")
    fine = Installed("catboost", ">=1", "1.2", "catboost")
    extras = {"lightgbm": [lacking], "xgboost": [old], "catboost": [fine]}
    monkeypatch.setattr(versions, "optional", lambda: extras)
    monkeypatch.setattr(versions, "needed", lambda: [Installed("numpy", "<2.3", "2.5", None)])
    shown = text(doctor.examine(store))
    assert 'pip install "mlflow-interpret[lightgbm,xgboost]"' in shown
    assert "lightgbm is missing" in shown
    assert "xgboost 1.0 (tested: >=3.2)" in shown
    assert 'numpy 2.5 (tested: <2.3) -> pip install "numpy<2.3"' in shown
    monkeypatch.setattr(versions, "needed", lambda: [Installed("numpy", "<2.3", None, None)])
    assert states(findings(store, "versions")) == {"ok", "broken"}


def test_a_probe_that_fails_keeps_no_other(store, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "t0ken-value")

    def fail():
        raise RuntimeError("no such thing as t0ken-value")

    monkeypatch.setattr(spool, "folders", fail)
    found = list(doctor.examine(store))
    assert found[-1].topic == "optional"
    (broken,) = [each for each in found if each.state == "broken"]
    assert broken.text == "RuntimeError: no such thing as ***"
