"""The examples in the docstrings of public names run as they stand."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import mlflow_interpret
from mlflow_interpret.api.conversions import Conversions
from mlflow_interpret.compare import RunComparison
from mlflow_interpret.core.errors import MlflowInterpretError

pytestmark = pytest.mark.slow

REFERENCE = Path(__file__).parents[1] / "docs" / "api.md"
(SETUP,) = re.findall(r"```python\n(.*?)```", REFERENCE.read_text("utf-8"), flags=re.DOTALL)
PUBLIC = [getattr(mlflow_interpret, name) for name in mlflow_interpret.__all__]
DOCUMENTED = [
    value
    for value in PUBLIC
    if callable(value) and not (isinstance(value, type) and issubclass(value, MlflowInterpretError))
]


def test_the_reference_has_all_public_names_and_each_has_an_example():
    text = REFERENCE.read_text(encoding="utf-8")
    listed = set(re.findall(r":: (?:[\w.]+\.)?(\w+)$", text, flags=re.MULTILINE))
    assert listed >= set(mlflow_interpret.__all__) - {"__version__"}
    assert not [value.__name__ for value in DOCUMENTED if ">>> " not in value.__doc__]


def test_the_examples_run(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(SETUP, names)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    output = []
    for value in [*DOCUMENTED, RunComparison, Conversions]:
        for example in doctest.DocTestFinder().find(value, value.__name__, globs={}):
            example.globs = names
            runner.run(example, out=output.append, clear_globs=False)
        mlflow_interpret.autolog(disable=True)
    assert runner.tries > 20
    assert not runner.failures, "".join(output)
