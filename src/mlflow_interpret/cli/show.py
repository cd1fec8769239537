"""The command ``mlflow-interpret show``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from mlflow_interpret.cli.terminal import (
    class_option,
    engineered_option,
    errors_on_one_line,
    supports_unicode,
    table_lines,
    top_option,
    tracking_uri_of,
    tracking_uri_option,
)

if TYPE_CHECKING:
    from mlflow_interpret.core.explanation import Explanation

_BAR_WIDTH = 30
_NAME_LENGTH = 60


@click.command()
@click.argument("run_id")
@top_option(20)
@class_option
@engineered_option
@click.option("--groups", is_flag=True, help="Groups of columns, as of autolog's feature_groups.")
@click.option(
    "--workspace",
    metavar="WORKSPACE",
    help="Azure ML workspace to read from: an azureml:// URI, a resource id or a config.json file.",
)
@tracking_uri_option
def show(
    run_id: str,
    top: int,
    label: str | None,
    engineered: bool,
    groups: bool,
    workspace: str | None,
    tracking_uri: str | None,
) -> None:
    """Show the ranking of the features in the explanation of run RUN_ID.

    RUN_ID can also be a model, such as models:/name/1. The first line says how the model was
    explained. The table lists each feature with its importance, which is its mean absolute
    contribution to the model's output, and the half width of the 95 % interval if it is known.
    """
    from mlflow_interpret.api import load
    from mlflow_interpret.stores import mlflow as mlflow_store

    uri = tracking_uri_of(tracking_uri)
    with errors_on_one_line():
        run_id, explanation_id = mlflow_store.explanation_at(run_id, uri)
        explanation = load.load(
            run_id,
            uri,
            explanation_id=explanation_id,
            engineered=engineered,
            workspace=workspace,
        )
        if groups:
            explanation = _by_group(explanation)
        ranking = explanation.ranked() if label is None else _class_ranking(explanation, label)
        half_widths = _half_widths(explanation) if label is None else {}
    click.echo(_headline(explanation, run_id))
    for line in _ranking_lines(ranking[:top], half_widths):
        click.echo(line)
    if len(ranking) > top:
        click.echo(f"      ... and {len(ranking) - top:,} more; --top {len(ranking)} shows all")


def _by_group(explanation: Explanation) -> Explanation:
    from mlflow_interpret.core.errors import OptionError
    from mlflow_interpret.core.group_views import by_group

    if explanation.groups is None:
        raise OptionError(
            "--groups must be left out: the explanation has no groups. Log one with feature_groups."
        )
    return by_group(explanation)


def _class_ranking(explanation: Explanation, label: str) -> list[tuple[str, float]]:
    from mlflow_interpret.core.errors import OptionError
    from mlflow_interpret.core.statistics import rank

    labels = [str(name) for name in explanation.output_names or ()]
    if label not in labels or explanation.per_class_values is None:
        allowed = ", ".join(labels) if labels else "none: the model has no classes"
        raise OptionError(f"--class must be one of the model's classes ({allowed}), got {label!r}.")
    values = explanation.per_class_values[labels.index(label)]
    return [(explanation.features[i], float(values[i])) for i in rank(values)]


def _half_widths(explanation: Explanation) -> dict[str, str]:
    """Half widths of the 95 % intervals by feature, where they are known."""
    from mlflow_interpret.core.statistics import INTERVAL
    from mlflow_interpret.core.text import format_number

    errors = explanation.standard_errors()
    if errors is None:
        return {}
    sign = "±" if supports_unicode() else "+-"
    return {
        name: f"{sign} {format_number(INTERVAL * error, 2)}"
        for name, error in zip(explanation.features, errors, strict=True)
        if error > 0
    }


def _ranking_lines(
    ranking: Sequence[tuple[str, float]], half_widths: Mapping[str, str]
) -> list[str]:
    from mlflow_interpret.core.text import format_number, truncate

    block = "█" if supports_unicode() else "#"
    largest = max((value for _, value in ranking if math.isfinite(value)), default=0.0) or 1.0
    rows: list[tuple[str, ...]] = [
        (
            f"{position:>4}",
            truncate(name, _NAME_LENGTH),
            f"{format_number(value, 4):>10}",
            half_widths.get(name, ""),
            block * round(_BAR_WIDTH * value / largest) if math.isfinite(value) else "",
        )
        for position, (name, value) in enumerate(ranking, start=1)
    ]
    if not any(row[3] for row in rows):
        rows = [(*row[:3], row[4]) for row in rows]
    return table_lines(rows)


def _headline(explanation: Explanation, run_id: str) -> str:
    details = explanation.details
    rows = details.rows
    parts = [f"Run {run_id}: {explanation.model_class}, {explanation.method}"]
    if rows and rows.explained is not None:
        parts.append(f"{rows.explained:,} of {rows.available:,} rows ({rows.source})")
    if details.output_scale:
        parts.append(f"scale: {details.output_scale}")
    return ", ".join(parts)
