"""Explain new rows with a logged model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlflow_interpret.api import load
from mlflow_interpret.api.black_box import explained_black_box
from mlflow_interpret.api.global_explanation import GlobalExplanation, public_explanation
from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.core import option_checks as checks
from mlflow_interpret.core.details import as_notes
from mlflow_interpret.core.errors import CannotExplainError, OptionError
from mlflow_interpret.core.explanation import Explanation, Plan
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.stores import mlflow as mlflow_store

if TYPE_CHECKING:
    from mlflow_interpret.explaining.row_explainer import RowExplainer

_NAMES = (
    "the URI of a logged model ('models:/name@alias', 'models:/<model id>', "
    "'runs:/<run id>/<path>') or the id of its run"
)


@dataclass(frozen=True, eq=False)
class ExplainedModel:
    """A logged model and the explanation of it.

    Attributes:
        uri: The URI of the model.
        run_id: The run of the explanation.
        model: The loaded model, with the interface of its library or of scikit-learn.
        explanation: The explanation.
        is_black_box: Only the predictions of the model are known.
    """

    uri: str
    run_id: str
    model: Any
    explanation: Explanation
    is_black_box: bool = False


def explain_rows(
    model: str,
    rows: Any,
    *,
    labels: Any = None,
    initialization_examples: Any = None,
    explanation_id: str | None = None,
    n_jobs: int | None = None,
    engineered: bool = False,
    silent: bool = False,
) -> GlobalExplanation:
    """Explain new rows with a logged model, in the same way as the explanation of its run.

    MLflow loads the model by the flavor of scikit-learn, XGBoost, LightGBM or CatBoost; any other
    model is explained as a black box. Method, scale, names, classes, seed and background rows are
    those of the explanation. All rows are explained. Loading a model runs code that is stored in
    it, for example in a pickle: explain only models that you trust.

    Args:
        model: The URI of the model (``"models:/name@alias"``, ``"models:/<model id>"``,
            ``"runs:/<run id>/<path>"``), or the id of a run with one logged model.
        rows: ``(n_rows, n_features)`` rows with the columns of the training rows, in any order; or
            a Series, array or list of texts.
        labels: ``(n_rows,)`` true labels of the rows.
        initialization_examples: Background rows, if the explanation holds none because of
            ``log_data=False``: the training rows or a sample of them.
        explanation_id: The explanation whose settings are used. Default: that of the model, or the
            latest of its run.
        n_jobs: As for `explain`.
        engineered: Return the explanation by engineered columns, which pipelines have in addition
            to that by raw columns.
        silent: Show no progress.

    Returns:
        A global explanation, as of `explain`, with the contributions of each row in the order of
        ``rows``. `log_explanation` logs it. If the method or the scale differs from the
        explanation of the run, a note in its status record says so.

    Raises:
        OptionError: An argument is not allowed, or background rows are missing.
        RunNotFoundError: There is no such model or run, or the run has several models.
        ExplanationNotFoundError: The run holds no explanation.
        InvalidExplanationError: A file of the explanation is damaged or was changed.
        TrackingUnavailableError: The tracking server does not answer, or refuses the request.
        CannotExplainError: The model is another one than the explained one, or cannot be explained.
        TrackingUnavailableError: The MLflow store cannot be reached.
        InvalidExplanationError: The files of the explanation are damaged.

    Example:
        >>> explanation = mlflow_interpret.explain_rows(  # doctest: +SKIP
        ...     "models:/churn@champion", new_rows
        ... )
    """
    _check_arguments(model, rows, labels)
    options = Options(n_jobs=n_jobs, silent=silent)
    explained = explained_model(model, explanation_id)
    record = explain_new_rows(explained, rows, labels, initialization_examples, options)
    return public_explanation(load.select_view(record, engineered=engineered))


def explained_model(model: str, explanation_id: str | None = None) -> ExplainedModel:
    """Load a logged model and its explanation.

    Args:
        model: As for `explain_rows`.
        explanation_id: As for `explain_rows`.

    Raises:
        RunNotFoundError: There is no such model or run.
        ExplanationNotFoundError: The run holds no explanation.
        InvalidExplanationError: A file of the explanation is damaged or was changed.
        TrackingUnavailableError: The tracking server does not answer, or refuses the request.
    """
    tracking_uri = mlflow_store.current_tracking_uri()
    mlflow_store.check_reachable(tracking_uri)
    address = mlflow_store.find_model(model, tracking_uri)
    record = load.load(
        address.run_id, tracking_uri, explanation_id=explanation_id or address.explanation_id
    )
    with suppress_warnings():
        loaded = mlflow_store.load_model(address.uri)
    fitted, is_black_box = loaded.model, False
    if loaded.flavor == "pyfunc":
        inside = _model_inside(loaded.model)
        is_black_box = inside is None
        fitted = explained_black_box(loaded.model, record) if inside is None else inside
    return ExplainedModel(address.uri, address.run_id, fitted, record, is_black_box)


def _model_inside(model: Any) -> Any:
    """The model of its library inside a model of `log_explainable_model`, else None."""
    try:
        python_model = model.unwrap_python_model()
    except Exception:  # a pyfunc model of another flavor, or of a server
        return None
    return getattr(python_model, "mlflow_interpret_model", None)


def explain_new_rows(
    explained: ExplainedModel,
    rows: Any,
    labels: Any,
    initialization_examples: Any,
    options: Options,
) -> Explanation:
    """Compute the record of the explanation of new rows; see `explain_rows`."""
    from mlflow_interpret.explaining.dataframes import as_rows, n_rows
    from mlflow_interpret.explaining.explain import draw_inputs, explain_inputs
    from mlflow_interpret.explaining.new_rows import check_model, context_of
    from mlflow_interpret.runtime.progress import progress

    stored = explained.explanation
    rows = as_rows(rows, "rows")
    n = n_rows(rows)
    context = context_of(explained.model, stored, rows, labels, initialization_examples)
    with (
        suppress_warnings(),
        fit_hooks.unrecorded(),
        progress("Explaining", unit="rows", silent=options.silent) as report,
    ):
        plan = replace(plan_of(stored), max_rows=n, n_jobs=options.n_jobs, progress=report)
        inputs = draw_inputs(context, plan)
        if n_rows(inputs.rows) < n:
            raise OptionError(
                f"rows must be at most {n_rows(inputs.rows):,} rows of this width, got {n:,}. "
                "`mlflow-interpret explain` explains any number of rows in a Parquet file.",
                argument="rows",
            )
        inputs = replace(inputs, targets=stored.targets)
        if not explained.is_black_box:
            check_model(inputs.adapter(), stored)
        record = explain_inputs(inputs, plan)
    return _as_new_rows(record, explained)


def row_explainer(
    explained: ExplainedModel, rows: Any = None, initialization_examples: Any = None
) -> RowExplainer:
    """Prepare an explainer of any number of rows.

    Args:
        explained: The model and its explanation.
        rows: Some of the rows, for models whose explanation was logged without rows.
        initialization_examples: As for `explain_rows`.

    Raises:
        OptionError: Background rows are missing, or rows have other columns.
        CannotExplainError: The model cannot be explained.
    """
    from mlflow_interpret.explaining.new_rows import check_model, context_of
    from mlflow_interpret.explaining.row_explainer import RowExplainer, check_method

    stored = explained.explanation
    context = context_of(explained.model, stored, rows, None, initialization_examples)
    context = replace(context, evaluation_examples=None)
    with suppress_warnings(), fit_hooks.unrecorded():
        explainer = RowExplainer(context, plan_of(stored), stored.targets)
    if not explained.is_black_box:
        check_model(explainer.adapter, stored)
        check_method(explainer, stored)
    return explainer


def plan_of(stored: Explanation) -> Plan:
    """The options by which an explanation was computed."""
    background, details = stored.background, stored.details
    check = details.attribution_check
    return Plan(
        random_state=details.random_state or 0,
        engine="auto" if background is None else background.engine,
        output="auto" if background is None else background.output,
        is_output_optional=True,
        is_sampled=details.sampling_error is not None,
        # A few new rows may be too much alike to be checked on.
        is_checked=check is not None and check.outcome == "declined",
    )


def _as_new_rows(record: Explanation, explained: ExplainedModel) -> Explanation:
    """The record with the source of its rows, and with its differences from the stored one."""
    rows = record.details.rows
    notes = (*as_notes(_notes(record, explained)), *record.details.notes)
    details = replace(
        record.details, rows=None if rows is None else replace(rows, source="new rows"), notes=notes
    )
    return replace(record, details=details)


def _notes(record: Explanation, explained: ExplainedModel) -> Iterator[str]:
    stored = explained.explanation
    yield (
        f"New rows, explained with the model {explained.uri} as the explanation {stored.id} of run "
        f"{explained.run_id}."
    )
    facts = {
        "method": (stored.method, record.method),
        "scale": (stored.details.output_scale, record.details.output_scale),
        "number of background rows": (
            stored.details.background_rows,
            record.details.background_rows,
        ),
    }
    for fact, (before, now) in facts.items():
        if before != now:
            yield f"The {fact} is {now}, and that of the explanation of the run is {before}."
    yield from _unseen_categories(record, stored)


def _unseen_categories(record: Explanation, stored: Explanation) -> Iterator[str]:
    """A note for each column with categories that the type of its training rows does not have."""
    import pandas as pd

    known = None if stored.background is None else stored.background.rows
    known = stored.evaluation_rows if known is None else known
    rows = record.evaluation_rows
    if known is None or rows is None or known.shape[1] != rows.shape[1]:
        return
    for i, (name, dtype) in enumerate(zip(record.features, known.dtypes, strict=True)):
        if isinstance(dtype, pd.CategoricalDtype):
            cells = rows.iloc[:, i].dropna()
            n_unseen = int((~cells.isin(dtype.categories)).sum())
            if n_unseen:
                yield (
                    f"The column {name!r} has categories that the training rows do not have, in "
                    f"{n_unseen:,} of {len(rows):,} rows."
                )


def _check_arguments(model: Any, rows: Any, labels: Any) -> None:
    """Check the model's name, and that there are rows with as many labels.

    Raises:
        OptionError: They are not allowed.
    """
    from mlflow_interpret.explaining.dataframes import as_rows, n_rows

    if not isinstance(model, str) or not model:
        raise checks.option_error("model", _NAMES, model)
    try:
        n = n_rows(as_rows(rows, "rows"))
    except CannotExplainError as error:
        raise checks.option_error(
            "rows", "a table of rows (DataFrame, 2-D array, sparse matrix) or texts", rows
        ) from error
    if n == 0:
        raise OptionError("rows must have at least one row, got none.", argument="rows")
    if labels is not None and n_rows(labels) != n:
        raise OptionError(
            f"labels must have one label for each of the {n} rows, got {n_rows(labels)}.",
            argument="labels",
        )
