"""Every transformer: its lineage against the observed one, and explain() against the formula.

`test_column_lineage` tests each rule by itself; these are further transformers, options and nestings.
The lineage is observed by changing one raw column at a time. In front of a linear model, the
contribution of a raw column is the sum of coefficient times value over the engineered columns that
change with it, up to a constant that depends on the background.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import FeatureAgglomeration, KMeans
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import NMF, PCA, FactorAnalysis, FastICA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import (
    RFECV,
    GenericUnivariateSelect,
    SelectFpr,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import AdditiveChi2Sampler, RBFSampler
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    LabelBinarizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection

from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.column_shuffles import UnknownLineageError
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.runtime.isolation import suppress_warnings

from .seen import (
    FULL,
    HOLES,
    IRIS,
    NUMBERS,
    PENGUINS,
    TEXT,
    dense,
    observed,
    polars,
    table_of,
    trace,
)

TARGETS = {
    id(IRIS): np.arange(150) % 7 + IRIS.iloc[:, 2].to_numpy(),
    id(FULL): FULL["body_mass_g"].to_numpy() / 1000 + (FULL["island"] == "Biscoe"),
    id(PENGUINS): np.arange(len(PENGUINS)) % 5 + (PENGUINS["sex"] == "male"),
    id(HOLES): np.arange(len(HOLES)) % 11 + HOLES["bmi"].fillna(0).to_numpy() * 50,
}
NOTES = FULL.assign(note=FULL["island"] + " " + FULL["sex"])
TARGETS[id(NOTES)] = TARGETS[id(FULL)]


def clipped(X, low, high):
    return np.clip(X, low, high)


def in_lists(column):
    return [[cell] for cell in column]


def in_dictionaries(column):
    return [{"value": cell} for cell in column]


def binarized(column):
    return LabelBinarizer().fit(FULL["island"]).transform(column)


def at(transformer, feature):
    return f"{feature}@{transformer}"


def each(*pairs, **options):
    return make_column_transformer(*pairs, **options)


SEPARABLE = {
    "box-cox": (PowerTransformer("box-cox"), IRIS),
    "yeo-johnson, not standardized": (PowerTransformer(standardize=False), IRIS),
    "normal quantiles": (QuantileTransformer(n_quantiles=20, output_distribution="normal"), IRIS),
    "robust": (RobustScaler(quantile_range=(10, 90)), IRIS),
    "clipped range": (MinMaxScaler(clip=True), IRIS),
    "binarized": (Binarizer(threshold=3), IRIS),
    "first powers": (PolynomialFeatures(1, interaction_only=True, include_bias=False), IRIS),
    "constant and first powers": (PolynomialFeatures(1), IRIS),
    "splines, linear outside": (SplineTransformer(extrapolation="linear", knots="quantile"), IRIS),
    "splines, degree 1": (SplineTransformer(degree=1, extrapolation="continue"), IRIS),
    "bins by k-means": (KBinsDiscretizer(3, strategy="kmeans"), IRIS),
    "dense bins": (KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"), IRIS),
    "bin numbers": (KBinsDiscretizer(3, encode="ordinal", strategy="uniform"), IRIS),
    "ufunc": (FunctionTransformer(np.sqrt, feature_names_out="one-to-one"), IRIS),
    "function": (FunctionTransformer(clipped, kw_args={"low": 1, "high": 3}), IRIS),
    "forward selection": (
        SequentialFeatureSelector(LinearRegression(), n_features_to_select=2, cv=2),
        IRIS,
    ),
    "recursive selection": (RFECV(LinearRegression(), cv=2), IRIS),
    "generic selection": (GenericUnivariateSelect(mode="k_best", param=2), IRIS),
    "best half": (SelectPercentile(percentile=50), IRIS),
    "false positive rate": (SelectFpr(alpha=0.9), IRIS),
    "largest coefficients": (
        SelectFromModel(LinearRegression(), max_features=2, threshold=-np.inf),
        IRIS,
    ),
    "target, continuous": (each((TargetEncoder(random_state=0), TEXT)), FULL),
    "target and scaler": (each((make_pipeline(TargetEncoder(), StandardScaler()), TEXT)), FULL),
    "unknown: warn": (each((OneHotEncoder(handle_unknown="warn"), TEXT)), FULL),
    "infrequent or unknown": (
        each(
            (
                OneHotEncoder(
                    min_frequency=0.3, handle_unknown="infrequent_if_exist", drop="if_binary"
                ),
                TEXT,
            )
        ),
        FULL,
    ),
    "infrequent numbers": (
        each(
            (
                OrdinalEncoder(
                    min_frequency=60,
                    handle_unknown="use_encoded_value",
                    unknown_value=-1,
                    encoded_missing_value=-2,
                ),
                TEXT,
            )
        ),
        PENGUINS,
    ),
    "at most two numbers": (each((OrdinalEncoder(max_categories=2), TEXT)), FULL),
    "means and indicators": (SimpleImputer(add_indicator=True), HOLES),
    "texts and indicators": (
        each(
            (
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first")
                ),
                TEXT,
            ),
            (MissingIndicator(features="all"), TEXT),
        ),
        PENGUINS,
    ),
    "own statistic": (SimpleImputer(strategy=np.nanmin), HOLES),
    "indicators beside values": (
        FeatureUnion([("value", SimpleImputer()), ("gap", MissingIndicator(sparse=True))]),
        HOLES,
    ),
    "neighbours within a column": (
        ColumnTransformer([(name, KNNImputer(), [name]) for name in HOLES.columns[:3]]),
        HOLES,
    ),
    "weights": (
        FeatureUnion(
            [("a", StandardScaler()), ("b", "passthrough")], transformer_weights={"a": 2.0}
        ),
        IRIS,
    ),
    "weighted columns": (
        ColumnTransformer(
            [("a", StandardScaler(), [0])],
            transformer_weights={"a": 3.0},
            remainder=MinMaxScaler(),
        ),
        IRIS,
    ),
    "names by a function": (
        ColumnTransformer(
            [("s", StandardScaler(), [0, 1]), ("m", MinMaxScaler(), slice(2, 4))],
            verbose_feature_names_out=at,
        ),
        IRIS,
    ),
    "names by a pattern": (
        ColumnTransformer(
            [("s", StandardScaler(), [0, 1]), ("m", MinMaxScaler(), slice(2, 4))],
            verbose_feature_names_out="{feature_name}--{transformer_name}",
        ),
        IRIS,
    ),
    "pandas inside": (
        make_pipeline(
            each(
                (OneHotEncoder(sparse_output=False), make_column_selector(dtype_exclude="number")),
                remainder="passthrough",
                verbose_feature_names_out=False,
            ).set_output(transform="pandas"),
            each((StandardScaler(), make_column_selector("_g$|_mm$")), remainder="passthrough"),
        ),
        FULL,
    ),
    "three levels": (
        each(
            (
                make_pipeline(
                    each((SimpleImputer(), [0, 1]), remainder="passthrough"),
                    each((SplineTransformer(3), [1]), remainder=RobustScaler()),
                    VarianceThreshold(1e-3),
                ),
                NUMBERS,
            ),
            (make_pipeline(OneHotEncoder(), SelectKBest(k=3), MaxAbsScaler()), TEXT),
        ),
        FULL,
    ),
    "words and letters": (
        each(
            (CountVectorizer(binary=True), "note"),
            (TfidfVectorizer(analyzer="char", ngram_range=(1, 2)), "island"),
            ("passthrough", ["body_mass_g"]),
        ),
        NOTES,
    ),
    "hashed words": (each((HashingVectorizer(n_features=16), "note")), NOTES),
    "hashed features": (
        each(
            (
                make_pipeline(
                    FunctionTransformer(in_lists), FeatureHasher(8, input_type="string")
                ),
                "island",
            ),
            (StandardScaler(), NUMBERS),
        ),
        FULL,
    ),
    "dictionaries": (
        each((make_pipeline(FunctionTransformer(in_dictionaries), DictVectorizer()), "island")),
        FULL,
    ),
    "binarized labels": (each((FunctionTransformer(binarized), "island")), FULL),
    "one column mixed within": (
        each((make_pipeline(SplineTransformer(), PCA(2)), [0]), (Normalizer(), [1]), (KMeans(2), [2])),
        IRIS,
    ),
}  # fmt: skip


def pipeline_of(front, last, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant columns and folds
        return make_pipeline(clone(front), last).fit(X, y)


def seen_in(model, X):
    """The one raw column that each engineered column was seen to change with, None for none."""
    seen = observed(model[:-1].transform, table_of(X, 120), tries=2)
    assert all(len(one) <= 1 for one in seen)
    return [min(one, default=None) for one in seen]


def by_formula(model, X, coefficients, rows):
    """``(n_rows, n_raw)`` contributions, less those of the first row."""
    engineered = dense(model[:-1].transform(rows)).astype(float)
    steps = coefficients * (engineered - engineered[0])
    total = np.zeros((len(rows), X.shape[1]))
    for k, raw in enumerate(seen_in(model, X)):
        if raw is None:
            assert not steps[:, k].any()
        else:
            total[:, raw] += steps[:, k]
    return total


def explained(model, X, max_rows=12):
    with suppress_warnings():
        return explain(TrainingContext(model, X), Plan(max_rows))


@pytest.mark.parametrize("kind", SEPARABLE)
def test_a_regression_is_the_sum_of_its_engineered_columns(kind):
    front, X = SEPARABLE[kind]
    model = pipeline_of(front, LinearRegression(), X, TARGETS[id(X)])
    found = explained(model, X)
    assert found.method == "shap_linear", found.details.to_json()["notes"]
    assert found.features == tuple(X)
    rows = X.iloc[found.evaluation_rows.index]
    size = np.abs(model[-1].coef_).max()
    np.testing.assert_allclose(
        found.local_values - found.local_values[0],
        by_formula(model, X, model[-1].coef_, rows),
        atol=1e-7 * max(size, 1.0),
    )


@pytest.mark.parametrize("kind", ["three levels", "words and letters", "infrequent or unknown",
                                  "texts and indicators", "splines, degree 1", "target and scaler"])  # fmt: skip
def test_a_classification_is_the_sum_of_its_engineered_columns(kind):
    front, X = SEPARABLE[kind]
    y = TARGETS[id(X)] > np.median(TARGETS[id(X)])
    model = pipeline_of(front, LogisticRegression(max_iter=3000), X, y)
    found = explained(model, X)
    assert found.method == "shap_linear", found.details.to_json()["notes"]
    truth = by_formula(model, X, model[-1].coef_[0], X.iloc[found.evaluation_rows.index])
    np.testing.assert_allclose(found.local_values[1] - found.local_values[1][0], truth, atol=1e-6)
    np.testing.assert_allclose(found.local_values[0], -found.local_values[1])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_target_encodings_of_classes(n_classes):
    y = np.array(["a", "b", "c"])[(TARGETS[id(FULL)] * 3).astype(int) % n_classes]
    front = each((TargetEncoder(random_state=0), TEXT), (StandardScaler(), ["bill_depth_mm"]))
    model = pipeline_of(front, LogisticRegression(max_iter=3000), FULL, y)
    found = explained(model, FULL)
    rows = FULL.iloc[found.evaluation_rows.index]
    coefficients = model[-1].coef_ if n_classes > 2 else [model[-1].coef_[0]]
    blocks = found.local_values if n_classes > 2 else found.local_values[1:]
    for values, own in zip(blocks, coefficients):
        np.testing.assert_allclose(
            values - values[0], by_formula(model, FULL, own, rows), atol=1e-6
        )


def test_steps_that_are_cached():
    """Pipelines with memory hold clones of their steps, fitted or read from the disk."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):  # fitted, then read
            model = Pipeline(
                [("a", StandardScaler()), ("b", SelectKBest(k=2)), ("c", LinearRegression())],
                memory=folder,
            ).fit(IRIS, TARGETS[id(IRIS)])
            found = explained(model, IRIS)
            truth = by_formula(model, IRIS, model[-1].coef_, IRIS.iloc[found.evaluation_rows.index])
            np.testing.assert_allclose(found.local_values - found.local_values[0], truth, atol=1e-9)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_output_containers(container):
    if container == "polars":
        polars()
    front = each(
        (OneHotEncoder(sparse_output=False), TEXT), (StandardScaler(), NUMBERS)
    ).set_output(transform=container)
    model = pipeline_of(front, LinearRegression(), FULL, TARGETS[id(FULL)])
    found = explained(model, FULL)
    assert found.method == "shap_linear"
    plain = explained(
        pipeline_of(clone(front).set_output(transform="default"), LinearRegression(), FULL,
                    TARGETS[id(FULL)]), FULL
    )  # fmt: skip
    np.testing.assert_allclose(found.local_values, plain.local_values, atol=1e-8)


MIXED = {
    "products": PolynomialFeatures(2, interaction_only=True, include_bias=False),
    "squares and products": PolynomialFeatures(2, order="F"),
    "PCA": PCA(2),
    "NMF": NMF(2, max_iter=1000),
    "ICA": FastICA(2, random_state=0),
    "factors": FactorAnalysis(2),
    "discriminants": LinearDiscriminantAnalysis(n_components=1),
    "agglomeration": FeatureAgglomeration(2),
    "distances": KMeans(3, n_init=1, random_state=0),
    "projection": GaussianRandomProjection(2, random_state=0),
    "kernel": RBFSampler(n_components=3, random_state=0),
    "samples of a kernel": AdditiveChi2Sampler(),
    "leaves": RandomTreesEmbedding(3, max_depth=2, random_state=0),
    "largest is one": Normalizer("max"),
    "neighbours": KNNImputer(),
    "iterations": IterativeImputer(max_iter=2),
    "two of four": each((PCA(1), [0, 3]), remainder="passthrough"),
    "mixed late": make_pipeline(StandardScaler(), each((Normalizer(), [0, 1]), ("drop", [2]))),
    "sum": FunctionTransformer(lambda X: X.sum(axis=1).to_frame("sum")),
    "running sum": FunctionTransformer(np.cumsum, kw_args={"axis": 1}),
}


@pytest.mark.parametrize("kind", MIXED)
def test_pipelines_that_mix_columns_are_explained_as_a_whole(kind):
    y = (TARGETS[id(IRIS)] > 6).astype(float)
    front = clone(MIXED[kind])
    try:
        found = trace(front, IRIS, y)
    except UnknownLineageError:
        seen = observed(front.transform, table_of(IRIS))
    else:
        assert not found.is_separable
        seen = observed(front.transform, table_of(IRIS))
        assert all(real <= claimed for real, claimed in zip(seen, found.sources))
    model = pipeline_of(MIXED[kind], LinearRegression(), IRIS, y)
    result = explained(model, IRIS, max_rows=3)
    assert result.method not in {"shap_linear", "shap_tree"}
    notes = " ".join(result.details.to_json()["notes"])
    assert "the pipeline cannot be split" in notes
    np.testing.assert_allclose(
        result.local_values.sum(axis=1) + result.expected_values,
        model.predict(IRIS.iloc[result.evaluation_rows.index]),
        rtol=1e-3,  # NMF: a row's values depend a little on the rows beside it
    )


class TestSkrub:
    @pytest.fixture
    def skrub(self):
        return pytest.importorskip("skrub")

    @pytest.mark.parametrize(
        "make",
        [
            lambda s: s.TableVectorizer(),
            lambda s: s.TableVectorizer(cardinality_threshold=2),
            lambda s: s.TableVectorizer(
                cardinality_threshold=2,
                high_cardinality=s.StringEncoder(n_components=2),
                numeric=StandardScaler(),
            ),
            lambda s: s.TableVectorizer(low_cardinality=s.GapEncoder(n_components=2)),
            lambda s: s.TableVectorizer(specific_transformers=[(OrdinalEncoder(), ["sex"])]),
            lambda s: make_column_transformer(
                (s.MinHashEncoder(n_components=3), "island"),
                (s.DatetimeEncoder(), "day"),
                (s.SquashingScaler(), NUMBERS),
            ),
        ],
        ids=["default", "texts", "strings", "gaps", "specific", "by hand"],
    )
    def test_a_regression_is_the_sum_of_its_engineered_columns(self, skrub, make):
        X = FULL.assign(day=pd.date_range("2024-01-01", periods=len(FULL), freq="13h"))
        steps = make_pipeline(make(skrub), SimpleImputer())
        model = pipeline_of(steps, LinearRegression(), X, TARGETS[id(FULL)])
        found = explained(model, X)
        assert found.method == "shap_linear", found.details.to_json()["notes"]
        rows = X.iloc[found.evaluation_rows.index]
        np.testing.assert_allclose(
            found.local_values - found.local_values[0],
            by_formula(model, X, model[-1].coef_, rows),
            atol=1e-4,
        )
