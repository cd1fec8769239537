"""Log a model whose predictions come with their contributions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel

from mlflow_interpret.api.explain_model import explain_model
from mlflow_interpret.api.explain_rows import ExplainedModel, row_explainer
from mlflow_interpret.api.explanations import log_explanation
from mlflow_interpret.api.global_explanation import public_explanation
from mlflow_interpret.api.model_requirements import requirements_of
from mlflow_interpret.api.row_columns import columns_of, labelled
from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.stores import mlflow as mlflow_store

_SCRIPT = Path(__file__).with_name("explainable_model_script.py")
_OWN = "mlflow-interpret"
_MODEL, _EXPLANATION = "model", "explanation"
_PARAM = "contributions"
_FLAVORS = ("xgboost", "lightgbm", "catboost")
_EXAMPLE_ROWS = 3
_TYPE_ROWS = 50
"""Rows that show the types of the columns, where the method needs no background rows."""


class ExplainableModel(PythonModel):  # type: ignore[misc, unused-ignore]
    """A pyfunc model whose predictions come with their contributions.

    Attributes:
        mlflow_interpret_model: The model of its library.
    """

    def load_context(self, context: Any) -> None:
        """Load the model of the library and the explanation, whose settings are used."""
        self.mlflow_interpret_model = mlflow_store.load_model(context.artifacts[_MODEL]).model
        self._explanation = explanation_io.read(Path(context.artifacts[_EXPLANATION]))
        explained = ExplainedModel("", "", self.mlflow_interpret_model, self._explanation)
        self._explainer = row_explainer(explained)

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: Any = None,
    ) -> pd.DataFrame:
        """Predict and explain rows.

        Args:
            context: Unused.
            model_input: ``(n_rows, n_features)`` rows.
            params: ``{"contributions": False}`` for the predictions only.

        Returns:
            The table of `mlflow_interpret.log_explainable_model`.
        """
        rows = pd.DataFrame(model_input)
        rows = labelled(rows, columns_of(self._explanation, rows.columns), "model_input")
        with suppress_warnings(), fit_hooks.unrecorded():
            if (params or {}).get(_PARAM, True):
                return self._explainer.table(rows)
            return self._explainer.predictions(rows)


def log_explainable_model(
    model: Any,
    X_train: Any,
    *,
    name: str = "model",
    registered_model_name: str | None = None,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    engine: str = "auto",
    output: str = "auto",
    random_state: int = 0,
    pip_requirements: Sequence[str] | None = None,
    silent: bool = False,
) -> Any:
    """Log a model whose ``predict`` returns the predictions and their contributions.

    It is a pyfunc model that holds the model by the flavor of its library, scikit-learn's by
    cloudpickle, so that
    ``mlflow models serve``, `mlflow.pyfunc.load_model` and `mlflow.pyfunc.spark_udf` use it. The
    explanation of the training rows is logged, too. The model holds background rows, and an example
    of the input: do not log it where rows of data must not be stored.

    The table has the columns ``prediction``, ``expected_value`` and ``contribution/<feature>``. For
    two classes, the contributions are to the second class; for several outputs, the columns are
    ``expected_value/<output>`` and ``contribution/<output>/<feature>``. The param
    ``contributions=False`` of ``predict`` leaves the contributions out.

    Args:
        model: A fitted model of scikit-learn, XGBoost, LightGBM or CatBoost, as for `explain`.
        X_train: ``(n_rows, n_features)`` training rows, or texts.
        name: The name of the logged model.
        registered_model_name: Also create a version of this registered model.
        features: As for `explain`.
        classes: As for `explain`.
        engine: As for `explain`.
        output: As for `explain`.
        random_state: As for `explain`.
        pip_requirements: The packages of the model's environment. Default: this package, MLflow and
            the packages of the model and its parts, in the installed versions.
        silent: Show no progress.

    Returns:
        The `mlflow.models.model.ModelInfo` of the logged model.

    Raises:
        OptionError: An argument is not allowed.
        CannotExplainError: The model cannot be explained.

    Example:
        >>> info = mlflow_interpret.log_explainable_model(model, X)  # doctest: +SKIP
        >>> table = mlflow.pyfunc.load_model(info.model_uri).predict(X)  # doctest: +SKIP
    """
    options = Options(
        features=features,
        classes=classes,
        engine=engine,
        output=output,
        random_state=random_state,
        silent=silent,
    )
    record = explain_model(model, X_train, options)
    flavor = _flavor_of(model)
    with _active_or_new_run(), temporary_folders.temporary() as folder:
        root = Path(folder)
        requirements = list(pip_requirements or _requirements(model, flavor))
        with _without_advice():
            getattr(mlflow, flavor).save_model(
                model,
                str(root / _MODEL),
                pip_requirements=requirements,
                **_save_options(flavor),
            )
        (root / _EXPLANATION).mkdir()
        explanation_io.write(_settings_of(record), root / _EXPLANATION)
        _check_background(root / _EXPLANATION)
        signature, example = _signature(model, record)
        with _without_advice():
            info = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(_SCRIPT),
                artifacts={part: str(root / part) for part in (_MODEL, _EXPLANATION)},
                signature=signature,
                input_example=example,
                pip_requirements=requirements,
                registered_model_name=registered_model_name,
            )
        log_explanation(public_explanation(record), model_id=info.model_id, silent=silent)
    return info


def _flavor_of(model: Any) -> str:
    """The name of MLflow's flavor for the library of a model."""
    package = type(model).__module__.partition(".")[0]
    return package if package in _FLAVORS else "sklearn"


def _save_options(flavor: str) -> dict[str, Any]:
    """The options of ``save_model``: those of MLflow's autologging, which take every estimator."""
    return {"serialization_format": "cloudpickle"} if flavor == "sklearn" else {}


def _settings_of(record: Explanation) -> Explanation:
    """The explanation without its rows, but with those that explaining further rows needs."""
    background = record.background
    explained = (record.raw or record).evaluation_rows
    if background is not None and background.rows is None and explained is not None:
        chosen = explained.iloc[sample_rows(len(explained), _TYPE_ROWS, 0)]
        background = replace(background, rows=chosen.reset_index(drop=True))
    return replace(record.without_rows(), background=background)


def _check_background(folder: Path) -> None:
    """Check that the background rows are stored, without which the model explains no rows.

    Raises:
        CannotExplainError: A file cannot hold them.
    """
    background = explanation_io.read(folder).background
    if background is not None and background.not_stored is not None:
        raise CannotExplainError(
            f"the model cannot hold its background rows: {background.not_stored}; convert the "
            "column to texts or numbers before training"
        )


def _signature(model: Any, record: Explanation) -> tuple[ModelSignature, pd.DataFrame]:
    """The signature, and an example of the input."""
    settings = _settings_of(record)
    assert settings.background is not None  # noqa: S101 - `explain_model` has set it
    rows = settings.background.rows
    assert rows is not None  # noqa: S101 - as above
    labels = settings.background.columns or settings.background.names
    example = rows.set_axis([str(label) for label in labels], axis=1).head(_EXAMPLE_ROWS)
    example = example.astype(  # MLflow has no type for categories
        {name: object for name in example if isinstance(example[name].dtype, pd.CategoricalDtype)}
    )
    explainer = row_explainer(ExplainedModel("", "", model, settings))
    columns = columns_of(settings, example.columns)
    with suppress_warnings(), fit_hooks.unrecorded():
        table = explainer.table(labelled(example, columns, "X_train"))
        return infer_signature(example, table, {_PARAM: True}), example


def _requirements(model: Any, flavor: str) -> list[str]:
    """This package, MLflow, the packages of the flavor and those of the parts of the model."""
    defaults = list(getattr(mlflow, flavor).get_default_pip_requirements())
    named = {_OWN, "mlflow", *(requirement.partition("==")[0] for requirement in defaults)}
    further = [
        f"{name}=={version}"
        for name, version in requirements_of(model).items()
        if name not in named
    ]
    own = f"{_OWN}=={metadata.version(_OWN)}"
    return [own, f"mlflow=={mlflow.__version__}", *defaults, *further]


@contextmanager
def _without_advice() -> Any:
    """Log a model without MLflow's warnings on pickles and on type hints, in this thread only."""
    thread = threading.get_ident()

    def is_shown(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno >= logging.ERROR

    # Filters of a logger do not see the records of the loggers below it; those of handlers do.
    logger = logging.getLogger("mlflow")
    above = logging.getLogger().handlers if logger.propagate else []
    handlers = [*logger.handlers, *above]
    for handler in handlers:
        handler.addFilter(is_shown)
    try:
        with suppress_warnings():
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_shown)


def _active_or_new_run() -> Any:
    return nullcontext() if mlflow.active_run() else mlflow.start_run()
