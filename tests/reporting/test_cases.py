"""Cases and messages about them: on record, in somebody's hands, told once and not lost."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MailHandler
from pydantic import SecretStr
from sqlalchemy import Engine, select

from group.audit import GROUP, find, verify
from group.settings import InvalidSetting, Settings, load_settings
from reporting.monitoring.alarms import Alarm
from reporting.monitoring.cases import (
    CaseRefused,
    NoCase,
    all_cases,
    close,
    find_case,
    note_retraining,
    open_cases,
    take,
    unclosed_cases,
)
from reporting.monitoring.findings import Finding
from reporting.monitoring.kept import KeptAlarm, keep_alarms, kept_alarms
from reporting.monitoring.messages import channels, mail_of, message_of, monitor_messages, send_messages, write_messages
from reporting.monitoring.scored import WatchedModel
from reporting.monitoring.thresholds import read_thresholds
from tests.conftest import free_port

_AT = datetime(2026, 2, 1, 3, tzinfo=UTC)
_MODEL = WatchedModel("credit_pd", "3")
_KEY = "k" * 32


def _alarm(begins: date = date(2026, 1, 1), ended: date | None = None) -> Alarm:
    finding = Finding(
        "feature_drift", "income", "kind=person", "stability_index", 0.31, 0.1, "act", "it moved", "已变化"
    )  # fmt: skip
    return Alarm("feature_drift", begins, begins, ended, "act", (finding,), "retrain")


def _opened(engine: Engine, *alarms: Alarm) -> list[tuple[Any, KeptAlarm]]:
    with engine.begin() as connection:
        kept = keep_alarms(connection, _MODEL, "month", alarms)
        return open_cases(connection, kept, read_thresholds().owners, _AT)


def test_an_alarm_opens_one_case_however_often_it_is_looked_at(engine: Engine) -> None:
    [(case, _)] = _opened(engine, _alarm())
    assert (case.owner, case.state) == ("model owner", "open")
    assert _opened(engine, _alarm()) == []
    with engine.connect() as connection:
        assert [kept.case_id for kept in kept_alarms(connection)] == [case.case_id]
        assert all_cases(connection) == [case]
    # A second alarm of the kind belongs to the case that is open; once that is closed, a new one opens another.
    assert _opened(engine, _alarm(ended=date(2026, 3, 1)), _alarm(date(2026, 4, 1))) == []
    with engine.begin() as connection:
        close(connection, case.case_id, by="Li", reason="the feed was put right", at=_AT)
    assert len(_opened(engine, _alarm(date(2026, 6, 1)))) == 1
    assert verify(engine) is None


def test_each_step_of_a_case_is_in_the_audit_log_and_a_closed_one_takes_none(engine: Engine) -> None:
    [(case, _)] = _opened(engine, _alarm())
    with engine.begin() as connection:
        assert take(connection, case.case_id[:8], by="Wang", at=_AT).owner == "Wang"
        assert note_retraining(connection, case.case_id, "4", "candidate", _AT).retrained
        with pytest.raises(CaseRefused, match="for a reason"):
            close(connection, case.case_id, by="Wang", reason=" ", at=_AT)
        with pytest.raises(CaseRefused, match="give a name"):
            take(connection, case.case_id, by=" ", at=_AT)
        closed = close(connection, case.case_id, by="Wang", reason="version 4 is champion", at=_AT)
        assert (closed.state, closed.closed_at, unclosed_cases(connection)) == ("closed", _AT, [])
        with pytest.raises(CaseRefused, match="was closed on 2026-02-01"):
            take(connection, case.case_id, by="Li", at=_AT)
        records = find(connection, GROUP, case.case_id)
    assert [record.action.removeprefix("monitoring.case_") for record in records] == [
        "opened", "taken", "retrained", "closed",
    ]  # fmt: skip
    assert json.loads(records[0].payload)["explained_by"] == ["income (kind=person)"]


def test_a_case_is_found_by_its_beginning_if_no_other_begins_so(engine: Engine) -> None:
    [(case, _)] = _opened(engine, _alarm())
    with engine.connect() as connection:
        assert find_case(connection, case.case_id[:6]) == case
        for wrong in ("zzzz", "", "%"):
            with pytest.raises(NoCase, match="jinkong monitor cases"):
                find_case(connection, wrong)


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    server.seen, server.status = [], 200  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


class _Mailbox(MailHandler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.seen.append(message)


@pytest.fixture
def mail_server() -> Iterator[tuple[_Mailbox, str]]:
    mailbox = _Mailbox()
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, f"smtp://127.0.0.1:{port}"
    controller.stop()


def _told(settings: Settings, engine: Engine) -> None:
    [(case, kept)] = _opened(engine, _alarm())
    with engine.begin() as connection:
        write_messages(connection, case, kept, channels(settings), _AT)


def test_a_case_is_told_by_webhook_and_mail_once(
    engine: Engine, receiver: HTTPServer, mail_server: tuple[_Mailbox, str], settings: Settings
) -> None:
    mailbox, smtp = mail_server
    own = settings.model_copy(
        update={
            "alarm_webhook_url": SecretStr(f"http://127.0.0.1:{receiver.server_port}/hook"),
            "alarm_webhook_key": SecretStr(_KEY),
            "alarm_smtp_url": SecretStr(smtp),
            "alarm_mail_from": "jinkong@example.com",
            "alarm_mail_to": "risk@example.com, model@example.com",
        }
    )
    _told(own, engine)
    assert send_messages(engine, own, _AT).sent == 2
    assert send_messages(engine, own, _AT).sent == 0
    [(headers, body)] = receiver.seen  # type: ignore[attr-defined]
    content = json.loads(body)
    assert (content["alarm"], content["suggestion"], content["owner"]) == ("feature_drift", "retrain", "model owner")
    assert content["explained_by"][0]["feature"] == "income"
    signature = hmac.new(_KEY.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Jinkong-Signature"] == f"sha256={signature}"
    [mail] = mailbox.seen
    assert mail["To"] == "risk@example.com, model@example.com"
    text = mail.get_payload(decode=True).decode()
    assert "income (kind=person)：已变化" in text
    assert "责任人 · owner: model owner" in text


def test_what_cannot_be_sent_stays_and_goes_out_the_next_time(
    engine: Engine, receiver: HTTPServer, settings: Settings
) -> None:
    secret = f"http://user:secret@127.0.0.1:{receiver.server_port}/hook"
    own = settings.model_copy(update={"alarm_webhook_url": SecretStr(secret)})
    _told(own, engine)
    receiver.status = 500  # type: ignore[attr-defined]
    [failed] = send_messages(engine, own, _AT).failed
    assert failed.endswith("the receiver answered 500")
    away = own.model_copy(update={"alarm_webhook_url": SecretStr("http://user:secret@127.0.0.1:9/hook")})
    [failed] = send_messages(engine, away, _AT).failed
    assert "cannot be reached" in failed
    unset = own.model_copy(update={"alarm_webhook_url": None})
    assert "not set any more" in send_messages(engine, unset, _AT).failed[0]
    with engine.connect() as connection:
        row = connection.execute(select(monitor_messages)).one()
    assert (row.tries, row.sent_at) == (3, None)
    assert "secret" not in f"{row.error}{row.content}"
    receiver.status = 204  # type: ignore[attr-defined]
    assert send_messages(engine, own, _AT).sent == 1
    ids = {headers["Idempotency-Key"] for headers, _ in receiver.seen}  # type: ignore[attr-defined]
    assert ids == {row.message_id}


def test_a_mail_speaks_both_languages(engine: Engine) -> None:
    [(case, kept)] = _opened(engine, _alarm())
    mail = mail_of("m", message_of(case, kept), "", "a@example.com")
    assert str(mail["Subject"]) == "[Jinkong] credit_pd v3：特征漂移 · credit_pd v3: features have moved (需处置 · act)"
    assert mail["From"] == "jinkong@localhost"


def test_wrong_addresses_are_refused_and_not_shown() -> None:
    for name, value in (("ALARM_WEBHOOK_URL", "ftp://secret@host"), ("ALARM_SMTP_URL", "secret@host")):
        with pytest.raises(InvalidSetting, match=name) as raised:
            load_settings({f"JINKONG_{name}": value})
        assert "secret" not in str(raised.value)
