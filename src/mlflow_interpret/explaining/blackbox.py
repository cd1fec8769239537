"""Any model as a function of numbers, and its contributions by sampling."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.errors import CannotExplainError, one_line
from mlflow_interpret.explaining.coding import Coding
from mlflow_interpret.explaining.models import Output, Predictor
from mlflow_interpret.explaining.prepared import Block
from mlflow_interpret.explaining.sampling import evaluations, in_batches, shapley
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
_FEW = 100
"""So many rows tell whether a decision function is the log-odds."""


class BlackBox:
    """A model that takes rows as numbers, each column's cells coded, and gives scores.

    Args:
        predictor: The model.
        scale: Which of its outputs.
        rows: The rows to explain.
        background: The background rows.

    Attributes:
        rows: ``(n_rows, n_features)`` the rows to explain, coded.
        background: ``(n_background, n_features)`` the background rows, coded.
    """

    def __init__(self, predictor: Predictor, scale: str, rows: Table, background: Table) -> None:
        self.predictor = predictor
        self._output = predictor.output(scale)
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
            return _columns(self._output(rows))
        except Exception as error:
            raise CannotExplainError(
                f"{self.predictor.name} cannot predict rows that mix the cells of two others: "
                f"{one_line(error)}"
            ) from error


class Sampled:
    """Sampled permutations, ready for any model.

    Args:
        predictor: The model.
        background: The rows that stand for "feature unknown".
        max_rows: As many rows as are to be explained, None for as many as the work allows.
        seed: Draws permutations and background rows.

    Raises:
        CannotExplainError: The model cannot predict the background rows.
    """

    method = "shap_permutation"

    def __init__(
        self, predictor: Predictor, background: Table, max_rows: int | None, seed: int
    ) -> None:
        self._predictor, self._seed = predictor, seed
        self.ceiling, self._n_permutations = _effort(background.frame.shape[1], max_rows)
        self._background = background.subset(sample(len(background), BACKGROUND_ROWS, seed))
        self._scale, output = callable_output(predictor, self._background)
        self._at_background = _outputs(predictor, output, self._background)
        some = self._background.subset(np.arange(min(len(self._background), _FEW)))
        scores = self._at_background[: len(some)]
        scores = scores[:, 0] if predictor.blocks is None else scores
        self._named_scale = predictor.scale_of(self._scale, scores, some.original)

    @property
    def engine(self) -> str:
        """As `Prepared` has it, like all that follows."""
        return f"mlflow-interpret, {self._n_permutations} pairs of permutations a row"

    @property
    def background_rows(self) -> int:  # noqa: D102
        return len(self._background)

    @property
    def notes(self) -> tuple[str, ...]:  # noqa: D102
        return (*_rough(self._n_permutations), *notes_on(self._scale))

    def explain(self, rows: Table, scale: str | None = None) -> Block:  # noqa: ARG002
        """As `Prepared` has it; ``scale`` is always the same.

        Raises:
            CannotExplainError: The model cannot predict such rows, or not to finite numbers.
        """
        box = BlackBox(self._predictor, self._scale, rows, self._background)
        found = shapley(
            box.output,
            box.rows,
            box.background,
            self._n_permutations,
            self._seed,
            rows.numbers,
            self._at_background,
        )
        if not (np.isfinite(found.values).all() and np.isfinite(found.expected).all()):
            raise CannotExplainError(
                f"{self._predictor.name} predicts NaN or infinity for rows that mix the cells of "
                "two others"
            )
        single = self._predictor.blocks is None
        return Block(
            found.values[0] if single else found.values,
            found.expected,
            found.outputs[:, 0] if single else found.outputs,
            self._named_scale,
            found.errors[0] if single else found.errors,
        )


def _columns(scores: FloatArray) -> FloatArray:
    return scores[:, None] if scores.ndim == 1 else scores


def _outputs(predictor: Predictor, output: Output, rows: Table) -> FloatArray:
    """``(n_rows, n_blocks)`` outputs of the rows as they are."""
    try:
        return in_batches(
            lambda some: _columns(output(rows.subset(some).original)), *rows.frame.shape
        )
    except Exception as error:
        raise CannotExplainError(
            f"{predictor.name} cannot predict the background rows: {one_line(error)}"
        ) from error


def notes_on(scale: str) -> tuple[str, ...]:
    """What is to be said of an output."""
    if scale == "predicted label":
        return ("The model has no scores; its predicted labels are explained, as 0 and 1.",)
    return ()


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


def callable_output(predictor: Predictor, background: Table) -> tuple[str, Output]:
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
