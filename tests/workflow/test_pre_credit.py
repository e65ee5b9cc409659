"""Pre-credit: what a policy can say, what it decides, and offers that are accepted once."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from group.audit import GROUP, find, hold, verify
from training.scale import MASTER_SCALE
from workflow.errors import NoPolicy, OfferClosed, UnknownProduct, WrongPolicy
from workflow.pre_credit import (
    EXAMPLE_FILE,
    Assessed,
    Offer,
    accept,
    accepted_offer,
    decide,
    find_offer,
    make_offer,
    policy_in_force,
    policy_of,
    policy_version,
    read_policy,
    release_policy,
)
from workflow.pre_credit.offers import precredit_offers

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXAMPLE = EXAMPLE_FILE.read_text()
POLICY, _ = read_policy(EXAMPLE_FILE)
CARD = POLICY.product("consumer", "revolving_card")
GOOD: dict[str, float | None] = {
    **dict.fromkeys(POLICY.features, 0.0), "is_enterprise": 0.0, "age_years": 35.0, "income_per_month": 20_000.0,
}  # fmt: skip


def assessed(grade: str = "R3", *, has_accepted: bool = False, amount: str | None = None, **other: Any) -> Assessed:
    return Assessed(GOOD | other, grade, has_accepted, None if amount is None else Decimal(amount))


def fired(*args: Any, **kwargs: Any) -> set[str]:
    return {verdict.code for verdict in decide(POLICY, CARD, assessed(*args, **kwargs)).fired}


def test_whom_no_rule_stops_is_offered_what_it_can_carry_at_the_price_of_its_grade() -> None:
    decision = decide(POLICY, CARD, assessed())
    # Half of 20,000 for 12 months at 14.8 %: more than the product's largest limit.
    assert (decision.eligible, decision.credit_limit, decision.rate_per_annum) == (True, Decimal("80000.00"), 0.148)
    # 1,000 a month left: 1000 · (1 − 1.01233…^−12) / 0.01233… = 11,092.76, in steps of 500.
    decision = decide(POLICY, CARD, assessed(income_per_month=4_000.0, due_sum_31d=1_000.0))
    assert decision.credit_limit == Decimal("11000.00")
    assert decide(POLICY, CARD, assessed(amount="7800.00")).credit_limit == Decimal("7500.00")
    assert len(decision.verdicts) == len(POLICY.rules) + len(CARD.rules) + 4


@pytest.mark.parametrize(
    ("given", "stops"),
    [
        ({"grade": "R7"}, {"grade_not_offered", "nothing_affordable"}),
        ({"is_enterprise": 1.0}, {"kind_not_served"}),
        ({"is_enterprise": None}, {"kind_not_served"}),
        ({"days_past_due_max_90d": 1.0}, {"in_arrears"}),
        ({"days_past_due_max_90d": None}, set()),
        ({"overdue_accounts_latest_360d": 2.0, "inquiries_latest_360d": 9.0}, {"overdue_elsewhere", "many_inquiries"}),
        ({"age_years": 19.9}, {"under_age"}),
        ({"age_years": 20.0}, set()),
        ({"age_years": None}, {"under_age", "over_age"}),
        ({"income_per_month": None}, {"income_unknown", "nothing_affordable"}),
        ({"income_per_month": float("inf")}, {"income_unknown", "nothing_affordable"}),
        ({"due_sum_31d": 1e9}, {"nothing_affordable"}),
        ({"has_accepted": True}, {"accepted_already"}),
        ({"amount": "1999.99"}, {"nothing_affordable"}),
    ],
)
def test_each_rule_stops_whom_it_is_for_and_says_so(given: dict[str, Any], stops: set[str]) -> None:
    assert fired(**given) == stops
    decision = decide(POLICY, CARD, assessed(**given))
    assert decision.eligible == (not stops)
    assert (decision.credit_limit is None) == bool(stops)


VALUES = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@given(
    features=st.fixed_dictionaries(dict.fromkeys(sorted(POLICY.features), VALUES)),
    grade=st.sampled_from([grade.name for grade in MASTER_SCALE]),
    amount=st.none() | st.decimals(min_value="0.01", max_value="1000000", places=2),
    product=st.sampled_from(POLICY.products),
)
def test_nothing_is_offered_beyond_what_the_product_allows_whatever_is_known(
    features: dict[str, float | None], grade: str, amount: Decimal | None, product: Any
) -> None:
    decision = decide(POLICY, product, Assessed(features, grade, amount=amount))
    assert decision == decide(POLICY, product, Assessed(features, grade, amount=amount))
    if not decision.eligible:
        assert decision.fired
        assert (decision.credit_limit, decision.rate_per_annum) == (None, None)
        return
    assert decision.credit_limit is not None
    assert product.least_limit <= decision.credit_limit <= product.largest_limit
    assert decision.credit_limit % product.step == 0
    assert amount is None or decision.credit_limit <= amount
    assert decision.rate_per_annum == product.rate_per_annum_by_grade[grade]
    # Half of the income carries the instalments: income is known, and no less than limit / term of it.
    income = features["income_per_month"]
    assert income is not None
    assert float(decision.credit_limit) <= income * POLICY.most_of_income * product.term_months


@given(st.floats(1_000, 50_000), st.floats(1_000, 50_000))
def test_more_income_never_gives_less(one: float, other: float) -> None:
    def limit(income: float) -> Decimal:
        return decide(POLICY, CARD, assessed(income_per_month=income)).credit_limit or Decimal(0)

    less, more = sorted((one, other))
    assert limit(less) <= limit(more)


def changed(*path: str | int, to: Any) -> str:
    content = yaml.safe_load(EXAMPLE)
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return yaml.safe_dump(content)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "valid dictionary"),
        (changed("valid_days", to=0), "valid_days: Input should be greater than or equal to 1"),
        (changed("valid", to=1), "valid: Extra inputs"),
        (changed("rules", 0, "stops_if", "feature", to="days_late"), "'days_late' is no feature of profile"),
        (changed("rules", 0, "stops_if", "feature", to="declined_count_90d"), "'declined_count_90d' is no feature of"),
        (changed("rules", 0, "stops_if", "below", to=1), "give one of above"),
        (changed("rules", 0, "stops_if", "above", to="much"), "rules.0.stops_if.above: Input should be a valid number"),
        (changed("rules", 0, "code", to="many_inquiries"), "two rules of the code 'many_inquiries'"),
        (changed("rules", 0, "code", to="kind_not_served"), "two rules of the code 'kind_not_served'"),
        (changed("products", 1, "kinds", to=["enterprise"]), "'consumer' does not serve a enterprise"),
        (changed("products", 0, "rate_per_annum_by_grade", "R11", to=0.2), "'R11' is no grade"),
        (changed("products", 0, "rate_per_annum_by_grade", "R1", to=0.2), "riskier grade has a lower rate"),
        (changed("products", 0, "least_limit", to=1e6), "least_limit is above largest_limit"),
    ],
)
def test_what_nothing_can_be_decided_by_is_refused_with_the_place(text: str, told: str) -> None:
    with pytest.raises(WrongPolicy, match=r"^policy\.yaml") as refused:
        policy_of(text, "policy.yaml")
    assert told in str(refused.value)


def test_a_product_that_the_company_does_not_offer_names_those_that_it_does() -> None:
    with pytest.raises(UnknownProduct, match="it offers revolving_card"):
        POLICY.product("consumer", "instalment_loan")
    with pytest.raises(UnknownProduct, match="it offers nothing"):
        POLICY.product("guarantee", "instalment_loan")


def test_the_policy_released_last_is_in_force_and_the_earlier_ones_stay(engine: Engine) -> None:
    later = changed("valid_days", to=7)
    with engine.begin() as connection:
        with pytest.raises(NoPolicy):
            policy_in_force(connection)
        release_policy(connection, EXAMPLE, by="Li", reason="the first", at=NOW)
        with pytest.raises(WrongPolicy, match="in force already, as version 1"):
            release_policy(connection, EXAMPLE, by="Li", reason="again", at=NOW)
        with pytest.raises(WrongPolicy, match="give both"):
            release_policy(connection, later, by="Li", reason=" ", at=NOW)
        release_policy(connection, later, by="Wang", reason="shorter", at=NOW)
        assert policy_in_force(connection).policy.valid_days == 7
        assert policy_version(connection, 1).text == EXAMPLE
        assert [record.actor for record in find(connection, GROUP, "2")] == ["Wang"]


def an_offer(name: str, at: datetime = NOW, limit: str = "5000.00") -> Offer:
    return Offer(
        name, "consumer", "P1", "revolving_card", Decimal(limit), 0.148, 12, 1, at, at + timedelta(days=30)
    )  # fmt: skip


def made(engine: Engine, offer: Offer) -> Offer:
    with engine.begin() as connection:
        hold(connection, offer.legal_entity)
        make_offer(connection, offer)
    return offer


def test_an_offer_is_accepted_once_within_its_validity_and_a_later_one_takes_its_place(engine: Engine) -> None:
    first, second = made(engine, an_offer("a")), made(engine, an_offer("b", NOW + timedelta(hours=1)))
    day = NOW + timedelta(days=1)
    for offer, amount, at, code in (
        (first, None, day, "offer_superseded"),
        (second, Decimal("5000.01"), day, "amount_above_limit"),
        (second, None, second.valid_until, "offer_expired"),
    ):
        with pytest.raises(OfferClosed) as refused, engine.begin() as connection:
            accept(connection, offer, amount=amount, by="flow", at=at)
        assert refused.value.code == code
    with engine.begin() as connection:
        done = accept(connection, second, amount=Decimal("3000.00"), by="flow", at=day)
        assert (done.status(day), done.accepted_amount) == ("accepted", Decimal("3000.00"))
        assert accepted_offer(connection, "consumer", "P1", "revolving_card", day) == done
        assert accepted_offer(connection, "consumer", "P1", "revolving_card", second.valid_until) is None
        assert find_offer(connection, "b", ["credit"]) is None
        assert len(find(connection, "consumer", "b")) == 1
    with pytest.raises(OfferClosed, match="was accepted at") as refused, engine.begin() as connection:
        accept(connection, second, amount=None, by="flow", at=day)
    assert refused.value.code == "offer_accepted"


def test_of_many_who_accept_at_once_one_does(engine: Engine) -> None:
    offer = made(engine, an_offer("a"))
    outcomes: list[str] = []
    together = threading.Barrier(8)

    def run() -> None:
        together.wait()
        try:
            with engine.begin() as connection:
                accept(connection, offer, amount=None, by="flow", at=NOW)
            outcomes.append("accepted")
        except OfferClosed as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted"] + ["offer_accepted"] * 7
    with engine.connect() as connection:
        taken = connection.execute(select(func.count()).where(precredit_offers.c.accepted_at.is_not(None))).scalar()
        assert (taken, len(find(connection, "consumer", "a"))) == (1, 1)
    assert verify(engine) is None
