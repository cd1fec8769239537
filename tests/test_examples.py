"""The examples and the code of the README and the documentation run as they stand."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import mlflow
import pytest

import mlflow_interpret
from programs import run_python

ROOT = Path(__file__).parents[1]
JOBS = {"azureml_script"}  # run as a job of the double, in tests/azureml_system
EXAMPLES = sorted(p for p in (ROOT / "examples").glob("*.py") if p.stem not in JOBS)
PAGES = ["README.md", "docs/getting-started.md"]
GUIDES = ["docs/groups.md", "docs/interactions.md", "docs/output-scale.md"]  # start with a program


def code_of(page: str) -> list[str]:
    """The Python code of a page, one item for each block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


OPTUNA, SEARCH = code_of("docs/tuning.md")

# Each block of a page by itself, but in one process, because imports take the longest.
ONE_BY_ONE = """
import runpy, sys
import mlflow, mlflow_interpret
for path in sys.argv[1:]:
    mlflow.set_experiment(path.partition("-")[0])
    runpy.run_path(path, run_name="__main__")
    mlflow_interpret.autolog(disable=True)
"""


def run(program: Path | str, store: str, folder: Path, arguments: Sequence[str] = ()) -> str:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "PYTHONUTF8": "1"}
    return run_python(program, environment, folder, arguments)


def explained_runs(**where):
    where = where or {"search_all_experiments": True}
    runs = mlflow.search_runs(output_format="list", **where)
    return [run for run in runs if run.data.tags.get("mlflow_interpret.status") == "complete"]


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_explains_its_runs(store, tmp_path, example):
    output = run(example, store, tmp_path)
    *others, explained = explained_runs()
    assert len(others) == (1 if example.stem == "quickstart" else 0)
    if example.stem != "azureml_job":  # which takes the job's experiment
        experiment = mlflow.get_experiment(explained.info.experiment_id)
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
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


def test_the_code_of_the_pages_runs_block_by_block_without_a_warning(store, tmp_path):
    names = []
    for page in PAGES + GUIDES:
        blocks = code_of(page)
        for number, code in enumerate(blocks if page in PAGES else blocks[:1]):
            names.append(f"{Path(page).stem.replace('-', ' ')}-{number}.py")
            (tmp_path / names[-1]).write_text(code, encoding="utf-8")
    output = run(ONE_BY_ONE, store, tmp_path, names)
    assert "warning" not in output.lower()
    assert len(explained_runs(experiment_names=["README"])) == 2
    assert len(explained_runs(experiment_names=["getting started"])) == 2


def test_the_tuning_loop_explains_each_trial_and_the_best_model(store):
    pytest.importorskip("optuna")
    exec(OPTUNA.replace("n_trials=20", "n_trials=2").replace("=100", "=5"), {})
    names = sorted(run.info.run_name for run in explained_runs())
    assert names == ["best", "trial 0", "trial 1"]


def test_the_search_is_explained_once(store):
    exec(SEARCH.replace("random_state=0", "n_estimators=5, random_state=0"), {})
    assert len(explained_runs()) == 1
