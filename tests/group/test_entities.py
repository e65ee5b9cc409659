"""The six companies."""

import pytest

from group.entities import LEGAL_ENTITIES, UnknownLegalEntity, legal_entity


def test_there_are_six_companies_each_with_its_own_licence() -> None:
    assert list(LEGAL_ENTITIES) == ["credit", "guarantee", "leasing", "factoring", "consumer", "supply_chain"]
    assert len({company.licence for company in LEGAL_ENTITIES.values()}) == 6
    assert all(company.serves_persons or company.serves_enterprises for company in LEGAL_ENTITIES.values())


def test_an_unknown_code_is_refused_with_the_known_ones() -> None:
    assert legal_entity("leasing").name_zh == "金控融资租赁有限公司"
    with pytest.raises(UnknownLegalEntity, match="'bank' is not a company of the group; the companies are credit"):
        legal_entity("bank")
