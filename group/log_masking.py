"""Identity and phone numbers do not get into logs, whoever writes them."""

import logging
import re
import traceback
from typing import Any, Final

_NUMBERS: Final = re.compile(
    r"(?<![0-9A-Za-z])(\d{17}[\dXx]|\d{15}|[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}|(?:\+?86)?1[3-9]\d{9})"
    r"(?![0-9A-Za-z])"
)
"""居民身份证 of 18 or formerly 15 digits, 统一社会信用代码, and numbers of mobile phones."""


def masked(text: str) -> str:
    """``text`` with asterisks in place of all but the last two characters of each number of a person or company."""
    return _NUMBERS.sub(lambda found: "*" * (len(found[0]) - 2) + found[0][-2:], text)


def mask_logs() -> None:
    """Mask every record that this process logs from now on, the text of exceptions too."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        made.msg = masked(made.msg) if isinstance(made.msg, str) else made.msg
        if isinstance(made.args, tuple):
            # One by one: some formatters take them apart.
            made.args = tuple(masked(value) if isinstance(value, str) else value for value in made.args)
        if made.exc_info and made.exc_info[0] is not None:
            made.exc_text = masked("".join(traceback.format_exception(*made.exc_info)).rstrip())
        return made

    record.masks = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)
