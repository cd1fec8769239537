"""Explanations read from Azure ML, and refusals of malicious or broken assets."""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import formatdate

import numpy as np
import pytest
from click.testing import CliRunner

import mlflow_interpret
from azureml_double.artifacts import blob_name
from azureml_double.blobs import Blob
from azureml_double.tokens import USER
from azureml_double.workspace import API_URL
from explanation_cases import CASES, check_equal, made
from mlflow_interpret.cli import main
from mlflow_interpret.core.errors import (
    AzureMLError,
    ExplanationNotFoundError,
    OptionError,
    RunNotFoundError,
)
from mlflow_interpret.stores.azureml import asset_reader, blobs, rest_writer
from mlflow_interpret.stores.azureml.asset_reader import Selection
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace

SECONDS = 60.0


@pytest.fixture
def workspace(laptop) -> AzureWorkspace:
    own = laptop.workspace_coordinates
    token = laptop._cloud.tokens.issue(USER, own.client_id)
    return AzureWorkspace(own.subscription_id, own.resource_group, own.name, token, API_URL)


@pytest.fixture
def run_id(laptop) -> str:
    return laptop.create_run("an experiment")


def upload(workspace, run_id, explanation, comment=None):
    run = AzureRun(workspace, "an experiment", run_id)
    rest_writer.write(explanation, run, comment, SECONDS)


@pytest.mark.parametrize("case", CASES)
def test_an_uploaded_explanation_is_read_back(workspace, run_id, case):
    upload(workspace, run_id, CASES[case], "a comment, of a = b")
    found = asset_reader.read(workspace, run_id, Selection(comment="a comment, of a = b"))
    check_equal(found, CASES[case])
    assert found.details.extra["comment"] == "a comment, of a = b"


def test_rows_and_labels_are_read_back_if_they_are_complete(workspace, run_id):
    explanation = CASES["three classes"]
    upload(workspace, run_id, explanation)
    found = asset_reader.read(workspace, run_id, Selection())
    assert found.evaluation_rows.equals(explanation.evaluation_rows)
    assert found.true_labels.tolist() == explanation.true_labels.tolist()
    assert found.predicted.tolist() == explanation.predicted.tolist()
    np.testing.assert_array_equal(
        found.predicted_probabilities, explanation.predicted_probabilities
    )


def test_a_sample_of_the_rows_is_left_out(workspace, run_id):
    upload(workspace, run_id, CASES["more rows than are shown"])
    found = asset_reader.read(workspace, run_id, Selection())
    assert found.local_values.shape == (2, 5003, 2)
    assert found.evaluation_rows is found.predicted is found.true_labels is None
    assert any("sample" in note for note in found.details.to_json()["notes"])


@pytest.fixture
def several(laptop, workspace):
    """A run with two explanations of two views each."""
    run_id = laptop.create_run("an experiment")
    both = [made(is_raw=True, engineered=made(features=6, is_engineered=True)) for _ in range(2)]
    for explanation, comment in zip(both, ("first", "second")):
        upload(workspace, run_id, explanation, comment)
    return run_id, *both


@pytest.mark.parametrize(
    ("selection", "number", "engineered"),
    [
        (Selection(), 1, False),
        (Selection(comment="first"), 0, False),
        (Selection(comment="first", engineered=True), 0, True),
        (Selection(engineered=True), 1, True),
        (Selection(raw=True), 1, False),
    ],
)
def test_the_latest_match_is_read(workspace, several, selection, number, engineered):
    run_id, *both = several
    expected = both[number].engineered if engineered else both[number]
    assert asset_reader.read(workspace, run_id, selection).id == expected.id


def test_an_explanation_is_found_by_its_id(workspace, several):
    run_id, first, second = several
    for expected in (first, first.engineered, second, second.engineered):
        assert asset_reader.read(workspace, run_id, Selection(expected.id)).id == expected.id


@pytest.mark.parametrize("selection", [Selection("other"), Selection(comment="third")])
def test_a_missing_explanation_is_an_error(workspace, several, selection):
    with pytest.raises(ExplanationNotFoundError, match="None of the 4 explanations"):
        asset_reader.read(workspace, several[0], selection)


def test_the_public_function_reads_from_a_named_workspace(laptop, several, store):
    pytest.importorskip("azure.identity", reason="needs: pip install 'mlflow-interpret[azure]'")
    run_id, first, _ = several
    scope = laptop.workspace_coordinates.scope
    found = mlflow_interpret.load_explanation(run_id, workspace=scope, comment="first", raw=True)
    assert found.id == first.id
    expected = dict(zip(first.features, first.global_values.tolist(), strict=True))
    assert found.get_feature_importance_dict() == expected
    np.testing.assert_array_equal(found.local_importance_values, first.local_values)
    done = CliRunner().invoke(main, ["show", run_id, "--workspace", scope])
    assert done.exit_code == 0, done.output
    assert "column 0" in done.output
    with pytest.raises(RunNotFoundError, match=r"sqlite.*MLFLOW_TRACKING_URI"):
        mlflow_interpret.load_explanation(run_id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engineered": True, "raw": True}, "raw must be False if engineered is True"),
        ({"workspace": "space"}, "workspace must be a Workspace"),
    ],
)
def test_arguments_that_are_not_allowed_are_errors(arguments, message):
    with pytest.raises(OptionError, match=message):
        mlflow_interpret.load_explanation("run", **arguments)


def test_a_run_without_explanation_and_a_missing_run_are_errors(workspace, run_id):
    with pytest.raises(ExplanationNotFoundError, match="has no explanation"):
        asset_reader.read(workspace, run_id, Selection())
    with pytest.raises(RunNotFoundError, match="'no-such-run' does not exist in the workspace"):
        asset_reader.read(workspace, "no-such-run", Selection())


def put(laptop, run_id, path, content):
    """Store a file of a run in the double."""
    container = laptop.runs[run_id]["dataContainerId"]
    laptop._cloud.artifacts._artifacts.setdefault(container, {})[path] = {}
    blob = Blob(content, "application/octet-stream", '"1"', formatdate(usegmt=True))
    laptop._cloud.blobs._blobs[blob_name(container, path)] = blob


@pytest.mark.parametrize(
    "name",
    [
        "../../../../evil.interpret.json",
        "classes/../../evil.interpret.json",
        "..\\..\\evil.interpret.json",
        "C:\\evil.interpret.json",
    ],
)
def test_a_file_outside_of_the_folder_is_refused(laptop, workspace, run_id, tmp_path, name):
    explanation = made()
    upload(workspace, run_id, explanation)
    put(laptop, run_id, f"explanation/{explanation.id[:8]}/{name}", b'["evil"]')
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AzureMLError, match="outside of the explanation's folder"):
        asset_reader.read(workspace, run_id, Selection())
    assert sorted(tmp_path.rglob("*")) == before


def test_files_that_are_not_needed_are_not_downloaded(laptop, workspace, run_id):
    explanation = made()
    upload(workspace, run_id, explanation)
    folder = f"explanation/{explanation.id[:8]}"
    for name in ("model.pkl", "payload.interpret.json", "classes.interpret.json.pkl"):
        put(laptop, run_id, f"{folder}/{name}", b"\x80\x04cos\nsystem\n.")
    check_equal(asset_reader.read(workspace, run_id, Selection()), explanation)
    downloaded = [r.path for r in laptop.requests if r.method == "GET" and run_id in r.path]
    assert not any("pkl" in path or "payload" in path for path in downloaded)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'["one class"]', "not consistent"),
        (b"{}", "not consistent"),
        (b"7", "not consistent"),
    ],
)
def test_a_file_with_other_content_is_refused(laptop, workspace, run_id, content, message):
    explanation = made()
    upload(workspace, run_id, explanation)
    put(laptop, run_id, f"explanation/{explanation.id[:8]}/classes.interpret.json", content)
    with pytest.raises(AzureMLError, match=message):
        asset_reader.read(workspace, run_id, Selection())


@pytest.mark.parametrize("explanation_id", ["../../../..", "..", "", "a/b/c/d/e", "id\r\nx: y"])
def test_an_id_that_is_a_path_is_refused(laptop, workspace, run_id, explanation_id):
    upload(workspace, run_id, made())
    laptop.assets[-1]["properties"]["explanation_id"] = explanation_id
    with pytest.raises(AzureMLError, match="is not the id"):
        asset_reader.read(workspace, run_id, Selection())


def test_the_error_names_an_unknown_version(laptop, workspace, run_id):
    upload(workspace, run_id, made())
    laptop.assets[-1]["properties"]["version"] = "azureml.v9.model.explanation"
    with pytest.raises(AzureMLError, match=r"azureml\.v9"):
        asset_reader.read(workspace, run_id, Selection())


def test_the_total_size_is_limited(workspace, run_id, monkeypatch):
    upload(workspace, run_id, made(rows=500))
    monkeypatch.setattr(asset_reader, "_MAX_BYTES", 10_000)
    with pytest.raises(AzureMLError, match="more than the .* bytes allowed"):
        asset_reader.read(workspace, run_id, Selection())


def test_the_token_is_not_sent_to_the_host_of_a_next_page():
    class HttpClient:
        def request(self, operation, method, url, *, params):
            assert url == "https://host/assets"
            return {"value": [], "nextLink": "https://host.example.org/assets?page=2"}

    with pytest.raises(AzureMLError, match="another address"):
        asset_reader._all_pages(HttpClient(), "Looking", "https://host/assets", {})


def test_links_without_encryption_are_refused(workspace, run_id, monkeypatch):
    with pytest.raises(AzureMLError, match="without encryption"):
        blobs.download(None, "Reading", "http://host/blob?sig=secret", 10)


def sparse_of(values):
    from scipy import sparse

    matrix = sparse.csr_matrix(values)
    return [matrix.data.tolist(), matrix.indices.tolist(), matrix.indptr.tolist(), matrix.shape]


def test_sparse_local_values_are_read(laptop, workspace, run_id):
    values = np.array([[[0.0, 2.0, 0, 0], [1, 0, 0, 3]], [[0, 0, 0, 0], [0, 5, 0, 0]]])
    explanation = made(rows=2, local_values=values)
    upload(workspace, run_id, replace(explanation, local_values=None))
    path = f"explanation/{explanation.id[:8]}/local_importance_values_sparse.interpret.json"
    put(laptop, run_id, path, json.dumps([sparse_of(matrix) for matrix in values]).encode())
    found = asset_reader.read(workspace, run_id, Selection())
    np.testing.assert_array_equal(found.local_values, values)
