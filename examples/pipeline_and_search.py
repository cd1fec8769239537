"""A pipeline on columns of text, numbers and gaps, tuned by a search, beside MLflow's autologging.

The search fits many models; the run gets one explanation, of the best one, by the raw columns.
Its data needs `pip install palmerpenguins`.
"""

import mlflow
from palmerpenguins import load_penguins
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mlflow_interpret

penguins = load_penguins().dropna(subset=["sex"])
X = penguins.drop(columns=["species", "year"])
X_train, X_test, y_train, y_test = train_test_split(X, penguins["species"], random_state=0)

mlflow.sklearn.autolog(log_models=False)  # parameters and training metrics
mlflow_interpret.autolog(evaluation_examples=(X_test, y_test), comment="held-out penguins")

columns = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    (SimpleImputer(), make_column_selector(dtype_include="number")),
)
search = GridSearchCV(
    make_pipeline(columns, RandomForestClassifier(n_estimators=25, random_state=0)),
    {"randomforestclassifier__max_depth": [3, None]},
    cv=3,
)
mlflow.set_experiment("penguins")
mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")
with mlflow.start_run() as run:
    search.fit(X_train, y_train)

explanation = mlflow_interpret.load_explanation(run.info.run_id)
for species, names, values in zip(
    explanation.classes,
    explanation.get_ranked_per_class_names(),
    explanation.get_ranked_per_class_values(),
    strict=True,
):
    print(
        f"{species}: " + ", ".join(f"{n} {v:.3f}" for n, v in zip(names[:3], values, strict=False))
    )
