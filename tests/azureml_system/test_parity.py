"""Explanations uploaded by ExplanationClient and by `rest_writer`: the double received the same.

The intended differences:

- Requests: the client requests each blob's size after the upload, and uploads it on the condition
  that it is new, so that a repeated upload fails; `rest_writer` does neither, and uses a newer version
  of the protocol. The client tags the run after each view, `rest_writer` after both.
- Predictions that are NaN or infinite: null by `rest_writer`, 0 by the client (``MISSING``).
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from azureml_double import AzureMLDouble
from azureml_double.workspace import API_URL
from conftest import enter
from explanation_cases import CASES, MISSING, check_equal, made, named, regression
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.azureml import asset_reader
from mlflow_interpret.stores.azureml.workspace import AzureWorkspace
from programs import SECONDS, run_python

if os.environ.get("CI_REQUIRE_AZURE") != "1":
    pytest.importorskip("azureml.interpret", reason="needs: pip install 'mlflow-interpret[azure]'")

COMMENT = "a comment, of a = b"

# A limit below the 10 MB of both ways, for small files.
SHOWN_BYTES = 1_000_000

OURS = """
import os, sys
from pathlib import Path
sys.modules["azureml.interpret"] = sys.modules["azureml.core"] = None
from mlflow_interpret.core import explanation_io
from mlflow_interpret.stores.azureml import asset_format, rest_writer, upload_worker
from mlflow_interpret.stores.azureml.workspace import job_run

assert asset_format._MAX_LOCAL_BYTES == 10_000_000
asset_format._MAX_LOCAL_BYTES = {shown}
run = job_run(os.environ["AZUREML_RUN_ID"])
assert upload_worker.explanation_client() is None
for folder in sorted(Path({records!r}).iterdir()):
    rest_writer.write(explanation_io.read(folder), run, {comment!r}, 300.0, 3)
print("azure", [name for name in sys.modules if name.startswith("azureml.")])
"""

# Uploads with the client, downloads the uploads of rest_writer, then uploads with the client alone.
CLIENT = """
import json, os
from pathlib import Path
import numpy as np, pandas as pd
from azureml.core import Run
from azureml.interpret._internal import explanation_client
from mlflow_interpret import interpret_community
from mlflow_interpret.core import explanation_io
from mlflow_interpret.stores.azureml import upload_worker
from mlflow_interpret.stores.azureml.workspace import job_run

assert explanation_client.LOCAL_IMP_SIZE_LIMIT == 10_000_000
explanation_client.LOCAL_IMP_SIZE_LIMIT = {shown}
run = upload_worker.sdk_run(job_run(os.environ["AZUREML_RUN_ID"]))
records = [explanation_io.read(folder) for folder in sorted(Path({records!r}).iterdir())]
for record in records:
    client = upload_worker.explanation_client()
    upload_worker.upload_with_client(client, record, run, {comment!r}, 3)

answers = {{}}
client = explanation_client.ExplanationClient.from_run(Run(run.experiment, {ours!r}))
for record in records:
    found = client.download_model_explanation(explanation_id=record.id)
    local = getattr(found, "_local_importance_values", None)
    per_class = getattr(found, "per_class_values", None)
    answers[record.id] = {{
        "importances": found.get_feature_importance_dict(),
        "local": None if local is None else local.tolist(),
        "per class": None if per_class is None else [list(values) for values in per_class],
        "classes": list(getattr(found, "classes", [])),
        "features": list(found.features),
        "expected": None if not hasattr(found, "expected_values")
        else np.ravel(found.expected_values).tolist(),
    }}
Path({downloaded!r}).write_text(json.dumps(answers))

client = explanation_client.ExplanationClient.from_run(Run(run.experiment, {plain!r}))
errors = {{}}
named = lambda labels: pd.DataFrame({{"target": labels}})
for folder in sorted(Path({distorted!r}).iterdir()):
    record = explanation_io.read(folder)
    labels = None if record.true_labels is None else record.true_labels.tolist()
    labels = {{"series": pd.Series, "frame": named}}.get(folder.name, list)(labels or [])
    try:
        client.upload_model_explanation(
            interpret_community.to_interpret_community(record), comment=folder.name, true_ys=labels if len(labels) else None
        )
    except Exception as error:
        errors[folder.name] = type(error).__name__
Path({errors!r}).write_text(json.dumps(errors))
"""

# Explanations that the client alone distorts; docs/azureml.md has the list.
DISTORTED = {
    "cells": replace(
        made(rows=2, features=2),
        evaluation_rows=pd.DataFrame({"column 0": [1.0, np.nan], "column 1": [np.inf, 2.0]}),
        true_labels=None,
    ),
    "integers": made(
        rows=3, classes=(10, 20, 30), predicted=np.array([10, 20, 30]),
        true_labels=np.array([30, 20, 10]),
    ),
    "missing": replace(regression(rows=3), true_labels=np.array([1.0, np.nan, 2.0])),
    "series": made(rows=3, true_labels=np.array(["no", "yes", "no"])),
    "frame": made(rows=3, true_labels=np.array(["no", "yes", "no"])),
}  # fmt: skip
DISTORTED = {name: named(f"distorted {name}", record) for name, record in DISTORTED.items()}


@dataclass
class Uploads:
    """The data that the double received, by uploader.

    Attributes:
        runs: The run of each way.
        tags: The tags of each way's run.
        assets: All assets.
        requests: All requests: method, path, headers, body.
        downloaded: The downloads, by the client, of the uploads of `rest_writer`, by explanation id.
        errors: The errors of the client alone.
        folder: The files, in a folder for each run.
    """

    runs: dict[str, str]
    tags: dict[str, dict]
    assets: list[dict]
    requests: list[dict]
    downloaded: dict
    errors: dict[str, str]
    folder: Path

    def files(self, way: str, explanation: Explanation) -> dict[str, bytes]:
        run_id = self.runs[way]
        folder = self.folder / run_id / "explanation" / explanation.id[:8]
        found = {
            path.relative_to(folder).as_posix().removesuffix(".interpret.json"): path.read_bytes()
            for path in folder.rglob("*.json")
        }
        assert found
        return {name: content.replace(run_id.encode(), b"RUN") for name, content in found.items()}

    def asset(self, way: str, explanation: Explanation) -> dict:
        run_id = self.runs[way]
        (found,) = [
            asset
            for asset in self.assets
            if asset["runid"] == run_id and asset["properties"]["explanation_id"] == explanation.id
        ]
        own = {"id", "createdTime", "modifiedTime"}
        rest = {key: value for key, value in found.items() if key not in own}
        return json.loads(json.dumps(rest).replace(run_id, "RUN"))


@pytest.fixture(scope="module")
def uploads(tmp_path_factory) -> Uploads:
    """Every case, uploaded in both ways and read back, once for all workers of pytest-xdist."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root) / "parity"
    done = folder / "done.json"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 2 * SECONDS
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
    else:
        try:
            found = upload_all(folder)
        except BaseException as error:
            found = {"failed": str(error)}
            raise
        finally:
            unfinished = folder / "unfinished.json"
            unfinished.write_text(json.dumps(found))
            unfinished.replace(done)
    found = json.loads(done.read_text())
    if "failed" in found:
        pytest.fail(f"the uploads failed in another worker: {found['failed']}")
    return Uploads(**found, folder=folder)


def upload_all(folder: Path) -> dict:
    records, distorted = folder / "records", folder / "distorted"
    for i, explanation in enumerate(CASES.values()):
        (records / f"{i:03}").mkdir(parents=True)
        explanation_io.write(explanation, records / f"{i:03}")
    for name, explanation in DISTORTED.items():
        (distorted / name).mkdir(parents=True)
        explanation_io.write(explanation, distorted / name)
    downloaded, errors = folder / "downloaded.json", folder / "errors.json"
    with AzureMLDouble(blobs="memory") as double:
        runs = {way: double.create_run("parity") for way in ("client", "ours", "plain")}
        values = {"records": str(records), "comment": COMMENT, "shown": SHOWN_BYTES}
        environment = double.job_environment(runs["ours"], folder / "home-ours")
        output = run_python(OURS.format(**values), environment, folder / "ours")
        assert "azure ['azureml.interpret', 'azureml.core']" in output
        assert list((folder / "ours").iterdir()) == []
        values |= {"ours": runs["ours"], "plain": runs["plain"], "distorted": str(distorted)}
        values |= {"downloaded": str(downloaded), "errors": str(errors)}
        environment = double.job_environment(runs["client"], folder / "home-client")
        run_python(CLIENT.format(**values), environment, folder / "client")
        assert double.unknown_requests == []
        read_back(double, runs["client"], folder)
        for run_id in runs.values():
            for path in double.artifacts(run_id):
                kept = folder / run_id / path
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(double.read_artifact(run_id, path))
        return {
            "runs": runs,
            "tags": {way: double.runs[run_id]["tags"] for way, run_id in runs.items()},
            "assets": double.assets,
            "requests": [
                {"method": sent.method, "path": sent.path, "headers": dict(sent.headers),
                 "body": sent.body}
                for sent in double.requests
            ],
            "downloaded": json.loads(downloaded.read_text()),
            "errors": json.loads(errors.read_text()),
        }  # fmt: skip


def read_back(double: AzureMLDouble, run_id: str, folder: Path) -> None:
    """Read the uploads of the client with `asset_reader`."""
    own = double.workspace_coordinates
    token = double.issue_token(run_id)
    workspace = AzureWorkspace(own.subscription_id, own.resource_group, own.name, token, API_URL)
    with pytest.MonkeyPatch.context() as patch:
        enter(patch, double.laptop_environment(folder / "home-reader"))
        for case, explanation in CASES.items():
            found = asset_reader.read(workspace, run_id, asset_reader.Selection(explanation.id))
            kept = folder / "read" / case
            kept.mkdir(parents=True)
            explanation_io.write(found, kept)


def views(explanation: Explanation) -> list[Explanation]:
    return [view for view in (explanation.engineered, explanation) if view is not None]


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_equal_byte_by_byte(uploads, case):
    for explanation in views(CASES[case]):
        theirs, ours = (uploads.files(way, explanation) for way in ("client", "ours"))
        assert set(ours) == set(theirs)
        differing = {name for name in ours if ours[name] != theirs[name]}
        if case == MISSING:
            assert differing == {"ys_pred_viz"}
            assert json.loads(theirs["ys_pred_viz"]) == [1.0, 0, 0]
            assert json.loads(ours["ys_pred_viz"]) == [1.0, None, None]
        elif case == "importances that are no numbers":
            # 0 and 0.0
            assert all(json.loads(ours[name]) == json.loads(theirs[name]) for name in differing)
        else:
            assert differing == set()


@pytest.mark.parametrize("case", CASES)
def test_the_assets_are_equal(uploads, case):
    for explanation in views(CASES[case]):
        theirs, ours = (uploads.asset(way, explanation) for way in ("client", "ours"))
        assert ours == theirs
        assert ours["properties"]["comment"] == COMMENT


@pytest.mark.parametrize("case", CASES)
def test_the_client_reads_the_uploads_of_rest_writer(uploads, case):
    explanation = CASES[case]
    found = uploads.downloaded[explanation.id]
    names = explanation.features
    expected = dict(zip(names, explanation.global_values.tolist(), strict=True))
    assert found["importances"] == expected
    assert found["features"] == list(names)
    if explanation.output_names is not None:
        assert found["classes"] == [str(block) for block in explanation.output_names]
        assert found["per class"] == explanation.per_class_values.tolist()
    local = explanation.local_values
    if local is None:
        assert found["local"] is None
    else:
        numbers = np.where(np.isfinite(local), local, 0.0)
        assert found["local"] == numbers.tolist()
    if explanation.expected_values is not None:
        assert found["expected"] == np.ravel(explanation.expected_values).tolist()


@pytest.mark.parametrize("case", CASES)
def test_asset_reader_reads_the_uploads_of_the_client(uploads, case):
    check_equal(explanation_io.read(uploads.folder / "read" / case), CASES[case])


def test_the_documentation_lists_the_distortions_of_the_client(uploads):
    def sent(case: str, name: str):
        files = uploads.files("plain", DISTORTED[case])
        return json.loads(files[name]) if name in files else None

    assert sent("cells", "eval_data_viz") == [[1.0, 0], [0, 2.0]]
    assert sent("missing", "true_ys_viz") == [1.0, 0, 2.0]
    assert sent("integers", "true_ys_viz") == [30, 20, 10]
    assert sent("integers", "ys_pred_viz") == [10, 20, 30]
    assert sent("integers", "classes") == [10, 20, 30]
    assert sent("series", "classes") == ["no", "yes"]
    assert sent("series", "true_ys_viz") is None
    assert uploads.errors == {"frame": "KeyError"}
    listed = (Path(__file__).parents[2] / "docs" / "azureml.md").read_text("utf-8")
    for row in (
        "| missing and infinite cells, missing labels | 0 | null |",
        "| labels of integer classes other than 0..n-1 | unchanged; studio takes them for positions |",
        "| labels in a Series | dropped | uploaded |",
        "| labels in a DataFrame | an error | uploaded |",
        "| class names that are not text | unchanged | text |",
        "| a missing or infinite prediction | 0 | null |",
    ):
        assert row in listed


def requests_of(uploads, way: str, method: str, ending: str) -> list:
    """The bodies of the requests of one way's run, with this method and ending of the path."""
    run_id = uploads.runs[way]
    return [
        json.loads(json.dumps(request["body"]).replace(run_id, "RUN"))
        for request in uploads.requests
        if request["method"] == method
        and request["path"].endswith(ending.format(run=run_id))
        and (run_id in request["path"] or run_id in json.dumps(request["body"]))
    ]


@pytest.mark.parametrize(
    ("method", "ending"),
    [
        ("POST", "/batch/metadata/ExperimentRun/dcid.{run}"),
        ("POST", "/assets"),
    ],
)
def test_the_bodies_of_the_requests_are_equal(uploads, method, ending):
    theirs, ours = (requests_of(uploads, way, method, ending) for way in ("client", "ours"))
    assert len(ours) == len(theirs) == sum(len(views(case)) for case in CASES.values())
    if "batch" in ending:  # the client lists a folder in any order
        theirs, ours = (
            [sorted(entry["path"] for entry in body["paths"]) for body in bodies]
            for bodies in (theirs, ours)
        )
    assert ours == theirs


def test_the_runs_have_the_same_tag(uploads):
    theirs, ours = (
        [request["tags"] for request in requests_of(uploads, way, "PATCH", "/runs/{run}")]
        for way in ("client", "ours")
    )
    assert len(theirs) == sum(len(views(case)) for case in CASES.values())
    assert len(ours) == len(CASES)
    assert all(tags == uploads.tags["client"] for tags in [*theirs, *ours])
    assert uploads.tags["ours"] == uploads.tags["client"] == {"model_explanation": "True"}


def test_blobs_have_the_same_headers(uploads):
    def headers(way: str) -> dict[str, set]:
        puts = [
            request["headers"]
            for request in uploads.requests
            if request["method"] == "PUT" and uploads.runs[way] in request["path"]
        ]
        names = ("x-ms-blob-type", "content-type", "if-none-match")
        return {name: {put.get(name) for put in puts} for name in names}

    theirs, ours = headers("client"), headers("ours")
    assert theirs.pop("if-none-match") == {"*"}
    assert ours.pop("if-none-match") == {None}
    assert ours == theirs
