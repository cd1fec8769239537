"""Explain a model without a run, log the explanation, and load it again, without pickles."""

import mlflow
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split

import mlflow_interpret

X, y = load_diabetes(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = GradientBoostingRegressor(random_state=0).fit(X_train, y_train)

explanation = mlflow_interpret.explain(model, X_train, (X_test, y_test))

mlflow.set_experiment("diabetes")
mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")
run_id = mlflow_interpret.log_explanation(explanation, comment="explained after training")

again = mlflow_interpret.load_explanation(run_id)
assert again.get_feature_importance_dict() == explanation.get_feature_importance_dict()
assert np.array_equal(again.local_importance_values, explanation.local_importance_values)
print("strongest feature:", again.get_ranked_global_names()[0])
