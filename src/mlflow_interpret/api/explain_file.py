"""Explain the rows of a Parquet or CSV file, in bounded memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlflow_interpret.api.explain_rows import explained_model, row_explainer
from mlflow_interpret.api.row_columns import columns_of, labelled
from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.core.errors import OptionError, one_line
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.progress import Report

_READ_ROWS = 8_192
_HEAD_ROWS = 256


@dataclass(frozen=True)
class FileExplained:
    """The result of `explain_file`.

    Attributes:
        n_rows: The number of rows.
        ignored: Columns of the file that the model does not take.
    """

    n_rows: int
    ignored: tuple[str, ...]


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
    if target.exists() and not force:
        raise OptionError(f"target must be a new file, got {str(target)!r}.", argument="target")
    if not target.parent.is_dir():
        raise OptionError(
            f"target must be in an existing folder, got {str(target)!r}.", argument="target"
        )
    dataset = _open(source, "rows")
    background = None
    if initialization_examples is not None:
        table = _open(initialization_examples, "initialization_examples").to_table()
        background = table.to_pandas()
    explained = explained_model(model)
    head = next(_batches(dataset, None, _HEAD_ROWS), None)
    if head is None:
        raise OptionError("rows must have at least one row, got none.", argument="rows")
    columns = columns_of(explained.explanation, head)
    if background is not None:
        background = labelled(background, columns, "initialization_examples")
    explainer = row_explainer(explained, labelled(head, columns, "rows"), background)
    total = None if _is_csv(source) else dataset.count_rows()
    n_done = 0
    with _writer(target) as write:
        for rows in _batches(dataset, [str(label) for label in columns], explainer.batch_rows):
            batch = labelled(rows, columns, "rows")
            with suppress_warnings(), fit_hooks.unrecorded():
                table = explainer.table(batch, n_done)
            write(table)
            n_done += len(rows)
            report(n_done, total)
    names = {str(label) for label in columns}
    return FileExplained(n_done, tuple(name for name in dataset.schema.names if name not in names))


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _open(path: Path, argument: str) -> Any:
    from pyarrow import dataset

    if not path.exists():
        raise OptionError(
            f"{argument} must be a Parquet or CSV file, or a folder of Parquet files, got "
            f"{str(path)!r}, which does not exist.",
            argument=argument,
        )
    kind = "csv" if _is_csv(path) else "parquet"
    try:
        return dataset.dataset(path, format=kind)
    except Exception as error:  # pyarrow's errors have no common base but Exception
        raise OptionError(
            f"{argument} must be a readable {kind} file, got {str(path)!r}: {one_line(error)}",
            argument=argument,
        ) from error


def _batches(dataset: Any, columns: list[str] | None, n_rows: int) -> Iterator[pd.DataFrame]:
    """The rows of a dataset, in batches of at most ``n_rows``."""
    import pyarrow as pa

    options = {"columns": columns, "batch_size": min(n_rows, _READ_ROWS), "batch_readahead": 1}
    # A reader of a Parquet file keeps what it has read, so each row group has one of its own.
    parts = (
        part
        for fragment in dataset.get_fragments()
        for part in (
            fragment.split_by_row_group() if hasattr(fragment, "row_groups") else [fragment]
        )
    )
    batches = (
        batch for part in parts for batch in part.to_batches(schema=dataset.schema, **options)
    )
    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch]).to_pandas()


@contextmanager
def _writer(target: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write tables of equal columns into a file, which replaces the target at the end."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _csv_writer(temporary) if _is_csv(target) else _parquet_writer(temporary) as write:
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
def _parquet_writer(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writers: list[Any] = []  # made for the schema of the first table

    def write(table: pd.DataFrame) -> None:
        schema = writers[0].schema if writers else None
        arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
        if not writers:
            writers.append(pq.ParquetWriter(path, arrow.schema))
        writers[0].write_table(arrow)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
