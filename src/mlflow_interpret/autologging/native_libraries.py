"""Training functions of XGBoost, LightGBM and CatBoost, and their training on Dask clusters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mlflow_interpret.autologging.libraries import Library, register_library
from mlflow_interpret.autologging.training_arguments import Call, result_of
from mlflow_interpret.core.errors import CannotExplainError


def _argument(call: Call, name: str) -> Any:
    return inspect.signature(call.function).bind(*call.args, **call.kwargs).arguments[name]


def _native_argument(name: str) -> Callable[[Call], tuple[Any, Any]]:
    def read(call: Call) -> tuple[Any, Any]:
        from mlflow_interpret.explaining.native_data import rows_and_labels

        return rows_and_labels(_argument(call, name))

    return read


def _xgboost_result(call: Call, booster: Any) -> Any:
    """The Booster without the best iteration of an earlier training that this call continued."""
    arguments = inspect.signature(call.function).bind(*call.args, **call.kwargs).arguments
    stops_early = arguments.get("early_stopping_rounds") is not None or any(
        type(callback).__name__ == "EarlyStopping" for callback in arguments.get("callbacks") or ()
    )
    if arguments.get("xgb_model") is None or stops_early:
        return booster
    booster = booster.copy()
    booster.set_attr(best_iteration=None, best_score=None)
    return booster


for _module, _data, _trained_model in (
    ("xgboost", "dtrain", _xgboost_result),
    ("lightgbm", "train_set", result_of),
):
    register_library(
        Library(
            _module,
            functions=("train",),
            training_data=_native_argument(_data),
            trained_model=_trained_model,
            trains_others=True,  # in the threads of Dask workers
        )
    )


def _no_rows(call: Call) -> tuple[Any, Any]:  # noqa: ARG001
    raise CannotExplainError(
        "a DaskDMatrix does not give its rows back; pass the rows as a table in "
        "evaluation_examples, or train a DaskXGBRegressor or DaskXGBClassifier"
    )


register_library(
    Library(
        "xgboost.dask",
        functions=("train",),
        training_data=_no_rows,
        trained_model=lambda _, result: result["booster"],
    )
)


def _keeps_no_model(train: str) -> Callable[[Any], str]:
    return lambda _: (
        f"returns scores of its folds and keeps no model; call {train}, or pass the Booster of a "
        "fold to mlflow_interpret.explain(booster, X)"
    )


for _module, _train in (
    ("xgboost", "xgboost.train"),
    ("lightgbm", "lightgbm.train"),
    ("catboost", "catboost.train"),
):
    register_library(
        Library(
            _module,
            functions=("cv",),
            is_model=lambda _: False,
            training_data=lambda _: (None, None),
            trained_model=result_of,
            unexplained=_keeps_no_model(_train),
        )
    )
