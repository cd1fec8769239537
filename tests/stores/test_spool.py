"""The spool keeps explanations in order, with the options for logging them later."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.errors import MlflowInterpretError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.spool_entry import NewRun, SkippedFit


def explanation(value=1.0):
    return Explanation(
        method="shap_tree",
        task="regression",
        model_class=None,
        features=("a", "b/ü"),
        global_values=np.array([value, 2.0]),
        details=Details.from_json({"notes": ["kept"]}),
    )


def entry(run_id="0123", uri="http://server:5000"):
    return spool.Entry.of(Options(comment="a comment — ü", top_k=7, log_figures=False), uri, run_id)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(spool.VARIABLE, str(tmp_path / "kept" / "deep"))
    return tmp_path / "kept" / "deep"


def test_an_empty_spool_creates_no_folder(folder):
    assert spool.folders() == []
    assert not folder.exists()


def test_a_kept_explanation_is_read_back(folder):
    kept = explanation()
    path = spool.keep(kept, entry())
    assert path.parent == folder == spool.directory()
    (found,) = spool.folders()
    assert (found, spool.entry_of(found)) == (path, entry())
    loaded = spool.load(found)
    assert loaded.id == kept.id
    assert loaded.features == kept.features
    assert loaded.global_values.tobytes() == kept.global_values.tobytes()
    assert loaded.details == kept.details


def test_an_entry_without_a_run(folder):
    spool.keep(explanation(), entry(run_id=None))
    back = spool.entry_of(*spool.folders())
    assert back.run_id is None


def test_entries_without_the_option_of_a_store_are_read():
    path = spool.keep(explanation(), entry())
    content = json.loads((path / "entry.json").read_text("utf-8"))
    del content["azureml"]
    (path / "entry.json").write_text(json.dumps(content))
    assert spool.entry_of(path).to_options() == entry().to_options()


WORKSPACE = (
    "azureml://host/mlflow/v1.0/subscriptions/s/resourceGroups/g/providers/"
    "Microsoft.MachineLearningServices/workspaces/w"
)
OLD_ENTRY = {
    "tracking_uri": "http://server:5000",
    "run_id": "0123",
    "comment": "a comment",
    "top_k": 7,
    "figures": False,
    "baseline": "latest",
    "report": False,
    "visualization_points": 9,
    "azureml": WORKSPACE,
}  # as version 0.1 wrote it


def test_entries_of_version_0_1_are_read_and_still_written():
    entry = spool.Entry.from_json(OLD_ENTRY)
    assert (entry.tracking_uri, entry.run_id) == ("http://server:5000", "0123")
    assert entry.to_options() == Options(
        comment="a comment", top_k=7, log_figures=False, baseline="latest", log_report=False,
        visualization_points=9, azureml=WORKSPACE,
    )  # fmt: skip
    assert entry.to_json() == OLD_ENTRY
    assert spool.Entry.of(entry.to_options(), entry.tracking_uri, "0123").to_json() == OLD_ENTRY


def test_pending_entries_of_version_0_1_are_read():
    old = {"model": "Ridge", "kept": OLD_ENTRY, "log_data": False}
    entry = spool.Entry.from_json(old)
    assert (entry.model, entry.log_data) == ("Ridge", False)
    assert entry.to_options() == spool.Entry.from_json(OLD_ENTRY).to_options()
    assert spool.Entry.from_json(entry.to_json()) == entry


def test_a_written_folder_is_moved_into_the_spool(tmp_path):
    kept, written = explanation(), tmp_path / "written"
    written.mkdir(mode=0o700)
    explanation_io.write(kept, written)
    for run_id in ("first", "second"):
        path = spool.keep_folder(written, kept.id, entry(run_id))
        assert not written.exists()
        assert spool.entry_of(path).run_id == run_id
        assert spool.load(path).id == kept.id
        written.mkdir(mode=0o700)
        explanation_io.write(kept, written)
    assert spool.folders() == [path]


def test_the_oldest_comes_first():
    paths = [spool.keep(explanation(i), entry(str(i))) for i in range(4)]
    for age, path in enumerate([paths[2], paths[0], paths[3], paths[1]]):
        os.utime(path / "entry.json", (1000 + age, 1000 + age))
    assert [spool.entry_of(path).run_id for path in spool.folders()] == ["2", "0", "3", "1"]


def test_an_explanation_is_kept_once():
    kept = explanation()
    spool.keep(kept, entry("first"))
    spool.keep(kept, entry("second"))
    back = spool.entry_of(*spool.folders())
    assert back.run_id == "second"


def test_drop_deletes_one_explanation():
    gone, stays = spool.keep(explanation(), entry()), spool.keep(explanation(), entry())
    spool.drop(gone)
    assert not gone.exists()
    assert spool.folders() == [stays]


def test_an_incomplete_folder_is_not_read(folder, monkeypatch):
    def full(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(spool.Entry, "to_json", full)
        with pytest.raises(OSError, match="disk full"):
            spool.keep(explanation(), entry())
    assert list(folder.iterdir()) == []
    (folder / "unfinished").mkdir()
    (folder / "unfinished" / "entry.json.new").write_text('{"tracking_')
    assert spool.folders() == []


@pytest.mark.parametrize("home", ["~/.local/share/mlflow-interpret", "/read-only/mlflow-interpret"])
def test_without_a_writable_home_the_spool_is_temporary(tmp_path, monkeypatch, home):
    monkeypatch.delenv(spool.VARIABLE)
    monkeypatch.setattr(spool.platformdirs, "user_data_path", lambda _: Path(home))
    monkeypatch.setattr(spool.os, "access", lambda *_: False)
    monkeypatch.setattr(spool.tempfile, "gettempdir", lambda: str(tmp_path))
    path = spool.keep(explanation(), entry())
    assert path.parent.parent == tmp_path
    assert spool.folders() == [path]
    if os.name != "nt":
        assert path.parent.stat().st_mode & 0o077 == 0
        path.parent.chmod(0o777)  # as a folder that another user has prepared
        with pytest.raises(PermissionError, match="open to other users"):
            spool.keep(explanation(), entry())


def test_a_new_run_is_read_back():
    new_run = NewRun("3", "a name", {"team": "a"}, 1.5)
    kept = replace(entry(run_id=None), new_run=new_run, created="2026-01-01T00:00:00+00:00")
    assert spool.entry_of(spool.keep(explanation(), kept)) == kept


def test_a_skipped_fit_is_read_back():
    skipped = replace(entry(), model="Ridge", skipped=SkippedFit("a fit", "no prediction"))
    path = spool.keep_skipped("a fit", skipped)
    assert spool.folders() == [path]
    assert spool.entry_of(path) == skipped


def test_logged_models_are_added_to_an_entry():
    path = spool.keep(explanation(), entry())
    for model_id in ("m-1", "m-2", "m-1"):
        spool.add_model(path, model_id)
    assert spool.entry_of(path) == replace(entry(), model_ids=("m-1", "m-2"))
    spool.drop(path)
    with pytest.raises(spool.ClaimedError, match="has logged it"):
        spool.add_model(path, "m-3")


def test_entries_are_json_and_temporary_files_are_gone():
    path = spool.keep(explanation(), entry())
    assert json.loads((path / "entry.json").read_text("utf-8"))["comment"] == "a comment — ü"
    assert not list(path.glob("*.new"))


def test_the_default_is_the_user_data_folder(monkeypatch):
    monkeypatch.delenv(spool.VARIABLE)
    assert spool.directory().parts[-2:] == ("mlflow-interpret", "spool")
    assert Path.home() in spool.directory().parents or spool.directory().is_absolute()


def test_an_unreadable_entry_is_named_in_the_error():
    path = spool.keep(explanation(), entry())
    (path / "entry.json").write_text('{"unknown": 1}')
    with pytest.raises(MlflowInterpretError, match="entry.json cannot be read"):
        spool.entry_of(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_the_user_can_read_it(tmp_path):
    written = tmp_path / "written"
    (written / "engineered").mkdir(parents=True)
    (written / "engineered" / "status.json").write_text("{}")
    kept = spool.keep(explanation(), entry())
    moved = spool.keep_folder(written, "0123", entry())
    assert spool.directory().stat().st_mode & 0o777 == 0o700
    for path in [kept, *kept.rglob("*"), moved, *moved.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
