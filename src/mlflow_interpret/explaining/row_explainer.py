"""Contributions of any number of rows, batch by batch, by an explainer that is prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn import config_context

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import (
    Explanation,
    Plan,
    TrainingContext,
    as_text,
    distinct_names,
)
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.dataframes import as_rows
from mlflow_interpret.explaining.explainers.base import Explainer, ExplainRequest
from mlflow_interpret.explaining.inputs import draw_inputs
from mlflow_interpret.explaining.requested_output import with_available_output
from mlflow_interpret.explaining.select import exact_explainer_on_scale, sampling_explainer

PREDICTION = "prediction"
CONTRIBUTION = "contribution"
EXPECTED_VALUE = "expected_value"

Column = tuple[str, Any]
"""The name and the values of a column."""

_BATCH_CELLS = 2_000_000
"""Contributions of a batch, at most."""
_MOST_ROWS = 65_536
_SAMPLED_ROWS = 20
"""Rows of a batch if each takes long."""


class RowExplainer:
    """Explains rows by a model and its background rows.

    Args:
        context: The model and its training or background rows; ``evaluation_examples`` are rows to
            try the explainer on, or None.
        plan: The options.
        targets: Names of several targets, or None.

    Attributes:
        adapter: The model.
        columns: The column labels of the model's rows, None where they have none.
        features: ``(F,)`` names of the features.

    Raises:
        CannotExplainError: The model cannot be explained.
    """

    def __init__(
        self, context: TrainingContext, plan: Plan, targets: Sequence[str] | None = None
    ) -> None:
        inputs = replace(draw_inputs(context, plan), targets=targets)
        self._inputs = inputs
        self.features = inputs.names
        labels = getattr(inputs.template, "columns", None)
        self.columns = None if labels is None else list(labels)
        with config_context(**inputs.settings):
            self.adapter = inputs.adapter()
            background = inputs.background_rows()
            plan, _ = with_available_output(plan, self.adapter, background)
            request = ExplainRequest(
                self.adapter,
                background,
                plan,
                sample=inputs.candidate_rows(),
                is_background_given=inputs.is_background_given,
            )
            self._explainer, self._scale = _prepare(request)

    @property
    def method(self) -> str:
        """The method in interpret-community's style, such as ``shap_tree``."""
        return self._explainer.info.method

    @property
    def scale(self) -> str | None:
        """The scale of the model output that the contributions add up to."""
        return self._scale

    @property
    def batch_rows(self) -> int:
        """The number of rows of a batch that takes some seconds and little memory."""
        if not self._explainer.is_exact:
            return _SAMPLED_ROWS
        n_outputs = len(self.adapter.output_names or (None,))
        return int(np.clip(_BATCH_CELLS // (len(self.features) * n_outputs), 1, _MOST_ROWS))

    def attributions(self, rows: Any, first: int = 0) -> tuple[Attributions, Any]:
        """Compute the attributions and the predictions of rows.

        Args:
            rows: ``(n_rows, n_features)`` rows with the columns of the model, in any order.
            first: The number of the first row; draws of samplers depend on it.

        Returns:
            The attributions, and ``(n_rows,)`` or ``(n_rows, n_targets)`` predictions.

        Raises:
            CannotExplainError: The rows have other columns, or cannot be explained.
        """
        with config_context(**self._inputs.settings):
            batch = self._batch(rows)
            batch = replace(batch, numbers=first + np.arange(len(batch)))
            attributions = self._explainer.explain(batch, self._scale)
            return attributions, self.adapter.predict(batch.original)

    def predictions(self, rows: Any) -> pd.DataFrame:
        """The predictions of rows as a table; see `table`."""
        with config_context(**self._inputs.settings):
            predicted = self.adapter.predict(self._batch(rows).original)
        return _as_table(self._prediction_columns(predicted))

    def table(self, rows: Any, first: int = 0) -> pd.DataFrame:
        """The predictions and contributions of rows as a table.

        For a single output the columns are ``prediction``, ``expected_value`` and
        ``contribution/<feature>``. For two classes they are those of the second class. For several
        outputs, ``expected_value/<output>`` and ``contribution/<output>/<feature>``; for several
        targets, ``prediction/<target>``. A repeated name gets a number, as ``.2``.

        Args:
            rows: As for `attributions`.
            first: As for `attributions`.

        Raises:
            CannotExplainError: The rows have other columns, or cannot be explained.
        """
        attributions, predicted = self.attributions(rows, first)
        columns = self._prediction_columns(predicted)
        expected = np.atleast_1d(attributions.expected_values)
        for prefix, position in self._outputs():
            values = attributions.local_values
            values = values if position is None else values[position]
            expected_value = np.full(len(values), expected[position or 0])
            columns.append((f"{EXPECTED_VALUE}{prefix}", expected_value))
            columns += self._contributions(prefix, values)
        return _as_table(columns)

    def _batch(self, rows: Any) -> RowBatch:
        inputs = self._inputs
        return as_batch(
            as_rows(rows, "rows"), inputs.names, inputs.template, "rows", inputs.null_columns
        )

    def _prediction_columns(self, predicted: Any) -> list[Column]:
        if predicted.ndim == 1:
            return [(PREDICTION, predicted)]
        targets = self.adapter.targets or ()
        return [(f"{PREDICTION}/{name}", predicted[:, i]) for i, name in enumerate(targets)]

    def _outputs(self) -> list[tuple[str, int | None]]:
        """The suffix and the position of each output in the table."""
        names = as_text(self.adapter.output_names)
        if names is None:
            return [("", None)]
        if len(names) == 2 and self.adapter.targets is None:
            return [("", 1)]  # the contributions to the other class are the negative ones
        return [(f"/{name}", position) for position, name in enumerate(names)]

    def _contributions(self, prefix: str, values: FloatArray) -> list[Column]:
        return [
            (f"{CONTRIBUTION}{prefix}/{name}", values[:, i]) for i, name in enumerate(self.features)
        ]


def _as_table(columns: Sequence[Column]) -> pd.DataFrame:
    """A table of columns; names of classes and features with a slash may give equal names."""
    names = distinct_names([name for name, _ in columns])
    return pd.DataFrame(dict(zip(names, (values for _, values in columns), strict=True)))


def check_method(explainer: RowExplainer, record: Explanation) -> None:
    """Check that rows are explained by the method and on the scale of an explanation.

    Raises:
        CannotExplainError: They are not.
    """
    details = record.details
    if details.engine is None:  # computed by another package
        return
    # Rows may be on different scales of one raw score.
    scales = {explainer.scale, "raw prediction"}
    if explainer.method != record.method or details.output_scale not in scales:
        raise CannotExplainError(
            f"rows would be explained by {explainer.method} ({explainer.scale}), and the "
            f"explanation {record.id} is by {record.method} ({details.output_scale}); the "
            "background rows or the versions of packages may differ"
        )


def _prepare(request: ExplainRequest) -> tuple[Explainer, str | None]:
    """The explainer of the request, and the scale of its attributions."""
    sample = (request.sample or request.background).subset(slice(_SAMPLED_ROWS))
    if not request.plan.is_sampled:
        try:
            explainer = exact_explainer_on_scale(request)
            attributions = explainer.explain(sample)
            if attributions.adds_up:
                return explainer, attributions.scale
        except CannotExplainError:
            pass  # sampling needs the predictions only
    explainer = sampling_explainer(request)
    return explainer, explainer.explain(sample.subset(slice(1))).scale
