"""Uploads to blobs: small files in one request, large files in chunks and with little memory."""

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
    """A link that creates a blob."""
    run = double.runs[run_id]
    where = double.workspace_coordinates
    scope = f"https://eastus.api.azureml.ms/artifact/v2.0{where.scope}/artifacts"
    url = f"{scope}/batch/metadata/ExperimentRun/{run['dataContainerId']}"
    with closing(HttpClient(double.issue_token(run_id), 30.0)) as client:
        answer = client.request("Reserving", "POST", url, json={"paths": [{"path": NAME}]})
    return answer["artifactContentInformation"][NAME]["contentUri"]


def upload(link: str, path, seconds: float = 60.0) -> None:
    with closing(HttpClient("unused", seconds)) as client:
        blobs.upload(client, "Writing", link, path)


@pytest.mark.parametrize(
    "size", [0, 7, blobs._CHUNK_SIZE, blobs._CHUNK_SIZE + 1, 2 * blobs._CHUNK_SIZE]
)
def test_a_file_arrives_unchanged(double, run_id, link, tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    upload(link, path)
    assert double.read_artifact(run_id, NAME) == path.read_bytes()


@pytest.mark.parametrize("double", ["azurite"], indirect=True)
def test_chunks_become_a_file_in_azurite(double, run_id, link, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(2 * blobs._CHUNK_SIZE + 3))
    upload(link, path)
    assert double.read_artifact(run_id, NAME) == path.read_bytes()


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}, {"lose_answer": True}])
def test_a_chunk_is_repeated_but_not_the_file(double, run_id, link, tmp_path, fault):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 * blobs._CHUNK_SIZE))
    active = double.fail("PUT", "/explanation/", **fault, times=1, skip=1)
    before = len(double.requests)
    upload(link, path)
    assert active.hits == 1
    assert double.read_artifact(run_id, NAME) == path.read_bytes()
    chunks = [r for r in double.requests[before:] if r.query.get("comp") == "block"]
    assert [chunk.body_size for chunk in chunks] == [blobs._CHUNK_SIZE] * 4


def test_a_large_file_needs_the_memory_of_a_chunk(double, link, tmp_path, monkeypatch):
    """The double runs in this process, so it discards the file here."""
    monkeypatch.setattr(double._cloud.blobs.__class__, "answer", lambda self, request: _created())
    monkeypatch.setattr(blobs, "_CHUNK_SIZE", 256 * 1024)
    path = tmp_path / "file"
    path.write_bytes(bytes(16 * 1024 * 1024))
    upload(link, path)  # imports and connections
    tracemalloc.start()
    try:
        upload(link, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def _created():
    from azureml_double.messages import Response

    return Response(201, headers={"ETag": '"1"', "Last-Modified": "Wed, 25 Nov 2026 00:00:00 GMT"})


def test_the_error_of_a_refused_link_has_no_signature(double, link, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    double.fail("PUT", "/explanation/", status=403)
    with pytest.raises(RefusedError, match="403") as error:
        upload(link, path)
    assert not any(secret in str(error.value) for secret in double.secrets)


def test_a_link_without_encryption_is_not_used(tmp_path):
    with pytest.raises(AzureMLError, match="without encryption"):
        upload("http://account.blob.core.windows.net/c/b?sig=x", tmp_path / "file")


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)
    with pytest.raises(AzureMLError, match=r"pip install 'mlflow-interpret\[azure\]'"):
        upload("https://account.blob.core.windows.net/c/b?sig=x", tmp_path / "file")
