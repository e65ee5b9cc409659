"""Identifiers of people as tokens: what is kept says who is the same, and not who it is.

A token is a keyed hash (HMAC-SHA-256, RFC 2104) of an identity or phone number. Equal numbers have equal tokens,
whichever company delivers them, so customers are linked as before; without the key nobody gets from a token to a
number, or finds the token of a number by trying all that there are.
"""

import base64
import hashlib
import hmac
import re
from typing import Final

import polars as pl

from features.errors import ContractBroken

TOKEN_COLUMNS: Final = {
    "identity_token": "identity", "owner_identity_token": "identity", "phone_token": "phone",
}  # fmt: skip
"""Columns of customers that hold tokens, and of what: an owner is known by the number of the person that it is."""

_PREFIX: Final = "tk_"
_TOKEN_BYTES: Final = 20
_SEPARATORS: Final = re.compile(r"[\s\-.]")
_PLAIN: Final = {
    # 居民身份证 (GB 11643), of 18 or formerly 15 digits; 统一社会信用代码 (GB 32100)
    "identity": re.compile(r"\d{17}[\dX]|\d{15}|[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}"),
    "phone": re.compile(r"(\+?86)?1[3-9]\d{9}"),
}
"""What identity and phone numbers look like."""


class Tokens:
    """Makes tokens by one key; without a key, sees to it that there are tokens already."""

    def __init__(self, key: str | None) -> None:
        self._key = key.encode() if key else None

    @property
    def fingerprint(self) -> str:
        """Differs for another key, and tells nothing of it."""
        return "" if self._key is None else self._hashed("fingerprint", "")

    def of(self, table: str, rows: pl.DataFrame, where: str) -> pl.DataFrame:
        """``rows`` of a canonical table with tokens in place of numbers; ``where`` names them in errors.

        Numbers are hashed without spaces, hyphens and dots, in capitals, a phone number without the country's code.
        What is a token of ours already stays.

        Raises:
            ContractBroken: there is no key, and a column holds numbers as they are.
        """
        if table != "customers":
            return rows
        for column, kind in TOKEN_COLUMNS.items():
            if column not in rows.columns:
                continue
            values = rows[column].cast(pl.String).drop_nulls().unique()
            if self._key is None:
                self._require_tokens(values, column, kind, where)
            else:
                tokens = {value: self._token(kind, value) for value in values}
                replaced = rows[column].cast(pl.String).replace_strict(tokens, default=None, return_dtype=pl.String)
                rows = rows.with_columns(replaced.alias(column))
        return rows

    def _token(self, kind: str, value: str) -> str:
        if value.startswith(_PREFIX) or not value.strip():
            return value
        number = _number(value)
        if kind == "phone":
            number = re.sub(r"^(\+|00)?86(?=1\d{10}$)", "", number)
        return f"{_PREFIX}{self._hashed(kind, number)}"

    def _hashed(self, kind: str, number: str) -> str:
        digest = hmac.digest(self._key or b"", f"{kind}\0{number}".encode(), hashlib.sha256)[:_TOKEN_BYTES]
        return base64.b32encode(digest).decode().lower()

    def _require_tokens(self, values: pl.Series, column: str, kind: str, where: str) -> None:
        plain = sum(_PLAIN[kind].fullmatch(_number(value)) is not None for value in values)
        if plain:
            raise ContractBroken(
                f"{where}: {plain} values of '{column}' are {kind} numbers as they are, which are not kept: set "
                "JINKONG_IDENTITY_KEY, by which they become tokens, or have tokens delivered."
            )


def _number(value: str) -> str:
    return _SEPARATORS.sub("", value).upper()
