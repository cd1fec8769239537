"""Explain the rows of a Parquet or CSV file, in bounded memory."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlflow_interpret.api.explain_rows import explained_model, row_explainer
from mlflow_interpret.api.row_columns import columns_of, is_by_position, labelled
from mlflow_interpret.api.row_files import RowFile, is_csv, open_rows
from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.option_checks import check_columns
from mlflow_interpret.core.text import truncate
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.progress import Report

_HEAD_ROWS = 256
_NOTES = "mlflow_interpret.notes"
"""Key in the metadata of a Parquet file."""


@dataclass(frozen=True)
class FileExplained:
    """The result of `explain_file`.

    Attributes:
        n_rows: The number of rows.
        ignored: Columns of the file that the model does not take.
        notes: Sentences about the way in which the file was read. A Parquet file holds them in its
            metadata, too.
    """

    n_rows: int
    ignored: tuple[str, ...]
    notes: tuple[str, ...] = ()


def explain_file(
    model: str,
    source: Path,
    target: Path,
    *,
    initialization_examples: Path | None = None,
    force: bool = False,
    report: Report,
) -> FileExplained:
    """Write the predictions and contributions of the rows of a file into another one.

    Args:
        model: As for `explain_rows`.
        source: A Parquet or CSV file, or a folder of Parquet files.
        target: A Parquet or CSV file, by its suffix. It is there complete or not at all.
        initialization_examples: A file with background rows, as for `explain_rows`.
        force: Replace an existing file.
        report: Called with the number of finished and of all rows, None for a CSV file.

    Raises:
        OptionError: A file does not exist, or exists, or has other columns.
        MlflowInterpretError: As of `explain_rows`.
    """
    _check_target(target, force)
    file, background_file = open_rows(source, "rows"), None
    if initialization_examples is not None:
        background_file = open_rows(initialization_examples, "initialization_examples")
    explained = explained_model(model)
    record = explained.explanation
    columns = columns_of(record, file.names)
    names = [str(label) for label in columns]
    check_columns("rows", file.names, names, may_have_more=True)
    background = None if background_file is None else _background(background_file, record, columns)
    types = _stored_rows(record, len(columns))
    notes = _notes(record, file.names, is_csv(initialization_examples or source) and types is None)
    types = background if types is None else types
    file = file if types is None else file.with_types_of(types, names, are_texts=_are_texts(record))
    head = next(file.batches(names, _HEAD_ROWS), None)
    if head is None:
        raise OptionError("rows must have at least one row, got none.", argument="rows")
    explainer = row_explainer(explained, labelled(head, columns, "rows"), background)
    total = None if file.is_csv else file.count_rows()
    n_done = 0
    with _writer(target, notes) as write:
        for rows in file.batches(names, explainer.batch_rows):
            batch = labelled(rows, columns, "rows")
            with suppress_warnings(), fit_hooks.unrecorded():
                table = explainer.table(batch, n_done)
            write(table)
            n_done += len(rows)
            report(n_done, total)
    taken = set(names)
    return FileExplained(n_done, tuple(name for name in file.names if name not in taken), notes)


def _check_target(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise OptionError(f"target must be a new file, got {str(target)!r}.", argument="target")
    if not target.parent.is_dir():
        raise OptionError(
            f"target must be in an existing folder, got {str(target)!r}.", argument="target"
        )


def _background(file: RowFile, record: Explanation, columns: list[Any]) -> pd.DataFrame:
    """The rows of a file with background rows, or a sample of them."""
    names = [str(label) for label in columns]
    check_columns(file.argument, file.names, names, may_have_more=True)
    types = _stored_rows(record, len(names))
    if types is not None:
        file = file.with_types_of(types, names, are_texts=_are_texts(record))
    rows = file.sample(names, seed=record.details.random_state or 0)
    return labelled(rows, columns, file.argument)


def _stored_rows(record: Explanation, n_columns: int) -> pd.DataFrame | None:
    """Rows of the explanation with the types of the training rows, None where it has none."""
    rows = None if record.background is None else record.background.rows
    rows = (record.raw or record).evaluation_rows if rows is None else rows
    return None if rows is None or rows.shape[1] != n_columns else rows


def _are_texts(record: Explanation) -> bool:
    return record.background is not None and record.background.container in {"series", "texts"}


def _notes(record: Explanation, names: list[str], are_types_inferred: bool) -> tuple[str, ...]:
    notes = []
    if is_by_position(record, names):
        features = (record.raw or record).features
        pairs = [
            f"{truncate(feature, 40)} = {truncate(name, 40)}"
            for feature, name in zip(features, names, strict=False)
        ]
        more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        notes.append(
            "The file has no column names of the model, so the columns were taken by position: "
            f"{', '.join(pairs[:5])}{more}."
        )
    if are_types_inferred:
        notes.append(
            "The types of the columns were inferred from the CSV file, since the explanation "
            "holds no rows."
        )
    return tuple(notes)


@contextmanager
def _writer(target: Path, notes: Sequence[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write tables of equal columns into a file, which replaces the target at the end."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        is_text = is_csv(target)
        with _csv_writer(temporary) if is_text else _parquet_writer(temporary, notes) as write:
            yield write
        temporary.replace(target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def _csv_writer(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda table: table.to_csv(file, index=False, header=file.tell() == 0)


@contextmanager
def _parquet_writer(path: Path, notes: Sequence[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writers: list[Any] = []  # made for the schema of the first table

    def write(table: pd.DataFrame) -> None:
        schema = writers[0].schema if writers else None
        arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
        if not writers:
            if notes:
                metadata = {**(arrow.schema.metadata or {}), _NOTES: json.dumps(notes)}
                arrow = arrow.replace_schema_metadata(metadata)
            writers.append(pq.ParquetWriter(path, arrow.schema))
        writers[0].write_table(arrow)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
