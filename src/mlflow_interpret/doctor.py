"""Examine this machine for `mlflow-interpret doctor`.

Each probe yields findings within a limited time. It changes nothing and never prompts the user.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.redaction import redact, without_credentials
from mlflow_interpret.runtime import versions
from mlflow_interpret.runtime.optional_import import import_error_in_child
from mlflow_interpret.runtime.timeouts import call_with_timeout
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.azureml import diagnosis
from mlflow_interpret.stores.base import Finding

_SECONDS = 5.0
_IMPORT_SECONDS = 20.0
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "KEY", "CONNECTION_STRING", "SAS")


def examine(tracking_uri: str, workspace: str | None = None) -> Iterator[Finding]:
    """Examine this machine, one topic after the other.

    Args:
        tracking_uri: MLflow's tracking URI.
        workspace: An Azure ML workspace to examine, too.
    """
    probes: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "explanations": _explanations,
        "MLflow store": lambda: _store(tracking_uri),
        diagnosis.TOPIC: lambda: diagnosis.examine_access(tracking_uri, workspace),
        diagnosis.UPLOAD_TOPIC: lambda: diagnosis.examine_upload(tracking_uri),
        "spool": _spool,
        "optional": _optional,
    }
    for topic, probe in probes.items():
        try:
            for finding in probe():
                yield Finding(topic, finding.state, _clean(finding.text), finding.remedy)
        except Exception as error:  # the other probes still run
            yield Finding(topic, "broken", _clean(f"{type(error).__name__}: {one_line(error)}"))


def _finding(
    state: Literal["ok", "note", "broken"], text: str, remedy: str | None = None
) -> Finding:
    return Finding("", state, text, remedy)


def _versions() -> Iterator[Finding]:
    own = metadata.version("mlflow-interpret")
    packages = versions.needed()
    shown = ", ".join(
        f"{package.name} {package.version}"
        for package in packages
        if package.name in {"mlflow", "scikit-learn", "shap", "shapiq", "numpy", "pandas"}
    )
    yield _finding("ok", f"mlflow-interpret {own}, Python {platform.python_version()}, {shown}")
    for package in packages:
        if not package.fits:
            install = f'pip install "{package.name}{package.bounds}"'
            state: Literal["broken", "note"] = "broken" if package.version is None else "note"
            yield _finding(state, _misfit(package), install)


def _misfit(package: versions.Installed) -> str:
    if package.version is None:
        return f"{package.name} is missing"
    return f"{package.name} {package.version} (tested: {package.bounds})"


def _explanations() -> Iterator[Finding]:
    """The type of explanations here: interpret-community's, or our own."""
    version = versions.version_of("interpret-community")
    ours = "explanations are of the type mlflow_interpret.GlobalExplanation"
    if not diagnosis.is_installed("interpret_community"):
        text = f'{ours}; engine="kernel" and "tabular" need interpret-community'
        yield _finding("ok", text, 'pip install "mlflow-interpret[interpret]"' if _fits() else None)
        return
    name = f"interpret-community {version}"
    try:
        error = _import_error()
    except subprocess.TimeoutExpired:
        yield _finding("note", f"{name} needs more than {_IMPORT_SECONDS:.0f} s to be imported")
        return
    if error is None:
        yield _finding("ok", f"explanations are of the types of {name}")
        return
    shap, numpy = versions.version_of("shap"), versions.version_of("numpy")
    text = f"{name} cannot be imported with shap {shap} and numpy {numpy} ({error}), so {ours}"
    yield _finding("note", text, _conflict_remedy(shap, numpy))


def _import_error() -> str | None:
    """Import interpret-community in another process; return the last line of its error, if any."""
    return import_error_in_child("import interpret_community", _IMPORT_SECONDS)


def _conflict_remedy(shap: str | None, numpy: str | None) -> str:
    """The command that lets interpret-community be imported again."""
    from packaging.version import Version

    if shap and numpy and Version(shap) < Version("0.47") and Version(numpy) >= Version("2.3"):
        return 'pip install "numpy<2.3", or pip install --no-deps --upgrade shap'
    return 'pip install "mlflow-interpret[interpret]", or pip uninstall interpret-community'


def _fits() -> bool:
    """Whether the extra interpret would change no package that is always needed."""
    return not _changed(versions.optional().get("interpret", []))


def _changed(packages: list[versions.Installed]) -> list[versions.Installed]:
    """The needed packages whose installed versions an extra would replace."""
    needed = {package.name for package in versions.needed()}
    return [p for p in packages if p.name in needed and p.version is not None and not p.fits]


def _store(tracking_uri: str) -> Iterator[Finding]:
    uri = without_credentials(tracking_uri)
    scheme = urlsplit(tracking_uri).scheme
    if scheme == "azureml":
        yield _finding("ok", f"{uri} (see below)")
        return
    path = _path_of(tracking_uri, scheme)
    if path is not None and not path.exists():
        writable = os.access(_existing_parent(path), os.W_OK)
        yield _finding(
            "ok" if writable else "broken",
            f"{uri} does not exist yet" + ("" if writable else " and cannot be created"),
            None if writable else "name another store in MLFLOW_TRACKING_URI",
        )
        return
    if path is not None and not os.access(path, os.W_OK):
        yield _finding("broken", f"{uri} cannot be written", f"make {path} writable")
        return
    try:
        call_with_timeout(_SECONDS, lambda: mlflow_store.request_experiment(tracking_uri))
    except Exception as error:
        yield _finding(
            "broken",
            f"{uri} does not answer: {one_line(error, 120)}",
            "start the server, or name another store in MLFLOW_TRACKING_URI",
        )
    else:
        yield _finding("ok", f"{uri} answers" + ("" if path is None else " and can be written"))


def _path_of(tracking_uri: str, scheme: str) -> Path | None:
    """The path of a store on this machine, None for a server."""
    path = urlsplit(tracking_uri).path
    if scheme == "sqlite":
        return Path(url2pathname(path.removeprefix("/")))
    if scheme == "file":
        return Path(url2pathname(path))
    return Path(tracking_uri) if scheme == "" or len(scheme) == 1 else None  # C:\ on Windows


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())


def _spool() -> Iterator[Finding]:
    folders = spool.folders()
    if folders:
        count = f"{len(folders):,} explanations wait" if folders[1:] else "1 explanation waits"
        yield _finding("note", f"{count} in {spool.directory()}", "mlflow-interpret flush")
    else:
        yield _finding("ok", f"nothing waits in {spool.directory()}")


def _optional() -> Iterator[Finding]:
    incomplete = []
    for extra, packages in versions.optional().items():
        fitting = [f"{package.name} {package.version}" for package in packages if package.fits]
        others = [_misfit(package) for package in packages if not package.fits]
        changed = _changed(packages)
        text = f"{extra}: {', '.join([*fitting, *others])}"
        if changed:
            names = ", ".join(f"{package.name} to {package.bounds}" for package in changed)
            yield _finding("note", f"{text}; installing it changes {names}")
            continue
        if others:
            incomplete.append(extra)
        yield _finding("note" if others else "ok", text)
    if incomplete:
        install = f'pip install "mlflow-interpret[{",".join(incomplete)}]"'
        yield _finding("note", "to install the missing packages", install)


def _clean(text: str) -> str:
    """The text without secrets of the environment."""
    secrets = [
        value
        for name, value in os.environ.items()
        if len(value) > 3 and any(word in name.upper() for word in _SECRET_WORDS)
    ]
    return redact(text, *secrets)


def is_broken(findings: list[Finding]) -> bool:
    """Whether something that is configured here cannot work."""
    return any(finding.state == "broken" for finding in findings)
