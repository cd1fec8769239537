"""Section 3: pipelines on raw, mixed columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.covering import data
from benchmarks.covering.case import Case, Fitted, Missing
from benchmarks.covering.data import NUMBERS, TEXTS
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    VarianceThreshold,
    f_classif,
    f_regression,
)
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
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
from sklearn.svm import SVC, SVR

Source = Callable[[], tuple[pd.DataFrame, Any]]

_SECTION = "Pipelines on raw columns"
_PENGUIN_TEXTS = ["island", "sex"]
_PENGUIN_NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]


def _missing_penguins() -> tuple[pd.DataFrame, Any]:
    return data.penguins(complete=False)


def _described() -> tuple[pd.DataFrame, Any]:
    """Diamonds with their three text columns as one description."""
    X, y = data.diamonds()
    text = X["cut"] + " cut, color " + X["color"] + ", clarity " + X["clarity"]
    return X[NUMBERS].assign(description=text), y


def _numbers() -> tuple[pd.DataFrame, Any]:
    X, y = data.diamonds()
    return X[NUMBERS], y


def _forest() -> RandomForestRegressor:
    return RandomForestRegressor(30, min_samples_leaf=5, random_state=0)


def _classifier() -> RandomForestClassifier:
    return RandomForestClassifier(30, min_samples_leaf=3, random_state=0)


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=2000)


def _diamonds(encoder: Any, last: Any, numbers: Any = "passthrough") -> Any:
    return make_pipeline(make_column_transformer((encoder, TEXTS), (numbers, NUMBERS)), last)


def _penguins(encoder: Any, last: Any, numbers: Any = "passthrough") -> Any:
    columns = ((encoder, _PENGUIN_TEXTS), (numbers, _PENGUIN_NUMBERS))
    return make_pipeline(make_column_transformer(*columns), last)


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore")


def _log_size(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(carat=np.log(frame["carat"]))


def _volume(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(volume=frame["x"] * frame["y"] * frame["z"])


_Rows = tuple[tuple[str, Callable[[], Any], Source], ...]

_ENCODERS: _Rows = (
    ("diamonds: OneHotEncoder, forest", lambda: _diamonds(_one_hot(), _forest()), data.diamonds),
    ("diamonds: OneHotEncoder, Ridge", lambda: _diamonds(_one_hot(), Ridge()), data.diamonds),
    ("diamonds: OneHotEncoder(drop='first'), LinearRegression",
     lambda: _diamonds(OneHotEncoder(drop="first"), LinearRegression()), data.diamonds),
    ("penguins: OneHotEncoder(drop='if_binary'), LogisticRegression",
     lambda: _penguins(OneHotEncoder(drop="if_binary"), _logistic(), StandardScaler()),
     data.penguins),
    ("diamonds: OneHotEncoder(min_frequency, infrequent), forest",
     lambda: _diamonds(OneHotEncoder(min_frequency=0.1, handle_unknown="infrequent_if_exist"),
                       _forest()), data.diamonds),
    ("diamonds: OneHotEncoder(max_categories=3, drop='first'), Ridge",
     lambda: _diamonds(OneHotEncoder(max_categories=3, drop="first"), Ridge()), data.diamonds),
    ("diamonds: OneHotEncoder(sparse_output=False, given categories), forest",
     lambda: _diamonds(OneHotEncoder(sparse_output=False, handle_unknown="ignore"), _forest()),
     data.diamonds),
    ("penguins: OneHotEncoder of columns with missing cells, forest",
     lambda: _penguins(_one_hot(), _classifier(), SimpleImputer()), _missing_penguins),
    ("diamonds: OneHotEncoder, HistGradientBoostingRegressor",
     lambda: _diamonds(OneHotEncoder(sparse_output=False), HistGradientBoostingRegressor()),
     data.diamonds),
    ("diamonds: OneHotEncoder, SVR (black box)",
     lambda: _diamonds(_one_hot(), SVR(), StandardScaler()), data.diamonds),
    ("penguins: OneHotEncoder, SVC (black box, string labels)",
     lambda: _penguins(_one_hot(), SVC(), StandardScaler()), data.penguins),
    ("diamonds: OneHotEncoder, KNeighborsRegressor (black box)",
     lambda: _diamonds(_one_hot(), KNeighborsRegressor(), StandardScaler()), data.diamonds),
    ("diamonds: OrdinalEncoder, forest",
     lambda: _diamonds(OrdinalEncoder(), _forest()), data.diamonds),
    ("penguins: OrdinalEncoder(use_encoded_value), HistGradientBoostingClassifier",
     lambda: _penguins(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                       HistGradientBoostingClassifier()), _missing_penguins),
    ("diamonds: OrdinalEncoder, HistGradientBoostingRegressor(categorical_features)",
     lambda: _diamonds(OrdinalEncoder(),
                       HistGradientBoostingRegressor(categorical_features=[0, 1, 2])),
     data.diamonds),
    ("diamonds: TargetEncoder, forest",
     lambda: _diamonds(TargetEncoder(random_state=0), _forest()), data.diamonds),
    ("penguins: TargetEncoder of 3 classes, LogisticRegression",
     lambda: _penguins(TargetEncoder(random_state=0), _logistic(), StandardScaler()),
     data.penguins),
)  # fmt: skip

_SCALERS: _Rows = tuple(
    (
        f"diamonds: {type(scaler).__name__}, OneHotEncoder, Ridge",
        partial(_diamonds, OneHotEncoder(handle_unknown="ignore"), Ridge(), scaler),
        data.diamonds,
    )
    for scaler in (
        StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler(),
        PowerTransformer(), QuantileTransformer(n_quantiles=100), Normalizer(),
    )
)  # fmt: skip

_IMPUTERS: _Rows = (
    ("penguins: SimpleImputer(add_indicator=True), forest",
     lambda: _penguins(_one_hot(), _classifier(), SimpleImputer(add_indicator=True)),
     _missing_penguins),
    ("penguins: SimpleImputer(most_frequent) of texts, LogisticRegression",
     lambda: _penguins(make_pipeline(SimpleImputer(strategy="most_frequent"), _one_hot()),
                       _logistic(), make_pipeline(SimpleImputer(), StandardScaler())),
     _missing_penguins),
    ("penguins: KNNImputer, forest",
     lambda: _penguins(_one_hot(), _classifier(), KNNImputer()), _missing_penguins),
    ("penguins: IterativeImputer, LogisticRegression",
     lambda: _penguins(_one_hot(), _logistic(), make_pipeline(IterativeImputer(),
                                                              StandardScaler())),
     _missing_penguins),
    ("penguins: union of SimpleImputer and MissingIndicator, forest",
     lambda: _penguins(_one_hot(), _classifier(),
                       make_union(SimpleImputer(), MissingIndicator())), _missing_penguins),
)  # fmt: skip

_FUNCTIONS: _Rows = (
    ("diamonds: FunctionTransformer(log1p), Ridge",
     lambda: _diamonds(_one_hot(), Ridge(), FunctionTransformer(np.log1p)), data.diamonds),
    ("diamonds: FunctionTransformer of a frame, OneHotEncoder, forest",
     lambda: make_pipeline(FunctionTransformer(_log_size), _diamonds(_one_hot(), _forest())),
     data.diamonds),
    ("diamonds: FunctionTransformer that mixes columns, forest",
     lambda: make_pipeline(FunctionTransformer(_volume), _forest()), _numbers),
    ("diamonds: KBinsDiscretizer(onehot), Ridge",
     lambda: _diamonds(_one_hot(), Ridge(), KBinsDiscretizer(5)), data.diamonds),
    ("diamonds: SplineTransformer, Ridge",
     lambda: _diamonds(_one_hot(), Ridge(), SplineTransformer(4)), data.diamonds),
    ("diamonds: PolynomialFeatures, Ridge (mixed)",
     lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()), _numbers),
    ("diamonds: PCA, Ridge (mixed)",
     lambda: make_pipeline(StandardScaler(), PCA(3), Ridge()), _numbers),
    ("diamonds: OneHotEncoder, PCA of the numbers, forest (mixed)",
     lambda: _diamonds(_one_hot(), _forest(), PCA(3)), data.diamonds),
    ("diamonds: OneHotEncoder, TruncatedSVD, forest (mixed)",
     lambda: make_pipeline(*(step for _, step in _diamonds(_one_hot(), None).steps[:1]),
                           TruncatedSVD(5), _forest()), data.diamonds),
    ("diamonds: union of StandardScaler and PCA, Ridge (mixed)",
     lambda: make_pipeline(FeatureUnion([("s", StandardScaler()), ("p", PCA(2))]), Ridge()),
     _numbers),
)  # fmt: skip

_SELECTIONS: _Rows = (
    ("diamonds: OneHotEncoder, SelectKBest, forest",
     lambda: _steps(_one_hot(), SelectKBest(f_regression, k=8), _forest()), data.diamonds),
    ("penguins: SelectKBest, LogisticRegression",
     lambda: _penguins(_one_hot(), _logistic(), make_pipeline(
         StandardScaler(), SelectKBest(f_classif, k=3))), data.penguins),
    ("diamonds: VarianceThreshold, Ridge",
     lambda: _steps(_one_hot(), VarianceThreshold(0.01), Ridge()), data.diamonds),
    ("diamonds: SelectFromModel, forest",
     lambda: _steps(_one_hot(), SelectFromModel(Ridge()), _forest()), data.diamonds),
    ("diamonds: RFE, Ridge", lambda: _steps(_one_hot(), RFE(Ridge()), Ridge()), data.diamonds),
)  # fmt: skip

_VECTORIZERS: _Rows = tuple(
    (
        f"diamonds: {type(vectorizer).__name__} of a description, {type(last).__name__}",
        partial(
            lambda v, m: make_pipeline(
                make_column_transformer((v, "description"), remainder="passthrough"), m
            ),
            vectorizer,
            last,
        ),
        _described,
    )
    for vectorizer, last in (
        (TfidfVectorizer(), Ridge()),
        (TfidfVectorizer(ngram_range=(1, 2)), _forest()),
        (CountVectorizer(), _forest()),
        (HashingVectorizer(n_features=64), Ridge()),
    )
)


def _steps(encoder: Any, *steps: Any) -> Any:
    return make_pipeline(make_column_transformer((encoder, TEXTS), remainder="passthrough"), *steps)


def _nested() -> Any:
    inner = ColumnTransformer(
        [("scaled", StandardScaler(), ["x", "y", "z"])], remainder=MinMaxScaler()
    )
    outer = ColumnTransformer(
        [("texts", _one_hot(), make_column_selector(dtype_exclude=np.number)),
         ("numbers", inner, NUMBERS)],
    )  # fmt: skip
    return make_pipeline(outer, Ridge())


def _dropped() -> Any:
    columns = ColumnTransformer(
        [("texts", _one_hot(), ["cut"]), ("out", "drop", ["x", "y", "z"])], remainder="drop"
    )
    return make_pipeline(columns, Ridge())


_NESTED: _Rows = (
    ("diamonds: nested ColumnTransformers with a remainder", _nested, data.diamonds),
    ("diamonds: remainder='passthrough'", lambda: _steps(_one_hot(), _forest()), data.diamonds),
    ("diamonds: remainder='drop', most columns unused", _dropped, data.diamonds),
    ("diamonds: pipeline in a pipeline", lambda: make_pipeline(
        make_pipeline(make_column_transformer((_one_hot(), TEXTS), remainder="passthrough")),
        make_pipeline("passthrough", Ridge())), data.diamonds),
    ("diamonds: set_output('pandas')", lambda: _diamonds(
        OneHotEncoder(sparse_output=False), _forest()).set_output(transform="pandas"),
     data.diamonds),
    ("diamonds: GridSearchCV of a pipeline", lambda: GridSearchCV(
        _diamonds(_one_hot(), Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=3), data.diamonds),
    ("diamonds: TransformedTargetRegressor of a pipeline", lambda: TransformedTargetRegressor(
        _diamonds(_one_hot(), Ridge()), transformer=StandardScaler()), data.diamonds),
    ("diamonds: pipeline that ends in TransformedTargetRegressor", lambda: _diamonds(
        _one_hot(), TransformedTargetRegressor(Ridge(), transformer=StandardScaler())),
     data.diamonds),
    ("diamonds: VotingRegressor of pipelines", lambda: VotingRegressor(
        [("a", _diamonds(_one_hot(), Ridge())), ("b", _diamonds(OrdinalEncoder(), _forest()))]),
     data.diamonds),
    ("penguins: CalibratedClassifierCV of a pipeline", lambda: CalibratedClassifierCV(
        _penguins(_one_hot(), _logistic(), StandardScaler()), cv=3), data.penguins),
    ("penguins: pipeline of OneHotEncoder and a forest, string labels",
     lambda: _penguins(_one_hot(), _classifier()), data.penguins),
)  # fmt: skip


def _fit(make: Callable[[], Any], source: Source) -> Fitted:
    X, y = source()
    return Fitted(make().fit(X, y), X)


def _skrub(last: Any, source: Source) -> Fitted:
    try:
        from skrub import TableVectorizer
    except ImportError as error:
        raise Missing("skrub") from error
    return _fit(lambda: make_pipeline(TableVectorizer(), last), source)


def _skrub_default() -> Fitted:
    try:
        from skrub import tabular_pipeline
    except ImportError as error:
        raise Missing("skrub with tabular_pipeline") from error
    return _fit(lambda: tabular_pipeline("regressor"), data.diamonds)


def cases() -> Iterator[Case]:
    """Pipelines, by the steps in front of the last one."""
    groups = (_ENCODERS, _SCALERS, _IMPUTERS, _FUNCTIONS, _SELECTIONS, _VECTORIZERS, _NESTED)
    for name, make, source in (row for group in groups for row in group):
        yield Case(_SECTION, name, partial(_fit, make, source))
    for name, last, source in (
        ("diamonds: skrub TableVectorizer, forest", _forest(), data.diamonds),
        ("diamonds: skrub TableVectorizer, Ridge", Ridge(), data.diamonds),
        ("penguins: skrub TableVectorizer, HistGradientBoostingClassifier",
         HistGradientBoostingClassifier(), _missing_penguins),
    ):  # fmt: skip
        yield Case(_SECTION, name, partial(_skrub, last, source))
    yield Case(_SECTION, "diamonds: skrub tabular_pipeline('regressor')", _skrub_default)
