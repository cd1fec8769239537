"""Any model as a function of numbers, and its contributions by sampling."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.errors import CannotExplainError, one_line
from mlflow_interpret.explaining.coding import Coding
from mlflow_interpret.explaining.contributions import Contributions, difference
from mlflow_interpret.explaining.models import Output, Predictor
from mlflow_interpret.explaining.sampling import evaluations, shapley
from mlflow_interpret.explaining.tables import Table, sample
from mlflow_interpret.records import FloatArray

BLACK_BOX_ROWS = 200
BACKGROUND_ROWS = 1_000
_FEWEST_ROWS = 20
_PERMUTATIONS = 40
_EVALUATIONS = 100_000
"""Evaluations of the model that an explanation costs by default; a wide table has fewer."""
_EVALUATED_CELLS = 500_000_000
_FEWEST_WIDE_ROWS = 2


class BlackBox:
    """A model that takes rows as numbers, each column's cells coded, and gives scores.

    Attributes:
        predictor: The model.
        scale: The output that it gives.
        rows: ``(n_rows, n_features)`` the rows to explain, coded.
        background: ``(n_background, n_features)`` the background rows, coded.

    Raises:
        CannotExplainError: The model cannot predict the background rows.
    """

    def __init__(self, predictor: Predictor, rows: Table, background: Table) -> None:
        self.predictor = predictor
        self.scale, self._output = _callable_output(predictor, background)
        self._like = rows
        self._coding = Coding(rows.frame, background.frame)
        self.rows = self._coding.encode(rows.frame)
        self.background = self._coding.encode(background.frame)

    def output(self, numbers: FloatArray) -> FloatArray:
        """``(n, n_blocks)`` scores of coded rows, ``(n, 1)`` for a model without blocks.

        Raises:
            CannotExplainError: The model cannot predict such rows.
        """
        rows = self._like.restore(self._coding.decode(np.asarray(numbers, np.float64)))
        try:
            scores = self._output(rows)
        except Exception as error:
            raise CannotExplainError(
                f"{self.predictor.name} cannot predict rows that mix the cells of two others: "
                f"{one_line(error)}"
            ) from error
        return scores[:, None] if scores.ndim == 1 else scores

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the output."""
        if self.scale == "predicted label":
            return ("The model has no scores; its predicted labels are explained, as 0 and 1.",)
        return ()


def sampled(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions:
    """The contributions to any model's output, by sampled permutations.

    Raises:
        CannotExplainError: The model cannot predict the rows, or not to finite numbers.
    """
    n_rows, n_permutations = _effort(rows.frame.shape[1], max_rows)
    picked = sample(len(rows), n_rows, seed)
    chosen = sample(len(background), BACKGROUND_ROWS, seed)
    box = BlackBox(predictor, rows.subset(picked), background.subset(chosen))
    found = shapley(box.output, box.rows, box.background, n_permutations, seed)
    if not (np.isfinite(found.values).all() and np.isfinite(found.expected).all()):
        raise CannotExplainError(
            f"{predictor.name} predicts NaN or infinity for rows that mix the cells of two others"
        )
    single = predictor.blocks is None
    values = found.values[0] if single else found.values
    outputs = found.outputs[:, 0] if single else found.outputs
    return Contributions(
        method="shap_permutation",
        engine=f"mlflow-interpret, {n_permutations} pairs of permutations a row",
        local_values=values,
        expected_values=found.expected,
        scale=predictor.scale_of(box.scale, outputs, rows.subset(picked).original),
        additivity_error=difference(values, found.expected, outputs),
        rows=picked,
        background_rows=len(chosen),
        sampling_error=found.errors[0] if single else found.errors,
        notes=(*_rough(n_permutations), *box.notes),
    )


def _rough(n_permutations: int) -> tuple[str, ...]:
    if n_permutations >= _PERMUTATIONS // 2:
        return ()
    rough = (
        f"With so many columns only {n_permutations} permutations were tried for each row: the "
        "values are rough, and noise makes the importances of minor columns too large."
    )
    return (rough,)


def _effort(width: int, max_rows: int | None) -> tuple[int, int]:
    """Rows, and pairs of permutations for each, that keep to the evaluations allowed."""
    allowed = min(_EVALUATIONS, _EVALUATED_CELLS // width)
    one = max(evaluations(width, 1), 1)
    permutations = int(np.clip(allowed // (_FEWEST_ROWS * one), 2, _PERMUTATIONS))
    if max_rows is not None:
        return max_rows, permutations
    return int(
        np.clip(allowed // (one * permutations), _FEWEST_WIDE_ROWS, BLACK_BOX_ROWS)
    ), permutations


def _callable_output(predictor: Predictor, background: Table) -> tuple[str, Output]:
    """The first output of the model that works, tried on one row."""
    one = background.subset(np.arange(1)).original
    failure: Exception | None = None
    for scale, output in predictor.outputs():
        try:
            output(one)
        except Exception as error:
            failure = failure or error
            continue
        return scale, output
    if isinstance(failure, CannotExplainError):
        raise failure
    reason = one_line(failure) if failure else "it has no outputs"
    raise CannotExplainError(f"{predictor.name} cannot predict the rows it was given: {reason}")
