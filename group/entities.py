"""The licensed companies of the group, as its supervisors know them."""

from dataclasses import dataclass
from typing import Final

from group.errors import InputError


@dataclass(frozen=True, slots=True)
class LegalEntity:
    """One licensed company.

    ``code`` stands in the ``legal_entity`` column of every table. ``licence`` names the licence the company holds,
    ``supervised_under`` the rule it is supervised under.
    """

    code: str
    name_zh: str
    name_en: str
    licence: str
    supervised_under: str
    serves_persons: bool
    serves_enterprises: bool


class UnknownLegalEntity(InputError):
    """A code that names none of the group's companies."""

    def __init__(self, code: str) -> None:
        super().__init__(f"'{code}' is not a company of the group; the companies are {', '.join(LEGAL_ENTITIES)}.")


_ALL: Final = (
    LegalEntity(
        "credit", "金控小额贷款有限公司", "Jinkong Microcredit Co.",
        "小额贷款 (microcredit)", "小额贷款公司监督管理暂行办法 (2024)",
        serves_persons=True, serves_enterprises=True,
    ),
    LegalEntity(
        "guarantee", "金控融资担保有限公司", "Jinkong Financing Guarantee Co.",
        "融资担保 (financing guarantee)", "融资担保公司监督管理条例 (2017)",
        serves_persons=False, serves_enterprises=True,
    ),
    LegalEntity(
        "leasing", "金控融资租赁有限公司", "Jinkong Financial Leasing Co.",
        "融资租赁 (financial leasing)", "融资租赁公司监督管理暂行办法 (2020)",
        serves_persons=True, serves_enterprises=True,
    ),
    LegalEntity(
        "factoring", "金控商业保理有限公司", "Jinkong Commercial Factoring Co.",
        "商业保理 (commercial factoring)", "关于加强商业保理企业监督管理的通知 (2019)",
        serves_persons=False, serves_enterprises=True,
    ),
    LegalEntity(
        "consumer", "金控消费金融有限公司", "Jinkong Consumer Finance Co.",
        "消费金融 (consumer finance)", "消费金融公司管理办法 (2024)",
        serves_persons=True, serves_enterprises=False,
    ),
    LegalEntity(
        "supply_chain", "金控供应链金融有限公司", "Jinkong Supply-Chain Finance Co.",
        "供应链金融 (supply-chain finance)", "关于规范发展供应链金融支持供应链产业链稳定循环和优化升级的意见 (2020)",
        serves_persons=False, serves_enterprises=True,
    ),
)  # fmt: skip

LEGAL_ENTITIES: Final[dict[str, LegalEntity]] = {entity.code: entity for entity in _ALL}
"""The six companies by code, in the order in which reports list them."""


def legal_entity(code: str) -> LegalEntity:
    """The company with this code.

    Raises:
        UnknownLegalEntity: no company has it.
    """
    try:
        return LEGAL_ENTITIES[code]
    except KeyError:
        raise UnknownLegalEntity(code) from None
