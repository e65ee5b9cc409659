"""What a model reads, and how values become numbers: here and in the file that MLflow keeps, the same."""

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import WrongInput
from training.inputs import Input, Value
from training.mlflow_model import _encoded

HOUSING = Input("housing", "category", ("no", "yes", "1", "true"))
OPENED = Input("opened", "date")
AGE_OF_ACCOUNT = Input("opened", "date", before="asked")


@pytest.mark.parametrize(
    ("given_as", "values", "number"),
    [
        (Input("income"), {"income": 12}, 12.0),
        (Input("income"), {"income": True}, 1.0),
        (HOUSING, {"housing": " yes "}, 1.0),
        (HOUSING, {"housing": 1.0}, 2.0),
        (HOUSING, {"housing": True}, 3.0),
        (OPENED, {"opened": "1970-01-11"}, 10.0),
        (OPENED, {"opened": date(1970, 1, 11)}, 10.0),
        (OPENED, {"opened": datetime(1970, 1, 2, 8, tzinfo=timezone(timedelta(hours=8)))}, 1.0),
        (AGE_OF_ACCOUNT, {"opened": "2025-01-01", "asked": "2025-01-31T12:00:00"}, 30.5),
    ],
)
def test_a_value_is_the_number_that_the_trees_were_grown_on(
    given_as: Input, values: dict[str, Value], number: float
) -> None:
    assert given_as.encoded(values) == number


@pytest.mark.parametrize(
    ("given_as", "values"),
    [
        (Input("income"), {}), (Input("income"), {"income": None}), (Input("income"), {"income": math.nan}),
        (HOUSING, {"housing": "perhaps"}), (AGE_OF_ACCOUNT, {"opened": "2025-01-01", "asked": None}),
    ],
)  # fmt: skip
def test_what_is_not_there_or_was_never_seen_is_missing(given_as: Input, values: dict[str, Value]) -> None:
    assert math.isnan(given_as.encoded(values))


@pytest.mark.parametrize(
    ("given_as", "value"),
    [
        (Input("income"), "much"), (OPENED, "yesterday"), (OPENED, 3.5),
        (Input("income"), datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_told_with_its_column(given_as: Input, value: Value) -> None:
    with pytest.raises(WrongInput, match=f"The column '{given_as.name}' holds .* which is not a"):
        given_as.encoded({given_as.name: value})


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["no", "yes", "maybe", " yes", "1"])),
        min_size=1,
        max_size=20,
    )
)
def test_the_file_that_mlflow_keeps_encodes_categories_alike(values: list[Value]) -> None:
    theirs = _encoded(pd.DataFrame({"housing": pd.Series(values, dtype=object)}), HOUSING.as_json())
    ours = [HOUSING.encoded({"housing": value}) for value in values]
    assert [math.isnan(a) or a == b for a, b in zip(ours, theirs, strict=True)] == [True] * len(values)
    assert [math.isnan(a) for a in ours] == [math.isnan(b) for b in theirs]


def test_dates_are_encoded_alike_too_and_inputs_survive_json() -> None:
    for given_as in (OPENED, AGE_OF_ACCOUNT, HOUSING, Input("income")):
        assert Input.of_json(json.loads(json.dumps(given_as.as_json()))) == given_as
    row: dict[str, Value] = {"opened": "2024-05-06", "asked": "2025-01-31T12:00:00+08:00"}
    for given_as in (OPENED, AGE_OF_ACCOUNT):
        assert _encoded(pd.DataFrame([row]), given_as.as_json())[0] == pytest.approx(given_as.encoded(row), abs=1e-9)
