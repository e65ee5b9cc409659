"""Whitelists: who must not be on them, what is on them, and that they come out the same again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import resolve_parties
from group.database import migrate, open_database, reading
from tests.features.tables import JOINED, a_customer, a_default, a_loan, a_statement, write
from training.amounts import AmountModel, Line
from training.calibration import Calibration
from training.inputs import numbers
from training.model import ScoringModel
from training.pre_credit import Product, profit_rate
from training.whitelist.channels import ChannelRates, channel_rates, chosen_channels
from training.whitelist.do_not_contact import ask_not_to_contact, not_to_contact
from training.whitelist.facts import prospect_facts
from training.whitelist.kept import (
    KeptWhitelist,
    NoWhitelist,
    OfferFilter,
    ReleaseRefused,
    contacts_by_lists,
    keep_whitelist,
    next_version,
    offers_of,
    release,
    released,
    whitelist,
)
from training.whitelist.making import Ingredients, MarketingModels, Whitelist, held_out, make_whitelist
from training.whitelist.plan import EXAMPLE_FILE, ChannelPlan, WhitelistPlan, WrongPlan, plan_of, read_plan

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOBODY = pl.DataFrame(
    schema={"legal_entity": pl.String, "party_id": pl.String, "event_timestamp": pl.Datetime("us", "UTC")}
)


@pytest.fixture(scope="module")
def plan() -> WhitelistPlan:
    return read_plan(EXAMPLE_FILE)[0]


def a_contact(at: datetime, **changes: Any) -> dict[str, Any]:
    row = {
        "legal_entity": "consumer", "customer_id": "C1", "campaign_id": f"{at:%Y%m%d}", "treated": True,
        "channel": "sms", "responded": False, "took_up": False, "event_timestamp": at,
        "created_timestamp": at + 30 * DAY,
    }  # fmt: skip
    return row | changes


def an_application(at: datetime, **changes: Any) -> dict[str, Any]:
    row = {
        "legal_entity": "consumer", "customer_id": "C1", "application_id": f"A{at:%Y%m%d}", "product": "revolving_card",
        "amount": Decimal("1000.00"), "currency": "CNY", "term_months": 12, "purpose": None, "channel": None,
        "outcome": "declined", "event_timestamp": at, "created_timestamp": at,
    }  # fmt: skip
    return row | changes


def facts_of(
    canonical: Path,
    plan: WhitelistPlan,
    customers: Sequence[dict[str, Any]],
    listed: pl.DataFrame = NOBODY,
    **tables: Any,
) -> dict[str, dict[str, Any]]:
    """What each company knows of the one party, by company; tables that are not given hold nothing of it."""
    write(canonical, "customers", customers)
    write(canonical, "statements", tables.pop("statements", [a_statement(AS_OF - 5 * DAY)]))
    write(canonical, "defaults", tables.pop("defaults", []))
    for name, rows in tables.items():
        write(canonical, name, rows)
    resolve_parties(canonical)
    rows = prospect_facts(canonical, plan, AS_OF, AS_OF + 60 * DAY, listed)
    return {row["legal_entity"]: row for row in rows.to_dicts()}


CONSENTING = a_customer(marketing_consent=True)


def test_a_company_sees_anothers_customer_only_with_consent_to_sharing(tmp_path: Path, plan: WhitelistPlan) -> None:
    shared = facts_of(tmp_path / "a", plan, [CONSENTING])
    assert set(shared) == set(plan.companies)
    assert (shared["credit"]["source"], shared["credit"]["own"]) == ("consumer", False)
    assert (shared["consumer"]["source"], shared["consumer"]["own"]) == ("consumer", True)
    kept = facts_of(tmp_path / "b", plan, [CONSENTING | {"share_within_group_consent": False}])
    assert set(kept) == {"consumer"}


def test_its_own_record_comes_before_a_newer_one_elsewhere(tmp_path: Path, plan: WhitelistPlan) -> None:
    newer = CONSENTING | {
        "legal_entity": "credit", "customer_id": "K1", "event_timestamp": JOINED + 90 * DAY,
        "created_timestamp": JOINED + 90 * DAY, "marketing_consent": False, "region": "440000",
    }  # fmt: skip
    known = facts_of(tmp_path, plan, [CONSENTING, newer])
    assert (known["consumer"]["source"], known["consumer"]["region"]) == ("consumer", "31")
    assert (known["credit"]["source"], known["credit"]["marketing_consent"]) == ("credit", False)
    assert known["leasing"]["source"] == "credit"


@pytest.mark.parametrize(
    ("tables", "fact", "value"),
    [
        ({"contacts": [a_contact(AS_OF - 89 * DAY)]}, "contacts", 1),
        ({"contacts": [a_contact(AS_OF - 91 * DAY)]}, "contacts", 0),
        ({"contacts": [a_contact(AS_OF - 10 * DAY, treated=False)]}, "contacts", 0),
        ({"contacts": [a_contact(AS_OF + DAY)]}, "contacts", 0),
        ({"applications": [an_application(AS_OF - 89 * DAY)]}, "declined", True),
        ({"applications": [an_application(AS_OF - 91 * DAY)]}, "declined", False),
        ({"applications": [an_application(AS_OF - 5 * DAY, outcome="approved")]}, "declined", False),
        ({"statements": [a_statement(AS_OF - 5 * DAY, days_past_due=12)]}, "days_past_due", 12),
        ({"statements": [a_statement(AS_OF - 50 * DAY, days_past_due=12)]}, "days_past_due", 0),
        ({"statements": [a_statement(AS_OF - DAY / 2, days_past_due=12)]}, "days_past_due", 0),
        ({"defaults": [a_default(AS_OF - 400 * DAY)]}, "defaulted", True),
        ({"defaults": [a_default(AS_OF + DAY)]}, "defaulted", False),
        ({"loans": [a_loan(AS_OF - 200 * DAY)]}, "held", ["revolving_card"]),
        ({"loans": [a_loan(AS_OF - 200 * DAY), a_loan(AS_OF - 9 * DAY, status="settled")]}, "held", []),
        ({"loans": [a_loan(AS_OF + DAY)]}, "held", []),
    ],
)
def test_what_is_known_at_the_instant_counts_and_nothing_later(
    tmp_path: Path, plan: WhitelistPlan, tables: dict[str, Any], fact: str, value: object
) -> None:
    assert facts_of(tmp_path, plan, [CONSENTING], **tables)["consumer"][fact] == value


def test_contacts_of_earlier_lists_count_where_the_party_is_seen(tmp_path: Path, plan: WhitelistPlan) -> None:
    party = facts_of(tmp_path, plan, [CONSENTING])["consumer"]["party_id"]
    listed = pl.DataFrame(
        [
            ("credit", party, AS_OF - 3 * DAY), ("consumer", party, AS_OF - 2 * DAY),
            ("consumer", party, AS_OF - 99 * DAY),
        ],
        schema=NOBODY.schema, orient="row",
    )  # fmt: skip
    known = facts_of(tmp_path, plan, [CONSENTING], listed)
    # The lending company made one contact itself and sees the other's, as the customer allowed.
    assert known["credit"]["contacts"] == 2
    assert known["consumer"]["contacts"] == 1


# -- making -----------------------------------------------------------------------------------------------------------

FEATURES = ("income_per_month", "due_sum_31d", "risk")


def a_scoring_model(task: str, slope: float, intercept: float) -> ScoringModel:
    """Log-odds near ``slope · risk + intercept``, by trees."""
    rng = np.random.default_rng(1)
    rows = rng.uniform(-3, 3, size=(4_000, 3))
    odds = slope * rows[:, 2] + intercept
    labels = (rng.random(4_000) < 1 / (1 + np.exp(-odds))).astype(float)
    booster = lgb.train(
        {"objective": "binary", "num_leaves": 8, "verbosity": -1, "num_threads": 1}, lgb.Dataset(rows, labels), 30
    )
    return ScoringModel(booster, numbers(FEATURES), Calibration("beta"), "credit" if task == "credit" else "response")


def a_line(task: str, *slopes: float, intercept: float) -> AmountModel:
    return AmountModel(task, FEATURES, line=Line((0.0, 0.0, 0.0), slopes, intercept))


@pytest.fixture(scope="module")
def models() -> MarketingModels:
    return MarketingModels(
        default=a_scoring_model("credit", 1.0, -4.0),
        response=a_scoring_model("response", 0.2, -1.5),
        uplift=a_line("uplift", 0.0, 0.0, -0.02, intercept=0.06),
        value=a_line("customer_value", 0.1, 0.0, 0.0, intercept=0.0),
    )


person = st.fixed_dictionaries(
    {
        "marketing_consent": st.booleans(),
        "contacts": st.integers(0, 3),
        "declined": st.booleans(),
        "days_past_due": st.sampled_from([0, 0, 0, 5]),
        "defaulted": st.sampled_from([False, False, True]),
        "kind": st.sampled_from(["person", "enterprise"]),
        "age_years": st.sampled_from([None, 17.0, 30.0, 70.0]),
        "region": st.sampled_from(["31", "44"]),
        "held": st.sampled_from([[], ["revolving_card"], ["instalment_loan"]]),
        "income": st.sampled_from([None, 0.0, 8_000.0, 60_000.0]),
        "risk": st.sampled_from([-2.0, 0.0, 2.0, None]),
        "silent": st.sampled_from([False, False, True]),
    }
)


def ingredients(people: Sequence[dict[str, Any]], models: MarketingModels, companies: Sequence[str]) -> Ingredients:
    facts, features, silent = [], [], set()
    for number, one in enumerate(people):
        party = f"P{number:03d}"
        if one["silent"]:
            silent.add(party)
        for company in companies:
            facts.append(
                {name: one[name] for name in one if name not in ("income", "risk", "silent")}
                | {"legal_entity": company, "party_id": party, "source": company, "customer_id": f"{company}{number}",
                   "own": True, "industry": "F" if one["kind"] == "enterprise" else ""}
            )  # fmt: skip
            unknown = one["risk"] is None
            features.append(
                {"income_per_month": None if unknown else one["income"], "due_sum_31d": None if unknown else 100.0,
                 "risk": one["risk"]}
            )  # fmt: skip
    return Ingredients(
        facts=pl.DataFrame(facts, schema_overrides={"age_years": pl.Float64, "held": pl.List(pl.String)}),
        features=pl.DataFrame(features, schema=dict.fromkeys(FEATURES, pl.Float64)),
        models=models,
        rates=ChannelRates({"sms": 1.1}),
        do_not_contact=silent,
        as_of=AS_OF,
        seed="spring/1",
    )


def made(plan: WhitelistPlan, people: Sequence[dict[str, Any]], models: MarketingModels) -> Whitelist:
    return make_whitelist(plan, ingredients(people, models, plan.companies))


@given(people=st.lists(person, min_size=1, max_size=25), contacts=st.sampled_from([0, 2, 500]))
@settings(max_examples=60, deadline=None)
def test_nobody_is_on_a_list_who_must_not_be_and_every_cap_is_kept(
    plan: WhitelistPlan, models: MarketingModels, people: list[dict[str, Any]], contacts: int
) -> None:
    tight = plan.model_copy(update={"caps": plan.caps.model_copy(update={"contacts": contacts, "budget": 900_000.0})})
    found = made(tight, people, models)
    offers = found.offers
    assert offers["party_id"].n_unique() == len(offers)
    assert len(offers) <= contacts
    assert offers["credit_limit"].sum() <= 900_000
    assert offers["rank"].to_list() == list(range(1, len(offers) + 1))
    assert offers["expected_profit"].is_sorted(descending=True)
    for offer in offers.iter_rows(named=True):
        one = people[int(offer["party_id"][1:])]
        product = next(product for product in plan.products if product.name == offer["product"])
        assert one["marketing_consent"]
        assert not any(one[name] for name in ("silent", "declined", "defaulted"))
        assert one["days_past_due"] == 0
        assert one["contacts"] < plan.rules.most_contacts
        assert one["kind"] in product.kinds
        assert product.name not in one["held"]
        assert product.legal_entity == offer["legal_entity"]
        assert offer["probability_of_default"] <= min(product.highest_pd, plan.caps.highest_pd)
        assert product.least_limit <= offer["credit_limit"] <= product.largest_limit
        assert offer["credit_limit"] % product.step == 0
        assert one["income"]
        if product.least_age_years:
            assert product.least_age_years <= one["age_years"] <= product.largest_age_years
        assert offer["expected_profit"] > 0
        assert offer["reason_zh"]
        assert offer["reason_en"]
        assert (offer["valid_until"] - offer["valid_from"]).days == plan.valid_days
    assert made(tight, people, models).sha256 == found.sha256


def people_alike(count: int) -> list[dict[str, Any]]:
    return [
        {
            "marketing_consent": True, "contacts": 0, "declined": False, "days_past_due": 0, "defaulted": False,
            "kind": "person", "age_years": 35.0, "region": "31", "held": [], "income": 20_000.0, "risk": -1.0,
            "silent": False,
        }
        for _ in range(count)
    ]  # fmt: skip


def test_every_reason_to_be_left_out_is_counted_once(plan: WhitelistPlan, models: MarketingModels) -> None:
    base = people_alike(1)[0]
    changes: list[tuple[str, dict[str, Any]]] = [
        ("do_not_contact", {"silent": True, "marketing_consent": False}),
        ("no_consent", {"marketing_consent": False, "defaulted": True}),
        ("defaulted", {"defaulted": True}),
        ("in_arrears", {"days_past_due": 5, "declined": True}),
        ("cooling_off", {"declined": True}),
        ("frequency_cap", {"contacts": 2}),
        ("not_scored", {"risk": None}),
        ("too_risky", {"risk": 3.0}),
        ("no_product", {"age_years": 12.0}),
    ]
    only = plan.model_copy(update={"products": plan.products[:1]})
    found = made(only, [base | change for _, change in changes], models)
    assert found.left_out == {name: 1 for name, _ in changes}
    assert found.seen == len(changes)
    assert len(found.offers) == 0


def test_the_products_of_several_companies_make_one_offer_a_party(plan: WhitelistPlan, models: MarketingModels) -> None:
    roomy = plan.model_copy(update={"caps": plan.caps.model_copy(update={"budget": 1e9, "largest_share": {}})})
    found = made(roomy, people_alike(30), models)
    assert len(found.offers) == 30
    pd = found.offers["probability_of_default"].to_numpy()[:1]
    assert set(found.offers["probability_of_default"]) == set(pd)

    def earned(product: Product) -> float:
        rate = product.rate_per_annum / 12
        # Half of 20,000 a month, less the 100 that are due already.
        carried = 9_900 * (1 - (1 + rate) ** -product.term_months) / rate
        return float(profit_rate(product, pd)[0] * min(carried, product.largest_limit))

    offered = [product.terms for product in plan.products if "person" in product.kinds]
    assert set(found.offers["product"]) == {max(offered, key=earned).name}


def test_holding_out_is_random_and_depends_on_the_list_and_the_party_alone() -> None:
    parties = [f"P{number}" for number in range(20_000)]
    drawn = held_out(parties, "spring/1", 0.1)
    assert np.mean(drawn) == pytest.approx(0.1, abs=0.01)
    assert held_out(parties[::-1], "spring/1", 0.1) == drawn[::-1]
    both = np.mean(np.logical_and(drawn, held_out(parties, "spring/2", 0.1)))
    assert both == pytest.approx(0.01, abs=0.004)


def test_a_channel_with_few_places_goes_to_those_who_gain_most_by_it() -> None:
    channels = {"app": ChannelPlan(cost=0.0), "call": ChannelPlan(cost=5.0, most=2)}
    worth = np.array([10.0, 300.0, 100.0, 200.0, 1.0])
    names, value = chosen_channels(worth, channels, ChannelRates({"call": 1.5, "app": 1.0}))
    assert names == ["app", "call", "app", "call", "app"]
    assert value.tolist() == [10.0, 445.0, 100.0, 295.0, 1.0]


def test_a_channels_rate_is_drawn_to_that_of_all_where_it_was_seldom_used(tmp_path: Path) -> None:
    rows = [a_contact(JOINED + n * DAY, customer_id=f"C{n}", took_up=n % 5 == 0) for n in range(500)]
    rows += [a_contact(JOINED, customer_id="D1", channel="call", took_up=True)]
    write(tmp_path, "contacts", rows)
    rates = channel_rates(tmp_path, datetime(2030, 1, 1, tzinfo=UTC))
    assert rates.of("sms") == pytest.approx(1.0, abs=0.02)
    assert 1.0 < rates.of("call") < 1.05
    assert rates.of("pigeon") == 1.0


# -- plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: spring", "name: ../spring", "name: String should match pattern"),
        ("legal_entity: consumer", "legal_entity: bank", r"products.1.legal_entity: Input should be 'credit'"),
        ("kinds: [enterprise]", "kinds: [person]", "'factoring' does not serve a person"),
        ("least_limit: 5000", "least_limit: 500000", "must satisfy 0 < least_limit"),
        ("holdout_share: 0.10", "holdout_share: 0", "rules.holdout_share: Input should be greater than"),
        ("budget: 30000000 ", "budgte: 30000000 ", "caps.budgte: Extra inputs are not permitted"),
        ("  - name: revolving_card", "  - name: [", "is not YAML"),
    ],
)
def test_a_plan_that_no_list_can_be_made_by_says_where_and_what(old: str, new: str, says: str) -> None:
    text = EXAMPLE_FILE.read_text()
    assert old in text
    with pytest.raises(WrongPlan, match=says):
        plan_of(text.replace(old, new, 1), "plan.yaml")


def test_a_plan_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongPlan, match="whitelist example"):
        read_plan(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (2 << 20))
    with pytest.raises(WrongPlan, match="larger than 1 MB"):
        read_plan(large)


# -- keeping ----------------------------------------------------------------------------------------------------------


def a_kept_list(version: int, found: Whitelist) -> KeptWhitelist:
    return KeptWhitelist(
        "spring", version, AS_OF, AS_OF + version * DAY, "Wang", found.sha256, len(found.offers), found.held_out,
        "name: spring", {"models": {}}, None, None,
    )  # fmt: skip


def test_versions_are_drafts_until_released_and_offers_are_read_by_company(
    database_url: str, plan: WhitelistPlan, models: MarketingModels
) -> None:
    found = made(plan, people_alike(40), models)
    engine = open_database(database_url)
    migrate(engine)
    with engine.begin() as connection:
        assert next_version(connection, "spring") == 1
        for version in (1, 2):
            keep_whitelist(connection, a_kept_list(version, found), found.offers.to_dicts())
        assert next_version(connection, "spring") == 3
        assert released(connection, "spring") is None
    with engine.begin() as connection:
        kept = release(connection, "spring", 1, by="Li", reason="approved", at=AS_OF + 9 * DAY)
    assert (kept.version, kept.released_by) == (1, "Li")
    with reading(engine) as connection:
        assert whitelist(connection, "spring").version == 2
        everybody = list(offers_of(connection, kept, OfferFilter(with_held_out=True)))
        asked = list(offers_of(connection, kept, OfferFilter()))
        assert len(everybody) == len(found.offers)
        assert len(asked) == len(everybody) - found.held_out > 0
        assert found.held_out > 0
        company = asked[0].legal_entity
        own = list(offers_of(connection, kept, OfferFilter(company), after_rank=asked[2].rank, most=3))
        wanted = [offer.rank for offer in asked if offer.legal_entity == company and offer.rank > asked[2].rank]
        assert [offer.rank for offer in own] == wanted[:3]
        assert list(offers_of(connection, kept, OfferFilter("guarantee"))) == []
        assert isinstance(asked[0].credit_limit, Decimal)
        contacted = contacts_by_lists(connection, AS_OF, AS_OF + 10 * DAY)
        # The draft contacts nobody, nor is anybody contacted who is held out.
        assert [party for _, party, _ in contacted] == sorted(offer.party_id for offer in asked)
        assert contacts_by_lists(connection, AS_OF, AS_OF + 8 * DAY) == []
        with pytest.raises(NoWhitelist, match="no version 7 of whitelist 'spring'"):
            whitelist(connection, "spring", 7)
    with engine.begin() as connection, pytest.raises(ReleaseRefused, match="released by Li already"):
        release(connection, "spring", 1, by="Li", reason="again", at=AS_OF)
    with engine.begin() as connection, pytest.raises(ReleaseRefused, match="give both"):
        release(connection, "spring", 2, by=" ", reason="again", at=AS_OF)
    with engine.begin() as connection:
        release(connection, "spring", 2, by="Li", reason="newer", at=AS_OF + 11 * DAY)
    with reading(engine) as connection:
        newest = released(connection, "spring")
        assert newest is not None
        assert newest.version == 2
    engine.dispose()


def test_who_asks_not_to_be_contacted_is_silent_until_asking_again(database_url: str) -> None:
    engine = open_database(database_url)
    migrate(engine)
    with engine.begin() as connection:
        ask_not_to_contact(
            connection, [("credit", "K1"), ("consumer", "C1")], stop=True, by="Chen", reason="a call", at=AS_OF
        )
        ask_not_to_contact(connection, [("credit", "K1")], stop=False, by="Chen", reason="asked", at=AS_OF + 2 * DAY)
        ask_not_to_contact(connection, [], stop=True, by="Chen", reason="nobody", at=AS_OF)
    with reading(engine) as connection:
        assert not_to_contact(connection, AS_OF - DAY) == []
        assert not_to_contact(connection, AS_OF + DAY) == [("consumer", "C1"), ("credit", "K1")]
        assert not_to_contact(connection, AS_OF + 3 * DAY) == [("consumer", "C1")]
    engine.dispose()
