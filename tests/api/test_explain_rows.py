"""New rows are explained with a logged model as the rows of its run were."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mlflow_interpret
from conftest import tracking_to
from explained_runs import DIABETES, IRIS, PROGRESSION, SPECIES, log_model, log_run
from mlflow_interpret import (
    CannotExplainError,
    ExplanationNotFoundError,
    OptionError,
    RunNotFoundError,
)
from mlflow_interpret.interpret_community import to_record

pytestmark = pytest.mark.usefixtures("tracked_models")

MIXED = DIABETES[["bmi", "bp"]].assign(
    sex=np.where(DIABETES["sex"] > 0, "m", "f"),
    age=pd.Categorical(np.where(DIABETES["age"] > 0, "old", "young"), ["young", "old"]),
)


CODES = {"1": 3, "'1'": -2, "2.5": 7, "'a'": 1, "2": 5, "None": -9, "(1, 0)": 0, "(1, 1)": 4}


class Codes(TransformerMixin, BaseEstimator):
    """A number for each cell, which depends on its type."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        cells = X.iloc[:, 0].tolist()
        return np.array([[CODES[repr(cell)]] for cell in cells], dtype=float)

    def get_feature_names_out(self, names=None):
        return np.array(["code"], dtype=object)


def with_codes(cells):
    """Rows with these cells, and a model in which each cell has its own value."""
    rows = DIABETES[["bmi"]].copy()
    rows["code"] = pd.Series((cells * len(rows))[: len(rows)], dtype=object)
    return rows, make_pipeline(
        make_column_transformer((Codes(), ["code"]), remainder="passthrough"), Ridge()
    )


def pipeline():
    encoder = make_column_transformer((OneHotEncoder(), ["sex", "age"]), remainder="passthrough")
    return make_pipeline(encoder, Ridge())


def booster(package, name, **options):
    return lambda: getattr(pytest.importorskip(package), name)(**options)


CASES = {
    "linear": (LinearRegression, DIABETES, PROGRESSION),
    "three classes": (lambda: LogisticRegression(max_iter=500), IRIS, SPECIES),
    "forest of an array": (
        lambda: RandomForestClassifier(5, random_state=0), IRIS.to_numpy("float32"), SPECIES
    ),
    "boosting": (lambda: HistGradientBoostingClassifier(max_iter=3), IRIS, SPECIES),
    "pipeline": (pipeline, MIXED, PROGRESSION),
    "xgboost": (booster("xgboost", "XGBClassifier", n_estimators=3), IRIS, SPECIES),
    "lightgbm": (
        booster("lightgbm", "LGBMRegressor", n_estimators=3, verbose=-1), DIABETES, PROGRESSION
    ),
    "catboost": (
        booster("catboost", "CatBoostClassifier", iterations=3, verbose=0, allow_writing_files=False),
        IRIS, SPECIES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_contributions_equal_those_of_the_run(name):
    make, rows, labels = CASES[name]
    run_id, stored = log_run(make(), rows, labels, max_rows=40, feature_groups=lambda _: "all")
    explained = to_record(mlflow_interpret.explain_rows(run_id, rows))
    sums = np.abs(explained.local_values.sum(axis=-1))
    assert dict(zip(explained.groups.names, explained.groups.values, strict=True)) == pytest.approx(
        {"all": sums.mean()}
    )
    assert explained.local_values.shape[-2] == len(rows)
    assert explained.details.rows.source == "new rows"
    assert (explained.method, explained.details.output_scale) == (
        stored.method, stored.details.output_scale
    )  # fmt: skip
    assert not any(" and that of the explanation " in str(note) for note in explained.details.notes)
    cells = explained.evaluation_rows.astype(str).agg("|".join, axis=1)
    positions = {text: i for i, text in enumerate(cells)}
    picked = [positions[text] for text in stored.evaluation_rows.astype(str).agg("|".join, axis=1)]
    np.testing.assert_allclose(
        explained.local_values[..., picked, :], stored.local_values, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(explained.expected_values, stored.expected_values)


def test_sampled_contributions_equal_those_of_the_run_within_their_error():
    run_id, stored = log_run(KNeighborsClassifier(), IRIS, SPECIES == 1, max_rows=20)
    rows = stored.evaluation_rows
    explained = to_record(mlflow_interpret.explain_rows(run_id, rows))
    assert explained.method == stored.method == "shap_permutation"
    errors = np.abs(explained.local_values - stored.local_values)
    # Seeds are by position, so that the same rows have other draws.
    assert np.sqrt((errors**2).mean()) < 0.2 * np.abs(stored.local_values).max()
    assert np.abs(explained.local_values).sum() > 0


@pytest.fixture(scope="module")
def linear(model_store):
    with tracking_to(model_store):
        return log_run(LinearRegression(), DIABETES, PROGRESSION)


class TestRows:
    """The rows may come in any order of columns, and from any container."""

    def test_columns_have_the_order_of_the_model(self, linear):
        rows = DIABETES.head(3)
        expected = to_record(mlflow_interpret.explain_rows(linear[0], rows))
        swapped = to_record(mlflow_interpret.explain_rows(linear[0], rows[rows.columns[::-1]]))
        assert swapped.features == expected.features == tuple(DIABETES)
        np.testing.assert_array_equal(swapped.local_values, expected.local_values)

    def test_a_single_row_has_contributions_by_the_formula(self, linear):
        row = DIABETES.iloc[[7]]
        explained = to_record(mlflow_interpret.explain_rows(linear[0], row, labels=[5.0]))
        coefficients = LinearRegression().fit(DIABETES, PROGRESSION).coef_
        expected = coefficients * (row.to_numpy() - DIABETES.mean().to_numpy())
        np.testing.assert_allclose(explained.local_values, expected, rtol=1e-8)
        assert explained.true_labels.tolist() == [5.0]

    def test_unseen_categories_are_noted(self):
        known = MIXED[["bmi", "age"]]
        model = HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype")
        run_id, _ = log_run(model, known, PROGRESSION)
        rows = pd.DataFrame({"bmi": [0.1, 0.1, -0.1], "age": ["old", "zz", None]})
        explained = to_record(mlflow_interpret.explain_rows(run_id, rows))
        categories = pd.CategoricalDtype(["young", "old", "zz"])
        sums = explained.expected_values + explained.local_values.sum(axis=1)
        np.testing.assert_allclose(sums, model.predict(rows.astype({"age": categories})))
        (note,) = [str(note) for note in explained.details.notes if "categories" in str(note)]
        assert note == (
            "The column 'age' has categories that the training rows do not have, in 1 of 3 rows."
        )

    def test_texts(self):
        texts = ["good film", "bad film", "good book", "bad book", "good good play"] * 4
        model = make_pipeline(CountVectorizer(), LogisticRegression())
        groups = {"things": ["film", "book", "play"]}
        positive = [text.startswith("good") for text in texts]
        run_id, stored = log_run(model, texts, positive, feature_groups=groups)
        explained = to_record(mlflow_interpret.explain_rows(run_id, ["bad play", "good film"]))
        assert explained.features == stored.features
        film = stored.features.index("film")
        known = stored.evaluation_rows.reset_index(drop=True)
        row = known.index[(known["good"] == 1) & (known["film"] == 1)][0]
        np.testing.assert_allclose(
            explained.local_values[..., 1, film], stored.local_values[..., row, film]
        )
        columns = [stored.features.index(word) for word in groups["things"]]
        size = np.abs(explained.local_values[..., columns].sum(axis=-1)).mean()
        np.testing.assert_allclose(explained.groups.values[0], size)

    def test_the_explanation_is_logged_and_loaded(self, linear):
        explanation = mlflow_interpret.explain_rows(linear[0], DIABETES.head(5))
        run_id = mlflow_interpret.log_explanation(explanation, log_figures=False)
        loaded = to_record(mlflow_interpret.load_explanation(run_id))
        assert loaded.details.rows.source == "new rows"
        assert linear[1].id in str(loaded.details.notes[0])
        # Its own background rows are the same, so that it serves for further rows.
        pd.testing.assert_frame_equal(loaded.background.rows, linear[1].background.rows)


class TestModels:
    """A model is named by its URI or by the id of its run."""

    def test_by_uri_and_alias(self, linear):
        expected = to_record(mlflow_interpret.explain_rows(linear[0], DIABETES.head(3)))
        (output,) = mlflow.get_run(linear[0]).outputs.model_outputs
        mlflow.register_model(f"models:/{output.model_id}", "rows")
        mlflow.MlflowClient().set_registered_model_alias("rows", "champion", 1)
        for uri in (
            f"models:/{output.model_id}", f"runs:/{linear[0]}/model", "models:/rows@champion"
        ):  # fmt: skip
            explained = to_record(mlflow_interpret.explain_rows(uri, DIABETES.head(3)))
            np.testing.assert_array_equal(explained.local_values, expected.local_values)
            assert uri in str(explained.details.notes[0])

    def test_a_model_without_a_known_flavor_is_a_black_box(self, linear):
        def predict(model_input: pd.DataFrame) -> np.ndarray:
            return model_input["bmi"].to_numpy() * 3 + model_input["bp"].to_numpy()

        explanation = mlflow_interpret.load_explanation(linear[0])
        with mlflow.start_run() as run:
            mlflow.pyfunc.log_model(
                name="function", python_model=predict, pip_requirements=["mlflow"]
            )
            mlflow_interpret.log_explanation(explanation, log_figures=False, log_report=False)
        explained = to_record(mlflow_interpret.explain_rows(run.info.run_id, DIABETES.head(4)))
        centred = DIABETES.head(4)[["bmi", "bp"]] - DIABETES[["bmi", "bp"]].mean()
        bmi, bp = (explained.features.index(name) for name in ("bmi", "bp"))
        np.testing.assert_allclose(explained.local_values[:, bmi], 3 * centred["bmi"], atol=1e-3)
        np.testing.assert_allclose(explained.local_values[:, bp], centred["bp"], atol=1e-3)
        assert any("The method is shap_permutation" in str(n) for n in explained.details.notes)

    @pytest.mark.parametrize("predicts_names", [False, True])
    def test_a_black_box_of_classes_with_other_names(self, predicts_names):
        names = ("yes", "no")  # in another order than by the alphabet

        def predict(model_input: pd.DataFrame) -> list:
            labels = (model_input["bmi"] > 0).astype(int)
            return [names[label] for label in labels] if predicts_names else labels.tolist()

        model = LogisticRegression().fit(DIABETES, (DIABETES["bmi"] > 0).astype(int))
        explanation = mlflow_interpret.explain(model, DIABETES, max_rows=20, classes=names)
        with mlflow.start_run() as run:
            mlflow.pyfunc.log_model(
                name="function", python_model=predict, pip_requirements=["mlflow"]
            )
            mlflow_interpret.log_explanation(explanation, log_figures=False, log_report=False)
        rows = DIABETES.head(4)
        explained = to_record(mlflow_interpret.explain_rows(run.info.run_id, rows))
        assert explained.classes == names
        # The contributions of the only feature lead from the share of the class to the prediction.
        is_positive = rows["bmi"].to_numpy() > 0
        contributions = explained.local_values[1, :, explained.features.index("bmi")]
        share = explained.expected_values[1]
        np.testing.assert_allclose(contributions, is_positive - share, atol=1e-9)

    def test_several_models_in_a_run(self):
        model = LinearRegression().fit(DIABETES, PROGRESSION)
        with mlflow.start_run() as run:
            log_model(model, "a")
            log_model(model, "b")
        with pytest.raises(RunNotFoundError, match="has 2 logged models; name one of them: 'mod"):
            mlflow_interpret.explain_rows(run.info.run_id, DIABETES)

    def test_each_model_of_a_run_has_its_own_explanation(self):
        mlflow_interpret.autolog(log_figures=False, log_report=False, silent=True)
        models = {"first": Ridge(alpha=1.0), "second": Ridge(alpha=50.0)}
        with mlflow.start_run() as run:
            for name, model in models.items():
                log_model(model.fit(DIABETES, PROGRESSION), name)
        mlflow_interpret.flush()
        for name, model in models.items():
            uri = f"runs:/{run.info.run_id}/{name}"
            explained = to_record(mlflow_interpret.explain_rows(uri, DIABETES.head(3)))
            centred = (DIABETES.head(3) - DIABETES.mean()).to_numpy()
            np.testing.assert_allclose(explained.local_values, model.coef_ * centred, rtol=1e-8)
        latest = to_record(mlflow_interpret.load_explanation(run.info.run_id))
        assert latest.id in str(explained.details.notes[0])

    def test_another_model_than_the_explained_one(self, linear):
        with mlflow.start_run() as run:
            log_model(Ridge().fit(DIABETES, PROGRESSION))
            explanation = mlflow_interpret.load_explanation(linear[0])
            mlflow_interpret.log_explanation(explanation, log_figures=False, log_report=False)
        with pytest.raises(
            CannotExplainError, match=r"Ridge and the explanation .* is of a .*\.LinearRegression"
        ):
            mlflow_interpret.explain_rows(run.info.run_id, DIABETES)


class TestBackground:
    """Background rows that are not stored have to be given."""

    def test_without_rows_of_data(self):
        run_id, stored = log_run(LinearRegression(), DIABETES, PROGRESSION, log_data=False)
        with pytest.raises(OptionError, match="initialization_examples must be the training rows"):
            mlflow_interpret.explain_rows(run_id, DIABETES.head(3))
        explained = to_record(
            mlflow_interpret.explain_rows(
                run_id, DIABETES.head(3), initialization_examples=DIABETES
            )
        )
        whole = to_record(mlflow_interpret.explain(LinearRegression().fit(DIABETES, PROGRESSION),
                                                   DIABETES, DIABETES.head(3)))  # fmt: skip
        np.testing.assert_allclose(explained.local_values, whole.local_values)
        assert stored.features == explained.features

    @pytest.mark.parametrize("cells", [[1, "1", 2.5, "a"], [1, 2, None, 1]])
    def test_mixed_cells_keep_their_types(self, cells):
        rows, model = with_codes(cells)
        run_id, stored = log_run(model, rows, PROGRESSION)
        explained = to_record(mlflow_interpret.explain_rows(run_id, rows))
        np.testing.assert_allclose(explained.expected_values, stored.expected_values)
        np.testing.assert_allclose(explained.local_values, stored.local_values)

    def test_cells_that_a_file_cannot_hold(self):
        rows, model = with_codes([(1, 0), (1, 1)])
        run_id, stored = log_run(model, rows, PROGRESSION)
        with pytest.raises(OptionError, match="holds none, because the column 'code' has cells"):
            mlflow_interpret.explain_rows(run_id, rows)
        explained = to_record(
            mlflow_interpret.explain_rows(run_id, rows, initialization_examples=rows)
        )
        np.testing.assert_allclose(explained.local_values, stored.local_values)
        with pytest.raises(CannotExplainError, match="cannot hold its background rows"):
            mlflow_interpret.log_explainable_model(model, rows, pip_requirements=["mlflow"])

    def test_trees_need_none(self):
        model = RandomForestClassifier(3, random_state=0)
        run_id, stored = log_run(model, IRIS, SPECIES, log_data=False)
        for rows in (slice(0, 1), slice(0, 9), slice(None)):  # few rows are much alike
            explained = to_record(
                mlflow_interpret.explain_rows(run_id, stored.evaluation_rows[rows])
            )
            assert explained.method == "shap_tree"
            np.testing.assert_allclose(explained.local_values, stored.local_values[:, rows])

    def test_given_rows_are_given_again(self):
        forest = RandomForestClassifier(3, random_state=0)
        mlflow_interpret.autolog(
            initialization_examples=IRIS[::5], evaluation_examples=IRIS[:20], log_figures=False,
            log_report=False, silent=True,
        )  # fmt: skip
        with mlflow.start_run() as run:
            log_model(forest.fit(IRIS, SPECIES))
        mlflow_interpret.flush()
        stored = to_record(mlflow_interpret.load_explanation(run.info.run_id))
        assert stored.background.is_given
        explained = to_record(mlflow_interpret.explain_rows(run.info.run_id, IRIS[:20]))
        np.testing.assert_allclose(explained.local_values, stored.local_values)


@pytest.mark.parametrize(
    ("rows", "options", "problem"),
    [
        (DIABETES[:0], {}, "rows must have at least one row, got none"),
        (DIABETES.drop(columns="bmi"), {}, "rows must have the 10 columns .* without 'bmi'"),
        (DIABETES.assign(new=1), {}, "rows must have the 10 columns .* with the further 'new'"),
        (DIABETES.to_numpy()[:, :3], {}, "rows must have the 10 columns of the model, got 3"),
        (7, {}, "rows must be a table of rows .*, got 7"),
        (DIABETES, {"labels": [1]}, "labels must have one label for each of the 442 rows, got 1"),
        (DIABETES, {"n_jobs": 0}, "n_jobs must be"),
        (
            DIABETES,
            {"initialization_examples": DIABETES[["bmi"]]},
            "initialization_examples must have the 10 columns",
        ),
    ],
)
def test_rows_that_are_not_allowed(linear, rows, options, problem):
    with pytest.raises(OptionError, match=problem):
        mlflow_interpret.explain_rows(linear[0], rows, **options)


def test_models_that_do_not_exist(linear):
    with pytest.raises(OptionError, match="model must be the URI of a logged model"):
        mlflow_interpret.explain_rows(LinearRegression(), DIABETES)
    with pytest.raises(RunNotFoundError, match="'none' does not exist"):
        mlflow_interpret.explain_rows("none", DIABETES)
    with pytest.raises(RunNotFoundError, match="'models:/none/1' is no model version"):
        mlflow_interpret.explain_rows("models:/none/1", DIABETES)
    with pytest.raises(RunNotFoundError, match="'runs:/.*/none' is no logged model"):
        mlflow_interpret.explain_rows(f"runs:/{linear[0]}/none", DIABETES)
    with mlflow.start_run() as run:
        log_model(LinearRegression().fit(DIABETES, PROGRESSION))
    with pytest.raises(ExplanationNotFoundError, match="holds no explanation"):
        mlflow_interpret.explain_rows(run.info.run_id, DIABETES)
    with mlflow.start_run() as run:
        pass
    with pytest.raises(RunNotFoundError, match="has no logged model"):
        mlflow_interpret.explain_rows(run.info.run_id, DIABETES)
