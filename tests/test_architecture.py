"""Rules of the folders: allowed imports, import cycles, private APIs and light imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mlflow_interpret

ROOT = Path(mlflow_interpret.__file__).parent
PACKAGE = "mlflow_interpret"

# Each folder or module, and the modules of this package that it may import. The longest match
# counts: the rules of `stores/mlflow` are its own, not those of `stores`.
_RECORDS = ["core", "runtime"]
_STORES = ["stores", "interpret_community", *_RECORDS]
MAY_IMPORT = {
    "core": [],
    "runtime": ["core"],
    "rendering": ["core"],
    "interpret_community": _RECORDS,
    "explaining": _RECORDS,
    "report": ["rendering", *_RECORDS],
    "compare": ["rendering", *_RECORDS],
    "stores": ["stores.mlflow", "report.artifacts", *_STORES],
    "stores.mlflow": ["stores.base", "stores.record", *_RECORDS],
    "stores.azureml": ["stores.base", "interpret_community", *_RECORDS],
    "autologging": ["explaining", "stores.mlflow", "report", "compare", *_STORES],
    "api": [
        "autologging", "explaining", "stores.mlflow", "rendering", "report", "compare", *_STORES,
    ],
    "doctor": ["stores.mlflow", "stores.azureml", *_STORES],
    "integrations": ["api", "autologging", "stores.mlflow", *_STORES],
    "cli": [
        "api", "autologging", "doctor", "stores.mlflow", "stores.azureml", "report", "compare",
        *_STORES,
    ],
    "__init__": ["api", "autologging", *_RECORDS],
}  # fmt: skip

# Azure ML has one folder, one public option, and two places that report on it.
NAME_AZUREML = ["stores.azureml", "api", "autologging.autolog", "core.options", "doctor", "cli"]

# Private APIs of other packages are read in these modules alone, which have contract tests.
USE_PRIVATE_APIS = [
    "autologging.mlflow_patches",
    "explaining.joblib_pool",
    "explaining.pandas_compat",
    "explaining.sklearn_compat",
    "explaining.sklearn_kernels",
    "explaining.sklearn_trees",
    "interpret_community",
    "runtime.exit_hooks",
    "runtime.thread_warnings",
    "stores.azureml.sdk_internals",
    "stores.mlflow.mlflow_internals",
]
DOCUMENTED = {"_exit", "_getframe"}  # functions of os and sys, public in spite of their names

HEAVY = {
    "azureml", "click", "interpret_community", "matplotlib", "mlflow", "numpy", "pandas", "scipy",
    "shap", "sklearn", "tqdm",
}  # fmt: skip


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_name(path): path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}
TREES = {module: ast.parse(text) for module, text in MODULES.items()}


def is_in(module: str, places: list[str]) -> bool:
    """Whether a module is one of the places, or lies in one of them."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def room(module: str) -> str:
    """The longest entry of MAY_IMPORT that a module lies in."""
    return max((place for place in MAY_IMPORT if is_in(module, [place])), key=len)


def statements(node: ast.AST) -> list[ast.AST]:
    """All nodes below a node, without imports that only type checkers see."""
    nodes = []
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            nodes += [child, *statements(child)]
    return nodes


def imports(module: str) -> set[str]:
    """The modules of this package that a module imports, at its top or inside a function."""
    names: list[str] = []
    for node in statements(TREES[module]):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            are_modules = [name.removeprefix(f"{PACKAGE}.") in MODULES for name in members]
            names += members if all(are_modules) else [str(node.module)]
    inside = {name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}.")}
    return inside - {module}


def private_names(module: str) -> set[str]:
    """The private attributes and members that a module uses and does not define."""
    used, defined = set(), set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Attribute):
            is_own = isinstance(node.ctx, ast.Store) or ast.unparse(node.value) in {"self", "cls"}
            (defined if is_own else used).add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            used.update(str(node.module).split("."), (alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "hasattr"}:
            used.add(getattr(node.args[1], "value", ""))
    names = {str(name) for name in used - defined - DOCUMENTED}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def check(violations: list[str]) -> None:
    """Fail with all violations, each on a line of its own."""
    assert not violations, "\n".join(violations)


def test_folders_import_only_allowed_modules():
    check(
        [
            f"{module} imports {imported}"
            for module in MODULES
            for imported in sorted(imports(module))
            if room(imported) != room(module) and not is_in(imported, MAY_IMPORT[room(module)])
        ]
    )


def test_imports_have_no_cycles():
    graph = {module: imports(module) & set(MODULES) for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_azureml_is_named_only_in_allowed_modules():
    naming = [module for module, text in MODULES.items() if "azureml" in text]
    check([f"{module} names azureml" for module in naming if not is_in(module, NAME_AZUREML)])


def test_private_apis_are_used_only_in_named_modules():
    check(
        [
            f"{module} uses private names: {', '.join(sorted(private_names(module)))}"
            for module in MODULES
            if module not in USE_PRIVATE_APIS and private_names(module)
        ]
    )


def test_azure_is_imported_inside_functions_only():
    at_top = [
        module
        for module, tree in TREES.items()
        for node in tree.body
        if module != "stores.azureml.pipeline"  # imported where a request is sent
        and isinstance(node, ast.Import | ast.ImportFrom)
        and any(
            name in ast.unparse(node).split()[1].split(".")[:1] for name in ("azure", "azureml")
        )
    ]
    assert at_top == []


def loaded_after(statement: str) -> set[str]:
    """The top-level packages that a new Python has imported after a statement."""
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {module.partition(".")[0] for module in done.stdout.split()}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import mlflow_interpret; dir(mlflow_interpret)", set()),
        ("from mlflow_interpret import CannotExplainError, __version__", set()),
        ("import mlflow_interpret.core.options", set()),
        ("import mlflow_interpret.runtime.isolation, mlflow_interpret.runtime.progress", set()),
        (
            "from mlflow_interpret.cli import main; main(['--help'], standalone_mode=False)",
            {"click"},
        ),
    ],
)
def test_imports_are_light(statement, allowed):
    loaded = loaded_after(statement)
    assert PACKAGE in loaded
    assert HEAVY & loaded <= allowed


def test_every_public_name_can_be_imported_and_is_documented():
    for name in mlflow_interpret.__all__:
        member = getattr(mlflow_interpret, name)
        assert name == "__version__" or member.__doc__
    assert set(dir(mlflow_interpret)) == set(mlflow_interpret.__all__)
    with pytest.raises(AttributeError, match="no attribute 'autologg'"):
        mlflow_interpret.autologg  # noqa: B018
