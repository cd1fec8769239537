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
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from azureml_double import AzureMLDouble
from mlflow_interpret import storage
from mlflow_interpret.records import Explanation

if os.environ.get("CI_REQUIRE_AZURE") != "1":
    pytest.importorskip("azureml.interpret", reason="needs: pip install 'mlflow-interpret[azure]'")

random = np.random.default_rng(0)
COMMENT = "a comment, of a = b"
MISSING = "missing predictions"


def made(rows=7, features=4, classes=("no", "yes"), **changes) -> Explanation:
    n = len(classes)
    # Few digits: the files are many megabytes otherwise.
    local = random.normal(size=(n, rows, features)).round(2)
    per_class = np.abs(local).mean(axis=1)
    probabilities = random.dirichlet(np.ones(n), rows)
    explanation = Explanation(
        method="shap_tree",
        task="classification",
        model_class="sklearn.ensemble.RandomForestClassifier",
        features=tuple(f"column {i}" for i in range(features)),
        global_values=per_class.mean(axis=0),
        classes=tuple(classes),
        per_class_values=per_class,
        local_values=local,
        expected_values=random.normal(size=n),
        evaluation_rows=pd.DataFrame(random.normal(size=(rows, features)).round(2)).set_axis(
            [f"column {i}" for i in range(features)], axis=1
        ),
        predicted=np.asarray(classes)[probabilities.argmax(axis=1)],
        predicted_probabilities=probabilities,
        true_labels=np.asarray(classes)[random.integers(0, n, rows)],
    )
    return replace(explanation, **changes)


def regression(rows=7, features=4, **changes) -> Explanation:
    base = made(rows, features)
    local = random.normal(size=(rows, features)).round(2)
    return replace(
        base,
        task="regression",
        method="shap_linear",
        classes=None,
        per_class_values=None,
        local_values=local,
        global_values=np.abs(local).mean(axis=0),
        expected_values=np.array(3.5),
        predicted=random.normal(size=rows),
        predicted_probabilities=None,
        true_labels=random.normal(size=rows),
        **changes,
    )


def mixed_rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "column 0": [1.5, np.nan, np.inf],
            "column 1": ['a "quoted" <word>', None, "größer ≥ 1\n"],
            "column 2": pd.to_datetime(["2020-01-01", None, "2021-02-03"]),
            "column 3": [True, False, True],
        }
    )


CASES = {
    "binary": made(),
    "three classes": made(classes=("a", "b", "c")),
    "integer classes": made(classes=(10, 20, 30)),
    "boolean classes": made(classes=(False, True)),
    "labels of no class": made(true_labels=np.array([5, 6, 7, 5, 6, 7, 5])),
    "regression": regression(),
    "regression of one expected value": replace(regression(), expected_values=np.array([1.0])),
    "nothing expected": made(expected_values=None),
    "no labels": made(true_labels=None),
    "no predictions": made(predicted=None, predicted_probabilities=None),
    "aggregates": made().without_rows(),
    "aggregates of a regression": regression().without_rows(),
    "no local values": made(local_values=None),
    "local values alone": replace(made().without_rows(), local_values=made().local_values),
    "one row": made(rows=1),
    "100 features": made(features=100),
    "101 features": made(features=101),
    "200 features": regression(features=200),
    "250 features": made(features=250),
    "more rows than are shown": made(rows=5003, features=2),
    "more rows than are shown, regression": regression(rows=5003, features=2),
    "more rows than are shown, no local values": replace(
        regression(rows=5003, features=2), local_values=None
    ),
    "more than 10 MB": made(rows=1800, features=260, classes=("a", "b", "c")),
    "several targets": replace(
        made(classes=("up", "down")), task="regression", classes=None, targets=("up", "down")
    ),
    "several targets with classes": replace(
        made(classes=("t: 0", "t: 1", "u: 0")), targets=("t", "u")
    ),
    "cells of every kind": made(rows=3, evaluation_rows=mixed_rows()),
    "missing numbers": made(
        rows=2, evaluation_rows=pd.DataFrame([[np.nan, 1, 2, 3], [1, np.inf, 2, 3]])
    ),
    "missing labels": replace(regression(rows=3), true_labels=np.array([1.0, np.nan, np.inf])),
    "importances that are no numbers": replace(
        made(rows=2), local_values=np.array([[[np.nan, 1, 2, np.inf]] * 2, [[1.0, 2, 3, 4]] * 2])
    ),
    MISSING: replace(regression(rows=3), predicted=np.array([1.0, np.nan, np.inf])),
    "unusual names": made(features=2, classes=('"quoted"', "größer ≥")),
    "raw": made(is_raw=True, engineered=made(features=6, is_engineered=True)),
    "unusual features": replace(made(features=2), features=('a "b" <c>', "größer ≥ 1\\n")),
    "model unknown": made(model_class=None),
}

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
