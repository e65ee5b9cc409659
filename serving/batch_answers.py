"""Answers to a batch in the format that is asked for: parts are made ready side by side, and told one after another."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from serving.formats import ARROW, CSV, JSON, PARQUET

_REASON: Final = pa.struct([("code", pa.string()), ("zh", pa.string()), ("en", pa.string()), ("weight", pa.float64())])
SCHEMA: Final = pa.schema(
    [
        ("row", pa.int32()),
        ("decision_id", pa.string()),
        ("party_id", pa.string()),
        ("probability", pa.float64()),
        ("score", pa.int32()),
        ("grade", pa.string()),
        ("reasons", pa.list_(_REASON)),
        ("error", pa.string()),
    ]
)
"""An answer a row of the request, in its order; ``error`` is the code of why there is none."""

Answer = dict[str, Any]
"""A row of ``SCHEMA`` as values."""


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How answers are told.

    ``part`` is most of the work and knows nothing of other parts, so that they can be made ready side by side; ``told``
    puts what it gave together, in the order of the parts, as they come.
    """

    part: Callable[[Sequence[Answer]], Any]
    told: Callable[[Iterator[Any]], Iterator[bytes]]


def _json_part(answers: Sequence[Answer]) -> bytes:
    return orjson.dumps(answers)[1:-1]


def _told_json(parts: Iterator[bytes]) -> Iterator[bytes]:
    before = b'{"scores":['
    for part in parts:
        yield before + part
        before = b","
    yield b"]}"


_CSV_SCHEMA: Final = SCHEMA.set(SCHEMA.get_field_index("reasons"), pa.field("reasons", pa.string()))


def _csv_part(answers: Sequence[Answer]) -> bytes:
    flat = [answer | {"reasons": _codes(answer["reasons"] or ())} for answer in answers]
    return _csv(pa.Table.from_pylist(flat, schema=_CSV_SCHEMA), header=False)


def _told_csv(parts: Iterator[bytes]) -> Iterator[bytes]:
    before = _csv(_CSV_SCHEMA.empty_table(), header=True)
    for part in parts:
        yield before + part
        before = b""


def _csv(table: pa.Table, *, header: bool) -> bytes:
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer, pa.csv.WriteOptions(include_header=header))
    return buffer.getvalue()


def _codes(reasons: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(reason["code"] for reason in reasons)


def _table_part(answers: Sequence[Answer]) -> pa.Table:
    return pa.Table.from_pylist(list(answers), schema=SCHEMA)


class _Sink(io.RawIOBase):
    """Takes what a writer writes, and gives it away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        taken = bytes(piece)
        self._pieces.append(taken)
        self._written += len(taken)
        return len(taken)

    def tell(self) -> int:
        return self._written

    def taken(self) -> bytes:
        """What was written since it was last taken."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _told_in_arrow(open_writer: Callable[[_Sink], Any]) -> Callable[[Iterator[pa.Table]], Iterator[bytes]]:
    def pieces(parts: Iterator[pa.Table]) -> Iterator[bytes]:
        sink = _Sink()
        with open_writer(sink) as writer:
            for part in parts:
                writer.write_table(part)
                yield sink.taken()
        yield sink.taken()

    return pieces


ANSWER_FORMATS: Final[Mapping[str, AnswerFormat]] = {
    JSON: AnswerFormat(_json_part, _told_json),
    CSV: AnswerFormat(_csv_part, _told_csv),
    ARROW: AnswerFormat(_table_part, _told_in_arrow(lambda sink: pa.ipc.new_stream(sink, SCHEMA))),
    PARQUET: AnswerFormat(_table_part, _told_in_arrow(lambda sink: pa.parquet.ParquetWriter(sink, SCHEMA))),
}
"""By media type. Parquet can only be read once its end is there; it comes in pieces all the same, so that nobody holds
all of it."""
