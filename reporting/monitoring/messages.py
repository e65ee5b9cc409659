"""Messages about cases: an outbox in the database, so that none is lost and none is sent for what did not happen.

A message is written in the transaction that opens its case. Whoever sends tries those that are not sent, the oldest
first, and notes what went wrong; the next run tries them again. Its id goes with it, so that a receiver knows one that
comes twice.
"""

import hashlib
import hmac
import json
import smtplib
import ssl
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

import httpx
from sqlalchemy import Column, Connection, Engine, Integer, String, Table, Text, insert, select, update

from group.database import UtcDateTime, metadata
from group.settings import Settings
from reporting.monitoring.alarms import ALARM_NAMES, SUGGESTIONS
from reporting.monitoring.cases import Case
from reporting.monitoring.kept import KeptAlarm

Channel = Literal["webhook", "mail"]
_SECONDS: Final = 10
_FINDINGS_TOLD: Final = 5
_LEVELS: Final = {"act": "需处置 · act", "watch": "关注 · watch"}

monitor_messages: Final = Table(
    "monitor_messages",
    metadata,
    Column("message_id", String(36), primary_key=True),
    Column("case_id", String(36), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("tries", Integer, nullable=False),
    Column("error", Text),
)


@dataclass(frozen=True, slots=True)
class Sent:
    """How many messages went out, and why others did not, by what they are of."""

    sent: int
    failed: tuple[str, ...]


def channels(settings: Settings) -> list[Channel]:
    """By which messages go, as the settings say."""
    found: list[Channel] = ["webhook"] if settings.alarm_webhook_url else []
    if settings.alarm_smtp_url and settings.alarm_mail_to:
        found.append("mail")
    return found


def write_messages(connection: Connection, case: Case, kept: KeptAlarm, by: Sequence[Channel], at: datetime) -> None:
    """Put a case's messages into the outbox, in the caller's transaction."""
    content = json.dumps(message_of(case, kept), ensure_ascii=False)
    for channel in by:
        connection.execute(
            insert(monitor_messages),
            {
                "message_id": str(uuid.uuid4()), "case_id": case.case_id, "channel": channel, "content": content,
                "written_at": at, "tries": 0,
            },
        )  # fmt: skip


def message_of(case: Case, kept: KeptAlarm) -> dict[str, Any]:
    """What is said of a case, as JSON values."""
    alarm = kept.alarm
    zh, en = ALARM_NAMES[alarm.kind]
    return {
        "case_id": case.case_id,
        "model": kept.model.name,
        "version": kept.model.version,
        "alarm": alarm.kind,
        "level": alarm.level,
        "since": alarm.begins.isoformat(),
        "period": kept.period,
        "owner": case.owner,
        "suggestion": alarm.suggestion,
        "title": {"zh": f"{kept.model}：{zh}", "en": f"{kept.model}: {en}"},
        "suggested": dict(zip(("zh", "en"), SUGGESTIONS[alarm.suggestion], strict=True)),
        "explained_by": [
            {
                "feature": one.subject, "segment": one.segment, "measure": one.measure, "value": one.value,
                "zh": one.zh, "en": one.en,
            }
            for one in alarm.findings[:_FINDINGS_TOLD]
        ],
    }  # fmt: skip


def send_messages(engine: Engine, settings: Settings, at: datetime) -> Sent:
    """Send what is not sent yet; what fails stays, with its error, for the next time."""
    with engine.connect() as connection:
        waiting = connection.execute(
            select(monitor_messages)
            .where(monitor_messages.c.sent_at.is_(None))
            .order_by(monitor_messages.c.written_at, monitor_messages.c.message_id)
        ).all()
    sent, failed = 0, []
    for row in waiting:
        changed: dict[str, object] = {"sent_at": at, "error": None}
        try:
            _send(row.channel, row.message_id, json.loads(row.content), settings)
            sent += 1
        except (httpx.HTTPError, smtplib.SMTPException, OSError, ValueError) as error:
            changed = {"error": _reason(error)}
            failed.append(f"{row.channel} of case {row.case_id[:8]}: {changed['error']}")
        with engine.begin() as connection:
            connection.execute(
                update(monitor_messages)
                .where(monitor_messages.c.message_id == row.message_id)
                .values(tries=monitor_messages.c.tries + 1, **changed)
            )
    return Sent(sent, tuple(failed))


def mail_of(message_id: str, content: dict[str, Any], sender: str, receivers: str) -> EmailMessage:
    """A message as a mail, in Chinese and English."""
    title, suggested, level = content["title"], content["suggested"], _LEVELS[content["level"]]
    mail = EmailMessage()
    mail["Subject"] = f"[Jinkong] {title['zh']} · {title['en']} ({level})"
    mail["From"] = sender or "jinkong@localhost"
    mail["To"] = receivers
    mail["Message-ID"] = f"<{message_id}@jinkong>"
    lines = [
        f"{title['zh']}（{level}，自 {content['since']}）",
        f"{title['en']} (since {content['since']}, by {content['period']})",
        "",
        *(f"- {one['feature']} ({one['segment']})：{one['zh']}\n  {one['en']}" for one in content["explained_by"]),
        "",
        f"建议 · suggested: {suggested['zh']} · {suggested['en']}",
        f"责任人 · owner: {content['owner']}",
        f"案件 · case: {content['case_id']}",
    ]
    mail.set_content("\n".join(lines))
    return mail


def _send(channel: Channel, message_id: str, content: dict[str, Any], settings: Settings) -> None:
    if channel == "webhook":
        _post(message_id, content, settings)
    else:
        _mail(message_id, content, settings)


def _post(message_id: str, content: dict[str, Any], settings: Settings) -> None:
    if settings.alarm_webhook_url is None:
        raise ValueError("JINKONG_ALARM_WEBHOOK_URL is not set any more")
    body = json.dumps(content, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": message_id}
    if settings.alarm_webhook_key is not None:
        key = settings.alarm_webhook_key.get_secret_value().encode()
        headers["X-Jinkong-Signature"] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
    url = settings.alarm_webhook_url.get_secret_value()
    httpx.post(url, content=body, headers=headers, timeout=_SECONDS).raise_for_status()


def _mail(message_id: str, content: dict[str, Any], settings: Settings) -> None:
    if settings.alarm_smtp_url is None or not settings.alarm_mail_to:
        raise ValueError("JINKONG_ALARM_SMTP_URL or JINKONG_ALARM_MAIL_TO is not set any more")
    address = urlsplit(settings.alarm_smtp_url.get_secret_value())
    host, context = address.hostname or "localhost", ssl.create_default_context()
    server: smtplib.SMTP
    if address.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, address.port or 465, timeout=_SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, address.port or 25, timeout=_SECONDS)
    with server:
        server.ehlo()
        if address.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
        if address.username:
            server.login(unquote(address.username), unquote(address.password or ""))
        server.send_message(mail_of(message_id, content, settings.alarm_mail_from, settings.alarm_mail_to))


def _reason(error: Exception) -> str:
    """Why a message did not go out. Addresses may hold passwords: the kind of error says enough."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"the receiver answered {error.response.status_code}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code}"
    if isinstance(error, ValueError):
        return str(error)
    return f"the receiver cannot be reached ({type(error).__name__})"
