"""An explanation that can be looked at: figures and the report, in a notebook or as files."""

from __future__ import annotations

from collections.abc import Callable
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
    """Figures and the HTML report of an explanation, drawn from what is stored.

    Nothing is computed again: what `mlflow_interpret.explain` or
    `mlflow_interpret.load_explanation` returned is enough. As the last line of a notebook cell it
    shows the report.

    Args:
        record: The explanation, as `from_explanation` or `from_run` make it.
        run_id: The run it came from, which the report names.

    Examples:
        >>> display = ExplanationDisplay.from_run(run_id)          # doctest: +SKIP
        >>> display.plot_importances().savefig("importances.png")  # doctest: +SKIP
        >>> display.save("report.html")                            # doctest: +SKIP
    """

    def __init__(self, record: Explanation, run_id: str | None = None) -> None:
        self._record = record
        self._run_id = run_id

    @classmethod
    def from_explanation(cls, explanation: Any) -> ExplanationDisplay:
        """Of a global explanation: interpret-community's own type, whoever made it.

        Raises:
            CannotExplainError: ``explanation`` is no global explanation.
        """
        if isinstance(explanation, Explanation):
            return cls(explanation)
        return cls(interpret_community.to_record(explanation))

    @classmethod
    def from_run(
        cls, run_id: str, *, explanation_id: str | None = None, engineered: bool = False
    ) -> ExplanationDisplay:
        """Of an explanation in a run; the arguments are those of `load_explanation`.

        Raises:
            RunNotFoundError: There is no such run, or model, in the tracking store.
            ExplanationNotFoundError: The run holds no explanation, or not that one.
            AzureMLError: The run is Azure ML's alone, which does not allow it or does not answer.
        """
        from mlflow_interpret.api import load
        from mlflow_interpret.stores import mlflow as mlflow_store

        uri = mlflow_store.current_tracking_uri()
        run_id = mlflow_store.run_id_of(run_id, uri)
        found = load.load(run_id, uri, explanation_id=explanation_id, engineered=engineered)
        return cls(found, run_id)

    def plot_importances(self, *, top_k: int = 20, ax: Axes | None = None) -> Figure:
        """The global importances as bars with intervals of 95 %.

        Args:
            top_k: At most so many features.
            ax: Matplotlib axes to draw into. Default: those of a new figure.

        Returns:
            The figure. A new one is not pyplot's: save it with ``savefig``, or let a notebook show
            it.

        Raises:
            OptionError: ``top_k`` is not a positive integer.
        """
        from mlflow_interpret.report import figures

        return figures.importances(self._record, _positive(top_k), ax)

    def plot_beeswarm(
        self, *, top_k: int = 20, label: Any = None, ax: Axes | None = None
    ) -> Figure:
        """The contributions of each explained row, coloured by the feature's value.

        Args:
            top_k: At most so many features.
            label: The class, or target. Default: the second of two classes; else up to three with
                the largest importances beside each other.
            ax: Matplotlib axes to draw into, with one class.

        Raises:
            OptionError: ``top_k`` is not a positive integer, or there is no such ``label``.
            ExplanationNotFoundError: The explanation holds no values of single rows.
        """
        from mlflow_interpret.report import figures

        block = None if label is None else self._block(label)
        figure = figures.beeswarm(self._record, _positive(top_k), block, ax)
        if figure is None:
            raise ExplanationNotFoundError(
                "The explanation holds no contributions of single rows, as with log_data=False; "
                "plot_importances() needs none."
            )
        return figure

    def plot_per_class(self, *, top_k: int = 20, ax: Axes | None = None) -> Figure:
        """The importances by class: stacked bars for up to seven classes, else a heat map.

        Several targets of a regression are shown as shares of each target's sum.

        Raises:
            OptionError: ``top_k`` is not a positive integer.
            ExplanationNotFoundError: The model has no classes and no several targets, or two
                classes whose importances are the same.
        """
        from mlflow_interpret.report import figures

        figure = figures.per_class(self._record, _positive(top_k), ax)
        if figure is None and self._record.is_mirrored:
            raise ExplanationNotFoundError(
                "The two classes have the same importances: what speaks for one speaks against the "
                "other. Use plot_importances()."
            )
        if figure is None:
            raise ExplanationNotFoundError(
                "The explanation has no importances by class: its model has a single output. "
                "Use plot_importances()."
            )
        return figure

    def to_html(self) -> str:
        """The report: one HTML page that stands alone and asks nothing of any network."""
        return render_report(self._record, {"run_id": self._run_id})

    def save(self, path: str | Path) -> Path:
        """Write the report (``.html``) or the bar chart (``.png``, ``.svg``, ``.pdf``) to a file.

        Raises:
            OptionError: The name of the file ends otherwise.
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
            raise OptionError(f"path must end in one of {allowed}, got {path.name!r}.")
        writers[path.suffix.lower()]()
        return path

    def _repr_html_(self) -> str:
        from mlflow_interpret.rendering import html

        return html.frame(self.to_html(), "Explanation")

    def __repr__(self) -> str:
        record = self._record
        name = (record.model_class or "a model").rpartition(".")[2]
        return f"<ExplanationDisplay of {name}, {len(record.features)} features, {record.method}>"

    def _block(self, label: Any) -> int:
        blocks = list(self._record.output_names or ())
        for known in (blocks, [str(block) for block in blocks]):
            if label in known:
                return known.index(label)
        allowed = ", ".join(map(str, blocks)) or "None: the model has a single output"
        raise OptionError(f"label must be one of the model's classes ({allowed}), got {label!r}.")


def _positive(top_k: Any) -> int:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
        raise OptionError(f"top_k must be a positive integer, got {top_k!r}.")
    return top_k
