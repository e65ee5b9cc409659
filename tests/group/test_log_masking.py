"""Numbers of people and companies do not get into logs."""

import logging
from collections.abc import Iterator

import pytest

from group.log_masking import mask_logs, masked


@pytest.fixture
def masking() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    mask_logs()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("customer 11010519491231002X came", "customer ****************2X came"),
        ("110105491231002", "*************02"),
        ("call 13800138000, or +8613800138000.", "call *********00, or ************00."),
        ("91110108MA01KPGK8H", "****************8H"),
        # What is none: amounts, instants, hashes, ids.
        ("138001380001 1735689600000 0198c2c3-8f7e-7d0e-9a53-6a1a4e1d2f10", None),
        ("9f2c13800138000aa P224SG43JK7D 2026-01-03T09:30:00Z 12000000.50", None),
    ],
)  # fmt: skip
def test_numbers_are_masked_and_nothing_else(text: str, shown: str | None) -> None:
    assert masked(text) == (text if shown is None else shown)


@pytest.mark.usefixtures("masking")
def test_messages_arguments_and_exceptions_are_masked(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("jinkong.test")
    log.warning("%s asks for %s %d", "13800138000", "11010519491231002X", 5)
    log.warning("a phone: 13900139000")
    try:
        int("customer 11010519491231002X")
    except ValueError:
        log.exception("failed")
    assert "*********00 asks for ****************2X 5" in caplog.text
    assert "customer ****************2X" in caplog.text
    for number in ("13800138000", "13900139000", "11010519491231002X"):
        assert number not in caplog.text
