"""Owners behind owners, in circles too, and what connected parties owe together."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from features import resolve_parties
from features.identity.ownership import connected_parties, group_exposures, ultimate_owners
from tests.features.tables import a_customer, a_statement, write

parties = st.sampled_from("ABCDEFGH")


@given(st.dictionaries(parties, parties))
def test_the_owner_at_the_end_of_the_chain(owner_of: dict[str, str]) -> None:
    ends = ultimate_owners(owner_of)
    assert ends.keys() == owner_of.keys()
    for party, end in ends.items():
        chain = [party]
        while chain[-1] in owner_of and owner_of[chain[-1]] not in chain:
            chain.append(owner_of[chain[-1]])
        if chain[-1] in owner_of:
            circle = chain[chain.index(owner_of[chain[-1]]) :]
            assert end == min(circle)
        else:
            assert end == chain[-1]


@given(st.lists(st.tuples(parties, st.none() | parties), max_size=12))
def test_connected_is_what_owners_connect(rows: list[tuple[str, str | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"party_id": pl.String, "owner_party_id": pl.String}, orient="row")
    found = {row["party_id"]: row for row in connected_parties(frame).to_dicts()}
    names = {name for row in rows for name in row if name}
    assert found.keys() == names
    reach = {name: {name} for name in names}
    for _ in names:
        for party, owner in rows:
            if owner:
                joined = reach[party] | reach[owner]
                for name in joined:
                    reach[name] = joined
    for name in names:
        assert found[name]["connected_group"] == min(reach[name])
        assert found[name]["group_size"] == len(reach[name])
        assert found[name]["ultimate_owner_party_id"] in reach[name]


def test_exposures_of_an_owner_and_all_that_is_owned_are_one(tmp_path: Path) -> None:
    write(tmp_path, "customers", [
        a_customer(identity_token="OWNER", name="周杰"),
        *(
            a_customer(
                legal_entity="leasing", customer_id=f"E{number}", kind="enterprise", identity_token=f"E{number}",
                owner_identity_token="OWNER", name=f"金海{number}有限公司",
            )
            for number in (1, 2)
        ),
        a_customer(legal_entity="credit", customer_id="C9", identity_token="T9", name="何平"),
    ])  # fmt: skip
    old, new = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)

    def owes(entity: str, customer: str, loan: str, balance: str, at: datetime = old, **changes: Any) -> dict[str, Any]:
        row = {"legal_entity": entity, "customer_id": customer, "loan_id": loan, "created_timestamp": at}
        return a_statement(at, statement_balance=Decimal(balance), **(row | changes))

    write(tmp_path, "statements", [
        owes("consumer", "C1", "L1", "100.00"),
        owes("consumer", "C1", "L1", "90.00", new),
        # Known later than asked for.
        owes("leasing", "E1", "L2", "1000.00"),
        owes("leasing", "E1", "L2", "1.00", new, created_timestamp=datetime(2024, 7, 1, tzinfo=UTC)),
        owes("leasing", "E2", "L3", "-50.00"),
        owes("credit", "C9", "L4", "500.00"),
    ])  # fmt: skip
    resolve_parties(tmp_path)
    found = group_exposures(tmp_path, datetime(2024, 6, 15, tzinfo=UTC))
    assert found["exposure"].to_list() == [Decimal("1090.00"), Decimal("500.00")]
    assert found["parties"].to_list() == [2, 1]
    assert found["companies"].to_list() == [2, 1]
