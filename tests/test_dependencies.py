"""Installing this package changes nothing in an environment that has the newest packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info < (3, 11):
    import tomli as tomllib
else:
    import tomllib

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
NEWEST = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "shap")
PYTHONS = ("3.12", "3.14")
_NO_INDEX = ("Failed to fetch", "error sending request", "dns error", "Connect", "timed out")


def resolve(python: str, requirements: str, *arguments: str) -> dict[str, str]:
    """The versions that uv chooses, by package; wheels alone, so that nothing is built."""
    uv = pytest.importorskip("uv", reason="needs: pip install uv").find_uv_bin()
    command = [
        uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", python,
        "--only-binary", ":all:", "--no-config", *arguments, "-",
    ]  # fmt: skip
    done = subprocess.run(
        command, input=requirements, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode and any(text in done.stderr for text in _NO_INDEX):
        if os.environ.get("CI_REQUIRE_ALL"):
            pytest.fail(f"no package index answers: {done.stderr}")
        pytest.skip("no package index answers")
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", done.stdout, flags=re.MULTILINE))


def own(extra: str | None = None) -> list[str]:
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    return project["dependencies"] if extra is None else project["optional-dependencies"][extra]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_newest_packages_are_not_changed(python):
    before = resolve(python, "\n".join(NEWEST))
    after = resolve(python, "\n".join([*NEWEST, *own()]))
    newest = {name: before[name] for name in NEWEST}
    assert {name: after[name] for name in NEWEST} == newest
    assert "interpret-community" not in after


def test_interpret_community_is_an_extra_with_its_bounds():
    versions = resolve("3.12", "\n".join([*own(), *own("interpret")]))
    assert versions["interpret-community"].startswith("0.3")
    assert tuple(map(int, versions["numpy"].split(".")[:2])) < (2, 3)


@pytest.mark.parametrize(("python", "client"), [("3.11", True), ("3.14", False)])
def test_the_azure_extra_installs_with_and_without_azureml_interpret(python, client):
    versions = resolve(python, "\n".join([*own(), *own("azure")]))
    assert ("azureml-interpret" in versions) is client
    assert "azureml-mlflow" in versions


def test_numerical_packages_have_no_upper_bound():
    bounded = {"numpy", "pandas", "scipy", "scikit-learn", "shap"}
    for requirement in map(Requirement, own()):
        if requirement.name in bounded:
            assert "<" not in str(requirement.specifier), requirement
