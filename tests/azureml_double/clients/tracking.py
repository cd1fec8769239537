"""MLflow's client with Azure ML as tracking store, and the explanation client on the same run.

Usage: tracking.py RESULT.json SUBSCRIPTION GROUP WORKSPACE
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
from azureml.core import Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.core.run import Run
from azureml.interpret import ExplanationClient
from interpret_community import TabularExplainer
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

EXPERIMENT = "from-laptop"


def error_of(action: Callable[[], object]) -> str:
    try:
        action()
    except Exception as error:
        return str(error)
    return "none"


def log() -> tuple[str, dict[str, str]]:
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run() as active:
        mlflow.log_metrics({f"metric/{number}": number for number in range(40)})
        mlflow.log_metric("later", 1.0, synchronous=False)
        mlflow.flush_async_logging()
        mlflow.log_params({"depth": 2})
        mlflow.log_dict({"a": 1}, "folder/a.json")
        many = {f"tag{number}": "x" for number in range(50)}
        rows = [mlflow.entities.Metric("later", 0.0, 0, step) for step in range(251)]
        client = mlflow.MlflowClient()
        errors = {
            "metric_names": error_of(lambda: mlflow.log_metrics(dict.fromkeys("abcdefghijk", 0.0))),
            "metric_rows": error_of(lambda: client.log_batch(active.info.run_id, metrics=rows)),
            "tags": error_of(lambda: mlflow.set_tags(many)),
            "tag_value": error_of(lambda: mlflow.set_tag("long", "x" * 1001)),
            "params": error_of(lambda: mlflow.log_params(dict.fromkeys(map(str, range(200)), 0))),
            "same_artifact": error_of(lambda: mlflow.log_dict({"a": 2}, "folder/a.json")),
            "logged_model": error_of(lambda: mlflow.initialize_logged_model(name="model")),
        }
        return active.info.run_id, errors


def upload(run_id: str) -> Run:
    _, subscription, group, name = sys.argv[1:]
    auth = ServicePrincipalAuthentication(
        os.environ["AZURE_TENANT_ID"],
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_SECRET"],
    )
    workspace = Workspace.get(name, auth, subscription, group)
    features, target = load_iris(return_X_y=True, as_frame=True)
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(features, target)
    explanation = TabularExplainer(model, features).explain_global(features[:20])
    client = ExplanationClient.from_run_id(workspace, EXPERIMENT, run_id)
    client.upload_model_explanation(explanation)
    return Run.get(workspace, run_id)


def main() -> None:
    run_id, errors = log()
    run = upload(run_id)
    client = mlflow.MlflowClient()
    tracked = client.get_run(run_id)
    local = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="folder/a.json")
    result = {
        "run_id": run_id,
        "artifact_uri": tracked.info.artifact_uri,
        "metrics": len(tracked.data.metrics),
        "mlflow_tags": tracked.data.tags,
        "status": run.get_status(),
        "artifacts": sorted(item.path for item in client.list_artifacts(run_id)),
        "content": json.loads(Path(local).read_text()),
        "errors": errors,
    }
    Path(sys.argv[1]).write_text(json.dumps(result))


main()
