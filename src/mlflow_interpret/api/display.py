"""Figures and the report of an explanation, in a notebook or as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_interpret import interpret_community
from mlflow_interpret.core.errors import ExplanationNotFoundError, OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.report.page import render_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ExplanationDisplay:
    """Figures and the HTML report of an explanation.

    Create a display with `from_explanation` or `from_run`. The explanation is not computed again.
    As the last line of a notebook cell, a display shows the report.

    Args:
        record: The explanation.
        run_id: The run of the explanation, for the report.
        metrics: The metrics of the model in the run, for the report.

    Example:
        >>> display = mlflow_interpret.ExplanationDisplay.from_run(run_id)
        >>> display.plot_importances(top_k=5).savefig("importances.png")
        >>> display.save("report.html").name
        'report.html'
    """

    def __init__(
        self,
        record: Explanation,
        run_id: str | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        self._record = record
        self._run_id = run_id
        self._metrics = metrics

    @classmethod
    def from_explanation(cls, explanation: Any) -> ExplanationDisplay:
        """Create a display of a global explanation.

        Args:
            explanation: The result of `explain` or `load_explanation`, or a global explanation of
                any explainer of interpret-community.

        Raises:
            CannotExplainError: ``explanation`` is not a global explanation.
        """
        if isinstance(explanation, Explanation):
            return cls(explanation)
        return cls(interpret_community.to_record(explanation))

    @classmethod
    def from_run(
        cls, run_id: str, *, explanation_id: str | None = None, engineered: bool = False
    ) -> ExplanationDisplay:
        """Create a display of an explanation in a run.

        Args:
            run_id: The run or model, as for `load_explanation`.
            explanation_id: The id of an explanation in the run. Default: the latest one.
            engineered: Show the engineered columns of a pipeline instead of the raw columns.

        Raises:
            RunNotFoundError: The tracking store does not have the run or model.
            ExplanationNotFoundError: The run does not have the explanation.
            InvalidExplanationError: The files of the explanation are damaged or were changed.
            AzureMLError: Azure ML, which alone has the explanation, cannot be read.
        """
        from mlflow_interpret.api import load
        from mlflow_interpret.stores import mlflow as mlflow_store

        uri = mlflow_store.current_tracking_uri()
        run_id, of_model = mlflow_store.explanation_at(run_id, uri)
        explanation_id = explanation_id or of_model
        record = load.load(run_id, uri, explanation_id=explanation_id, engineered=engineered)
        return cls(record, run_id, mlflow_store.read_model_metrics(run_id, uri))

    def plot_importances(self, *, top_k: int = 20, ax: Axes | None = None) -> Figure:
        """Draw the global importances as bars with 95 % intervals.

        Args:
            top_k: Maximum number of features.
            ax: Matplotlib axes to draw into. Default: those of a new figure.

        Returns:
            The figure. A new figure is independent of pyplot: a notebook shows it, and ``savefig``
            saves it.

        Raises:
            OptionError: ``top_k`` is not a positive integer.
        """
        from mlflow_interpret.report import figures

        return figures.importances(self._record, _positive(top_k), ax)

    def plot_beeswarm(
        self, *, top_k: int = 20, label: Any = None, ax: Axes | None = None
    ) -> Figure:
        """Draw the contributions of each explained row, colored by the value of the feature.

        Args:
            top_k: Maximum number of features.
            label: A class or target. Default: the second of two classes, or else up to three
                outputs with the largest importances side by side.
            ax: Matplotlib axes to draw a single output into. Default: those of a new figure.

        Raises:
            OptionError: ``top_k`` is not a positive integer, or ``label`` does not exist.
            ExplanationNotFoundError: The explanation has no values of single rows.
        """
        from mlflow_interpret.report import figures

        output = None if label is None else self._output(label)
        figure = figures.beeswarm(self._record, _positive(top_k), output, ax)
        if figure is None:
            raise ExplanationNotFoundError(
                "The explanation has no contributions of single rows, as with log_data=False. Use "
                "plot_importances()."
            )
        return figure

    def plot_per_class(self, *, top_k: int = 20, ax: Axes | None = None) -> Figure:
        """Draw the importances by class: stacked bars for up to seven classes, else a heat map.

        The importances for the targets of a regression are drawn as shares of the total of each
        target.

        Args:
            top_k: Maximum number of features.
            ax: Matplotlib axes to draw into. Default: those of a new figure.

        Raises:
            OptionError: ``top_k`` is not a positive integer.
            ExplanationNotFoundError: The model has a single output, or two classes with equal
                importances.
        """
        from mlflow_interpret.report import figures

        figure = figures.per_class(self._record, _positive(top_k), ax)
        if figure is None and self._record.is_mirrored:
            raise ExplanationNotFoundError(
                "The two classes have equal importances, since their contributions have opposite "
                "signs. Use plot_importances()."
            )
        if figure is None:
            raise ExplanationNotFoundError(
                "The explanation has no importances by class, since the model has a single output. "
                "Use plot_importances()."
            )
        return figure

    def plot_interactions(self, *, top_k: int = 15, ax: Axes | None = None) -> Figure:
        """Draw the interactions of pairs of leading features as bars with 95 % intervals.

        Args:
            top_k: Maximum number of pairs.
            ax: Matplotlib axes to draw into. Default: those of a new figure.

        Raises:
            OptionError: ``top_k`` is not a positive integer.
            ExplanationNotFoundError: The explanation has no interactions, or all of them are 0.
        """
        from mlflow_interpret.report import figures

        figure = figures.interactions(self._record, _positive(top_k), ax)
        if figure is None:
            raise ExplanationNotFoundError(
                "The explanation has no interactions that differ from 0; they are computed with "
                "interactions=True."
            )
        return figure

    def plot_groups(self, *, top_k: int = 20, ax: Axes | None = None) -> Figure:
        """Draw the importances of groups of columns, and of the columns in no group.

        Args:
            top_k: Maximum number of bars.
            ax: Matplotlib axes to draw into. Default: those of a new figure.

        Raises:
            OptionError: ``top_k`` is not a positive integer.
            ExplanationNotFoundError: The explanation has no groups.
        """
        from mlflow_interpret.report import figures

        figure = figures.groups(self._record, _positive(top_k), ax)
        if figure is None:
            raise ExplanationNotFoundError(
                "The explanation has no groups; explain the model with feature_groups."
            )
        return figure

    def to_html(self) -> str:
        """Render the report as a self-contained HTML page that works offline."""
        return render_report(self._record, {"run_id": self._run_id, "metrics": self._metrics})

    def save(self, path: str | Path) -> Path:
        """Save the report (``.html``) or the importances (``.png``, ``.svg``, ``.pdf``).

        Args:
            path: The file; its suffix determines the format.

        Returns:
            The path.

        Raises:
            OptionError: The suffix is not supported.
        """
        path = Path(path)
        writers: dict[str, Callable[[], object]] = {
            ".html": lambda: path.write_text(self.to_html(), encoding="utf-8"),
            ".png": lambda: self.plot_importances().savefig(path),
            ".svg": lambda: self.plot_importances().savefig(path),
            ".pdf": lambda: self.plot_importances().savefig(path),
        }
        if path.suffix.lower() not in writers:
            allowed = ", ".join(writers)
            message = f"path must end in one of {allowed}, got {path.name!r}."
            raise OptionError(message, argument="path")
        writers[path.suffix.lower()]()
        return path

    def _repr_html_(self) -> str:
        from mlflow_interpret.rendering import html

        return html.frame(self.to_html(), "Explanation")

    def __repr__(self) -> str:
        record = self._record
        name = (record.model_class or "a model").rpartition(".")[2]
        return f"<ExplanationDisplay of {name}, {len(record.features)} features, {record.method}>"

    def _output(self, label: Any) -> int:
        outputs = list(self._record.output_names or ())
        for labels in (outputs, [str(output) for output in outputs]):
            if label in labels:
                return labels.index(label)
        allowed = ", ".join(map(str, outputs)) or "None: the model has a single output"
        message = f"label must be one of the model's classes ({allowed}), got {label!r}."
        raise OptionError(message, argument="label")


def _positive(top_k: Any) -> int:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
        message = f"top_k must be a positive integer, got {top_k!r}."
        raise OptionError(message, argument="top_k")
    return top_k
