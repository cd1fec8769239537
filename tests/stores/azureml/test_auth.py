"""The log-in: its identity, its errors, and that it asks no person."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("azure.identity", reason="needs: pip install 'mlflow-interpret[azure]'")

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml import auth


@pytest.fixture
def nobody(laptop, monkeypatch):
    """A machine without any log-in."""
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    # No command line tool with a log-in, and no address of a managed identity.
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")


def test_a_service_principal_of_the_environment_logs_in(laptop):
    login = auth.log_in()
    assert login.source == "EnvironmentCredential"
    assert login.token in laptop.secrets
    assert login.token not in repr(login)


def test_the_error_of_a_wrong_secret_does_not_show_it(laptop, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong-Secret-5")
    with pytest.raises(AzureMLError, match="az login") as error:
        auth.log_in()
    assert "wrong-Secret-5" not in str(error.value)
    assert "\n" not in str(error.value)


def test_nobody_is_prompted_to_log_in(nobody, monkeypatch, capfd):
    calls = []
    monkeypatch.setattr("webbrowser.open", lambda *args, **_: calls.append(args))
    monkeypatch.setattr("webbrowser.get", lambda *args: calls.append(args))
    with pytest.raises(AzureMLError, match="AZURE_CLIENT_ID"):
        auth.log_in()
    assert calls == []
    assert "devicelogin" not in "".join(capfd.readouterr())


def test_the_log_in_has_a_timeout(laptop):
    laptop.fail("*", "login.microsoftonline.com", hang=600.0)
    with pytest.raises(AzureMLError, match=r"within 1 seconds; log in"):
        auth.log_in(seconds=1.0)


def test_a_missing_package_names_the_extra(laptop, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(AzureMLError, match=r"pip install 'mlflow-interpret\[azure\]'"):
        auth.log_in()
