"""``mlflow-interpret show``: one ranking."""

from __future__ import annotations

import math
from typing import Any

import click

from mlflow_interpret.cli.terminal import (
    draws,
    engineered_option,
    label_option,
    plain_errors,
    shorten,
    store_named,
    store_option,
    top_option,
)

_BAR_WIDTH = 30


@click.command()
@click.argument("run_id")
@top_option(20)
@label_option
@engineered_option
@click.option(
    "--workspace",
    metavar="WORKSPACE",
    help="Read from an Azure ML workspace: an azureml:// URI, a resource id or a config.json.",
)
@store_option
def show(
    run_id: str,
    top: int,
    label: str | None,
    engineered: bool,
    workspace: str | None,
    tracking_uri: str | None,
) -> None:
    """Rank the features of the explanation in run RUN_ID, or in that of a model (models:/name/1).

    Prints how the model was explained, then each feature with its importance, the mean absolute
    contribution to the model's output, and how far its 95 % interval reaches, where that is known.
    """
    from mlflow_interpret.api import load
    from mlflow_interpret.core.text import display_width, format_number, pad_to_width
    from mlflow_interpret.stores import mlflow as mlflow_store

    uri = store_named(tracking_uri)
    with plain_errors():
        run_id = mlflow_store.run_id_of(run_id, uri)
        explanation = load.load(run_id, uri, engineered=engineered, workspace=workspace)
        ranked = explanation.ranked() if label is None else _ranked_for(explanation, label)
        reaches = _reaches(explanation) if label is None else {}
    click.echo(_headline(explanation, run_id))
    shown = ranked[:top]
    block = "█" if draws() else "#"
    widest = max(display_width(shorten(name)) for name, _ in shown)
    widest_reach = max(len(reaches.get(name, "")) for name, _ in shown)
    finite = [value for _, value in shown if math.isfinite(value)]
    largest = max(finite, default=0.0) or 1.0
    for position, (name, value) in enumerate(shown, start=1):
        bar = block * round(_BAR_WIDTH * value / largest) if math.isfinite(value) else ""
        reach = f"{reaches.get(name, ''):<{widest_reach}}  " if widest_reach else ""
        told = f"{pad_to_width(shorten(name), widest)}  {format_number(value, 4):>10}  {reach}{bar}"
        click.echo(f"{position:>4}  {told}".rstrip())
    if len(ranked) > top:
        click.echo(f"      ... and {len(ranked) - top:,} more; --top {len(ranked)} shows all")


def _ranked_for(explanation: Any, label: str) -> list[tuple[str, float]]:
    from mlflow_interpret.core.errors import OptionError
    from mlflow_interpret.core.statistics import rank

    labels = [str(known) for known in explanation.output_names or ()]
    if label not in labels or explanation.per_class_values is None:
        allowed = ", ".join(labels) if labels else "none: the model has no classes"
        raise OptionError(f"--class must be one of the model's classes ({allowed}), got {label!r}.")
    values = explanation.per_class_values[labels.index(label)]
    return [(explanation.features[i], float(values[i])) for i in rank(values)]


def _reaches(explanation: Any) -> dict[str, str]:
    """How far the 95 % interval of each importance reaches, where it is known."""
    from mlflow_interpret.core.text import format_number
    from mlflow_interpret.report.figures import INTERVAL

    errors = explanation.standard_errors()
    if errors is None:
        return {}
    sign = "±" if draws() else "+-"
    pairs = zip(explanation.features, errors, strict=True)
    return {
        name: f"{sign} {format_number(INTERVAL * error, 2)}" for name, error in pairs if error > 0
    }


def _headline(explanation: Any, run_id: str) -> str:
    details = explanation.details
    rows = details.rows
    parts = [f"Run {run_id}: {explanation.model_class}, {explanation.method}"]
    if rows and rows.explained is not None:
        parts.append(f"{rows.explained:,} of {rows.available:,} rows ({rows.source})")
    if details.output_scale:
        parts.append(f"scale: {details.output_scale}")
    return ", ".join(parts)
