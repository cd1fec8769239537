"""Files on their way to blobs: small ones in one piece, large ones in blocks and little memory."""

from __future__ import annotations

import os
import sys
import tracemalloc
from contextlib import closing

import pytest

from azureml_double import AzureMLDouble
from azureml_double.conftest import require_azurite
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.stores.azureml import blobs
from mlflow_interpret.stores.azureml.http import HttpClient, RefusedError

NAME = "explanation/1/x"


@pytest.fixture
def double(request, tmp_path, monkeypatch):
    storage = getattr(request, "param", "memory")
    if storage == "azurite":
        require_azurite()
    with AzureMLDouble(blobs=storage) as running:
        environment = running.laptop_environment(tmp_path / "home")
        for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE"):
            monkeypatch.setenv(name, environment[name])
        monkeypatch.setattr("mlflow_interpret.stores.azureml.http._FIRST_WAIT", 0.01)
        yield running


@pytest.fixture
def run_id(double) -> str:
    return double.create_run()


@pytest.fixture
def link(double, run_id) -> str:
    """A link to write a new blob."""
    run = double.runs[run_id]
    where = double.workspace_coordinates
    scope = f"https://eastus.api.azureml.ms/artifact/v2.0{where.scope}/artifacts"
    url = f"{scope}/batch/metadata/ExperimentRun/{run['dataContainerId']}"
    with closing(HttpClient(double.issue_token(run_id), 30.0)) as calls:
        answer = calls.ask("Reserving", "POST", url, body={"paths": [{"path": NAME}]})
    return answer["artifactContentInformation"][NAME]["contentUri"]


def put(link: str, path, seconds: float = 60.0) -> None:
    with closing(HttpClient("unused", seconds)) as calls:
        blobs.put(calls, "Writing", link, path)


@pytest.mark.parametrize("size", [0, 7, blobs._PIECE, blobs._PIECE + 1, 2 * blobs._PIECE])
def test_a_file_arrives_as_it_is(double, run_id, link, tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    put(link, path)
    assert double.read_artifact(run_id, NAME) == path.read_bytes()


@pytest.mark.parametrize("double", ["azurite"], indirect=True)
def test_blocks_make_a_file_in_a_real_emulator(double, run_id, link, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(2 * blobs._PIECE + 3))
    put(link, path)
    assert double.read_artifact(run_id, NAME) == path.read_bytes()


@pytest.mark.parametrize("trouble", [{"status": 503}, {"drop": True}, {"lose_answer": True}])
def test_a_block_is_repeated_and_not_the_file(double, run_id, link, tmp_path, trouble):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 * blobs._PIECE))
    fault = double.fail("PUT", "/explanation/", **trouble, times=1, skip=1)
    before = len(double.requests)
    put(link, path)
    assert fault.hits == 1
    assert double.read_artifact(run_id, NAME) == path.read_bytes()
    pieces = [r for r in double.requests[before:] if r.query.get("comp") == "block"]
    assert [piece.body_size for piece in pieces] == [blobs._PIECE] * 4


def test_a_large_file_needs_the_memory_of_a_piece(double, link, tmp_path, monkeypatch):
    """The double is this process, too: what it receives is thrown away here."""
    monkeypatch.setattr(double._cloud.blobs.__class__, "answer", lambda self, request: _created())
    monkeypatch.setattr(blobs, "_PIECE", 256 * 1024)
    path = tmp_path / "file"
    path.write_bytes(bytes(16 * 1024 * 1024))
    put(link, path)  # imports and connections
    tracemalloc.start()
    try:
        put(link, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def _created():
    from azureml_double.messages import Response

    return Response(201, headers={"ETag": '"1"', "Last-Modified": "Wed, 25 Nov 2026 00:00:00 GMT"})


def test_a_refused_link_is_told_without_its_signature(double, link, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    double.fail("PUT", "/explanation/", status=403)
    with pytest.raises(RefusedError, match="403") as error:
        put(link, path)
    assert not any(secret in str(error.value) for secret in double.secrets)


def test_a_link_without_encryption_is_not_used(tmp_path):
    with pytest.raises(AzureMLError, match="not encrypted"):
        put("http://account.blob.core.windows.net/c/b?sig=x", tmp_path / "file")


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)
    with pytest.raises(AzureMLError, match=r"pip install 'mlflow-interpret\[azure\]'"):
        put("https://account.blob.core.windows.net/c/b?sig=x", tmp_path / "file")
