"""The rows and labels among the arguments of a call that trains a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow_interpret.core.errors import CannotExplainError


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a method or function that trains a model.

    Attributes:
        function: The method or function.
        instance: The object whose method is called, or None for a function.
        args: Positional arguments, without the instance.
        kwargs: Keyword arguments.
    """

    function: Callable[..., Any]
    instance: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


_X_NAMES = ("X", "X_train", "x", "x_train", "data", "features", "rows", "inputs", "df")
_Y_NAMES = ("y", "Y", "y_train", "label", "labels", "target", "targets")
# Arguments that are neither rows nor labels.
_OTHER_NAMES = {"sample_weight", "weights", "groups", "group", "qid", "classes", "eval_set"}


def x_and_y(call: Call) -> tuple[Any, Any]:
    """Rows and labels of a call: ``X`` and ``y``, similar names, or else the first arguments.

    Raises:
        CannotExplainError: No argument is recognised as rows.
    """
    parameters = _parameters(call)
    stars = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    declared = [parameter.name for parameter in parameters if parameter.kind not in stars]
    by_position = [p.name for p in parameters if p.kind not in {*stars, p.KEYWORD_ONLY}]
    given = {**dict(zip(by_position, call.args, strict=False)), **call.kwargs}
    extra = {f"*{i}": value for i, value in enumerate(call.args[len(by_position) :])}
    in_order = [*(name for name in declared if name in given), *extra]
    values = {name: value for name, value in {**given, **extra}.items() if value is not None}
    X_name = _rows_name(in_order, values)
    if X_name is None:
        raise CannotExplainError(
            f"no argument of {call.function.__name__} is recognised as rows; name them X, or call "
            "mlflow_interpret.explain_now(model, X)"
        )
    X = values.pop(X_name)
    y_name = next((name for name in _Y_NAMES if name in values), None)
    if y_name is None and not set(_Y_NAMES) & set(declared):
        others = [name for name in in_order if name in values and name not in _OTHER_NAMES]
        y_name = next((name for name in others if length(values[name]) == length(X)), None)
    return X, None if y_name is None else values[y_name]


def _parameters(call: Call) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(call.function).parameters.values())
    except (TypeError, ValueError):  # compiled functions may have no signature
        return []
    return parameters if call.instance is None else parameters[1:]


def _rows_name(in_order: list[str], values: dict[str, Any]) -> str | None:
    """The name of the argument with the rows, None if there is none.

    Args:
        in_order: The given arguments in the order of the signature, without those of ``**kwargs``.
        values: All given arguments.
    """
    if "X" in values:
        return "X"
    not_rows = {*_Y_NAMES, *_OTHER_NAMES}
    first = [name for name in in_order if name in values and name not in not_rows]
    known = [name for name in _X_NAMES if name in values]
    tables = [
        name
        for name, value in values.items()
        if name not in not_rows and len(getattr(value, "shape", ())) == 2
    ]
    return next(iter([*first, *known, *tables]), None)


def length(values: Any) -> int | None:
    """The number of rows, None if it is not known."""
    shape = getattr(values, "shape", None)
    try:
        return int(shape[0]) if shape else len(values)
    except TypeError:
        return None


def named_arguments(call: Call) -> dict[str, Any]:
    """The given arguments by name, those of ``**kwargs`` included."""
    try:
        instance = () if call.instance is None else (call.instance,)
        bound = inspect.signature(call.function).bind_partial(*instance, *call.args, **call.kwargs)
    except (TypeError, ValueError):  # compiled functions may have no signature
        return dict(call.kwargs)
    return {**bound.arguments, **call.kwargs}


def instance_of(call: Call, result: Any) -> Any:  # noqa: ARG001
    """The object whose method was called."""
    return call.instance


def result_of(call: Call, result: Any) -> Any:  # noqa: ARG001
    """The result of the call."""
    return result
