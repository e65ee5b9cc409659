"""Who may become champion: a version that meets every hard limit, approved by somebody who did not train it.

Each step is in the audit log before the registry shows it; the log is where a roll-back finds what was before.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from group.audit import GROUP, AuditEvent, append, audit_log
from group.settings import Settings
from training.errors import NoEarlierChampion, PromotionRefused
from training.registered import RegisteredModel
from training.registry import drop_challenger, mark_challenger, mark_champion, model_version, report_of
from training.validation.limits import Limits, Verdict, judged, read_limits

MODEL_PROMOTED: Final = "model.promoted"
MODEL_ROLLED_BACK: Final = "model.rolled_back"
MODEL_CHALLENGES: Final = "model.challenges"
CHALLENGE_ENDED: Final = "model.challenge_ended"


def unmet_limits(registered: RegisteredModel, settings: Settings, limits: Limits | None = None) -> list[Verdict]:
    """The hard limits, as they stand now, that the figures of a version's report do not meet.

    Raises:
        ModelTampered: the report was changed since the version was registered.
    """
    figures = report_of(registered, settings)["validation"]["figures"]
    # What was no number when it was measured is null in the report, and meets nothing.
    known = {name: float("nan") if figure is None else float(figure) for name, figure in figures.items()}
    verdicts = judged(known, limits or read_limits(), registered.task)
    return [verdict for verdict in verdicts if verdict.hard and not verdict.met]


def approve(
    registered: RegisteredModel,
    settings: Settings,
    engine: Engine,
    *,
    by: str,
    reason: str,
    at: datetime,
    limits: Limits | None = None,
) -> None:
    """Make a version champion, on record with who approved it and why.

    Raises:
        PromotionRefused: a hard limit is not met, or ``by`` trained the model or is nobody.
        ModelTampered: the model or its report is not what was registered.
        RegistryUnavailable: MLflow does not answer; nothing is recorded then.
    """
    _require_fit(registered, settings, limits, by=by, reason=reason)
    payload = _payload(registered) | {"reason": reason.strip(), "trained_by": registered.trained_by}
    with engine.begin() as connection:
        append(connection, AuditEvent(GROUP, by.strip(), MODEL_PROMOTED, _subject(registered), payload), at)
        # Last within the transaction: if the registry refuses, nothing is recorded as promoted.
        mark_champion(registered, by.strip(), settings)


def roll_back(name: str, settings: Settings, engine: Engine, *, by: str, reason: str, at: datetime) -> RegisteredModel:
    """Make the version champion again that was before the present one.

    Raises:
        NoEarlierChampion: there was none.
        PromotionRefused: no name or no reason is given.
        ModelTampered: the earlier version is not what was registered.
        RegistryUnavailable: MLflow does not answer, or has it no longer; nothing is recorded then.
    """
    if not by.strip() or not reason.strip():
        raise PromotionRefused(f"'{name}' is rolled back by a person, for a reason: give both.")
    with engine.begin() as connection:
        line = champions_so_far(connection, name)
        if len(line) < 2:
            raise NoEarlierChampion(f"'{name}' has had no champion before the present one.")
        earlier = model_version(line[-2], settings, name)
        payload = _payload(earlier) | {"reason": reason.strip(), "instead_of": line[-1]}
        append(connection, AuditEvent(GROUP, by.strip(), MODEL_ROLLED_BACK, _subject(earlier), payload), at)
        mark_champion(earlier, earlier.approved_by or by.strip(), settings)
    return earlier


def challenge(
    registered: RegisteredModel,
    settings: Settings,
    engine: Engine,
    *,
    share: float,
    by: str,
    reason: str,
    at: datetime,
) -> None:
    """Try a version beside the champion: it scores what the champion scores, and answers for a share of the parties.

    With a share, it must meet what a champion must.

    Raises:
        PromotionRefused: the share is none, no name or reason is given; or, with a share above 0, as ``approve``.
        RegistryUnavailable: MLflow does not answer; nothing is recorded then.
    """
    if not 0 <= share <= 0.5:
        raise PromotionRefused(f"A challenger answers for a share of the parties from 0 to 0.5, not {share}.")
    if share:
        _require_fit(registered, settings, None, by=by, reason=reason)
    elif not by.strip() or not reason.strip():
        raise PromotionRefused(f"{_what(registered)} is tried by a person, for a reason: give both.")
    payload = _payload(registered) | {"reason": reason.strip(), "share": share}
    with engine.begin() as connection:
        append(connection, AuditEvent(GROUP, by.strip(), MODEL_CHALLENGES, _subject(registered), payload), at)
        mark_challenger(registered, share, settings)


def end_challenge(
    registered: RegisteredModel, settings: Settings, engine: Engine, *, by: str, reason: str, at: datetime
) -> None:
    """Try a version no more.

    Raises:
        PromotionRefused: no name or no reason is given.
        RegistryUnavailable: MLflow does not answer; nothing is recorded then.
    """
    if not by.strip() or not reason.strip():
        raise PromotionRefused(f"The trial of {_what(registered)} is ended by a person, for a reason: give both.")
    payload = _payload(registered) | {"reason": reason.strip()}
    with engine.begin() as connection:
        append(connection, AuditEvent(GROUP, by.strip(), CHALLENGE_ENDED, _subject(registered), payload), at)
        drop_challenger(settings, registered.name)


def champions_so_far(connection: Connection, name: str) -> list[str]:
    """The versions of a model that a roll-back would go through, the present champion last."""
    rows = connection.execute(
        select(audit_log.c.action, audit_log.c.subject)
        .where(
            audit_log.c.legal_entity == GROUP,
            audit_log.c.action.in_([MODEL_PROMOTED, MODEL_ROLLED_BACK]),
            audit_log.c.subject.like(f"{name.replace('%', '')}/%"),
        )
        .order_by(audit_log.c.sequence)
    )
    line: list[str] = []
    for action, subject in rows:
        model, _, version = subject.rpartition("/")
        if model != name:
            continue
        if action == MODEL_PROMOTED:
            line.append(version)
        else:
            line.pop()
    return line


def approvals(connection: Connection, name: str) -> list[Mapping[str, Any]]:
    """What was approved, rolled back and tried of a model: when, by whom, which version, why; oldest first."""
    rows = connection.execute(
        select(audit_log)
        .where(
            audit_log.c.legal_entity == GROUP,
            audit_log.c.action.in_([MODEL_PROMOTED, MODEL_ROLLED_BACK, MODEL_CHALLENGES, CHALLENGE_ENDED]),
        )
        .order_by(audit_log.c.sequence)
    )
    return [
        {
            "at": row.recorded_at,
            "by": row.actor,
            "action": row.action,
            "version": row.subject.rpartition("/")[2],
            "reason": json.loads(row.payload).get("reason", ""),
        }
        for row in rows
        if row.subject.rpartition("/")[0] == name
    ]


def _require_fit(
    registered: RegisteredModel, settings: Settings, limits: Limits | None, *, by: str, reason: str
) -> None:
    what = _what(registered)
    if not by.strip() or not reason.strip():
        raise PromotionRefused(f"{what} is approved by a person, for a reason: give both.")
    if _person(by) == _person(registered.trained_by):
        raise PromotionRefused(
            f"{what} was trained by {registered.trained_by}: somebody else has to approve it (the four-eyes principle)."
        )
    unmet = unmet_limits(registered, settings, limits)
    if unmet:
        raise PromotionRefused(f"{what} cannot become champion: {'; '.join(map(str, unmet))}.")


def _what(registered: RegisteredModel) -> str:
    return f"Version {registered.version} of '{registered.name}'"


def _payload(registered: RegisteredModel) -> dict[str, Any]:
    return {"sha256": registered.sha256, "run_id": registered.run_id, "source": registered.source}


def _subject(registered: RegisteredModel) -> str:
    return f"{registered.name}/{registered.version}"


def _person(name: str) -> str:
    return " ".join(name.split()).casefold()
