"""A batch's record: what was seen comes out of it as it went in, to the bit."""

import math
from datetime import UTC, datetime

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from features import Reason
from serving.batch_record import part_content, row_of, rows_of
from serving.scored import ScoredColumns, Value
from training import Reasons, RegisteredModel

AS_OF = datetime(2026, 2, 1, 3, 4, 5, tzinfo=UTC)
NUMBERS = st.floats(allow_infinity=False) | st.none() | st.integers(-(2**53), 2**53)
BOOK = [Reason("debt", "负债", "debt"), Reason("age", "年龄", "age"), Reason("income", "收入", "income")]


def columns_of(values: list[list[Value]]) -> ScoredColumns:
    """Rows have no reason, one, two, none, and so on."""
    count = len(values)
    counts = [row % 3 for row in range(count)]
    places, weights = [], []
    for row in counts:
        places += [2, 0][:row]
        weights += [0.1 + 0.2, 0.25][:row]
    return ScoredColumns(
        list(range(count)), {}, values, [AS_OF, None][:count] + [AS_OF] * (count - 2), [0.1 + 0.2] * count,
        [640] * count, ["R3"] * count, Reasons(BOOK, counts, places, weights),
    )  # fmt: skip


REGISTERED = RegisteredModel(("", "{}"), "credit_pd", "3", "ab" * 32, "run", "folder")


@given(st.integers(1, 6).flatmap(lambda k: st.lists(st.lists(NUMBERS, min_size=k, max_size=k), min_size=1, max_size=5)))
def test_numbers_come_out_as_they_went_in(values: list[list[Value]]) -> None:
    content = part_content("credit", REGISTERED, None, columns_of(values))
    rows = rows_of(orjson.loads(orjson.dumps(content)))
    assert [[bits(value) for value in row["features"]] for row in rows] == [
        [bits(value) for value in row] for row in values
    ]
    assert isinstance(content["features"], str)
    alone = [row_of(orjson.loads(orjson.dumps(content)), row) for row in range(len(rows))]
    assert str(alone) == str(rows)  # a text keeps zeros of either sign apart


def test_rows_with_texts_stand_as_they_are() -> None:
    values: list[list[Value]] = [["a trade", 1.5, None, True], [None, -0.0, 3.0, False]]
    content = part_content("credit", REGISTERED, ["P1", "P2"], columns_of(values))
    assert content["features"] == values
    first, second = rows_of(orjson.loads(orjson.dumps(content)))
    assert (first["features"], second["features"]) == (values[0], values[1])
    assert (first["party_id"], first["features_as_of"], second["features_as_of"]) == ("P1", AS_OF.isoformat(), None)
    assert (first["probability"], first["score"], first["grade"]) == (0.1 + 0.2, 640, "R3")
    assert (first["reasons"], second["reasons"]) == (
        [],
        [{"code": "income", "zh": "收入", "en": "income", "weight": 0.1 + 0.2}],
    )
    assert set(content["reason_texts"]) == {"income"}


def test_a_matrix_is_packed_as_rows_of_numbers_are() -> None:
    rows: list[list[Value]] = [[1.5, None, -0.0], [2.0, 3.0, 1e-310]]
    of_rows = columns_of(rows)
    # Columns beside each other in memory, as a selection of columns may be.
    matrix = np.asfortranarray(np.array(rows, np.float64))
    of_matrix = ScoredColumns(*(matrix if value is rows else value for value in vars_of(of_rows)))  # type: ignore[arg-type]
    assert part_content("credit", REGISTERED, None, of_matrix) == part_content("credit", REGISTERED, None, of_rows)


def vars_of(columns: ScoredColumns) -> list[object]:
    return [getattr(columns, name) for name in ScoredColumns.__slots__]


def bits(value: Value) -> str | None:
    return None if value is None or math.isnan(float(value)) else float(value).hex()
