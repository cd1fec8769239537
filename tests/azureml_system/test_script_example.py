"""The classic script gives the same with its original imports and with ours."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from azureml_double import AzureMLDouble
from programs import logging_to, run_python

SCRIPT = Path(__file__).parents[2] / "examples" / "azureml_script.py"
ORIGINAL_IMPORTS = """
from azureml.core.run import Run
from azureml.interpret import ExplanationClient
from interpret.ext.blackbox import TabularExplainer
"""
OUR_IMPORTS = "from mlflow_interpret import ExplanationClient, Run, TabularExplainer\n"
COMMENT = "global explanation: all features"
# Output and uploads of the script with its original imports on Python 3.11.
EXPECTED = json.loads((Path(__file__).parent / "azureml_script.json").read_text("utf-8"))


def run_script(text: str, store: str, folder: Path) -> dict:
    """The output of the script as a job of the double, and the contents of Azure ML."""
    with AzureMLDouble(blobs="memory") as double:
        run_id = double.create_run("breast-cancer")
        environment = double.job_environment(run_id, folder / "home")
        output = run_python(text, logging_to(store, environment), folder / "job")
        (asset,) = double.assets
        assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
        assert double.unknown_requests == []
        files = {}
        for name in ("global_values/0", "per_class_values/0", "true_ys_viz", "classes"):
            (path,) = [p for p in double.artifacts(run_id) if f"/{name}.interpret" in p]
            files[name] = json.loads(double.read_artifact(run_id, path))
        lines = re.findall(r"^(\d\.\d{4})  (.+)$", output, flags=re.MULTILINE)
        return {
            "comment": asset["properties"]["comment"],
            "importances": {name: float(value) for value, name in lines},
            "files": files,
        }


def assert_equal(result: dict, expected: dict) -> None:
    assert result["comment"] == expected["comment"] == COMMENT
    assert list(result["importances"]) == list(expected["importances"])
    np.testing.assert_allclose(
        list(result["importances"].values()), list(expected["importances"].values()), atol=2e-4
    )
    for name, values in expected["files"].items():
        if name.endswith("values/0"):
            np.testing.assert_allclose(result["files"][name], values, rtol=1e-6, atol=1e-9)
        else:
            assert result["files"][name] == values, name


@pytest.mark.skipif(
    importlib.util.find_spec("azureml.interpret") is None
    if importlib.util.find_spec("azureml") else True,
    reason="needs azureml-interpret, which installs on Python 3.10 and 3.11",
)  # fmt: skip
def test_the_original_imports_give_the_expected_results(store, tmp_path):
    text = SCRIPT.read_text("utf-8")
    assert OUR_IMPORTS in text
    result = run_script(text.replace(OUR_IMPORTS, ORIGINAL_IMPORTS), store, tmp_path)
    assert_equal(result, EXPECTED)


def test_our_imports_give_the_same(store, tmp_path):
    assert_equal(run_script(SCRIPT.read_text("utf-8"), store, tmp_path), EXPECTED)
