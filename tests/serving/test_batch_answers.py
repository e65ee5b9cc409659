"""Answers to a batch: whatever the format, and wherever errors stand, it says what was scored."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from hypothesis import given, settings
from hypothesis import strategies as st

from features import Reason, UnknownParty
from group.errors import JinkongError
from serving.batch_answers import ANSWER_FORMATS, SCHEMA
from serving.batch_scoring import Answers
from serving.formats import ARROW, CSV, JSON, PARQUET
from serving.scored import ScoredColumns
from training import Reasons

BOOK = [Reason("income", "收入低", 'a "low" income'), Reason("debt", "负债, 高", "debt"), Reason("age", "年龄", "age")]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@st.composite
def parts(draw: st.DrawFn) -> Answers:
    """A part with scores and errors in any order, of parties or of rows, of a model with grades or without."""
    rows = draw(st.integers(1, 8))
    places = [place for place in range(rows) if draw(st.booleans())]
    errors: dict[int, JinkongError] = {place: UnknownParty(draw(TEXTS)) for place in range(rows) if place not in places}
    counts = [draw(st.integers(0, 4)) for _ in places]
    weights = [draw(st.floats(0.05, 9, width=64)) for _ in range(sum(counts))]
    reasons = Reasons(BOOK, counts, [draw(st.integers(0, 2)) for _ in weights], weights)
    graded = draw(st.booleans())
    scored = ScoredColumns(
        places, errors, np.zeros((len(places), 1)), [None] * len(places),
        [draw(st.floats(0, 1, width=64)) for _ in places], [640 if graded else None] * len(places),
        ["R3" if graded else None] * len(places), reasons,
    )  # fmt: skip
    first = draw(st.integers(0, 9_000))
    parties = [draw(TEXTS) for _ in range(rows)] if draw(st.booleans()) else []
    return Answers(range(first, first + rows), parties, scored, [f"ID-{place}" for place in places])


def told_plainly(answers: Answers) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        dict.fromkeys(SCHEMA.names) | {"row": number, "party_id": answers.parties[place] if answers.parties else None}
        for place, number in enumerate(answers.numbers)
    ]
    for place, scored, decision_id in zip(
        answers.scored.places, answers.scored.each(), answers.decision_ids, strict=True
    ):
        names = ("probability", "score", "grade", "reasons")
        rows[place] |= {name: getattr(scored, name) for name in names} | {"decision_id": decision_id}
    for place, error in answers.scored.errors.items():
        rows[place]["error"] = f"unknown_party: {error}"
    return rows


def told(kind: str, answers: list[Answers]) -> bytes:
    def each() -> Iterator[Any]:
        yield from map(ANSWER_FORMATS[kind].part, answers)

    return b"".join(ANSWER_FORMATS[kind].told(each()))


@settings(deadline=None)  # the first one imports
@given(st.lists(parts(), min_size=1, max_size=3))
def test_json_and_tables_say_the_same(answers: list[Answers]) -> None:
    wanted = [row for part in answers for row in told_plainly(part)]
    text = told(JSON, answers)
    assert orjson.loads(text) == {"scores": wanted}
    assert list(orjson.loads(text)["scores"][0]) == SCHEMA.names
    arrow = pa.ipc.open_stream(told(ARROW, answers)).read_all()
    arrow.validate(full=True)
    assert (arrow.schema, arrow.to_pylist()) == (SCHEMA, wanted)
    parquet = pa.parquet.read_table(io.BytesIO(told(PARQUET, answers)))
    assert parquet.to_pylist() == wanted


@settings(deadline=None)  # the first one imports
@given(st.lists(parts(), min_size=1, max_size=3))
def test_csv_tells_reasons_by_their_codes(answers: list[Answers]) -> None:
    types = {name: pa.string() for name in ("decision_id", "party_id", "grade", "reasons", "error")}
    options = pa.csv.ConvertOptions(
        column_types=types | {"score": pa.int32(), "probability": pa.float64()}, strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )  # fmt: skip
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    read = pa.csv.read_csv(io.BytesIO(told(CSV, answers)), parse_options=parse, convert_options=options).to_pylist()
    for row, wanted in zip(read, (row for part in answers for row in told_plainly(part)), strict=True):
        codes = "; ".join(reason["code"] for reason in wanted["reasons"] or ())
        assert row == wanted | {"reasons": codes}
