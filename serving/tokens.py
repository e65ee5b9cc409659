"""Access tokens: JWTs that say who calls, what for and for which companies. Their keys rotate."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from group.accounts import Account
from group.settings import Settings

_ISSUER: Final = "jinkong"
_ALGORITHM: Final = "HS256"
_MOST_REMEMBERED: Final = 4_096


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an account's name, its scopes, and the companies that it acts for."""

    name: str
    scopes: frozenset[str]
    legal_entities: frozenset[str]
    requests_per_second: float | None = None


class InvalidToken(Exception):
    """A token that this service did not give, or that has run out."""


class Tokens:
    """Gives and reads tokens. The first key signs, the others are still believed: that is how keys are rotated."""

    def __init__(self, keys: Sequence[str], lasts: timedelta) -> None:
        self.lasts = lasts
        # A key's name is a hash of it, so that nobody has to think one up.
        named = [OctKey.import_key(key, {"kid": hashlib.sha256(key.encode()).hexdigest()[:16]}) for key in keys]
        self._signs = named[0]
        self._believed = KeySet(list(named))
        self._read: dict[str, tuple[Caller, float]] = {}

    def given_to(self, account: Account, scopes: frozenset[str], at: datetime) -> str:
        """A token for an account that has signed in, with no more than its own scopes."""
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "sub": account.name,
            "iat": int(at.timestamp()),
            "exp": int((at + self.lasts).timestamp()),
            "jti": secrets.token_hex(8),
            "scope": " ".join(sorted(scopes & account.scopes)),
            "legal_entities": sorted(account.legal_entities),
        }
        if account.requests_per_second is not None:
            claims["requests_per_second"] = account.requests_per_second
        return jwt.encode({"alg": _ALGORITHM, "kid": self._signs.kid}, claims, self._signs, algorithms=[_ALGORITHM])

    def caller(self, token: str, at: datetime) -> Caller:
        """Who shows the token.

        Raises:
            InvalidToken: it was not given here, was changed, or has run out.
        """
        now = at.timestamp()
        known = self._read.get(token)
        if known is not None:
            if known[1] <= now:
                del self._read[token]
                raise InvalidToken("The token has run out; ask POST /v1/token for a new one.")
            return known[0]
        claims = self._verified(token)
        expires = float(claims["exp"])
        if expires <= now:
            raise InvalidToken("The token has run out; ask POST /v1/token for a new one.")
        caller = Caller(
            str(claims["sub"]),
            frozenset(str(claims["scope"]).split()),
            frozenset(map(str, claims["legal_entities"])),
            claims.get("requests_per_second"),
        )
        # Verifying costs as much as scoring; a token is shown a thousand times.
        if len(self._read) >= _MOST_REMEMBERED:
            self._read.clear()
        self._read[token] = caller, expires
        return caller

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self._believed, algorithms=[_ALGORITHM]).claims
        except (JoseError, ValueError, TypeError):
            raise InvalidToken("The token is none of this service's.") from None
        if claims.get("iss") != _ISSUER:
            raise InvalidToken("The token is none of this service's.")
        return dict(claims)


def tokens_of(settings: Settings) -> Tokens:
    """By the keys of the settings; without any, by one that ends with this process."""
    given = settings.token_keys.get_secret_value().split(",") if settings.token_keys else []
    keys = [key.strip() for key in given if key.strip()] or [secrets.token_urlsafe(32)]
    return Tokens(keys, timedelta(minutes=settings.token_minutes))
