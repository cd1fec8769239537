"""The raw columns behind each engineered column, checked by changing one raw column at a time."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
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

from mlflow_interpret.core.explanation import TrainingContext
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.column_lineage import Lineage, lineage, verify
from mlflow_interpret.explaining.column_shuffles import UnknownLineageError
from mlflow_interpret.explaining.explain import explain

from .seen import (
    ALL_PENGUINS,
    CANCER,
    CULTIVARS,
    DEPTH,
    DIABETES,
    FLIPPER,
    FULL,
    HOLES,
    IRIS,
    ISLAND,
    KINDS,
    LENGTH,
    MASS,
    NUMBERS,
    PENGUINS,
    SEX,
    SPECIES,
    TEXT,
    WINE,
    observed,
    polars,
    table_of,
    trace,
)

SPECIES_OF_FULL = SPECIES[PENGUINS.notna().all(axis=1)]


def label_of(value):
    """A test's name, the same in every process: without the addresses of functions."""
    return re.sub(r" at 0x\w+", "", repr(value))


def check(transformer, X, y=None, n=80):
    """The lineage of a fitted transformer, which must be separable and equal the observed one."""
    found = trace(transformer, X, y, n)
    assert isinstance(found, Lineage)
    assert found.is_separable
    assert found.mixed == ()
    assert len(set(found.names)) == len(found.names) == len(found.sources)
    seen = observed(transformer.transform, table_of(X, n))
    assert len(seen) == len(found.sources)
    for name, claimed, real in zip(found.names, found.sources, seen):
        assert real <= claimed, name
        assert real == claimed or not real, name  # a rare category may not show in these rows
    return found


def only(found):
    """The one source of each engineered column, None for constants."""
    return [min(one) if one else None for one in found.sources]


def named(transformer, X, y=None):
    """The lineage's names are scikit-learn's own."""
    found = trace(transformer, X, y)
    return list(found.names) == list(transformer.get_feature_names_out())


def log(X):
    return np.log1p(np.abs(X))


def times(X):
    cells = np.array(X, dtype=float)
    cells[:, 0] *= cells[:, 1]
    return cells


def center(X):
    return X - X.mean(axis=0)


def add_ratio(X):
    return X.assign(ratio=X.iloc[:, 0] / X.iloc[:, 1])


def joined(X):
    return X.iloc[:, 0].astype(str) + " " + X.iloc[:, 1].astype(str)


@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(),
        MinMaxScaler(),
        MaxAbsScaler(),
        RobustScaler(),
        Binarizer(threshold=1.5),
        PowerTransformer(),
        QuantileTransformer(n_quantiles=20),
        KBinsDiscretizer(4, encode="ordinal", strategy="uniform"),
        FunctionTransformer(),
        FunctionTransformer(np.log1p),
        FunctionTransformer(log),
        FunctionTransformer(log, feature_names_out="one-to-one"),
        TargetEncoder(target_type="continuous"),
        SimpleImputer(),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ],
    ids=label_of,
)
@pytest.mark.parametrize("container", ["frame", "array"])
def test_one_column_for_each(transformer, container):
    X = IRIS if container == "frame" else IRIS.to_numpy()
    found = check(transformer, X, KINDS)
    assert only(found) == [0, 1, 2, 3]
    assert found.names == tuple(IRIS.columns if container == "frame" else ["x0", "x1", "x2", "x3"])


@pytest.mark.parametrize(
    ("transformer", "widths"),
    [
        (KBinsDiscretizer(4, encode="onehot", strategy="uniform"), [4, 4, 4, 4]),
        (KBinsDiscretizer([2, 3, 4, 5], encode="onehot-dense", strategy="uniform"), [2, 3, 4, 5]),
        (SplineTransformer(n_knots=4), [6] * 4),
        (SplineTransformer(n_knots=4, include_bias=False), [5] * 4),
        (SplineTransformer(n_knots=4, extrapolation="periodic", include_bias=False), [2] * 4),
        (SplineTransformer(n_knots=4, sparse_output=True), [6] * 4),
        (TargetEncoder(target_type="multiclass"), [3] * 4),
        (TargetEncoder(target_type="continuous"), [1] * 4),
    ],
    ids=label_of,
)
def test_several_columns_of_each(transformer, widths):
    found = check(transformer, IRIS, KINDS)
    assert only(found) == [i for i, width in enumerate(widths) for _ in range(width)]
    assert named(transformer, IRIS, KINDS)


@pytest.mark.parametrize(
    ("options", "widths"),
    [
        ({}, [3, 2]),
        ({"sparse_output": False}, [3, 2]),
        ({"drop": "first"}, [2, 1]),
        ({"drop": "if_binary"}, [3, 1]),
        ({"drop": np.array(["Dream", "male"], dtype=object)}, [2, 1]),
        ({"handle_unknown": "ignore"}, [3, 2]),
        ({"min_frequency": 60, "handle_unknown": "infrequent_if_exist"}, [3, 2]),
        ({"min_frequency": 140}, [2, 2]),
        ({"max_categories": 2}, [2, 2]),
        ({"max_categories": 2, "drop": "first"}, [1, 1]),
        ({"categories": [["Biscoe", "Dream", "Torgersen", "Nowhere"], ["female", "male"]]}, [4, 2]),
    ],
    ids=label_of,
)
def test_one_hot_columns(options, widths):
    X = FULL[TEXT]
    found = check(OneHotEncoder(**options), X)
    assert only(found) == [i for i, width in enumerate(widths) for _ in range(width)]
    assert named(OneHotEncoder(**options), X)


def test_missing_values_are_a_category():
    found = check(OneHotEncoder(), PENGUINS[TEXT])
    assert only(found) == [0] * 3 + [1] * 3


@pytest.mark.parametrize("y", [SPECIES == "Adelie", SPECIES], ids=["binary", "multiclass"])
def test_target_encoding_of_texts(y):
    classes = len(set(y)) if len(set(y)) > 2 else 1
    found = check(TargetEncoder(), PENGUINS[TEXT], y)
    assert only(found) == [0] * classes + [1] * classes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"strategy": "median", "add_indicator": True}, [0, 1, 2, 0, 2]),
        ({"strategy": "most_frequent", "keep_empty_features": True}, [0, 1, 2]),
        ({"strategy": "constant", "fill_value": 0, "add_indicator": True}, [0, 1, 2, 0, 2]),
    ],
    ids=label_of,
)
def test_imputed_columns_and_their_indicators(options, expected):
    X = pd.concat([HOLES.iloc[:, :1], DIABETES.iloc[:, 1:2], HOLES.iloc[:, 2:3]], axis=1)
    assert only(check(SimpleImputer(**options), X)) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 2]),
        ({"add_indicator": True}, [0, 2, 0, 1, 2]),
        ({"keep_empty_features": True}, [0, 1, 2]),
        ({"keep_empty_features": True, "add_indicator": True}, [0, 1, 2, 0, 1, 2]),
    ],
    ids=label_of,
)
def test_columns_without_any_value_are_left_out(options, expected):
    X = HOLES.iloc[:, :3].copy()
    X.iloc[:, 1] = np.nan
    assert only(check(SimpleImputer(**options), X)) == expected


def test_missing_indicators():
    X = pd.concat([DIABETES.iloc[:, :2], HOLES.iloc[:, 2:5]], axis=1)
    assert only(check(MissingIndicator(), X)) == [2, 3, 4]
    assert only(check(MissingIndicator(features="all"), X)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "selector",
    [
        SelectKBest(k=3),
        VarianceThreshold(0.5),
        SelectFromModel(RandomForestClassifier(10, random_state=0)),
        RFE(RandomForestClassifier(5, random_state=0), n_features_to_select=4, step=5),
    ],
    ids=lambda selector: type(selector).__name__,
)
def test_selected_columns(selector):
    found = check(selector, WINE, CULTIVARS)
    assert only(found) == selector.get_support(indices=True).tolist()
    assert found.names == tuple(selector.get_feature_names_out())


class TestPolynomials:
    def test_powers_are_separable_and_products_mixed(self):
        found = trace(PolynomialFeatures(2), IRIS)
        assert not found.is_separable
        assert len(found.mixed) == 6
        assert found.mixed[0] == "sepal length (cm) sepal width (cm)"
        seen = observed(PolynomialFeatures(2).fit(IRIS).transform, table_of(IRIS))
        assert [set(one) for one in found.sources] == seen

    def test_one_column_is_separable(self):
        found = check(PolynomialFeatures(3), IRIS.iloc[:, :1])
        assert only(found) == [0, 0, 0, 0]

    def test_one_column_of_each_is_separable(self):
        each = [(f"c{i}", PolynomialFeatures(3, include_bias=False), [i]) for i in range(4)]
        assert only(check(ColumnTransformer(each), IRIS)) == np.repeat(range(4), 3).tolist()

    def test_first_powers_and_a_constant(self):
        assert only(check(PolynomialFeatures(1), IRIS)) == [None, 0, 1, 2, 3]

    def test_selected_powers_are_separable(self):
        keep = make_pipeline(PolynomialFeatures((2, 2)), SelectKBest(k=2)).fit(IRIS, KINDS)
        found = lineage(keep, table_of(IRIS))
        kept = keep[-1].get_support(indices=True)
        assert [set(one) for one in found.sources] == [
            set(np.flatnonzero(keep[0].powers_[k])) for k in kept
        ]


@pytest.mark.parametrize(
    "transformer",
    [
        PCA(2),
        TruncatedSVD(2),
        Normalizer(),
        Nystroem(n_components=3),
        KNNImputer(),
        IterativeImputer(max_iter=2),
        make_pipeline(StandardScaler(), PCA(2), StandardScaler()),
        make_column_transformer((PCA(2), [0, 1]), remainder="passthrough"),
        FeatureUnion([("same", StandardScaler()), ("mixed", PCA(1))]),
    ],
    ids=label_of,
)
def test_mixed_columns(transformer):
    found = trace(transformer, IRIS)
    assert not found.is_separable
    assert found.mixed
    assert len(set(found.names)) == len(found.names)
    seen = observed(transformer.transform, table_of(IRIS))
    assert all(real <= claimed for real, claimed in zip(seen, found.sources))


@pytest.mark.parametrize("imputer", [KNNImputer(), IterativeImputer(max_iter=2)], ids=label_of)
def test_imputation_from_other_columns_is_mixed(imputer):
    assert not trace(imputer, HOLES.iloc[:, :4]).is_separable


def test_columns_derived_from_one_column_belong_to_it():
    one_by_one = make_column_transformer(
        (make_pipeline(SplineTransformer(), PCA(2), Normalizer()), [0]), (KNNImputer(), [2])
    )
    assert only(check(one_by_one, IRIS)) == [0, 0, 2]


class TestColumnTransformer:
    @pytest.mark.parametrize(
        "columns",
        [
            ["bill_depth_mm", "body_mass_g"],
            [DEPTH, MASS],
            [DEPTH, -2],
            slice(DEPTH, MASS + 1, 2),
            [False, False, True, False, True, False],
            lambda X: ["bill_depth_mm", "body_mass_g"],
            make_column_selector("depth|mass"),
        ],
        ids=label_of,
    )
    @pytest.mark.parametrize("verbose", [True, False])
    @pytest.mark.parametrize("rest", ["drop", "passthrough", "estimator"])
    def test_every_way_to_choose_columns(self, columns, verbose, rest):
        remainder = SimpleImputer(strategy="most_frequent") if rest == "estimator" else rest
        transformer = ColumnTransformer(
            [("scaled", StandardScaler(), columns), ("off", "drop", ["sex"])],
            remainder=remainder,
            verbose_feature_names_out=verbose,
        )
        found = check(transformer, PENGUINS)
        others = [] if rest == "drop" else [ISLAND, LENGTH, FLIPPER]
        assert only(found) == [DEPTH, MASS, *others]
        assert found.names == tuple(transformer.get_feature_names_out())

    @pytest.mark.parametrize("threshold", [0, 1])
    def test_dense_and_sparse_output(self, threshold):
        transformer = ColumnTransformer(
            [
                ("number", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
                ("text", OneHotEncoder(), TEXT),
            ],
            sparse_threshold=threshold,
        )
        found = check(transformer, PENGUINS)
        assert sparse.issparse(transformer.transform(PENGUINS)) == bool(threshold)
        assert only(found) == [LENGTH, DEPTH, FLIPPER, MASS, *[ISLAND] * 3, *[SEX] * 3]
        assert found.names[4] == "text__island_Biscoe"

    def test_a_single_column_is_given_as_a_vector(self):
        words = FULL.assign(note=FULL["island"] + " " + FULL["sex"])
        transformer = make_column_transformer(
            (CountVectorizer(), "note"),
            (TfidfVectorizer(), "island"),
            (make_pipeline(TfidfVectorizer(analyzer="char"), TruncatedSVD(3)), "note"),
            (StandardScaler(), ["body_mass_g"]),
        )
        found = check(transformer, words)
        assert only(found) == [6] * 5 + [ISLAND] * 3 + [6] * 3 + [MASS]

    def test_a_single_position_is_given_as_a_vector(self):
        transformer = make_column_transformer((CountVectorizer(), 5), (CountVectorizer(), 0))
        assert only(check(transformer, FULL.to_numpy())) == [SEX] * 2 + [ISLAND] * 3

    def test_one_column_can_be_used_often(self):
        transformer = make_column_transformer(
            (StandardScaler(), [0, 1]), (MinMaxScaler(), [1, 0]), ("passthrough", [1])
        )
        assert only(check(transformer, IRIS)) == [0, 1, 1, 0, 1]

    def test_empty_selections_make_nothing(self):
        transformer = make_column_transformer(
            (OneHotEncoder(), []), (StandardScaler(), [3, 1]), ("drop", [0]), (PCA(1), lambda X: [])
        )
        assert only(check(transformer, IRIS)) == [3, 1]

    def test_nested(self):
        inner = ColumnTransformer(
            [("a", StandardScaler(), [1]), ("b", KBinsDiscretizer(3), [0])], remainder="passthrough"
        )
        outer = ColumnTransformer([("inner", inner, [3, 1, 2])], remainder=MinMaxScaler())
        assert only(check(outer, IRIS)) == [1, 3, 3, 3, 2, 0]


class TestPipelines:
    def test_steps_that_do_nothing(self):
        steps = [("a", "passthrough"), ("b", None), ("c", StandardScaler()), ("d", "passthrough")]
        found = check(Pipeline(steps), IRIS)
        assert only(found) == [0, 1, 2, 3]

    def test_no_step_at_all(self):
        found = lineage([], table_of(PENGUINS))
        assert found == Lineage(tuple(PENGUINS.columns), tuple(frozenset({i}) for i in range(6)))

    def test_steps_compose(self):
        model = make_pipeline(
            make_column_transformer(
                (make_pipeline(SimpleImputer(), PolynomialFeatures(2)), ["body_mass_g"]),
                (OneHotEncoder(), TEXT),
            ),
            VarianceThreshold(0.01),
            MaxAbsScaler(),
            LogisticRegression(),
        ).fit(PENGUINS, SPECIES)
        rows = table_of(PENGUINS)
        found = lineage(model.steps[:-1], rows)
        assert found == lineage(model[:-1], rows) == lineage([("all", model[:-1])], rows)
        first = lineage(model.steps[:1], rows)
        assert found.sources == tuple(first.sources[i] for i in model[1].get_support(indices=True))
        assert found.names == tuple(model[:-1].get_feature_names_out())

    def test_a_repeated_step_changes_nothing(self):
        scaler = StandardScaler()
        once, twice = make_pipeline(scaler), make_pipeline(scaler, StandardScaler())
        assert trace(once, WINE).sources == trace(twice, WINE).sources
        assert trace(once, WINE).names == trace(twice, WINE).names

    def test_columns_of_one_raw_column_may_mix_later(self):
        model = make_pipeline(
            make_column_transformer((OneHotEncoder(), [0]), (SplineTransformer(), [MASS])),
            make_column_transformer((PCA(2), [0, 1, 2]), (PCA(3), slice(3, None))),
        )
        assert only(check(model, FULL)) == [ISLAND] * 2 + [MASS] * 3

    def test_unions(self):
        union = FeatureUnion(
            [
                ("scaled", StandardScaler()),
                ("off", "drop"),
                ("same", "passthrough"),
                ("bins", KBinsDiscretizer(2, encode="onehot-dense", strategy="uniform")),
            ]
        )
        found = check(union, IRIS)
        assert only(found) == [*range(4), *range(4), *np.repeat(range(4), 2)]
        assert found.names == tuple(union.get_feature_names_out())

    def test_a_frozen_step(self):
        frozen = pytest.importorskip("sklearn.frozen")
        fitted = frozen.FrozenEstimator(SelectKBest(k=1).fit(IRIS, KINDS))
        assert only(check(make_pipeline(fitted, StandardScaler()), IRIS)) == [2]


class TestContainersAndNames:
    MAKE = staticmethod(
        lambda: make_column_transformer(
            (OneHotEncoder(sparse_output=False), [0, 5]), (MinMaxScaler(), [1, 2, 3, 4])
        )
    )
    SOURCES = [ISLAND] * 3 + [SEX] * 2 + [LENGTH, DEPTH, FLIPPER, MASS]

    def test_repeated_names(self):
        X = FULL.iloc[:, 1:5].set_axis(["a", "a", "b", "b"], axis=1)
        transformer = StandardScaler()
        try:
            transformer.fit(X)
        except ValueError:  # some versions of scikit-learn take no repeated names
            transformer.fit(X.to_numpy())
            X = X.to_numpy()
        found = lineage(transformer, as_batch(X, feature_names(FULL.iloc[:, 1:5], None), X))
        assert only(found) == [0, 1, 2, 3]
        assert len(set(found.names)) == 4

    def test_whole_numbers_as_names(self):
        X = FULL.set_axis([5, 4, 3, 2, 1, 0], axis=1)
        found = check(self.MAKE(), X)
        assert only(found) == self.SOURCES
        assert found.names[-1] == "minmaxscaler__1"

    def test_no_names(self):
        found = check(self.MAKE(), FULL.to_numpy())
        assert only(found) == self.SOURCES
        assert found.names[:2] == ("onehotencoder__x0_Biscoe", "onehotencoder__x0_Dream")

    def test_reported_names_make_the_engineered_ones_of_an_array(self):
        X = IRIS.to_numpy()
        transformer = KBinsDiscretizer(2, strategy="uniform").fit(X)
        found = lineage(transformer, as_batch(X, ["a", "b", "c", "d"], X))
        assert found.names[0].startswith("a_")

    def test_reported_names_do_not_confuse_a_transformer_that_knows_others(self):
        transformer = StandardScaler().fit(IRIS)
        found = lineage(transformer, as_batch(IRIS, ["a", "b", "c", "d"], IRIS))
        assert found.names == tuple(IRIS.columns)

    @pytest.mark.parametrize("container", ["pandas", "polars"])
    def test_set_output(self, container):
        if container == "polars":
            polars()
        transformer = make_pipeline(self.MAKE(), FunctionTransformer(log), StandardScaler())
        transformer.set_output(transform=container)
        found = check(transformer, FULL)
        assert only(found) == self.SOURCES
        assert container == "polars" or found.names[0] == "onehotencoder__island_Biscoe"

    def test_polars_rows(self):
        X = polars().from_pandas(FULL)
        found = check(
            make_column_transformer((OneHotEncoder(), TEXT), (CountVectorizer(), "sex")), X
        )
        assert only(found) == [ISLAND] * 3 + [SEX] * 4

    def test_sparse_rows(self):
        X = sparse.csr_matrix(IRIS.to_numpy())
        transformer = make_column_transformer((MaxAbsScaler(), [2, 0]), ("passthrough", [1]))
        assert only(check(transformer, X)) == [2, 0, 1]

    def test_categories_of_pandas(self):
        X = FULL.astype({"island": "category", "sex": "category"})
        found = check(
            make_column_transformer((OrdinalEncoder(), TEXT), remainder="passthrough").set_output(
                transform="pandas"
            ),
            X,
        )
        assert only(found) == [ISLAND, SEX, LENGTH, DEPTH, FLIPPER, MASS]

    def test_texts_can_pass_through(self):
        transformer = make_column_transformer(
            (StandardScaler(), NUMBERS), remainder="passthrough"
        ).set_output(transform="pandas")
        assert only(check(transformer, FULL)) == [LENGTH, DEPTH, FLIPPER, MASS, ISLAND, SEX]

    def test_raw_names_are_the_default(self):
        transformer = make_pipeline(StandardScaler(), FunctionTransformer(log)).fit(IRIS.to_numpy())
        assert lineage(transformer, table_of(IRIS.to_numpy())).names == ("x0", "x1", "x2", "x3")

        class Nameless(TransformerMixin, BaseEstimator):
            def fit(self, X, y=None):
                return self

            def transform(self, X):
                return np.column_stack([X, X])

        found = lineage(Nameless(), table_of(IRIS.to_numpy()[:, :1]))
        assert found.names == ("x0_0", "x0_1")
        assert found.unnamed == ("Nameless",)


class TestNames:
    """A transformer that names no columns leaves the names of the others as they are."""

    class Doubled(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return np.column_stack([X, X])

    @pytest.mark.parametrize("verbose", [True, False])
    def test_in_a_column_transformer(self, verbose):
        transformer = ColumnTransformer(
            [("scaled", StandardScaler(), [1, 2]), ("twice", self.Doubled(), [0])],
            remainder="passthrough",
            verbose_feature_names_out=verbose,
        ).fit(IRIS)
        first, second, third, last = IRIS.columns
        names = {"scaled": (second, third), "twice": (f"{first}_0", f"{first}_1"),
                 "remainder": (last,)}  # fmt: skip
        expected = [
            f"{part}__{name}" if verbose else name for part in names for name in names[part]
        ]
        found = lineage(transformer, table_of(IRIS))
        assert found.names == tuple(expected)
        assert found.unnamed == ("Doubled",)

    def test_in_a_pipeline_and_a_union(self):
        union = FeatureUnion([("twice", self.Doubled()), ("scaled", StandardScaler())])
        transformer = make_pipeline(union, StandardScaler()).fit(IRIS[["sepal length (cm)"]])
        found = lineage(transformer, table_of(IRIS[["sepal length (cm)"]]))
        name = "sepal length (cm)"
        assert found.names == (f"twice__{name}_0", f"twice__{name}_1", f"scaled__{name}")

    def test_the_run_has_a_note(self):
        model = make_pipeline(self.Doubled(), Ridge()).fit(IRIS, range(len(IRIS)))
        record = explain(TrainingContext(model, IRIS))
        notes = [str(note) for note in record.details.notes]
        assert "The columns of Doubled are numbered, because it names none." in notes


class Odd(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A transformer of the user's own."""

    def __init__(self, change=log):
        self.change = change

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return self.change(X)


class MixingScaler(StandardScaler):
    def transform(self, X, copy=None):
        return times(super().transform(X, copy))


class TestWhatIsNotKnown:
    @pytest.mark.parametrize("make", [FunctionTransformer, Odd], ids=["function", "class"])
    def test_column_wise_transformers_are_inferred(self, make):
        found = check(make(log), WINE)
        assert only(found) == list(range(13))
        assert found.inferred == (make(log).__class__.__name__,)

    def test_lineage_that_rare_rows_may_contradict_is_marked(self):
        def rarely(X):
            return X.assign(ash=X["ash"].where(X["alcohol"] < 1e6, X["magnesium"]))

        assert trace(FunctionTransformer(rarely), WINE).inferred == ("FunctionTransformer",)

    def test_known_lineage_is_not_inferred(self):
        assert (
            trace(make_pipeline(StandardScaler(), FunctionTransformer(np.abs)), WINE).inferred == ()
        )

    def test_columns_are_recognized_by_name(self):
        picked = FunctionTransformer(lambda X: X[["body_mass_g", "island"]])
        found = check(picked, PENGUINS)
        assert only(found) == [MASS, ISLAND]
        assert found.names == ("body_mass_g", "island")

    @pytest.mark.parametrize("make", [FunctionTransformer, Odd], ids=["function", "class"])
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (center, "depends on other rows"),
            (lambda X: X.to_dict(), "returns a dict instead of a table"),
            (lambda X: X.assign(alcohol=np.random.default_rng().random(len(X))), "other rows"),
            (lambda X: 1 / 0, "fails on rows: .*division by zero"),
        ],
        ids=["mean", "dict", "random", "error"],
    )
    def test_lineage_of_functions_of_several_rows_is_unknown(self, make, change, reason):
        transformer = make(change)
        if make is FunctionTransformer:
            transformer.__dict__["n_features_in_"] = 13
        with pytest.raises(UnknownLineageError, match=reason):
            lineage(transformer, table_of(WINE))

    @pytest.mark.parametrize("make", [FunctionTransformer, Odd], ids=["function", "class"])
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda X: X[X.columns[::-1]].set_axis(X.columns, axis=1), [*range(12, -1, -1)]),
            (lambda X: X.iloc[:, 1:].to_numpy(), [*range(1, 13)]),
            (lambda X: np.repeat(np.sin(X.to_numpy()), 2, axis=1), [*np.repeat(range(13), 2)]),
            (lambda X: X.assign(one=1.0), [*range(13), None]),
        ],
        ids=["order", "fewer", "wider", "constant"],
    )
    def test_columns_in_another_order_and_number_are_inferred(self, make, change, expected):
        found = check(make(change), WINE)
        assert only(found) == expected
        assert found.inferred == (make(change).__class__.__name__,)

    @pytest.mark.parametrize("make", [FunctionTransformer, Odd], ids=["function", "class"])
    @pytest.mark.parametrize(
        ("change", "mixed"), [(times, 0), (add_ratio, 13)], ids=["product", "ratio"]
    )
    def test_a_column_of_several_sources_is_mixed(self, make, change, mixed):
        found = trace(make(change), WINE)
        assert found.mixed == (found.names[mixed],)
        seen = observed(make(change).fit(WINE).transform, table_of(WINE))
        assert all(real <= claimed for real, claimed in zip(seen, found.sources))

    def test_a_class_derived_from_a_known_one_is_not_known(self):
        assert trace(MixingScaler(), WINE).mixed == ("alcohol",)

    def test_lineage_of_an_unknown_transformer_needs_several_rows(self):
        reason = "vary too little to infer .* FunctionTransformer"
        with pytest.raises(UnknownLineageError, match=reason):
            trace(FunctionTransformer(log), WINE, n=20)
        assert trace(StandardScaler(), WINE, n=1).is_separable

    def test_lineage_of_an_unknown_transformer_needs_columns_that_vary(self):
        with pytest.raises(UnknownLineageError, match="vary too little"):
            trace(FunctionTransformer(log), WINE.assign(alcohol=1.0))
        assert trace(StandardScaler(), WINE.assign(alcohol=1.0)).is_separable

    def test_several_texts_in_one_vector(self):
        found = trace(make_pipeline(FunctionTransformer(joined), CountVectorizer()), FULL[TEXT])
        assert found.mixed == found.names

    def test_too_many_columns(self):
        transformer = make_column_transformer((HashingVectorizer(n_features=2**22), "island"))
        with pytest.raises(UnknownLineageError, match="4194304 columns of ColumnTransformer are"):
            trace(transformer, PENGUINS)

    def test_an_unknown_transformer_deep_inside(self):
        transformer = make_column_transformer(
            (make_pipeline(SimpleImputer(), FunctionTransformer(times)), NUMBERS),
            (OneHotEncoder(), TEXT),
        )
        assert trace(transformer, PENGUINS).mixed == ("pipeline__functiontransformer",)


class TestVerify:
    @pytest.mark.parametrize("n", [2, 3, 4, 5, 13, 30])
    def test_every_wrong_pair_is_found(self, n):
        X = CANCER.iloc[:, :n]
        rows = table_of(X)
        names = tuple(X.columns)
        right = tuple(frozenset({i}) for i in range(n))
        verify(np.asarray, rows, Lineage(names, right))
        for i in range(n):
            wrong = (*right[:i], frozenset({(i + 1) % n}), *right[i + 1 :])
            with pytest.raises(UnknownLineageError, match="depends on raw columns"):
                verify(np.asarray, rows, Lineage(names, wrong))

    @pytest.mark.parametrize("leak", range(1, 13))
    def test_a_leak_from_any_column_is_found(self, leak):
        def leaky(X):
            cells = np.array(X)
            cells[:, 0] += 1e-3 * cells[:, leak]
            return cells

        found = trace(StandardScaler(), WINE)
        with pytest.raises(UnknownLineageError, match="'alcohol' depends on raw columns"):
            verify(leaky, table_of(WINE), found)

    def test_a_constant_that_is_none_is_found(self):
        with pytest.raises(UnknownLineageError, match="depends on raw columns"):
            verify(np.asarray, table_of(IRIS.iloc[:, :1]), Lineage(("a",), (frozenset(),)))

    def test_another_number_of_columns_is_found(self):
        with pytest.raises(UnknownLineageError, match="has 4 columns, but 1 were expected"):
            verify(np.asarray, table_of(IRIS), Lineage(("a",), (frozenset(),)))

    def test_a_number_of_columns_that_changes_is_found(self):
        sorted_rows = ALL_PENGUINS[["species"]].iloc[::10]
        rows = as_batch(sorted_rows, ["species"], sorted_rows)
        with pytest.raises(UnknownLineageError, match="changes with the rows"):
            verify(pd.get_dummies, rows, Lineage(("a", "b", "c"), (frozenset({0}),) * 3))

    def test_the_rows_stay_as_they_are(self):
        rows = table_of(WINE)
        before = rows.frame.copy()
        lineage(StandardScaler(copy=False).fit(WINE.copy()), rows)
        pd.testing.assert_frame_equal(rows.frame, before)


class TestSkrub:
    @pytest.fixture
    def skrub(self):
        return pytest.importorskip("skrub")

    def test_lineage_of_a_table_vectorizer(self, skrub):
        X = ALL_PENGUINS.assign(
            day=pd.date_range("2024-01-01", periods=len(ALL_PENGUINS), freq="13h")
        )
        X["note"] = [f"note {i} {s}" for i, s in enumerate(X["island"])]
        vectorizer = skrub.TableVectorizer(
            cardinality_threshold=5, high_cardinality=skrub.MinHashEncoder(n_components=4)
        )
        found = check(vectorizer, X)
        assert found.inferred == ()
        assert found.names == tuple(vectorizer.get_feature_names_out())
        for name, source in zip(found.names, only(found)):
            assert vectorizer.output_to_input_[name] == X.columns[source]

    def test_in_a_pipeline(self, skrub):
        steps = make_pipeline(skrub.TableVectorizer(), SimpleImputer(), StandardScaler())
        found = check(steps, PENGUINS)
        assert found.is_separable
        assert found.inferred == ()

    def test_other_transformers_are_inferred_or_unknown(self, skrub):
        assert trace(skrub.SelectCols(TEXT), PENGUINS).inferred == ("SelectCols",)
        assert trace(skrub.ApplyToCols(PCA(2)), IRIS).mixed


class Widener(TransformerMixin, BaseEstimator):
    """A transformer of another package: a column of flags for each value of each column."""

    def fit(self, X, y=None):
        self.values_ = [np.unique(X.iloc[:, i].astype(str)) for i in range(X.shape[1])]
        return self

    def transform(self, X):
        flags = {
            f"{column}_{value}": (X[column].astype(str) == value).astype(float)
            for column, values in zip(X.columns, self.values_)
            for value in values
        }
        return pd.DataFrame(flags)


class TestInference:
    """Transformers of other packages that return several columns of one."""

    def test_each_flag_belongs_to_its_column(self):
        found = check(Widener(), FULL[TEXT])
        assert only(found) == [0] * 3 + [1] * 2
        assert found.inferred == ("Widener",)

    def test_rows_with_rare_values_are_among_the_sample_rows(self):
        X = pd.concat([FULL[TEXT]] * 5, ignore_index=True)
        X.loc[[17, 1200], "island"] = ["Nowhere", "Elsewhere"]
        found = lineage(Widener().fit(X), as_batch(X, list(X), X))
        assert only(found) == [0] * 5 + [1] * 2

    def test_values_that_no_row_has_are_recognized_by_name(self):
        X = FULL[TEXT].rename(columns={"sex": "island_b"}).replace("Torgersen", "torgersen")
        rare = X.assign(island="b_c", island_b="none")
        widener = Widener().fit(pd.concat([X, rare], ignore_index=True))
        found = lineage(widener, as_batch(X, list(X), X))
        names = {"island_b_c": 0, "island_b_none": 1}
        assert {name: only(found)[found.names.index(name)] for name in names} == names

    def test_names_of_an_array_are_those_that_the_transformer_has(self):
        class ArrayWidener(Widener):
            def transform(self, X):
                self.names_ = list(super().transform(X))
                return super().transform(X).to_numpy()

            def get_feature_names_out(self, input_features=None):
                return np.array(self.names_)

        more = FULL[TEXT].assign(island="Nowhere")
        widener = ArrayWidener().fit(pd.concat([FULL[TEXT], more], ignore_index=True))
        assert only(lineage(widener, table_of(FULL[TEXT]))) == [0] * 4 + [1] * 2

    def test_a_dependence_of_one_row_in_a_thousand_is_found(self):
        X = pd.concat([WINE] * 10, ignore_index=True)
        X.loc[1234, "alcohol"] = 1e6

        def rarely(X):
            return X.assign(ash=X["ash"].where(X["alcohol"] < 1e5, X["magnesium"]))

        with pytest.raises(UnknownLineageError, match="'ash' depends on"):
            lineage(FunctionTransformer(rarely), as_batch(X[1000:], list(X), X))

    @pytest.mark.parametrize(
        ("name", "widths"),
        [
            ("OneHotEncoder", [3, 2]),
            ("BinaryEncoder", [2, 2]),
            ("BaseNEncoder", [2, 2]),
            ("GrayEncoder", [2, 2]),
            ("HelmertEncoder", [2, 1]),
            ("SumEncoder", [2, 1]),
            ("OrdinalEncoder", [1, 1]),
            ("CountEncoder", [1, 1]),
            ("TargetEncoder", [1, 1]),
            ("LeaveOneOutEncoder", [1, 1]),
            ("WOEEncoder", [1, 1]),
        ],
    )
    def test_category_encoders(self, name, widths):
        encoders = pytest.importorskip("category_encoders")
        rows = table_of(FULL[TEXT])
        encoder = getattr(encoders, name)(cols=TEXT).fit(FULL[TEXT], SPECIES_OF_FULL == "Adelie")
        found = lineage(encoder, rows)
        assert only(found) == [0] * widths[0] + [1] * widths[1]
        for claimed, real in zip(found.sources, observed(encoder.transform, rows)):
            assert real <= claimed

    def test_hashed_columns_are_mixed(self):
        encoders = pytest.importorskip("category_encoders")
        X = FULL[[*TEXT, "body_mass_g"]].astype(str)
        assert trace(encoders.HashingEncoder(n_components=2, max_process=1), X).mixed

    def test_feature_engine(self):
        pytest.importorskip("feature_engine")
        from feature_engine.creation import CyclicalFeatures, RelativeFeatures
        from feature_engine.datetime import DatetimeFeatures
        from feature_engine.encoding import OneHotEncoder as Flags

        X = FULL.assign(day=pd.date_range("2024-01-01", periods=len(FULL), freq="13h"))
        dates = DatetimeFeatures(features_to_extract=["month", "hour"])
        steps = make_pipeline(dates, Flags(variables=TEXT)).fit(X)
        found = lineage(steps, table_of(X))
        assert found.is_separable
        for name, source in zip(found.names, only(found)):
            assert name.startswith(X.columns[source])
        numbers = FULL[NUMBERS]
        assert only(check(CyclicalFeatures(drop_original=True), numbers)) == [
            *np.repeat(range(4), 2)
        ]
        ratio = RelativeFeatures(NUMBERS[:1], NUMBERS[1:2], ["div"])
        assert len(trace(ratio, numbers).mixed) == 1
