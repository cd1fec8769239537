"""Sphinx configuration of the site, which `tox -e docs` builds without a network."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow

from mlflow_interpret import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "mlflow-interpret"
author = "The mlflow-interpret developers"
copyright = "The mlflow-interpret developers"  # noqa: A001
version = release = __version__
_REPOSITORY = "https://github.com/mlflow-interpret/mlflow-interpret"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "README.md"]

html_theme = "furo"
html_title = "mlflow-interpret"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "source_repository": _REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Docstrings: `name` is a link where the name is documented, code elsewhere.
default_role = "py:obj"
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have shapes and units
autodoc_class_signature = "mixed"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# The tutorials are executed, all of them with one new MLflow store.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True


_STORE = tempfile.TemporaryDirectory(prefix="mlflow-interpret-docs-")  # removed at exit


def _create_store(folder: Path) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_INTERPRET_SPOOL"] = f"{folder}/spool"
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress"  # of tqdm; needed for progress bars only
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    # MLflow's messages about new tables and experiments distract from the tutorials.
    for tutorial in Path(__file__).parent.glob("tutorials/*.md"):
        for name in re.findall(r'set_experiment\("(.*)"\)', tutorial.read_text(encoding="utf-8")):
            mlflow.create_experiment(name, artifact_location=f"{folder}/{name}")


def _link_to_repository(_app: Sphinx, name: str, source: list[str]) -> None:
    """Link to the repository for files that are no pages of the site."""
    up = "../" * (name.count("/") + 1)
    pattern = rf"\]\({re.escape(up)}(?!\.)([^)]+)\)"
    source[0] = re.sub(pattern, rf"]({_REPOSITORY}/blob/main/\1)", source[0])


def setup(app: Sphinx) -> None:
    """Connect the hook of the links, and create the store of the tutorials."""
    app.connect("source-read", _link_to_repository)
    _create_store(Path(_STORE.name))
