"""Lines of the report that are no figures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be looked at, or was strange; ``code`` says what, in one word."""

    code: str
    en: str
    zh: str
