"""Stores that do not answer are noticed within seconds."""

from __future__ import annotations

import os
import socket

import pytest

from mlflow_interpret.core.errors import TrackingUnavailableError
from mlflow_interpret.stores.mlflow import connection


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


def test_a_missing_server_is_noticed_before_mlflow_retries():
    with pytest.raises(TrackingUnavailableError, match="http://127.0.0.1:9. Start it") as error:
        connection.check_reachable("http://me:hunter2@127.0.0.1:9")
    assert "hunter2" not in str(error.value)
    connection.check_reachable("sqlite:///anything.db")
    connection.check_reachable("databricks")


def test_a_server_that_never_answers_is_noticed(monkeypatch):
    monkeypatch.setattr(connection, "_PROBE_SECONDS", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(TrackingUnavailableError):
        connection.check_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_servers_behind_a_proxy_are_not_probed(monkeypatch):
    """The proxy that is set may be for other hosts."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(TrackingUnavailableError):
        connection.check_reachable("http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    connection.check_reachable("http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    with pytest.raises(TrackingUnavailableError):
        connection.check_reachable("http://127.0.0.1:9")


def test_a_read_only_database_is_noticed(tmp_path):
    with pytest.raises(TrackingUnavailableError, match="cannot be written"):
        connection.check_reachable(f"sqlite:///{tmp_path / 'no such folder' / 'mlflow.db'}")
    connection.check_reachable(f"sqlite:///{tmp_path / 'mlflow.db'}")
