"""Offers: every cap is kept, nothing better is missed by much, risk never pays, and shadow prices are what they say."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import InvalidTerms
from training.pre_credit import (
    Allocation,
    Caps,
    Product,
    Prospects,
    affordable_principal,
    allocate_limits,
    profit_rate,
)

CARD = Product("card", "consumer", 0.18, 0.04, 12, 0.6, 0.7, 20.0, 1_000, 50_000, 100)
LOAN = Product("loan", "credit", 0.12, 0.04, 24, 0.45, 1.0, 60.0, 5_000, 200_000, 1_000)
PRODUCTS = (CARD, LOAN)
ROOMY = Caps(budget=1e9, expected_loss=1e9, contacts=10**6)


@st.composite
def prospects(draw: st.DrawFn, most: int = 12) -> Prospects:
    count = draw(st.integers(1, most))
    each = st.lists(st.floats(0, 0.5), min_size=count, max_size=count)
    carry = st.lists(st.sampled_from([0.0, 3_000.0, 20_000.0, 80_000.0]), min_size=count, max_size=count)
    regions = st.lists(st.sampled_from(["44", "31"]), min_size=count, max_size=count)
    affordable = np.column_stack([draw(carry), draw(carry)])
    return Prospects(
        np.array([f"P{number}" for number in range(count)]), np.array(draw(each)), affordable,
        affordable.max(axis=1) * draw(st.sampled_from([0.7, 1.0, 2.0])), {"region": np.array(draw(regions))},
    )  # fmt: skip


caps = st.builds(
    Caps,
    budget=st.sampled_from([0.0, 10_000.0, 60_000.0, 1e9]),
    expected_loss=st.sampled_from([0.0, 300.0, 2_000.0, 1e9]),
    contacts=st.sampled_from([0, 1, 3, 1_000]),
    largest_share=st.sampled_from([{}, {"region": 0.6}]),
    largest_share_of_company=st.sampled_from([0.5, 1.0]),
    highest_pd=st.sampled_from([0.1, 1.0]),
)


@given(prospects(), caps)
@settings(deadline=None, max_examples=150)
def test_every_cap_is_kept_and_limits_are_whole_steps_that_a_party_can_carry(who: Prospects, cap: Caps) -> None:
    found = allocate_limits(who, PRODUCTS, cap)
    limits = found.limits
    assert limits.sum() <= cap.budget + 1e-6
    assert found.expected_loss <= cap.expected_loss + 1e-6
    assert found.offers == (limits > 0).sum() <= cap.contacts
    assert np.all(limits <= who.affordable + 1e-6)
    assert np.all(limits.sum(axis=1) <= who.affordable_in_all + 1e-6)
    assert np.all(limits[who.pd > cap.highest_pd] == 0)
    for number, product in enumerate(PRODUCTS):
        own = limits[:, number]
        assert own.sum() <= cap.largest_share_of_company * cap.budget + 1e-6
        assert np.all((own == 0) | ((own >= product.least_limit) & (own <= product.largest_limit)))
        assert np.all(own % product.step == 0)
    for region in ("44", "31"):
        share = cap.largest_share.get("region", 1.0)
        assert limits[who.groups["region"] == region].sum() <= share * cap.budget + 1e-6
    assert found.expected_profit >= 0


@given(prospects(), caps)
@settings(deadline=None, max_examples=150)
def test_of_two_that_are_else_alike_the_riskier_never_gets_more(who: Prospects, cap: Caps) -> None:
    totals = allocate_limits(who, PRODUCTS, cap).limits.sum(axis=1)
    for one, other in itertools.permutations(range(len(who.pd)), 2):
        alike = (
            np.array_equal(who.affordable[one], who.affordable[other])
            and who.affordable_in_all[one] == who.affordable_in_all[other]
            and who.groups["region"][one] == who.groups["region"][other]
        )
        if alike and who.pd[one] < who.pd[other]:
            assert totals[one] >= totals[other]


def best_by_trying(who: Prospects, product: Product, cap: Caps, sizes: list[float]) -> float:
    """The most that any choice of these sizes would earn."""
    best = 0.0
    rate = profit_rate(product, who.pd)
    for choice in itertools.product(sizes, repeat=len(who.pd)):
        limits = np.array(choice)
        loss = float((who.pd * product.loss_given_default * product.usage) @ limits)
        fits = limits.sum() <= cap.budget and loss <= cap.expected_loss and (limits > 0).sum() <= cap.contacts
        if fits and np.all(limits <= who.affordable[:, 0]):
            best = max(best, float(rate @ limits) - product.cost_per_offer * int((limits > 0).sum()))
    return best


@given(st.lists(st.floats(0.001, 0.12), min_size=4, max_size=4, unique=True), st.sampled_from([1, 2, 4]))
@settings(deadline=None, max_examples=40)
def test_where_whole_offers_fit_nothing_that_can_be_tried_earns_more(pds: list[float], contacts: int) -> None:
    who = Prospects(np.array(list("abcd")), np.array(pds), np.full((4, 1), 10_000.0), np.full(4, 10_000.0))
    cap = Caps(budget=30_000, expected_loss=1e9, contacts=contacts)
    found = allocate_limits(who, [CARD], cap)
    assert found.expected_profit >= best_by_trying(who, CARD, cap, [0.0, 5_000.0, 10_000.0]) - 1e-6


def many(rows: int = 400) -> Prospects:
    rng = np.random.default_rng(1)
    affordable = np.column_stack([rng.uniform(2_000, 40_000, rows), rng.uniform(6_000, 120_000, rows)])
    return Prospects(
        np.array([f"P{number}" for number in range(rows)]), rng.beta(1, 25, rows), affordable, affordable.max(axis=1),
        {"region": rng.choice(["44", "31", "11"], rows)},
    )  # fmt: skip


def price(found: Allocation, cap: str) -> float:
    return next(one.price for one in found.shadow_prices if one.cap == cap)


def test_a_shadow_price_is_what_one_more_unit_of_the_cap_earns() -> None:
    who = many()
    cap = Caps(budget=4e6, expected_loss=4e4, contacts=300, largest_share={"region": 0.5})
    fine = [replace(product, step=0.01, least_limit=0.01, cost_per_offer=0.0) for product in PRODUCTS]
    base = allocate_limits(who, fine, cap)
    for name, more in (
        ("budget", replace(cap, budget=cap.budget + 1_000, largest_share={"region": 0.5 * 4e6 / (4e6 + 1_000)})),
        ("expected loss", replace(cap, expected_loss=cap.expected_loss + 10)),
    ):
        step = 1_000 if name == "budget" else 10
        gained = (allocate_limits(who, fine, more).expected_profit - base.expected_profit) / step
        assert gained == pytest.approx(price(base, name), rel=0.05, abs=1e-3)
    assert price(allocate_limits(who, PRODUCTS, ROOMY), "budget") == 0.0


def test_fifty_thousand_parties_are_served_in_seconds_and_caps_that_bind_have_a_price() -> None:
    who = many(50_000)
    found = allocate_limits(who, PRODUCTS, Caps(budget=3e8, expected_loss=3e6, contacts=20_000))
    assert found.limits.sum() > 0.99 * 3e8 or found.expected_loss > 0.99 * 3e6 or found.offers > 19_900
    assert max(one.price for one in found.shadow_prices) > 0


def test_nobody_who_earns_nothing_is_offered_anything() -> None:
    who = Prospects(np.array(["a"]), np.array([0.9]), np.array([[20_000.0, 20_000.0]]), np.array([20_000.0]))
    found = allocate_limits(who, PRODUCTS, ROOMY)
    assert (found.offers, found.expected_profit) == (0, 0.0)


@pytest.mark.parametrize(
    ("income", "due", "rate", "months", "principal"),
    [
        (10_000.0, 2_000.0, 0.0, 12, 36_000.0),
        (10_000.0, 6_000.0, 0.12, 24, 0.0),
        (float("nan"), 0.0, 0.12, 24, 0.0),
        (10_000.0, float("nan"), 0.12, 24, 106_216.936),
    ],
)
def test_what_a_party_can_carry_is_the_present_value_of_what_is_left(
    income: float, due: float, rate: float, months: int, principal: float
) -> None:
    found = affordable_principal(np.array([income]), np.array([due]), rate, months, most_of_income=0.5)
    assert found[0] == pytest.approx(principal, abs=0.01)
    if principal and rate:
        # The instalment of that principal is what was left.
        monthly = Decimal(str(rate)) / 12
        instalment = Decimal(str(found[0])) * monthly / (1 - (1 + monthly) ** -months)
        assert float(instalment) == pytest.approx(0.5 * income, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: replace(CARD, usage=1.5), lambda: replace(CARD, least_limit=60_000), lambda: replace(CARD, step=0.0),
        lambda: affordable_principal(np.ones(1), np.ones(1), 2.0, 12, most_of_income=0.5),
        lambda: allocate_limits(many(3), [CARD], ROOMY),
        lambda: allocate_limits(many(3), PRODUCTS, replace(ROOMY, budget=-1.0)),
        lambda: allocate_limits(many(3), PRODUCTS, replace(ROOMY, largest_share={"industry": 0.5})),
        lambda: allocate_limits(replace(many(3), pd=np.array([0.1, 2.0, 0.1])), PRODUCTS, ROOMY),
    ],
)  # fmt: skip
def test_terms_and_caps_that_contradict_themselves_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidTerms):
        wrong()
