"""The classic script of an Azure ML job: train, explain with TabularExplainer, upload, download.

It was written for azureml-interpret, and only its imports were changed. They were:

    from azureml.core.run import Run
    from azureml.interpret import ExplanationClient
    from interpret.ext.blackbox import TabularExplainer
"""

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from mlflow_interpret import ExplanationClient, Run, TabularExplainer

run = Run.get_context()

data = load_breast_cancer()
classes = data.target_names.tolist()
x_train, x_test, y_train, y_test = train_test_split(
    data.data, data.target, test_size=0.2, random_state=0
)
model = RandomForestClassifier(n_estimators=20, max_depth=4, random_state=0).fit(x_train, y_train)

explainer = TabularExplainer(model, x_train, features=data.feature_names, classes=classes)
global_explanation = explainer.explain_global(x_test)

client = ExplanationClient.from_run(run)
client.upload_model_explanation(
    global_explanation, comment="global explanation: all features", true_ys=y_test
)

# Later, wherever the run's id is known.
client = ExplanationClient.from_run_id(run.experiment.workspace, run.experiment.name, run.id)
explanation = client.download_model_explanation(comment="global explanation: all features")
for name, importance in explanation.get_feature_importance_dict(top_k=5).items():
    print(f"{importance:.4f}  {name}")
local_explanation = explainer.explain_local(x_test[0])
print("first row:", local_explanation.get_ranked_local_names(top_k=3))
