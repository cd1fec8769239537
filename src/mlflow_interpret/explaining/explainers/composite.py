"""Explainers of models that are made of other models: pipelines and one model for each target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.attributions import (
    Attributions,
    EngineeredAttributions,
    sum_pairs,
)
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainRequest,
    exact_explainer,
    register,
)
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.pipeline_split import split_pipeline

_ENGINEERED_CELLS = 20_000_000
"""Limit of the cells of engineered rows, and of their attributions; a vectorizer makes thousands of
columns of one."""
_MAX_COLUMNS = 20_000
_MIN_ROWS = 20
_PAIRED_COLUMNS = 300
"""Limit of the engineered columns of the raw columns whose interactions are computed."""


@register(priority=90)
class PipelineExplainer(Explainer):
    """Explains the last step of a pipeline and sums its attributions up by raw column."""

    engines = frozenset({"auto", "tabular"})
    is_checked = False

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return hasattr(adapter.model, "steps")

    def __init__(self, request: ExplainRequest) -> None:
        sample = request.background if request.sample is None else request.sample
        parts = split_pipeline(request.adapter, sample)
        self._parts = parts
        width = max(len(parts.lineage.names), 1)
        if width > _MAX_COLUMNS:
            raise CannotExplainError(
                f"the {width:,} engineered columns of {parts.last.name} are too many"
            )
        limit = max(_MIN_ROWS, _ENGINEERED_CELLS // width)
        picked = sample_rows(len(request.background), limit, request.plan.random_state)
        background = self._engineer(request.background.subset(picked))
        last = request.for_model(parts.last, background)
        if request.is_background_given:
            if request.raw_columns is not None:
                raise CannotExplainError("a pipeline inside another one is not split")
            n_raw = request.background.frame.shape[1]
            last = replace(last, raw_columns=parts.raw_columns(n_raw))
        self._last = exact_explainer(last)
        self.is_additive = self._last.is_additive
        info = self._last.info
        limit = max(_MIN_ROWS, limit // len(parts.last.output_names or (None,)))
        self.info = replace(
            info,
            max_rows=min(info.max_rows, limit),
            rows_in_full=min(info.rows_in_full, limit),
            notes=(*parts.notes(summed=not self._last.is_by_raw_column), *info.notes),
        )

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        engineered = self._engineer(batch)
        attributions = self._last.explain(engineered, scale)
        local_values = attributions.local_values
        n_raw = batch.frame.shape[1]
        if self._last.is_by_raw_column:
            return replace(attributions, local_values=_resized(local_values, n_raw))
        return replace(
            attributions,
            local_values=self._parts.by_raw_column(local_values, n_raw),
            engineered=EngineeredAttributions(engineered, local_values),
        )

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        if self.is_additive:
            return super().interactions(batch, columns)
        if self._last.is_by_raw_column:
            raise CannotExplainError("its exact interactions are not by raw column")
        sources = self._parts.raw_columns(batch.frame.shape[1])
        used = np.flatnonzero(np.isin(sources, columns))
        if len(used) > _PAIRED_COLUMNS:
            raise CannotExplainError(f"its {len(used):,} engineered columns are too many")
        pairs = self._last.interactions(self._engineer(batch), used)
        return sum_pairs(pairs, sources[used], columns)

    def _engineer(self, rows: RowBatch) -> RowBatch:
        try:
            return self._parts.engineer(rows)
        except Exception as error:
            raise CannotExplainError(
                f"the steps in front of {self._parts.last.name} failed", error
            ) from error


def _resized(values: FloatArray, width: int) -> FloatArray:
    """Attributions of ``width`` raw columns: without constants, with columns that are not used."""
    resized = np.zeros((*values.shape[:-1], width))
    used = min(width, values.shape[-1])
    resized[..., :used] = values[..., :used]
    return resized


@register(priority=80)
class MultiTargetExplainer(Explainer):
    """Explains the model of each target of a ``MultiOutputClassifier`` or ``-Regressor``."""

    engines = frozenset({"auto", "tabular"})
    is_checked = False

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor

        return isinstance(adapter.model, (MultiOutputClassifier, MultiOutputRegressor))

    def __init__(self, request: ExplainRequest) -> None:
        adapters = _target_adapters(request.adapter)
        self._explainers = [exact_explainer(request.for_model(adapter)) for adapter in adapters]
        infos = [explainer.info for explainer in self._explainers]
        checks = [info.attribution_check for info in infos if info.attribution_check is not None]
        checks.sort(key=lambda check: check.outcome == "passed")
        self.info = replace(infos[0], attribution_check=checks[0] if checks else None)
        self.is_by_raw_column = self._explainers[0].is_by_raw_column

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        targets = [explainer.explain(batch, scale) for explainer in self._explainers]
        first = targets[0]
        if len(targets) == 1:
            return first
        methods = {explainer.info.method for explainer in self._explainers}
        if len(methods) > 1 or len({target.scale for target in targets}) > 1:
            raise CannotExplainError("its targets' models are explained on different scales")
        values = [target.local_values for target in targets]
        return replace(
            first,
            local_values=np.concatenate([one.reshape(-1, *one.shape[-2:]) for one in values]),
            expected_values=np.concatenate([target.expected_values for target in targets]),
            outputs=np.column_stack([target.outputs for target in targets]),
        )

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        targets = [explainer.interactions(batch, columns) for explainer in self._explainers]
        return np.concatenate(targets)


def _target_adapters(adapter: ModelAdapter) -> list[ModelAdapter]:
    """An adapter for the model of each target."""
    models = adapter.model.estimators_
    labels = adapter.labels or (None,) * len(models)
    return [
        ModelAdapter(model, adapter.task, None if classes is None else (classes,), classes, "")
        for model, classes in zip(models, labels, strict=True)
    ]
