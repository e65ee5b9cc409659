"""Scores of batches by party: the same before they are put in place, half-way, and after."""

import json
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from group.audit import AuditEvent, append
from group.database import reading
from serving import unsettled
from serving.decisions import SCORES_GIVEN, new_decision_id, row_id
from serving.party_scores import PartyScore, keep_scores, scores
from serving.score_history import last_score, scores_of_party
from serving.unsettled import note, settle, unsettled_scores

COMPANIES = ("credit", "leasing")
PARTIES = ("P1", "P11", "1", "11", "p1", "P%")
"""Ids that are part of each other, or alike to a careless comparison."""

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def given_in_batches(engine: Engine, parts: int, rows: int) -> list[PartyScore]:
    """Parts of batches as they are recorded, a minute apart; their scores."""
    rng = np.random.default_rng(parts)
    given = []
    for part in range(parts):
        company, at = str(rng.choice(COMPANIES)), BEGAN + timedelta(minutes=part)
        parties = rng.choice(PARTIES, rows).tolist()
        columns = (rng.random(rows).tolist(), rng.integers(300, 900, rows).tolist(), ["R3"] * rows)
        record = new_decision_id(at)
        content = {
            "model": {"name": "credit_pd", "version": "2"}, "party_id": parties,
            **dict(zip(("probability", "score", "grade"), columns, strict=True)),
        }  # fmt: skip
        with engine.begin() as connection:
            append(connection, AuditEvent(company, "somebody", SCORES_GIVEN, record, content), at)
            note(connection, company, record, parties)
        given += [
            PartyScore(company, party, row_id(record, row), at, "credit_pd", "2", *one)
            for row, (party, *one) in enumerate(zip(parties, *columns, strict=True))
        ]
    return given


def histories(engine: Engine) -> dict[str, list[PartyScore]]:
    with reading(engine) as connection:
        return {party: scores_of_party(connection, party, COMPANIES, 1_000) for party in PARTIES}


def of_each_party(given: list[PartyScore]) -> dict[str, list[PartyScore]]:
    newest_first = sorted(given, key=lambda one: one.decision_id, reverse=True)
    return {party: [one for one in newest_first if one.party_id == party] for party in PARTIES}


def in_place(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(scores)).scalar_one())


def parts_noted(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(unsettled_scores)).scalar_one())


def test_a_partys_scores_are_the_same_before_and_after_they_are_put_in_place(engine: Engine) -> None:
    given = given_in_batches(engine, parts=5, rows=300)
    assert histories(engine) == of_each_party(given)
    assert settle(engine, enough=6) == 0
    assert settle(engine, enough=3) == 900
    assert (in_place(engine), parts_noted(engine)) == (900, 2)
    assert histories(engine) == of_each_party(given)


def test_whoever_is_cut_off_loses_nothing_and_doubles_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_in_batches(engine, parts=4, rows=300)
    written: list[int] = []

    def cut_off(connection: object, some: list[PartyScore]) -> None:
        if written:
            raise OSError("the power went")
        written.append(len(some))
        keep_scores(connection, some)  # type: ignore[arg-type]

    monkeypatch.setattr(unsettled, "keep_scores", cut_off)
    with pytest.raises(OSError, match="the power went"):
        settle(engine, enough=4)
    assert 0 < in_place(engine) < len(given)
    assert histories(engine) == of_each_party(given)
    monkeypatch.undo()
    assert settle(engine, enough=4) == len(given)
    assert (in_place(engine), parts_noted(engine)) == (len(given), 0)
    assert histories(engine) == of_each_party(given)


def test_two_who_do_it_at_once_and_a_batch_between_do_no_harm(engine: Engine) -> None:
    given = given_in_batches(engine, parts=6, rows=300)
    workers = [threading.Thread(target=settle, args=(engine, 6)) for _ in range(2)]
    for worker in workers:
        worker.start()
    seen = [histories(engine) for _ in range(5)]
    for worker in workers:
        worker.join()
    assert all(one == of_each_party(given) for one in seen)
    assert in_place(engine) == len(given)
    assert histories(engine) == of_each_party(given)


def test_pages_of_a_partys_scores_go_on_across_both_places(engine: Engine) -> None:
    given = of_each_party(given_in_batches(engine, parts=4, rows=100))["P1"]
    settle(engine, enough=2)
    read: list[PartyScore] = []
    while True:
        before = read[-1].decision_id if read else None
        with reading(engine) as connection:
            page = scores_of_party(connection, "P1", COMPANIES, 7, before)
        if not page:
            break
        read += page
    assert read == given


def test_the_last_score_is_the_last_wherever_it_is(engine: Engine) -> None:
    given = of_each_party(given_in_batches(engine, parts=4, rows=100))
    for _ in range(2):
        with reading(engine) as connection:
            for company in COMPANIES:
                for party in PARTIES:
                    own = [one for one in given[party] if one.legal_entity == company]
                    assert last_score(connection, company, party, "credit_pd", BEGAN) == own[0]
                    assert last_score(connection, company, party, "another", BEGAN) is None
                    later = own[0].scored_at + timedelta(seconds=1)
                    assert last_score(connection, company, party, "credit_pd", later) is None
        settle(engine, enough=4)


def test_a_record_of_a_batch_says_what_is_put_in_place(engine: Engine) -> None:
    [*_, last] = given_in_batches(engine, parts=1, rows=3)
    assert settle(engine, enough=1) == 3
    with reading(engine) as connection:
        row = connection.execute(select(scores).where(scores.c.decision_id == last.decision_id)).one()
    assert json.dumps(row._asdict(), default=str) == json.dumps(last._asdict(), default=str)
