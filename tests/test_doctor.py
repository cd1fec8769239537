"""Findings of the doctor, their remedies, and secrets that it does not print."""

from __future__ import annotations

import os

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner

from explanation_cases import made
from mlflow_interpret import doctor, interpret_community
from mlflow_interpret.cli import main
from mlflow_interpret.runtime import versions
from mlflow_interpret.runtime.versions import Installed
from mlflow_interpret.stores import spool


def findings(uri, topic):
    # The others are not asked: some of them take their time.
    probes = {
        "versions": doctor._versions,
        "explanations": doctor._explanations,
        "optional": doctor._optional,
        "MLflow store": lambda: doctor._store(uri),
        "spool": doctor._spool,
    }
    return list(probes[topic]())


def states(found):
    return {finding.state for finding in found}


def text(found):
    return " | ".join(f"{finding.text} -> {finding.remedy}" for finding in found)


def test_a_machine_without_problems(store):
    done = CliRunner().invoke(main, ["doctor", "--tracking-uri", store])
    assert done.exit_code == 0, done.output
    assert "BROKEN" not in done.output
    assert f"{store} answers and can be written" in done.output
    assert "no job, and the tracking URI is not an azureml:// one" in done.output
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


def test_explanations_in_the_spool_are_counted(store):
    spool.keep(made(), spool.Entry(store, None, {"top_k": 3}))
    (found,) = findings(store, "spool")
    assert found.state == "note"
    assert found.text.startswith("1 explanation waits in")
    assert found.remedy == "mlflow-interpret flush"


def test_missing_packages_have_a_pip_command(store, monkeypatch):
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
    (broken,) = [finding for finding in found if finding.state == "broken"]
    assert broken.text == "RuntimeError: no such thing as ***"


@pytest.mark.parametrize(
    ("numpy", "shap", "remedy"),
    [
        ("2.5.5", "0.46.0", 'pip install "numpy<2.3"'),
        ("2.2.6", "0.40.0", "pip uninstall interpret-community"),
    ],
)
def test_an_interpret_community_that_fails_at_import_is_absent(
    store, monkeypatch, numpy, shap, remedy
):
    installed = {"numpy": numpy, "shap": shap, "interpret-community": "0.32.0"}
    monkeypatch.setattr(versions, "version_of", installed.get)
    monkeypatch.setattr(doctor.diagnosis, "is_installed", lambda _: True)
    monkeypatch.setattr(doctor, "_import_error", lambda: "TypeError: Converting np.inexact")
    (finding,) = findings(store, "explanations")
    assert finding.state == "note"
    assert "0.32.0 cannot be imported with shap" in finding.text
    assert "mlflow_interpret.GlobalExplanation" in finding.text
    assert remedy in finding.remedy


def test_without_interpret_community_the_extra_is_named_if_it_changes_nothing(store, monkeypatch):
    monkeypatch.setattr(doctor.diagnosis, "is_installed", lambda _: False)
    missing = Installed("interpret-community", ">=0.31", None, "interpret")
    for numpy, offered in (("2.2", True), ("2.5", False)):
        bounded = Installed("numpy", "<2.3", numpy, "interpret")
        monkeypatch.setattr(versions, "optional", lambda b=bounded: {"interpret": [missing, b]})
        (finding,) = findings(store, "explanations")
        assert finding.state == "ok"
        assert "GlobalExplanation" in finding.text
        assert (finding.remedy is not None) is offered
        shown = text(findings(store, "optional"))
        assert ("installing it changes numpy to <2.3" in shown) is not offered
        assert ('pip install "mlflow-interpret[interpret]"' in shown) is offered


def test_the_type_of_explanations_is_named(store, monkeypatch):
    monkeypatch.setattr(doctor, "_IMPORT_SECONDS", 300.0)
    (finding,) = findings(store, "explanations")
    assert finding.state == "ok"
    expected = "interpret-community 0" if interpret_community.is_available() else "GlobalExpl"
    assert expected in finding.text
