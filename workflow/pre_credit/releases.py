"""Policies as they are released: each version with its text and hash, never changed; the newest is in force."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, Select, String, Table, Text, insert, select

from group.audit import GROUP, AuditEvent, append
from group.database import UtcDateTime, metadata
from workflow.errors import NoPolicy, WrongPolicy
from workflow.pre_credit.policy import Policy, policy_of

POLICY_RELEASED: Final = "precredit.policy_released"

precredit_policies: Final = Table(
    "precredit_policies",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("released_at", UtcDateTime, nullable=False),
    Column("released_by", String(200), nullable=False),
    Column("reason", String(500), nullable=False),
)


@dataclass(frozen=True, slots=True)
class ReleasedPolicy:
    """A version of the policy: ``text`` is the file that it was released from."""

    version: int
    sha256: str
    text: str
    released_at: datetime
    released_by: str
    reason: str

    @property
    def policy(self) -> Policy:
        """What the text says."""
        return _parsed(self.text, self.version)


def release_policy(connection: Connection, text: str, *, by: str, reason: str, at: datetime) -> ReleasedPolicy:
    """Put a policy in force, on record with who let it and why.

    Raises:
        WrongPolicy: the text is none, is in force already, or no name or reason is given.
    """
    if not by.strip() or not reason.strip():
        raise WrongPolicy("A policy is released by a person, for a reason: give both.")
    policy_of(text, "The policy")
    newest = _newest(connection)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if newest is not None and newest.sha256 == digest:
        raise WrongPolicy(f"This very policy is in force already, as version {newest.version}.")
    version = 1 if newest is None else newest.version + 1
    kept = ReleasedPolicy(version, digest, text, at, by.strip(), reason.strip())
    connection.execute(
        insert(precredit_policies), {name: getattr(kept, name) for name in ReleasedPolicy.__dataclass_fields__}
    )
    payload = {"sha256": digest, "reason": kept.reason}
    append(connection, AuditEvent(GROUP, kept.released_by, POLICY_RELEASED, str(version), payload), at)
    return kept


def policy_in_force(connection: Connection) -> ReleasedPolicy:
    """The newest released version.

    Raises:
        NoPolicy: none is released.
    """
    newest = _newest(connection)
    if newest is None:
        raise NoPolicy(
            "No pre-credit policy is released: `jinkong pre-credit example > policy.yaml`, make it yours, then "
            "`jinkong pre-credit release policy.yaml`."
        )
    return newest


def policy_version(connection: Connection, version: int) -> ReleasedPolicy:
    """A released version.

    Raises:
        NoPolicy: there is no such version.
    """
    row = connection.execute(_EVERY.where(precredit_policies.c.version == version)).first()
    if row is None:
        raise NoPolicy(f"No version {version} of the pre-credit policy was ever released.")
    return ReleasedPolicy(*row)


def all_policies(connection: Connection) -> list[ReleasedPolicy]:
    """Every released version, the newest first."""
    return [ReleasedPolicy(*row) for row in connection.execute(_EVERY.order_by(precredit_policies.c.version.desc()))]


_EVERY: Final[Select[Any]] = select(*(precredit_policies.c[name] for name in ReleasedPolicy.__dataclass_fields__))


def _newest(connection: Connection) -> ReleasedPolicy | None:
    row = connection.execute(_EVERY.order_by(precredit_policies.c.version.desc()).limit(1)).first()
    return None if row is None else ReleasedPolicy(*row)


@lru_cache(maxsize=8)
def _parsed(text: str, version: int) -> Policy:
    return policy_of(text, f"Version {version} of the policy")
