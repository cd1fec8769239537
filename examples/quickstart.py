"""Train two models with one more line of code: each run then holds an explanation of its model.

The runs are logged to MLflow's default store, or to that in MLFLOW_TRACKING_URI. The output ends
with the addresses to open.
"""

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlflow_interpret

mlflow_interpret.autolog()

data = load_breast_cancer(as_frame=True)
diagnosis = data.target.map(dict(enumerate(data.target_names)))
X_train, X_test, y_train, y_test = train_test_split(data.data, diagnosis, random_state=0)
models = {
    "forest": RandomForestClassifier(n_estimators=100, random_state=0),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
}

experiment = mlflow.set_experiment("breast-cancer")
# MLflow's pages then list the experiment's runs under "Model training".
mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")
run_ids = []
for name, model in models.items():
    with mlflow.start_run(run_name=name) as run:
        model.fit(X_train, y_train)
        mlflow.log_metric("accuracy", model.score(X_test, y_test))
    run_ids.append(run.info.run_id)

explanation = mlflow_interpret.load_explanation(run_ids[0])
print("\nThe five most important features of the forest:")
for name, importance in list(explanation.get_feature_importance_dict().items())[:5]:
    print(f"  {importance:.4f}  {name}")

print("\nSee a whole ranking:  mlflow-interpret show", run_ids[0])
print("Compare both models:  mlflow-interpret compare", *run_ids, "--html compared.html")
print("Open MLflow:          mlflow ui --backend-store-uri", mlflow.get_tracking_uri())
page = f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}"
print("  the forest:        ", f"{page}/runs/{run_ids[0]}")
print("  its report:        ", f"{page}/runs/{run_ids[0]}/artifacts/mlflow_interpret/report.html")
print("  both in charts:    ", f"{page}/runs?compareRunsMode=CHART")
