"""A training job on Azure ML: explains a model, uploads the explanation, and reads it back.

Usage: job.py RESULT.json
"""

import copy
import json
import sys
from pathlib import Path

from azureml.core.run import Run
from azureml.interpret import ExplanationClient
from interpret_community import TabularExplainer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

ROWS = 20
REFUSED_ID = "badbadba-0000-0000-0000-000000000000"


def main() -> None:
    features, target = load_breast_cancer(return_X_y=True, as_frame=True)
    names = list(features.columns)
    model = RandomForestClassifier(n_estimators=5, max_depth=4, random_state=0)
    model.fit(features, target)
    explainer = TabularExplainer(model, features[:50], features=names, classes=["bad", "good"])
    explanation = explainer.explain_global(features[:ROWS])

    run = Run.get_context()
    client = ExplanationClient.from_run(run)
    labels = [int(label) for label in target[:ROWS]]

    def upload_error(what: object) -> str:
        try:
            client.upload_model_explanation(what, comment="again", true_ys=labels)
        except Exception as error:
            return type(error).__name__
        return "none"

    client.upload_model_explanation(explanation, comment="first", true_ys=labels)
    refused = copy.copy(explanation)
    refused._id = REFUSED_ID
    found = client.download_model_explanation(comment="first")
    same = found.get_feature_importance_dict() == explanation.get_feature_importance_dict()
    result = {
        "run_id": run.id,
        "explanation_id": explanation.id,
        "importances": explanation.get_feature_importance_dict(),
        "same_after_download": same,
        "comments": [item["comment"] for item in client.list_model_explanations()],
        "repeated_upload": upload_error(explanation),
        "refused_upload": upload_error(refused),
        "tags": run.get_tags(),
    }
    run.log("accuracy", 0.5)
    run.complete()
    Path(sys.argv[1]).write_text(json.dumps(result))


main()
