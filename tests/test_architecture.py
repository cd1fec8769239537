"""The table of the architecture: who may import what, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlflow_interpret

ROOT = Path(mlflow_interpret.__file__).parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
INTERNAL = "mlflow_interpret"

# Outside packages and the modules (or folders) that may import them.
OWNERS = {
    "azure": {"azureml/"},
    "azureml": {"azureml/"},
    "catboost": {"explaining/"},
    "click": {"cli/"},
    "cloudpickle": {"training/pending.py", "explaining/parallel.py"},
    "dask": {"explaining/sources.py"},
    "filelock": {"training/pending.py"},
    "interpret_community": {"interpret.py", "explaining/"},
    "jinja2": {"reporting/pages.py"},
    "joblib": {"explaining/"},
    "markupsafe": {"reporting/pages.py"},
    "matplotlib": {"comparing/figures.py", "reporting/figures.py", "reporting/pictures.py"},
    "mlflow": {
        "tracking/", "training/patches.py", "training/runs.py", "api.py", "azureml/targets.py",
        "cli/terminal.py", "cli/comparing.py", "cli/flushing.py", "evaluator.py",
    },
    "packaging": {"versions.py"},
    "platformdirs": {"spool.py"},
    "polars": {"explaining/containers.py"},
    "pyarrow": {"storage.py", "explaining/sources.py"},
    "requests": {"azureml/calls.py"},
    "scipy": {"comparing/chance.py", "interpret.py", "explaining/"},
    "shap": {"explaining/"},
    "shapiq": {"explaining/"},
    "sklearn": {"training/hooks.py", "explaining/"},
    "tqdm": {"progress.py"},
    "xgboost": {"explaining/"},
}  # fmt: skip
EVERYWHERE_BUT_CONFIG = {"numpy", "pandas"}


def imports(module):
    """``(package, name, inside a function)`` of every import, those for types only left out."""
    tree = ast.parse((ROOT / module).read_text("utf-8"))
    found = []

    def visit(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((a.name.partition(".")[0], a.name, inside) for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module} imports relatively"
                found.append((child.module.partition(".")[0], child.module, inside))
                if child.module.partition(".")[0] == INTERNAL:  # of a folder: its modules
                    names = (f"{child.module}.{alias.name}" for alias in child.names)
                    found.extend((INTERNAL, name, inside) for name in names)
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            else:
                function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                visit(child, inside or function)

    visit(tree, inside=False)
    return found


def packages(module):
    return {package for package, _, _ in imports(module)}


def outside(module):
    standard = set(sys.stdlib_module_names)
    return packages(module) - standard - {INTERNAL, "__future__"}


def test_the_modules_are_found():
    assert {"config.py", "training/hooks.py", "explaining/engines.py", "azureml/targets.py"} <= set(
        MODULES
    )
    assert ("sklearn", "sklearn.base", False) in imports("explaining/models.py")


@pytest.mark.parametrize("module", MODULES)
def test_every_outside_package_has_its_owners(module):
    for package in outside(module) - EVERYWHERE_BUT_CONFIG:
        owners = OWNERS.get(package, set())
        allowed = any(module == o or (o.endswith("/") and module.startswith(o)) for o in owners)
        assert allowed, f"{module} imports {package}, which belongs to {sorted(owners) or 'no one'}"


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("__init__.py", set()),
        ("errors.py", set()),
        ("config.py", set()),
        ("quiet.py", set()),
        ("records.py", {"numpy", "pandas"}),
        ("tracking/metrics.py", set()),
        ("storage.py", {"numpy", "pandas", "pyarrow"}),
        ("reporting/pages.py", {"jinja2", "markupsafe"}),
        ("comparing/__init__.py", {"pandas"}),
        ("comparing/chance.py", {"numpy", "pandas", "scipy"}),
        ("comparing/figures.py", {"matplotlib", "numpy", "pandas"}),
        ("comparing/order.py", {"numpy", "pandas"}),
        ("comparing/page.py", {"numpy", "pandas"}),
        ("comparing/shifts.py", {"pandas"}),
        ("comparing/text.py", {"pandas"}),
        ("comparing/tables.py", {"numpy", "pandas"}),
        ("progress.py", {"tqdm"}),
        ("reporting/distributions.py", {"numpy", "pandas"}),
        ("reporting/figures.py", {"matplotlib", "numpy"}),
        ("reporting/pictures.py", {"matplotlib"}),
        ("reporting/report.py", {"numpy"}),
        ("reporting/report_baseline.py", {"numpy"}),
        ("reporting/report_data.py", {"numpy"}),
        ("reporting/artifacts.py", set()),
        ("processes.py", set()),
        ("spool.py", {"platformdirs"}),
        ("cli/__init__.py", {"click"}),
        ("cli/terminal.py", {"click", "mlflow"}),
        ("cli/showing.py", {"click"}),
        ("cli/pushing.py", {"click"}),
        ("cli/examining.py", {"click"}),
        ("cli/comparing.py", {"click", "mlflow"}),
        ("cli/flushing.py", {"click", "mlflow"}),
    ],
)
def test_the_pure_modules_import_no_more_than_this(module, allowed):
    assert outside(module) <= allowed


@pytest.mark.parametrize("module", MODULES)
def test_azure_is_imported_inside_functions_only(module):
    at_top = [
        name
        for package, name, inside in imports(module)
        if package in {"azure", "azureml"} and not inside
    ]
    assert at_top == []


@pytest.mark.parametrize("module", MODULES)
def test_no_module_knows_both_scikit_learn_and_azure(module):
    assert not {"sklearn", "azureml"} <= packages(module)


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("explaining/")])
def test_explaining_knows_nothing_of_runs(module):
    allowed = {"errors", "records", "explaining"}
    used = {name.split(".")[1] for package, name, _ in imports(module)
            if package == INTERNAL and "." in name}  # fmt: skip
    assert used <= allowed


@pytest.mark.parametrize(
    "module",
    [
        *(name for name in MODULES if name.startswith("tracking/")),
        "delivery.py",
        "azureml/uploads.py",
    ],
)
def test_sinks_never_see_the_model(module):
    used = {name for package, name, _ in imports(module) if package == INTERNAL}
    assert not any(name.startswith(f"{INTERNAL}.explaining") for name in used)
    assert "TrainingContext" not in (ROOT / module).read_text("utf-8")


def test_the_data_flows_one_way():
    """No module imports, directly or not, a module that imports it, not even when it is used."""
    names = {module: "mlflow_interpret." + module[:-3].replace("/", ".").removesuffix(".__init__")
             for module in MODULES}  # fmt: skip
    uses = {
        name: {used for package, used, _ in imports(module)
               if package == INTERNAL and used in names.values() and used != name}
        for module, name in names.items()
    }  # fmt: skip

    def reach(name, path):
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        for used in uses.get(name, ()):
            reach(used, (*path, name))

    for name in uses:
        reach(name, ())


@pytest.mark.parametrize("name", ["utils", "helpers", "base", "common", "manager", "misc"])
def test_every_module_is_named_after_its_job(name):
    assert f"{name}.py" not in {Path(module).name for module in MODULES}


def loaded_after(statement):
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {module.partition(".")[0] for module in done.stdout.split()}


HEAVY = {
    "mlflow", "sklearn", "numpy", "pandas", "matplotlib", "shap", "interpret_community", "azureml",
    "scipy", "click", "tqdm",
}  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "import mlflow_interpret",
        "import mlflow_interpret; dir(mlflow_interpret)",
        "from mlflow_interpret import CannotExplainError, __version__",
        "import mlflow_interpret.core.options",
        "import mlflow_interpret.runtime.isolation",
        "import mlflow_interpret.runtime.progress",
    ],
)
def test_importing_is_light(statement):
    loaded = loaded_after(statement)
    assert "mlflow_interpret" in loaded
    assert not HEAVY & loaded


def test_the_command_s_help_is_light():
    code = "from mlflow_interpret.cli import main; main(['--help'], standalone_mode=False)"
    loaded = loaded_after(code)
    assert not (HEAVY - {"click"}) & loaded


def test_every_public_name_can_be_imported_and_is_documented():
    for name in mlflow_interpret.__all__:
        thing = getattr(mlflow_interpret, name)
        assert name == "__version__" or thing.__doc__
    assert set(dir(mlflow_interpret)) == set(mlflow_interpret.__all__)
    with pytest.raises(AttributeError, match="no attribute 'autologg'"):
        mlflow_interpret.autologg  # noqa: B018
