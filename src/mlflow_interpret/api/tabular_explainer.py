"""A drop-in for interpret-community's TabularExplainer, on the explainers of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from mlflow_interpret.api.explain_model import explain_model
from mlflow_interpret.api.global_explanation import public_explanation, public_local_explanation
from mlflow_interpret.core.details import as_notes
from mlflow_interpret.core.errors import CannotExplainError, OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.group_views import with_groups
from mlflow_interpret.core.options import FeatureGrouping, Options
from mlflow_interpret.core.text import describe_value

_NO_PAIRS = (
    "There are no interactions: fewer than two features of explain_subset are among the leading "
    "ones; pass a larger number of interactions."
)
_TASKS = ("classification", "regression", "unknown")


class TabularExplainer:
    """A drop-in replacement for interpret-community's TabularExplainer.

    Scripts change their import only. The values are those of `explain`: pipelines are explained by
    raw column, by the fast explainer of their last step, and models that interpret-community cannot
    explain are explained, too. All evaluation rows are explained. `interpret.ext.blackbox` has the
    class as ``MlflowInterpretTabularExplainer``.

    Example:
        >>> explainer = mlflow_interpret.TabularExplainer(model, X)
        >>> explainer.explain_global(X).get_ranked_global_names(top_k=2)
        ['bmi', 's5']
    """

    available_explanations = ("global", "local")
    explainer_type = "blackbox"

    def __init__(
        self,
        model: Any,
        initialization_examples: Any,
        explain_subset: Sequence[int] | None = None,
        features: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        transformations: Any = None,
        allow_all_transformations: bool = False,  # noqa: ARG002
        model_task: str = "unknown",
        use_gpu: bool = False,  # noqa: ARG002
        *,
        output: Literal["auto", "probability", "log-odds", "raw"] = "auto",
        random_state: int = 0,
        n_jobs: int | None = None,
        interactions: bool | int = False,
        feature_groups: FeatureGrouping | None = None,
        silent: bool = True,
    ) -> None:
        """Create the explainer.

        Args:
            model: A fitted model, or a fitted pipeline.
            initialization_examples: ``(n_rows, n_features)`` background rows: a DataFrame, an array
                or a sparse matrix. With ``transformations``, the rows before them.
            explain_subset: Positions of the features to explain. Default: all.
            features: Feature names. Default: those of the columns.
            classes: Class names in the order of the model's classes. Default: the model's labels.
            transformations: The transformations of the rows that ``model`` was fitted on: a fitted
                ColumnTransformer, another fitted transformer, or a list of ``(columns,
                transformer)`` with fitted transformers, or None for unchanged columns. The features
                are then those before the transformations.
            allow_all_transformations: Accepted for compatibility; any transformation is allowed.
            model_task: ``classification``, ``regression`` or ``unknown``. The task is recognized
                from the model.
            use_gpu: Accepted for compatibility; the values are computed on the CPU.
            output: The output that contributions add up to, as for `mlflow_interpret.explain`.
            random_state: The seed of all random numbers.
            n_jobs: Number of parallel jobs, as for `mlflow_interpret.autolog`.
            interactions: Compute the interactions of the leading features, as for
                `mlflow_interpret.explain`. With ``explain_subset``, they are those of the leading
                features that are in the subset.
            feature_groups: Groups of features, as for `mlflow_interpret.explain`. With
                ``explain_subset``, they are groups of the subset.
            silent: Show no progress.

        Raises:
            OptionError: An argument is not allowed.
        """
        if initialization_examples is None:
            raise OptionError(
                "initialization_examples must be a table of rows (DataFrame, 2-D array, sparse "
                "matrix), got None."
            )
        if str(model_task) not in _TASKS:
            raise OptionError(
                f"model_task must be {', '.join(map(repr, _TASKS))}, got "
                f"{describe_value(model_task)}."
            )
        if transformations is not None and explain_subset is not None:
            raise OptionError(
                "explain_subset must be None where transformations are given, got "
                f"{describe_value(explain_subset)}: leave one of them out."
            )
        self.model = model
        self.initialization_examples = initialization_examples
        self.explain_subset = explain_subset
        self.features = features
        self.classes = classes
        self.transformations = transformations
        self._explained_model = (
            model
            if transformations is None
            else _pipeline(model, transformations, initialization_examples)
        )
        self._feature_groups = feature_groups
        self._random_state, self._n_jobs, self._silent = random_state, n_jobs, silent
        self._output, self._interactions = output, interactions
        self._options(None, None)  # checks the arguments before anything is computed

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={type(self.model).__name__})"

    def explain_global(
        self,
        evaluation_examples: Any,
        y: Any = None,
        sampling_policy: Any = None,  # noqa: ARG002
        include_local: bool = True,
        batch_size: int = 100,  # noqa: ARG002
    ) -> Any:
        """Explain the model over all evaluation rows.

        Args:
            evaluation_examples: ``(n_rows, n_features)`` rows to explain.
            y: ``(n_rows,)`` true labels of the rows, which are logged beside them.
            sampling_policy: Accepted for compatibility; every row is explained.
            include_local: Keep the contributions of each row, not only their means.
            batch_size: Accepted for compatibility.

        Returns:
            A global explanation, as of `mlflow_interpret.explain`.

        Raises:
            OptionError: An argument is not allowed.
            CannotExplainError: The model or its rows cannot be explained.
        """
        record = self._record(evaluation_examples, y)
        return public_explanation(record if include_local else replace(record, local_values=None))

    def explain_local(self, evaluation_examples: Any, y: Any = None) -> Any:
        """Explain the model for each evaluation row.

        Args:
            evaluation_examples: ``(n_rows, n_features)`` rows to explain, or a single row.
            y: ``(n_rows,)`` true labels of the rows.

        Returns:
            A local explanation: ``local_importance_values``, ``get_ranked_local_names()``, ...

        Raises:
            OptionError: An argument is not allowed.
            CannotExplainError: The model or its rows cannot be explained.
        """
        record = self._record(evaluation_examples, y)
        if record.local_values is None:
            raise CannotExplainError(
                "evaluation_examples must be a table in memory for a local explanation; of a "
                "dataset only importances are kept. Give a part of its rows."
            )
        return public_local_explanation(record)

    def _record(self, evaluation_examples: Any, labels: Any) -> Explanation:
        if evaluation_examples is None:
            raise OptionError("evaluation_examples must be a table of rows, got None.")
        rows = evaluation_examples
        if isinstance(rows, np.ndarray) and rows.ndim == 1:
            rows = rows[None, :]
        options = self._options(rows if labels is None else (rows, labels), _n_rows(rows))
        if self.explain_subset is None:
            return explain_model(self._explained_model, self.initialization_examples, options)
        options = replace(options, feature_groups=None)
        record = explain_model(self._explained_model, self.initialization_examples, options)
        record = _subset(record, self.explain_subset)
        return record if self._feature_groups is None else with_groups(record, self._feature_groups)

    def _options(self, evaluation_examples: Any, max_rows: int | None) -> Options:
        return Options(
            evaluation_examples=evaluation_examples,
            initialization_examples=self.initialization_examples,
            features=_as_list(self.features),
            classes=_as_list(self.classes),
            max_rows=max_rows,
            random_state=self._random_state,
            n_jobs=self._n_jobs,
            time_budget=None,
            output=self._output,
            interactions=self._interactions,
            feature_groups=self._feature_groups,
            silent=self._silent,
        )


def _as_list(names: Any) -> Any:
    """The names as a list where they are an array or an index; the options check the rest."""
    return names.tolist() if hasattr(names, "tolist") else names


def _n_rows(rows: Any) -> int | None:
    """The number of rows of a table in memory, None for a dataset on disk or of a cluster."""
    shape = getattr(rows, "shape", None)
    if shape is not None:
        return int(shape[0]) if isinstance(shape[0], (int, np.integer)) else None
    return len(rows) if isinstance(rows, Sequence) and not isinstance(rows, str) else None


def _pipeline(model: Any, transformations: Any, rows: Any) -> Any:
    """A pipeline of fitted transformations and a fitted model."""
    from sklearn.pipeline import Pipeline

    if isinstance(transformations, (list, tuple)):
        transformations = _column_transformer(transformations, rows)
    elif not hasattr(transformations, "transform"):
        raise OptionError(
            "transformations must be a fitted ColumnTransformer or a list of (columns, "
            f"transformer), got {describe_value(transformations)}."
        )
    return Pipeline([("transformations", transformations), ("model", model)])


def _column_transformer(transformations: Sequence[Any], rows: Any) -> Any:
    """A ColumnTransformer of fitted transformers, which are not fitted again."""
    from sklearn.compose import ColumnTransformer
    from sklearn.frozen import FrozenEstimator

    steps = []
    for position, entry in enumerate(transformations):
        if not isinstance(entry, (list, tuple)) or len(entry) < 2:
            raise OptionError(
                "transformations must be a fitted ColumnTransformer or a list of (columns, "
                f"transformer), got {describe_value(entry)} in the list."
            )
        columns, transformer = entry[0], entry[1]
        if transformer is None:
            columns = [columns] if isinstance(columns, (str, int)) else list(columns)
            transformer = "passthrough"
        else:
            transformer = FrozenEstimator(transformer)
        steps.append((f"transformation {position}", transformer, columns))
    try:
        return ColumnTransformer(steps).fit(rows)
    except Exception as error:
        raise CannotExplainError(
            "transformations cannot be applied to initialization_examples", error
        ) from error


def _subset(record: Explanation, positions: Sequence[int]) -> Explanation:
    """The record of some of the features."""
    chosen = np.asarray(positions)
    n_features = len(record.features)
    whole = chosen.ndim == 1 and chosen.size and chosen.dtype.kind in "iu"
    if not whole or chosen.min() < 0 or chosen.max() >= n_features:
        raise OptionError(
            f"explain_subset must be positions of features from 0 to {n_features - 1}, got "
            f"{describe_value(positions)}."
        )

    def columns(values: Any) -> Any:
        return None if values is None else values[..., chosen]

    features = tuple(record.features[i] for i in chosen)
    rows, interactions, details = record.evaluation_rows, record.interactions, record.details
    if interactions is not None:
        interactions = interactions.subset(features)
        if interactions is None:
            details = replace(details, notes=(*details.notes, *as_notes([_NO_PAIRS])))
    return replace(
        record,
        features=features,
        global_values=columns(record.global_values),
        per_class_values=columns(record.per_class_values),
        local_values=columns(record.local_values),
        global_errors=columns(record.global_errors),
        per_class_errors=columns(record.per_class_errors),
        evaluation_rows=None if rows is None else rows.iloc[:, chosen],
        engineered=None,
        interactions=interactions,
        background=None,
        groups=None,
        details=details,
    )
