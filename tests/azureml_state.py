"""The state of a run's explanations in the double, comparable between runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from azureml_double import AzureMLDouble
from mlflow_interpret.stores.azureml import asset_format


def state(double: AzureMLDouble, run_id: str) -> dict:
    """Return the assets, files and tags of a run, without ids."""
    found = []
    for asset in (entry for entry in double.assets if entry["runid"] == run_id):
        properties = dict(asset["properties"])
        folder = asset_format.folder_of(properties.pop("explanation_id"))

        def plain(text: str, folder: str = folder) -> str:
            return text.replace(folder, "FOLDER").replace(run_id, "RUN")

        files = {
            plain(path): plain(double.read_artifact(run_id, path).decode())
            for path in double.artifacts(run_id)
            if path.startswith(f"{folder}/")
        }
        labels = [plain(artifact["prefix"]) for artifact in asset["artifacts"]]
        names = {name: value and plain(value) for name, value in properties.items()}
        found.append((names, labels, files))
    return {"assets": found, "tags": double.runs[run_id]["tags"]}


def ids(double: AzureMLDouble, run_id: str) -> list[str]:
    return [a["properties"]["explanation_id"] for a in double.assets if a["runid"] == run_id]


def blocks(
    double: AzureMLDouble, run_id: str, name: str, explanation_id: str | None = None
) -> list:
    """Return the content of a run's file; that of a file in shards is concatenated."""
    folder = asset_format.folder_of(explanation_id) if explanation_id else "explanation/[^/]+"
    file = re.compile(rf"{folder}/{name}(/\d+)?\.interpret\.json")
    paths = [path for path in double.artifacts(run_id) if file.fullmatch(path)]
    assert paths, f"no {name} among {double.artifacts(run_id)}"
    return [item for path in paths for item in json.loads(double.read_artifact(run_id, path))]


def assert_no_secret(double: AzureMLDouble, *texts: str, folders: Iterable[Path] = ()) -> None:
    """Assert that no text and no file contains a token, signature or password of the double."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    contents = [text.encode() for text in texts] + [path.read_bytes() for path in files]
    assert double.secrets
    for secret in double.secrets:
        assert not any(secret.encode() in content for content in contents)
