"""What would happen here, and why: `mlflow-interpret doctor`.

Each probe gives findings, is bounded in time, changes nothing and asks nobody.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.redaction import redact, without_credentials
from mlflow_interpret.runtime import versions
from mlflow_interpret.runtime.timeouts import call_with_timeout
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.azureml import diagnosis
from mlflow_interpret.stores.base import Finding

_SECONDS = 5.0
_LOGIN_SECONDS = 15.0  # the command line tools of Azure are slow to start
_IMPORT_SECONDS = 10.0
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "KEY", "CONNECTION_STRING", "SAS")


def examine(tracking_uri: str, workspace: str | None = None) -> Iterator[Finding]:
    """Look at this machine, one topic after the other.

    Args:
        tracking_uri: MLflow's tracking URI.
        workspace: What names an Azure ML workspace that is to be asked, too.
    """
    probes: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
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
        except Exception as error:  # a probe that fails must not keep the others
            yield Finding(topic, "broken", _clean(f"{type(error).__name__}: {one_line(error)}"))


def _found(state: Literal["ok", "note", "broken"], text: str, remedy: str | None = None) -> Finding:
    return Finding("", state, text, remedy)


def _versions() -> Iterator[Finding]:
    own = metadata.version("mlflow-interpret")
    packages = versions.needed()
    shown = ", ".join(
        f"{package.name} {package.version}"
        for package in packages
        if package.name in {"mlflow", "scikit-learn", "shap", "interpret-community", "numpy"}
    )
    yield _found("ok", f"mlflow-interpret {own}, Python {platform.python_version()}, {shown}")
    for package in packages:
        if not package.fits:
            install = f'pip install "{package.name}{package.bounds}"'
            state: Literal["broken", "note"] = "broken" if package.version is None else "note"
            yield _found(state, _misfit(package), install)


def _misfit(package: versions.Installed) -> str:
    if package.version is None:
        return f"{package.name} is missing"
    return f"{package.name} {package.version} (tested: {package.bounds})"


def _store(tracking_uri: str) -> Iterator[Finding]:
    uri = without_credentials(tracking_uri)
    scheme = urlsplit(tracking_uri).scheme
    if scheme == "azureml":
        yield _found("ok", f"{uri} (see below)")
        return
    path = _path_of(tracking_uri, scheme)
    if path is not None and not path.exists():
        writable = os.access(_existing_parent(path), os.W_OK)
        yield _found(
            "ok" if writable else "broken",
            f"{uri} does not exist yet" + ("" if writable else " and cannot be made"),
            None if writable else "name another store in MLFLOW_TRACKING_URI",
        )
        return
    if path is not None and not os.access(path, os.W_OK):
        yield _found("broken", f"{uri} cannot be written", f"make {path} writable")
        return
    try:
        call_with_timeout(_SECONDS, lambda: mlflow_store.request_experiment(tracking_uri))
    except Exception as error:
        yield _found(
            "broken",
            f"{uri} does not answer: {one_line(error, 120)}",
            "start the server, or name another store in MLFLOW_TRACKING_URI",
        )
    else:
        yield _found("ok", f"{uri} answers" + ("" if path is None else " and can be written"))


def _path_of(tracking_uri: str, scheme: str) -> Path | None:
    """Where a store on this machine is."""
    path = urlsplit(tracking_uri).path
    if scheme == "sqlite":
        return Path(url2pathname(path.removeprefix("/")))
    if scheme == "file":
        return Path(url2pathname(path))
    return Path(tracking_uri) if scheme == "" or len(scheme) == 1 else None  # C:\ on Windows


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())


def _spool() -> Iterator[Finding]:
    kept = spool.folders()
    if kept:
        waiting = "1 explanation waits" if len(kept) == 1 else f"{len(kept):,} explanations wait"
        text = f"{waiting} in {spool.directory()}"
        yield _found("note", text, "mlflow-interpret flush")
    else:
        yield _found("ok", f"nothing waits in {spool.directory()}")


def _optional() -> Iterator[Finding]:
    lacking = []
    for extra, packages in versions.optional().items():
        have = [f"{each.name} {each.version}" for each in packages if each.fits]
        wrong = [_misfit(each) for each in packages if not each.fits]
        if wrong:
            lacking.append(extra)
        yield _found("note" if wrong else "ok", f"{extra}: {', '.join([*have, *wrong])}")
    if lacking:
        install = f'pip install "mlflow-interpret[{",".join(lacking)}]"'
        yield _found("note", "to have what is missing of these", install)


def _clean(text: str) -> str:
    """One line without what the environment holds of secrets."""
    secrets = [
        value
        for name, value in os.environ.items()
        if len(value) > 3 and any(word in name.upper() for word in _SECRET_WORDS)
    ]
    return redact(text, *secrets)


def is_broken(findings: list[Finding]) -> bool:
    """Whether something that is set up here cannot work."""
    return any(finding.state == "broken" for finding in findings)
