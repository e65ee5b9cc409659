"""What is put on record of a score, and the same again: a decision id is enough to reproduce it."""

import json
import os
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from group.audit import AuditRecord, CanonicalJson, find
from serving.batch_record import decided_again, part_content, row_of
from serving.scored import Scored, ScoredColumns
from serving.scorer import Scorer
from training import ModelTampered, RegisteredModel
from workflow.pre_credit import Assessed, Decision, Policy, ReleasedPolicy, decide

SCORE_GIVEN: Final = "score.given"
SCORES_GIVEN: Final = "scores.given"
PRECREDIT_DECIDED: Final = "precredit.decided"

ID_PATTERN: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
"""What ``new_decision_id`` gives."""

_ID_LENGTH: Final = 36
_RANDOM_BYTES: Final = 10


def new_decision_id(at: datetime) -> str:
    """An id that sorts by time, so that records about it are written side by side: UUID version 7 (RFC 9562, 5.7)."""
    return new_decision_ids(at, 1)[0]


def new_decision_ids(at: datetime, count: int) -> list[str]:
    """So many of them; whoever needs several asks the machine for chance once."""
    milliseconds = int(at.timestamp() * 1_000) & (1 << 48) - 1
    random = os.urandom(_RANDOM_BYTES * count)
    return [
        _uuid7(milliseconds, int.from_bytes(random[first : first + _RANDOM_BYTES], "big"))
        for first in range(0, len(random), _RANDOM_BYTES)
    ]


def _uuid7(milliseconds: int, random: int) -> str:
    value = milliseconds << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def decision_payload(request: Mapping[str, Any], registered: RegisteredModel, scored: Scored) -> CanonicalJson:
    """What the audit log keeps of a score: what was asked, what was seen, which model answered what.

    ``features`` are the values of the model's columns, in the model's order; the model's hash says which.
    """
    return _text(_content(request, registered, scored))


def precredit_payload(
    request: Mapping[str, Any],
    registered: RegisteredModel,
    scored: Scored,
    policy: ReleasedPolicy,
    *,
    has_accepted: bool,
    decision: Decision,
) -> CanonicalJson:
    """What the audit log keeps of a pre-credit decision: its score, and what the policy made of it."""
    seen = {
        "policy": {"version": policy.version, "sha256": policy.sha256},
        "has_accepted": has_accepted,
        "decision": offered(decision),
    }
    return _text(_content(request, registered, scored) | seen)


def assessed(request: Mapping[str, Any], columns: Sequence[str], scored: Scored, *, has_accepted: bool) -> Assessed:
    """What a policy decides on: the score, and the features that it rests on by name."""
    amount = request.get("amount")
    features = {
        name: value if isinstance(value, float) else None for name, value in zip(columns, scored.values, strict=True)
    }
    return Assessed(features, str(scored.grade), has_accepted, None if amount is None else Decimal(amount))


def offered(decision: Decision) -> dict[str, Any]:
    """What a policy decided, as it is put on record."""
    return {
        "eligible": decision.eligible,
        "credit_limit": None if decision.credit_limit is None else str(decision.credit_limit),
        "rate_per_annum": decision.rate_per_annum,
        "term_months": decision.term_months,
        "verdicts": {verdict.code: verdict.fired for verdict in decision.verdicts},
    }


def part_payload(
    legal_entity: str, registered: RegisteredModel, parties: Sequence[str] | None, scored: ScoredColumns
) -> CanonicalJson:
    """What the audit log keeps of a part of a batch, in one record; of ``parties``, or of rows that were given."""
    return _part_text(part_content(legal_entity, registered, parties, scored))


def repeated_payload(request: Mapping[str, Any], earlier: Mapping[str, Any], degraded: str) -> CanonicalJson:
    """What the audit log keeps of a score that is given again for want of a new one: what was seen and answered then.

    It replays as the earlier one does.
    """
    kept = {name: earlier[name] for name in (*_ANSWERED, "features", "features_as_of", "model")}
    return _text(kept | {"request": dict(request), "degraded": degraded})


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision's record, what the record holds, and the part of it that is this decision's."""

    record: AuditRecord
    content: dict[str, Any]
    own: dict[str, Any]


def recorded(connection: Connection, legal_entities: Collection[str], decision_id: str) -> Recorded | None:
    """A decision of one of these companies."""
    name, row = _record_and_row(decision_id)
    for company in sorted(legal_entities):
        for record in find(connection, company, name):
            content = orjson.loads(record.payload)
            if record.action in (SCORE_GIVEN, PRECREDIT_DECIDED) and row is None:
                return Recorded(record, content, content)
            if record.action == SCORES_GIVEN and row is not None and row < len(content["probability"]):
                return Recorded(record, content, row_of(content, row))
    return None


def row_id(record: str, row: int) -> str:
    """The decision id of a row of a batch's record."""
    return f"{record}-{row}"


def _record_and_row(decision_id: str) -> tuple[str, int | None]:
    """The record that a decision stands in, and its row where the record is of a batch."""
    record, row = decision_id[:_ID_LENGTH], decision_id[_ID_LENGTH + 1 :]
    return record, int(row) if row.isascii() and row.isdigit() and len(row) <= 5 else None


def replay(payload: str, scorer: Scorer, policy: Policy | None = None) -> CanonicalJson:
    """Decide again on what an audit record's ``payload`` says was seen, and return the payload that this gives.

    Equal texts mean that the decision can be reproduced to the last bit, its reasons included. A pre-credit decision
    needs the policy of then.

    Raises:
        ModelTampered: the scorer's model is not the one that answered then.
    """
    seen = json.loads(payload)
    registered = scorer.registered
    if seen["model"]["sha256"] != registered.sha256:
        raise ModelTampered(
            f"The record was scored by version {seen['model']['version']} of '{seen['model']['name']}' with SHA-256 "
            f"{seen['model']['sha256']}; version {registered.version} is another model."
        )
    if "reason_texts" in seen:
        again = decided_again(seen, scorer)
        # Earlier records hold their texts as they are.
        return _part_text(again) if _escaped(seen["reason_texts"]) in payload else _text(again)
    [scored] = scorer.score_values([seen["features"]]).each()
    again = seen | answer(scored)
    if policy is not None:
        asked, before = seen["request"], seen["has_accepted"]
        product = policy.product(asked["legal_entity"], asked["product"])
        judged = assessed(asked, scorer.model.read_columns, scored, has_accepted=before)
        again |= {"decision": offered(decide(policy, product, judged))}
    return _text(again)


_ANSWERED: Final = ("probability", "score", "grade", "reasons")


def answer(scored: Scored) -> dict[str, Any]:
    """What a model answered, as it is told and put on record."""
    return {
        "probability": scored.probability,
        "score": scored.score,
        "grade": scored.grade,
        "reasons": scored.reasons,
    }


def _content(request: Mapping[str, Any], registered: RegisteredModel, scored: Scored) -> dict[str, Any]:
    return {
        "request": dict(request),
        "features": scored.values,
        "features_as_of": scored.features_as_of.isoformat() if scored.features_as_of else None,
        "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
        **answer(scored),
    }


def _part_text(content: Mapping[str, Any]) -> CanonicalJson:
    # A text takes twice the room, and as much longer to be hashed and written, if one of its characters is not ASCII.
    return _text({**content, "reason_texts": orjson.Fragment(_escaped(content["reason_texts"]))})


def _escaped(texts: Mapping[str, Any]) -> str:
    return json.dumps(texts, sort_keys=True, separators=(",", ":"))


def _text(payload: Mapping[str, Any]) -> CanonicalJson:
    return CanonicalJson(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS).decode())
