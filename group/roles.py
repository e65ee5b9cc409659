"""Who may do what: the roles of the group's people and programs, and the scopes that each brings."""

from dataclasses import dataclass
from typing import Final

from group.errors import InputError


@dataclass(frozen=True, slots=True)
class Role:
    """A role by name. With ``group_wide`` its bearer looks at every company of the group."""

    name: str
    name_zh: str
    scopes: frozenset[str]
    group_wide: bool = False


SCOPES: Final = {
    "scores:write": "score parties and rows",
    "scores:batch": "score many at once, in a request or a job",
    "models:read": "see the models in service and what they read",
    "decisions:read": "see what was seen and decided, and replay it",
    "customers:read": "see a customer across the companies",
    "whitelists:read": "see and export released offers",
    "whitelists:feedback": "hand in what became of contacts",
    "events:write": "push events as they happen",
    "precredit:write": "ask for pre-credit, and accept an offer",
    "operations:read": "see the service's measures",
}
"""Every scope, and what it allows."""


class UnknownRole(InputError):
    """A name that no role has."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' is no role; the roles are {', '.join(ROLES)}.")


def _role(name: str, name_zh: str, *scopes: str, group_wide: bool = False) -> Role:
    return Role(name, name_zh, frozenset(scopes), group_wide)


_ALL: Final = (
    _role("data_scientist", "数据科学家", "scores:write", "scores:batch", "models:read", "decisions:read"),
    _role("marketer", "营销人员", "whitelists:read", "whitelists:feedback"),
    _role(
        "credit_officer", "信贷经理",
        "scores:write", "scores:batch", "models:read", "decisions:read", "customers:read", "events:write",
        "precredit:write",
    ),
    _role("approver", "审批人", "scores:write", "models:read", "decisions:read", "customers:read", "precredit:write"),
    _role("risk_committee", "风险委员会", "models:read", "decisions:read", "customers:read", group_wide=True),
    _role("reporting_officer", "报送专员", "models:read", "decisions:read", group_wide=True),
    _role("partner", "合作渠道", "precredit:write"),
    _role("administrator", "管理员", "models:read", "operations:read"),
)  # fmt: skip

ROLES: Final[dict[str, Role]] = {role.name: role for role in _ALL}


def role(name: str) -> Role:
    """The role of this name.

    Raises:
        UnknownRole: there is none.
    """
    try:
        return ROLES[name]
    except KeyError:
        raise UnknownRole(name) from None
