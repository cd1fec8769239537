"""Temporary folders of processes that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from mlflow_interpret.runtime import temporary_folders

posix = pytest.mark.skipif(os.name != "posix", reason="folders stay on Windows")


@pytest.fixture
def ended():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def folder(tmp_path):
    """A function that creates a folder that was changed some seconds ago."""

    def create(name, age=100_000):
        path = tmp_path / name
        (path / "inside").mkdir(parents=True)
        changed = path.stat().st_mtime - age
        os.utime(path, (changed, changed))
        return path

    return create


@posix
def test_folders_of_ended_processes_are_removed_after_a_day(folder, ended, tmp_path):
    abandoned = folder(f"mlflow-interpret-{ended}-x1")
    young = folder(f"mlflow-interpret-{ended}-x2", age=80_000)
    alive = folder(f"mlflow-interpret-{os.getpid()}-x3")
    others = [folder(f"mlflow-interpret-{name}") for name in ("x4", "x-5", "x6-7-8")]
    linked = folder("linked")
    (tmp_path / f"mlflow-interpret-{ended}-link").symlink_to(linked)
    temporary_folders.remove_abandoned(tmp_path)
    assert not abandoned.exists()
    assert all(path.exists() for path in (young, alive, linked, *others))


@posix
def test_the_first_folder_of_a_process_removes_abandoned_ones(folder, ended, tmp_path, monkeypatch):
    abandoned = folder(f"mlflow-interpret-{ended}-x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary_folders._remove_abandoned_once.cache_clear()
    created = temporary_folders.create()
    assert created.is_dir()
    assert created.name.startswith(f"mlflow-interpret-{os.getpid()}-")
    assert not abandoned.exists()


def test_a_missing_folder_is_not_an_error(tmp_path):
    temporary_folders.remove_abandoned(tmp_path / "missing")
