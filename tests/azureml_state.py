"""What Azure ML has of a run's explanations, comparable between runs."""

from __future__ import annotations

from azureml_double import AzureMLDouble
from mlflow_interpret.azureml import assets


def state(double: AzureMLDouble, run_id: str) -> dict:
    """What Azure ML has of a run's explanations, but for the ids."""
    found = []
    for asset in (each for each in double.assets if each["runid"] == run_id):
        properties = dict(asset["properties"])
        folder = assets.folder_of(properties.pop("explanation_id"))

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
