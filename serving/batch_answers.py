"""Answers to a batch in the format that is asked for: parts are made ready side by side, and told one after another."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from serving.batch_scoring import Answers
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


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How answers are told.

    ``part`` is most of the work and knows nothing of other parts, so that they can be made ready side by side; ``told``
    puts what it gave together, in the order of the parts, as they come.
    """

    part: Callable[[Answers], Any]
    told: Callable[[Iterator[Any]], Iterator[bytes]]


def _json_part(answers: Answers) -> bytes:
    scored, numbers = answers.scored, answers.numbers
    parties: Sequence[str | None] = answers.parties or [None] * len(numbers)
    rows: list[dict[str, Any]] = [{}] * len(numbers)
    columns = (
        scored.places, answers.decision_ids, scored.probability, scored.score, scored.grade, scored.reasons.each(),
    )  # fmt: skip
    for place, decision_id, probability, score, grade, reasons in zip(*columns, strict=True):
        rows[place] = {
            "row": numbers[place], "decision_id": decision_id, "party_id": parties[place], "probability": probability,
            "score": score, "grade": grade, "reasons": reasons, "error": None,
        }  # fmt: skip
    for place, error in answers.errors.items():
        given = {"row": numbers[place], "party_id": parties[place], "error": error}
        rows[place] = _NOTHING | given
    return orjson.dumps(rows)[1:-1]


_NOTHING: Final[dict[str, Any]] = dict.fromkeys(SCHEMA.names)


def _told_json(parts: Iterator[bytes]) -> Iterator[bytes]:
    before = b'{"scores":['
    for part in parts:
        yield before + part
        before = b","
    yield b"]}"


_CSV_SCHEMA: Final = SCHEMA.set(SCHEMA.get_field_index("reasons"), pa.field("reasons", pa.string()))


def _csv_part(answers: Answers) -> bytes:
    reasons = answers.scored.reasons
    codes = map("; ".join, reasons.by_row(reasons.book[place].code for place in reasons.places))
    return _csv(_table(answers, _of_all(answers, list(codes), nothing=""), _CSV_SCHEMA), header=False)


def _told_csv(parts: Iterator[bytes]) -> Iterator[bytes]:
    before = _csv(_CSV_SCHEMA.empty_table(), header=True)
    for part in parts:
        yield before + part
        before = b""


def _csv(table: pa.Table, *, header: bool) -> bytes:
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer, pa.csv.WriteOptions(include_header=header))
    return buffer.getvalue()


def table_of(answers: Answers, schema: pa.Schema = SCHEMA) -> pa.Table:
    """The answers as a table of ``schema``, whose columns are of those of ``SCHEMA``."""
    return _table(answers, _reasons_of_all(answers), schema)


def _table(answers: Answers, reasons: Sequence[str] | pa.Array, schema: pa.Schema) -> pa.Table:
    scored, errors, rows = answers.scored, answers.errors, range(len(answers.numbers))
    columns: dict[str, Sequence[Any] | pa.Array] = {
        "row": answers.numbers,
        "decision_id": _of_all(answers, answers.decision_ids),
        "party_id": answers.parties or [None] * len(rows),
        "probability": _of_all(answers, scored.probability),
        "score": _of_all(answers, scored.score),
        "grade": _of_all(answers, scored.grade),
        "reasons": reasons,
        "error": [errors.get(place) for place in rows],
    }
    return pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def _of_all(answers: Answers, column: Sequence[Any], nothing: object = None) -> Sequence[Any]:
    """A column of the scores as one of all rows."""
    if not answers.scored.errors:
        return column
    found = [nothing] * len(answers.numbers)
    for place, value in zip(answers.scored.places, column, strict=True):
        found[place] = value
    return found


def _reasons_of_all(answers: Answers) -> pa.Array:
    reasons = answers.scored.reasons
    places = pa.array(reasons.places, pa.int64())
    texts = [[getattr(reason, name) for reason in reasons.book] for name in ("code", "zh", "en")]
    told = [pa.array(of_book, pa.string()).take(places) for of_book in texts]
    told.append(pa.array(reasons.weights, pa.float64()))
    counts = _of_all(answers, reasons.counts)
    ends = list(accumulate((count or 0 for count in counts), initial=0))
    # A list is null where its beginning is.
    begins = [None if count is None else begin for begin, count in zip(ends, counts, strict=False)]
    structs = pa.StructArray.from_arrays(told, fields=list(_REASON))
    return pa.ListArray.from_arrays(pa.array([*begins, ends[-1]], pa.int32()), structs)


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
    ARROW: AnswerFormat(table_of, _told_in_arrow(lambda sink: pa.ipc.new_stream(sink, SCHEMA))),
    PARQUET: AnswerFormat(table_of, _told_in_arrow(lambda sink: pa.parquet.ParquetWriter(sink, SCHEMA))),
}
"""By media type. Parquet can only be read once its end is there; it comes in pieces all the same, so that nobody holds
all of it."""
