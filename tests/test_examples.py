"""The examples and the README's code run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

import mlflow_interpret

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def run(arguments: list[str], store: str, folder: Path) -> str:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def explained_runs():
    runs = mlflow.search_runs(output_format="list", search_all_experiments=True)
    return [run for run in runs if run.data.tags.get("mlflow_interpret.status") == "complete"]


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_explains_one_run(store, tmp_path, example):
    output = run([str(example)], store, tmp_path)
    (explained,) = explained_runs()
    explanation = mlflow_interpret.load_explanation(explained.info.run_id)
    best = explanation.get_ranked_global_names()[0]
    if example.stem == "quickstart":
        assert f"mlflow-interpret show {explained.info.run_id}" in output
        assert best in output
    if example.stem == "reload":
        assert best in output
    if example.stem == "pipeline_and_search":
        assert set(explanation.features) >= {"island", "sex", "bill_length_mm"}
        assert "Gentoo: " in output
        assert "randomforestclassifier__max_depth" in " ".join(explained.data.params)


def test_the_readme_has_code():
    assert len(CODE) >= 2


@pytest.mark.parametrize("number", range(len(CODE)))
def test_the_readmes_code_runs(store, tmp_path, number):
    script = tmp_path / "readme.py"
    script.write_text(CODE[number], encoding="utf-8")
    run([str(script)], store, tmp_path)
    assert explained_runs()
