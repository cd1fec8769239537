"""The explanation that the upload process uploads, with or without ExplanationClient."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.stores.azureml import sanitize, upload_worker
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace

RUN = AzureRun(AzureWorkspace("s", "g", "n", "t0ken", "https://host"), "exp", "r")


def explanation(classes, **labels):
    n_classes = len(classes)
    return Explanation(
        method="shap_tree",
        task="classification",
        model_class=None,
        features=("a",),
        global_values=np.ones(1),
        classes=classes,
        per_class_values=np.ones((n_classes, 1)),
        **labels,
    )


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ((10, 20, 30), [20, 10, 30]),
        (("b", "a", "c"), ["a", "b", "c"]),
        ((False, True, None), [True, False, None]),
        ((1.5, 2.5, 3.5), [2.5, 1.5, 3.5]),
    ],
)
def test_labels_become_positions_of_their_classes(classes, labels):
    array = np.array(labels, dtype=object)
    ready = sanitize.sanitize_for_json(explanation(classes, true_labels=array, predicted=array))
    assert ready.true_labels.tolist() == [1, 0, 2]
    assert ready.predicted.tolist() == [1, 0, 2]
    assert ready.classes == tuple(str(label) for label in classes)
    json.dumps(ready.true_labels.tolist())


def test_labels_that_are_not_classes_do_not_change():
    ready = sanitize.sanitize_for_json(explanation(("no", "yes"), true_labels=np.array([0, 1])))
    assert ready.true_labels.tolist() == [0, 1]


def test_labels_of_a_regression_do_not_change():
    record = Explanation(
        method="shap_tree",
        task="regression",
        model_class=None,
        features=("a",),
        global_values=np.ones(1),
        true_labels=np.array([0.5, 2.0]),
    )
    assert sanitize.sanitize_for_json(record).true_labels.tolist() == [0.5, 2.0]


def test_cells_become_json_values():
    rows = pd.DataFrame(
        {
            "number": [1.5, 2.5],
            "text": ["a", None],
            "date": pd.to_datetime(["2020-01-01", None]),
            "category": pd.Categorical(["x", "y"]),
            "flag": [True, False],
        }
    )
    cells = sanitize.table_to_json(rows)
    assert json.loads(json.dumps(cells)) == [
        [1.5, "a", "2020-01-01 00:00:00", "x", True],
        [2.5, None, None, "y", False],
    ]
    np.testing.assert_array_equal(
        sanitize.table_to_json(rows[["number", "flag"]]), [[1.5, 1], [2.5, 0]]
    )


SECRETS = [
    "Authorization: Bearer abc.DEF-123_x",
    "token eyJhbGciOiJI.eyJzdWIiOiI.SflKxwRJSMe",
    "https://acct.blob.core.windows.net/c/b?sv=2021&sig=abc%2Fdef%3D&se=1",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9vYmFy==;EndpointSuffix=x",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_removed_from_reasons(text):
    clean = redact(f"it failed\nwith {text}", "planted-token")
    for part in ("abc.DEF-123_x", "eyJ", "abc%2Fdef%3D", "Zm9vYmFy"):
        assert part not in clean
    assert "\n" not in clean
    assert clean.startswith("it failed with ")


def test_a_known_secret_is_removed_everywhere():
    assert "planted" not in redact("see xplanted-tokenx", None, "planted-token")


def test_a_long_reason_is_truncated():
    assert len(redact("word " * 1000)) <= 500


def test_predictions_of_several_targets_are_not_uploaded():
    record = Explanation(
        method="shap_tree",
        task="regression",
        model_class=None,
        features=("a",),
        global_values=np.ones(1),
        targets=("up", "down"),
        per_class_values=np.ones((2, 1)),
        predicted=np.ones((3, 2)),
        true_labels=np.ones((3, 2)),
    )
    ready = sanitize.sanitize_for_json(record)
    assert ready.predicted is ready.true_labels is None
    assert ready.output_names == ("up", "down")


def by_row(n_rows, **changes):
    """Each value is the number of its row."""
    rows = np.arange(n_rows)
    values = {
        "method": "shap_tree",
        "task": "classification",
        "model_class": None,
        "features": ("a", "b"),
        "global_values": np.ones(2),
        "classes": ("no", "yes"),
        "per_class_values": np.ones((2, 2)),
        "local_values": np.broadcast_to(rows[:, None], (2, n_rows, 2)).astype(float),
        "evaluation_rows": pd.DataFrame({"a": rows, "b": rows}),
        "predicted": rows,
        "predicted_probabilities": np.column_stack([rows, rows]),
        "true_labels": rows,
    }
    return Explanation(**{**values, **changes})


def test_a_sample_of_rows_is_uploaded_with_the_aggregates_of_all():
    record = by_row(50, engineered=by_row(50))
    limited = sanitize.limit_rows(record, 7, random_state=0)
    sample = limited.predicted.tolist()
    assert len(set(sample)) == 7
    for view in (limited, limited.engineered):
        assert view.local_values[:, :, 0].tolist() == [sample, sample]
        assert view.evaluation_rows["b"].tolist() == sample
        assert view.predicted_probabilities[:, 1].tolist() == sample
        assert view.true_labels.tolist() == sample
        np.testing.assert_array_equal(view.per_class_values, record.per_class_values)
        np.testing.assert_array_equal(view.global_values, record.global_values)


def test_no_row_is_uploaded_for_0_points_and_all_rows_without_a_limit():
    record = by_row(5, engineered=by_row(5))
    for view in (sanitize.limit_rows(record, 0, 0), sanitize.limit_rows(record, 0, 0).engineered):
        assert view.local_values is view.evaluation_rows is view.predicted is None
        assert view.true_labels is view.predicted_probabilities is None
    assert sanitize.limit_rows(record, None, 0) is record
    assert sanitize.limit_rows(record, 5, 0).local_values.shape == (2, 5, 2)
    assert sanitize.limit_rows(record.without_rows(), 3, 0).local_values is None


def test_the_text_of_an_error_that_cannot_be_printed_is_its_message():
    class ServiceException(Exception):  # noqa: N818 - the name it has in the SDK
        message = "A run has at most 50 tags"

        def __str__(self):
            return "".join(None)

    assert (
        upload_worker.error_text(ServiceException())
        == "ServiceException: A run has at most 50 tags"
    )
    assert upload_worker.error_text(ValueError("plain")) == "ValueError: plain"


@pytest.mark.parametrize(
    ("tags", "by_client"), [(49, True), (50, False), (50, True)], ids=["room", "full", "tagged"]
)
def test_the_client_is_not_used_for_a_run_without_room_for_its_tag(
    tmp_path, monkeypatch, tags, by_client
):
    """The client fails at its tag, although it has registered the asset."""
    run_tags = dict.fromkeys(map(str, range(tags)), "x")
    if by_client and tags == 50:
        run_tags["model_explanation"] = run_tags.pop("0")
    uploaded = []
    monkeypatch.setattr(upload_worker, "explanation_client", lambda: "the client")
    monkeypatch.setattr(
        upload_worker, "sdk_run", lambda _: SimpleNamespace(get_tags=lambda: run_tags)
    )
    monkeypatch.setattr(
        upload_worker, "upload_with_client", lambda client, *_: uploaded.append(client)
    )
    monkeypatch.setattr(
        upload_worker.rest_writer,
        "write",
        lambda record, *_: upload_worker.rest_writer.UploadedExplanation(record.id, tagged=False),
    )
    record = explanation(("no", "yes"))
    explanation_io.write(record, tmp_path)
    answer = upload_worker.carry_out({
        "run": asdict(RUN), "folder": str(tmp_path), "comment": None,
        "random_state": 0, "points": None, "until": time.time() + 60,
    })  # fmt: skip
    assert answer == {"ok": True, "explanation_id": record.id, "tagged": by_client}
    assert uploaded == ["the client"] * by_client
