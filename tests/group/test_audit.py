"""The audit log: appended once, chained, and whatever is changed behind its back is found at its place."""

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Connection, Engine, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from group.audit import (
    AuditEvent,
    InvalidAuditEvent,
    _digest,
    append,
    append_all,
    audit_head,
    audit_log,
    canonical_json,
    find,
    verify,
)
from group.database import migrate, open_database

START = datetime(2026, 1, 1, tzinfo=UTC)


def an_event(number: int, legal_entity: str = "credit") -> AuditEvent:
    return AuditEvent(legal_entity, "officer", "score.given", f"subject {number}", {"number": number, "name": "王芳"})


def write(engine: Engine, count: int, legal_entity: str = "credit") -> None:
    for number in range(1, count + 1):
        with engine.begin() as connection:
            append(connection, an_event(number, legal_entity), START + timedelta(seconds=number))


def without_triggers(engine: Engine, change: Callable[[Connection], object]) -> None:
    """What somebody with the database's own rights can do."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER ALL"))
        else:
            for event in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS audit_log_no_{event}"))
        change(connection)


def of(sequence: int) -> ColumnElement[bool]:
    return (audit_log.c.legal_entity == "credit") & (audit_log.c.sequence == sequence)


def test_a_log_that_nobody_touched_is_whole(engine: Engine) -> None:
    assert verify(engine) is None
    write(engine, 5)
    write(engine, 2, "leasing")
    assert verify(engine) is None
    assert verify(engine, "leasing") is None
    assert verify(engine, "factoring") is None


def test_a_record_reads_back_as_it_was_written(engine: Engine) -> None:
    with engine.begin() as connection:
        written = append(connection, an_event(1), START)
    with engine.connect() as connection:
        assert find(connection, "credit", "subject 1") == [written]
        assert find(connection, "leasing", "subject 1") == []


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'me'", "DELETE FROM audit_log"])
def test_the_database_refuses_to_change_a_record(engine: Engine, statement: str) -> None:
    write(engine, 2)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    assert verify(engine) is None


@pytest.mark.parametrize(
    "column", ["recorded_at", "actor", "action", "subject", "payload", "previous_hash", "record_hash"]
)
def test_a_changed_column_is_found_at_its_record(engine: Engine, column: str) -> None:
    write(engine, 6)
    value = START if column == "recorded_at" else "0" * 64
    without_triggers(
        engine, lambda connection: connection.execute(update(audit_log).where(of(4)).values({column: value}))
    )
    broken = verify(engine)
    assert broken is not None
    assert (broken.legal_entity, broken.sequence) == ("credit", 4)


@pytest.mark.parametrize("missing", [1, 3, 6])
def test_a_record_that_was_taken_out_is_missed_at_its_place(engine: Engine, missing: int) -> None:
    write(engine, 6)
    without_triggers(engine, lambda connection: connection.execute(delete(audit_log).where(of(missing))))
    broken = verify(engine)
    assert broken is not None
    assert (broken.sequence, broken.fault) == (missing, "the record is missing")


def test_two_records_that_changed_places_are_found_at_the_first(engine: Engine) -> None:
    write(engine, 6)

    def swap(connection: Connection) -> None:
        for old, new in ((3, 99), (5, 3), (99, 5)):
            connection.execute(update(audit_log).where(of(old)).values(sequence=new))

    without_triggers(engine, swap)
    broken = verify(engine)
    assert broken is not None
    assert broken.sequence == 3


def test_a_log_whose_end_was_cut_off_together_with_the_newest_records_is_found(engine: Engine) -> None:
    write(engine, 6)
    without_triggers(
        engine,
        lambda connection: connection.execute(delete(audit_log).where(audit_log.c.sequence > 4)),
    )
    broken = verify(engine)
    assert broken is not None
    assert broken.sequence == 5


def test_a_chain_without_its_head_and_a_head_without_its_chain_are_found(engine: Engine) -> None:
    write(engine, 3)
    write(engine, 3, "leasing")
    without_triggers(engine, lambda c: c.execute(delete(audit_head).where(audit_head.c.legal_entity == "credit")))
    broken = verify(engine)
    assert broken is not None
    assert (broken.legal_entity, broken.fault) == ("credit", "the head of the chain is missing")
    without_triggers(engine, lambda c: c.execute(delete(audit_log).where(audit_log.c.legal_entity == "leasing")))
    broken = verify(engine, "leasing")
    assert broken is not None
    assert broken.sequence == 1


def test_an_event_whose_transaction_fails_leaves_no_trace(engine: Engine) -> None:
    write(engine, 2)

    class PowerCut(Exception):
        pass

    with pytest.raises(PowerCut), engine.begin() as connection:  # noqa: PT012 - the block is the transaction
        append(connection, an_event(3), START)
        raise PowerCut
    write(engine, 1)
    assert verify(engine) is None
    with engine.connect() as connection:
        assert connection.execute(select(audit_head.c.sequence)).scalar_one() == 3


def test_writers_that_come_at_once_queue_and_lose_nothing(engine: Engine) -> None:
    failures: list[BaseException] = []

    def writer() -> None:
        try:
            write(engine, 15)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=writer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert verify(engine) is None
    with engine.connect() as connection:
        assert connection.execute(select(audit_head.c.sequence)).scalar_one() == 60


def test_events_written_together_make_the_chains_that_one_after_the_other_makes(engine: Engine) -> None:
    events = [an_event(number, ("credit", "leasing", "credit", "consumer")[number % 4]) for number in range(11)]
    with engine.begin() as connection:
        together = append_all(connection, events, START)
        assert append_all(connection, [], START) == []
    assert verify(engine) is None
    assert [(record.subject, record.sequence) for record in together if record.legal_entity == "credit"] == [
        (f"subject {number}", place) for place, number in enumerate((0, 2, 4, 6, 8, 10), 1)
    ]
    other = open_database("sqlite://")
    migrate(other)
    with other.begin() as connection:
        one_by_one = [append(connection, event, START) for event in events]
    assert together == one_by_one
    other.dispose()


def test_writers_of_several_chains_in_different_orders_do_not_wait_for_each_other(engine: Engine) -> None:
    failures: list[BaseException] = []

    def writer(companies: tuple[str, ...]) -> None:
        try:
            for round_of in range(10):
                with engine.begin() as connection:
                    append_all(connection, [an_event(round_of, company) for company in companies], START)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=writer, args=(order,)) for order in (("credit", "leasing"), ("leasing", "credit"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert verify(engine) is None


@pytest.mark.parametrize("payload", [{"pd": float("nan")}, {"pd": float("inf")}, {"when": START}])
def test_what_is_not_json_is_refused(engine: Engine, payload: dict[str, object]) -> None:
    with pytest.raises(InvalidAuditEvent, match="is not JSON"), engine.begin() as connection:
        append(connection, AuditEvent("credit", "a", "b", "c", payload), START)
    assert verify(engine) is None


@pytest.mark.parametrize("actor", ["", "x" * 201])
def test_a_text_that_would_be_cut_off_is_refused(engine: Engine, actor: str) -> None:
    with pytest.raises(InvalidAuditEvent, match="must have 1 to 200 characters"), engine.begin() as connection:
        append(connection, AuditEvent("credit", actor, "b", "c", {}), START)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(payloads=st.lists(st.dictionaries(st.text(max_size=8), json_values, max_size=4), min_size=1, max_size=5))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_json_keeps_the_chain_whole_and_reads_back_the_same(
    engine: Engine, payloads: list[dict[str, object]]
) -> None:
    # PostgreSQL stores no NUL in a text; JSON writes it as an escape, so no payload holds one.
    for payload in payloads:
        with engine.begin() as connection:
            record = append(connection, AuditEvent("credit", "a", "b", "c", payload), START)
            assert record.payload == canonical_json(payload)
    assert verify(engine) is None


@given(st.lists(st.text(st.characters(codec=None)) | st.integers(0, 2**62), min_size=1, max_size=8))
def test_a_hash_is_of_the_json_list_of_the_fields_as_python_writes_it(fields: list[str | int]) -> None:
    """Whoever verifies a chain without this program can compute its hashes from this sentence."""
    listed = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert _digest(*fields) == hashlib.sha256(listed).hexdigest()


def test_a_text_that_the_database_refuses_is_told_without_what_was_to_be_written(engine: Engine) -> None:
    """The statement goes to the driver as it is; its errors are SQLAlchemy's all the same."""
    with engine.begin() as connection:
        append(connection, an_event(1), START)

    def with_a_number_that_is_taken() -> None:
        with engine.begin() as connection:
            connection.execute(delete(audit_head))
            append(connection, an_event(2), START)

    with pytest.raises(DBAPIError) as caught:
        with_a_number_that_is_taken()
    assert "王芳" not in str(caught.value)
    assert verify(engine) is None
