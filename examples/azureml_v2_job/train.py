"""Trains a classifier; the job's Explanations tab then shows what drives it.

Run by job.yml, or anywhere else: then the explanation is in the MLflow run alone.
"""

import argparse

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import mlflow_interpret


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--test-size", type=float, default=0.25)
    arguments = parser.parse_args()

    data = load_breast_cancer(as_frame=True)
    names = data.target.map(dict(enumerate(data.target_names)))
    X_train, X_test, y_train, y_test = train_test_split(
        data.data, names, test_size=arguments.test_size, random_state=0
    )
    mlflow_interpret.autolog(evaluation_examples=(X_test, y_test), comment="held-out patients")
    model = RandomForestClassifier(arguments.trees, random_state=0).fit(X_train, y_train)
    print("accuracy", model.score(X_test, y_test))
    if not mlflow_interpret.flush():  # the exit would wait, too
        print("the upload still runs; mlflow-interpret push finishes it")


if __name__ == "__main__":
    main()
