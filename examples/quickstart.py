"""Train a model with one more line of code: the run then holds an explanation of the model.

The run is logged to MLflow's default store, or to that in MLFLOW_TRACKING_URI. The output ends with
the addresses to open.
"""

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import mlflow_interpret

mlflow_interpret.autolog()

data = load_breast_cancer(as_frame=True)
diagnosis = data.target.map(dict(enumerate(data.target_names)))
X_train, X_test, y_train, y_test = train_test_split(data.data, diagnosis, random_state=0)

mlflow.set_experiment("breast-cancer")
with mlflow.start_run(run_name="quickstart") as run:
    model = RandomForestClassifier(n_estimators=100, random_state=0).fit(X_train, y_train)
    mlflow.log_metric("accuracy", model.score(X_test, y_test))

explanation = mlflow_interpret.load_explanation(run.info.run_id)
print("\nThe five features that move the prediction most:")
for name, importance in list(explanation.get_feature_importance_dict().items())[:5]:
    print(f"  {importance:.4f}  {name}")

print("\nSee the whole ranking:     mlflow-interpret show", run.info.run_id)
print("Compare runs in a browser: mlflow ui --backend-store-uri", mlflow.get_tracking_uri())
address = f"http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}"
print("                           then open", f"{address}/runs?compareRunsMode=CHART")
print("The run and its artifacts:", f"{address}/runs/{run.info.run_id}/artifacts")
