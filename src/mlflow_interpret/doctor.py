"""What would happen here, and why: `mlflow-interpret doctor`.

Each probe gives findings, is bounded in time, changes nothing and asks nobody.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from mlflow_interpret.stores.azureml import auth, resource_ids, targets, tokens, workspace

_SECONDS = 5.0
_LOGIN_SECONDS = 15.0  # the command line tools of Azure are slow to start
_IMPORT_SECONDS = 10.0
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "KEY", "CONNECTION_STRING", "SAS")

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: What it is about.
        state: ``broken`` where something that is set up here cannot work.
        text: What was found, without secrets.
        remedy: What to do, or None.
    """

    topic: str
    state: State
    text: str
    remedy: str | None = None


def examine(tracking_uri: str, workspace: str | None = None) -> Iterator[Finding]:
    """Look at this machine, one topic after the other.

    Args:
        tracking_uri: MLflow's tracking URI.
        workspace: What names an Azure ML workspace that is to be asked, too.
    """
    probes: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "MLflow store": lambda: _store(tracking_uri),
        "Azure ML": lambda: _azure(tracking_uri, workspace),
        "upload": lambda: _upload(tracking_uri),
        "spool": _spool,
        "optional": _optional,
    }
    for topic, probe in probes.items():
        try:
            for finding in probe():
                yield Finding(topic, finding.state, _clean(finding.text), finding.remedy)
        except Exception as error:  # a probe that fails must not keep the others
            yield Finding(topic, "broken", _clean(f"{type(error).__name__}: {one_line(error)}"))


def _found(state: State, text: str, remedy: str | None = None) -> Finding:
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
            state: State = "broken" if package.version is None else "note"
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


def _azure(tracking_uri: str, workspace: str | None) -> Iterator[Finding]:
    if workspace is not None:
        yield from _named_workspace(workspace)
    if targets.is_job():
        yield _found("ok", f"this process is the job {os.environ['AZUREML_RUN_ID']}")
        yield _job_token()
        return
    missing = targets.missing_of_job()
    if missing:
        yield _found(
            "note", f"no job: of its environment variables, {', '.join(missing)} are not set"
        )
    if not tracking_uri.startswith("azureml://"):
        yield _found("ok", "not seen: no job, and the tracking URI is no azureml:// one")
        return
    if not _is_installed("azureml.mlflow"):
        install = "pip install 'mlflow-interpret[azure]'"
        yield _found("broken", "MLflow cannot open azureml:// URIs without azureml-mlflow", install)
        return
    yield from _workspace(tracking_uri)


def _job_token() -> Finding:
    expiry = tokens.expiry_of(os.environ["AZUREML_RUN_TOKEN"])
    if expiry is None:
        return _found("note", "credentials: the job's token, whose expiry is not known")
    left = expiry - time.time()
    if left <= 0:
        return _found("broken", "credentials: the job's token, which has expired")
    return _found("ok", f"credentials: the job's token, valid for {left / 3600:.1f} hours")


def _workspace(tracking_uri: str) -> Iterator[Finding]:
    parts = resource_ids.parse_workspace_id(tracking_uri)
    if parts is None:
        remedy = "take the URI from the workspace's overview page in studio"
        yield _found("broken", "the tracking URI names no workspace", remedy)
        return
    if os.environ.get("MLFLOW_TRACKING_TOKEN") and os.environ.get("MLFLOW_RUN_ID"):
        yield _found("ok", "credentials: the token in MLFLOW_TRACKING_TOKEN")
        return
    yield from _named_workspace(tracking_uri)


def _named_workspace(named: str) -> Iterator[Finding]:
    try:
        login = auth.log_in(_LOGIN_SECONDS)
    except Exception as error:
        yield _found("broken", f"credentials: {one_line(error)}")
        return
    yield _found("ok", f"credentials: {login.source} of azure-identity")
    try:
        place = call_with_timeout(
            4 * _SECONDS, lambda: workspace.open_workspace(named, _SECONDS, login)
        )
        call_with_timeout(2 * _SECONDS, lambda: workspace.ask(place, _SECONDS))
    except Exception as error:
        yield _found("broken", f"workspace: {one_line(error)}")
    else:
        yield _found("ok", f"workspace {place.name} answers at {place.endpoint}")


def _upload(tracking_uri: str) -> Iterator[Finding]:
    if not targets.wanted("auto", tracking_uri):
        yield _found("ok", "none by default; autolog(azureml=WORKSPACE) or push --to WORKSPACE")
        return
    try:
        reason = _why_no_client()
    except subprocess.TimeoutExpired:
        text = f"by ExplanationClient, if it can be imported: {_IMPORT_SECONDS:.0f} s did not tell"
        yield _found("ok", text)
        return
    if reason is None:
        yield _found("ok", "by ExplanationClient of azureml-interpret")
        return
    yield _found("ok", f"by our own writer: {reason}")
    if not _is_installed("azure.storage.blob"):
        install = "pip install 'mlflow-interpret[azure]'"
        yield _found("broken", "the writer needs azure-storage-blob", install)


def _why_no_client() -> str | None:
    """Why ExplanationClient cannot be imported, None where it can; asked in another process."""
    if not _is_installed("azureml.interpret"):
        return "azureml-interpret is not installed"
    done = subprocess.run(
        [sys.executable, "-c", "from azureml.interpret import ExplanationClient"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_IMPORT_SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return f"azureml-interpret cannot be imported ({last})"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


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
