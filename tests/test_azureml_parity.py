"""One explanation uploaded by ExplanationClient and by our own writer: the double got the same.

The differences on purpose, all of them:

- Requests: the client asks for each blob's size after writing it, and writes it on the condition
  that it is new, so that a repeated try fails; our writer does neither.
- Predictions that are NaN or infinite: null with our writer, 0 with the client (``MISSING``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from azureml_double import AzureMLDouble
from explanation_cases import CASES, MISSING
from mlflow_interpret import storage
from mlflow_interpret.records import Explanation

if os.environ.get("CI_REQUIRE_AZURE") != "1":
    pytest.importorskip("azureml.interpret", reason="needs: pip install 'mlflow-interpret[azure]'")

COMMENT = "a comment, of a = b"

PROGRAM = """
import json, os, sys
from pathlib import Path
{hide}
from mlflow_interpret import storage
from mlflow_interpret.azureml import child, writer
from mlflow_interpret.azureml.targets import Target

target = Target("job", os.environ["AZUREML_RUN_ID"])
client = child.explanation_client()
assert (client is None) is {ours}
for folder in sorted(Path({folder!r}).iterdir()):
    record = storage.read(folder)
    if client is None:
        writer.write(record, writer.service_of(target), {comment!r}, 300.0, 3)
    else:
        child.upload(client, record, child.find_run(target), {comment!r}, 3)
print("azure", [name for name in sys.modules if name.startswith("azureml.")])
"""

HIDE = 'sys.modules["azureml.interpret"] = sys.modules["azureml.core"] = None'

DOWNLOAD = """
import json, sys
from azureml.core.run import Run
from azureml.interpret import ExplanationClient
client = ExplanationClient.from_run(Run.get_context())
answers = {{}}
for explanation_id in json.loads({ids!r}):
    found = client.download_model_explanation(explanation_id=explanation_id)
    local = getattr(found, "_local_importance_values", None)
    answers[explanation_id] = {{
        "importances": found.get_feature_importance_dict(),
        "local": None if local is None else local.tolist(),
        "per class": getattr(found, "per_class_values", None) is not None
        and [list(values) for values in found.per_class_values],
        "classes": list(getattr(found, "classes", [])),
        "features": list(found.features),
    }}
with open({path!r}, "w") as file:
    json.dump(answers, file)
"""


@dataclass
class Uploads:
    double: AzureMLDouble
    runs: dict[str, str]
    downloaded: dict

    def files(self, way: str, explanation: Explanation) -> dict[str, bytes]:
        run_id = self.runs[way]
        folder = f"explanation/{explanation.id[:8]}/"
        found = {
            path.removeprefix(folder).removesuffix(".interpret.json"): self.double.read_artifact(
                run_id, path
            ).replace(run_id.encode(), b"RUN")
            for path in self.double.artifacts(run_id)
            if path.startswith(folder)
        }
        assert found
        return found

    def asset(self, way: str, explanation: Explanation) -> dict:
        run_id = self.runs[way]
        (found,) = [
            asset
            for asset in self.double.assets
            if asset["runid"] == run_id and asset["properties"]["explanation_id"] == explanation.id
        ]
        own = {"id", "createdTime", "modifiedTime"}
        rest = {key: value for key, value in found.items() if key not in own}
        return json.loads(json.dumps(rest).replace(run_id, "RUN"))


def run_python(code: str, environment: dict[str, str], folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def uploads(tmp_path_factory) -> Iterator[Uploads]:
    """Every case, uploaded in both ways, and what was ours read back."""
    folder = tmp_path_factory.mktemp("parity")
    records = folder / "records"
    for i, explanation in enumerate(CASES.values()):
        (records / f"{i:03}").mkdir(parents=True)
        storage.write(explanation, records / f"{i:03}")
    ids = [explanation.id for explanation in CASES.values()]
    with AzureMLDouble(blobs="memory") as double:
        runs = {way: double.create_run("parity") for way in ("client", "ours")}
        for way, run_id in runs.items():
            ours = way == "ours"
            code = PROGRAM.format(
                hide=HIDE if ours else "", ours=ours, folder=str(records), comment=COMMENT
            )
            environment = double.job_environment(run_id, folder / f"home-{way}")
            environment["PYTHONPATH"] = os.pathsep.join(sys.path)
            output = run_python(code, environment, folder / way)
            if ours:
                assert "azure ['azureml.interpret', 'azureml.core']" in output
                assert list((folder / way).iterdir()) == []
        path = folder / "downloaded.json"
        code = DOWNLOAD.format(ids=json.dumps(ids), path=str(path))
        environment = double.job_environment(runs["ours"], folder / "home-download")
        run_python(code, environment, folder / "download")
        assert double.unknown_requests == []
        yield Uploads(double, runs, json.loads(path.read_text()))


def views(explanation: Explanation) -> list[Explanation]:
    return [each for each in (explanation.engineered, explanation) if each is not None]


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_the_same_to_the_byte(uploads, case):
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
def test_the_assets_are_the_same(uploads, case):
    for explanation in views(CASES[case]):
        theirs, ours = (uploads.asset(way, explanation) for way in ("client", "ours"))
        assert ours == theirs
        assert ours["properties"]["comment"] == COMMENT


@pytest.mark.parametrize("case", CASES)
def test_the_client_reads_back_what_our_writer_wrote(uploads, case):
    explanation = CASES[case]
    found = uploads.downloaded[explanation.id]
    names = explanation.features
    expected = dict(zip(names, explanation.global_values.tolist(), strict=True))
    assert found["importances"] == expected
    assert found["features"] == list(names)
    if explanation.blocks is not None:
        assert found["classes"] == [str(block) for block in explanation.blocks]
        assert found["per class"] == explanation.per_class_values.tolist()
    local = explanation.local_values
    if local is None:
        assert found["local"] is None
    else:
        numbers = np.where(np.isfinite(local), local, 0.0)
        assert found["local"] == numbers.tolist()


def requests_of(uploads, way: str, method: str, ending: str) -> list:
    """The bodies of some requests, of the run of one way."""
    run_id = uploads.runs[way]
    return [
        json.loads(json.dumps(request.body).replace(run_id, "RUN"))
        for request in uploads.double.requests
        if request.method == method
        and request.path.endswith(ending.format(run=run_id))
        and (run_id in request.path or run_id in json.dumps(request.body))
    ]


@pytest.mark.parametrize(
    ("method", "ending"),
    [
        ("POST", "/batch/metadata/ExperimentRun/dcid.{run}"),
        ("POST", "/assets"),
        ("PATCH", "/runs/{run}"),
    ],
)
def test_the_requests_say_the_same(uploads, method, ending):
    theirs, ours = (requests_of(uploads, way, method, ending) for way in ("client", "ours"))
    assert len(ours) == len(theirs) == sum(len(views(case)) for case in CASES.values())
    if "batch" in ending:  # the client lists a folder, in whatever order
        theirs, ours = (
            [sorted(each["path"] for each in body["paths"]) for body in bodies]
            for bodies in (theirs, ours)
        )
    assert ours == theirs


def test_the_runs_have_the_same_tag(uploads):
    tags = [uploads.double.runs[run_id]["tags"] for run_id in uploads.runs.values()]
    assert tags == [{"model_explanation": "True"}] * 2


def test_blobs_are_written_with_the_same_headers(uploads):
    def headers(way: str) -> dict[str, set]:
        puts = [
            request.headers
            for request in uploads.double.requests
            if request.method == "PUT" and uploads.runs[way] in request.path
        ]
        names = ("x-ms-blob-type", "x-ms-version", "content-type", "if-none-match")
        return {name: {each.get(name) for each in puts} for name in names}

    theirs, ours = headers("client"), headers("ours")
    assert theirs.pop("if-none-match") == {"*"}
    assert ours.pop("if-none-match") == {None}
    assert ours == theirs
