"""Many parties or rows in one request, as they are read from the format that they come in."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from group.errors import InputError
from serving.formats import CSV, FORMATS, JSON, MOST_ROWS, PARQUET
from serving.scored import Value

PARTY_COLUMN: Final = "party_id"


class UnusableBatch(InputError):
    """What was sent is no batch. ``code`` is stable."""

    def __init__(self, detail: str, code: str = "unusable_batch") -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Batch:
    """Parties, or rows of features by name; one of the two."""

    parties: Sequence[str] = ()
    rows: Sequence[Mapping[str, Value]] = ()

    def __len__(self) -> int:
        return len(self.parties) or len(self.rows)

    def part(self, first: int, rows: int) -> "Batch":
        """So many rows of it."""
        return Batch(self.parties[first : first + rows], self.rows[first : first + rows])


def read_batch(body: bytes, media_type: str, *, rows_alone: bool = False) -> Batch:
    """The batch that ``body`` holds.

    A table with a column ``party_id`` is of parties, any other is of rows. JSON is ``{"parties": […]}`` or
    ``{"rows": [{…}]}``.

    Raises:
        UnusableBatch: it cannot be read, is empty, has more than 10,000 rows, or is of parties where the model takes
            ``rows_alone``.
    """
    if media_type == JSON:
        batch = read_json(body)
    elif media_type in FORMATS:
        batch = batch_of_table(_read_table(body, media_type))
    else:
        raise UnusableBatch(
            f"'{media_type}' is not read here; send {', '.join(FORMATS)}.", "unsupported_media_type"
        )  # fmt: skip
    if not len(batch):
        raise UnusableBatch("The batch is empty; send at least one party or row.")
    if len(batch) > MOST_ROWS:
        raise UnusableBatch(
            f"The batch has {len(batch):,} rows; one request takes {MOST_ROWS:,}, POST /v1/jobs/score any number.",
            "too_many_rows",
        )
    if batch.parties and rows_alone:
        raise UnusableBatch("The model scores rows of features, not parties.")
    return batch


def read_json(body: bytes) -> Batch:
    """The batch of a JSON body, however many rows it has.

    Raises:
        UnusableBatch: it is none.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnusableBatch(f"The body is not JSON: {error}.") from None
    if not isinstance(content, dict) or set(content) not in ({"parties"}, {"rows"}):
        raise UnusableBatch('The body has to be {"parties": […]} or {"rows": [{…}]}.')
    [(name, found)] = content.items()
    kind: type = str if name == "parties" else dict
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise UnusableBatch(f"$.{name} has to be a list of {'texts' if kind is str else 'objects'}.")
    if kind is str:
        return Batch(parties=found)
    for number, row in enumerate(found):
        for column, value in row.items():
            if not isinstance(value, float | int | str | bool | None):
                raise UnusableBatch(f"$.rows[{number}].{column} is no number, text, true, false or null.")
    return Batch(rows=found)


def _read_table(body: bytes, media_type: str) -> pa.Table:
    try:
        if media_type == PARQUET:
            # Rows are counted before they are unpacked: a small file can hold a very large table.
            file = pa.parquet.ParquetFile(io.BytesIO(body))
            if file.metadata.num_rows > MOST_ROWS:
                raise UnusableBatch(f"The file has {file.metadata.num_rows:,} rows; one request takes {MOST_ROWS:,}.",
                                    "too_many_rows")  # fmt: skip
            return file.read()
        if media_type == CSV:
            return pa.csv.read_csv(
                io.BytesIO(body), convert_options=pa.csv.ConvertOptions(column_types={PARTY_COLUMN: pa.string()})
            )
        batches: list[pa.RecordBatch] = []
        with pa.ipc.open_stream(io.BytesIO(body)) as stream:
            for batch in stream:
                batches.append(batch)
                if sum(map(len, batches)) > MOST_ROWS:
                    break
            return pa.Table.from_batches(batches, stream.schema)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UnusableBatch(f"The body cannot be read as {media_type}: {reason}.") from None


def batch_of_table(table: pa.Table) -> Batch:
    """The batch of a table: of parties where it has a column of that name, of rows where not.

    Raises:
        UnusableBatch: a column is of a kind that no feature is.
    """
    if PARTY_COLUMN in table.column_names:
        if len(table.column_names) > 1:
            raise UnusableBatch(f"A table with '{PARTY_COLUMN}' has no other column; rows of features have none.")
        parties = table[PARTY_COLUMN].cast(pa.string()).to_pylist()
        if None in parties:
            raise UnusableBatch(f"Row {parties.index(None)} has no '{PARTY_COLUMN}'.")
        return Batch(parties=parties)
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            column = column.cast(pa.float64())  # noqa: PLW2901 - the same column
        elif pa.types.is_temporal(kind):
            column = column.cast(pa.string())  # noqa: PLW2901
        elif not (pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
                  or pa.types.is_large_string(kind)):  # fmt: skip
            raise UnusableBatch(f"Column '{name}' is of {kind}; columns are numbers, texts, dates, true and false.")
        columns.append(column.to_pylist())
    return Batch(rows=[dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)])
