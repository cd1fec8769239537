"""The training script of an Azure ML job, with one line of code for its explanation.

When the script has run as a v1 or v2 job, the Explanations tab of the run in Azure ML studio shows
the explanation. Anywhere else, the same script logs to MLflow alone.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import mlflow_interpret

data = load_breast_cancer(as_frame=True)
diagnosis = data.target.map(dict(enumerate(data.target_names)))
X_train, X_test, y_train, y_test = train_test_split(data.data, diagnosis, random_state=0)

mlflow_interpret.autolog(evaluation_examples=(X_test, y_test), comment="held-out patients")

model = RandomForestClassifier(n_estimators=100, random_state=0)
model.fit(X_train, y_train)
print(f"accuracy {model.score(X_test, y_test):.3f}")
