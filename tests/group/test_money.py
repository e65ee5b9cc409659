"""Money: exact, of one currency, and divided without losing a cent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from group.money import MINOR_DIGITS, CurrencyMismatch, InvalidMoney, Money, minor_unit, total

currencies = st.sampled_from(sorted(MINOR_DIGITS))


@st.composite
def amounts(draw: st.DrawFn, currency: str | None = None) -> Money:
    code = currency or draw(currencies)
    return Money(draw(st.integers(-(10**14), 10**14)) * minor_unit(code), code)


@given(amounts("CNY"), amounts("CNY"), amounts("CNY"))
def test_sums_do_not_depend_on_the_order(a: Money, b: Money, c: Money) -> None:
    assert (a + b) + c == a + (c + b)
    assert total([a, b, c], "CNY") == total([c, b, a], "CNY")
    assert a - b == -(b - a)


@given(amounts(), st.lists(st.decimals(0, 1_000, places=4), min_size=1, max_size=12).filter(any))
def test_parts_of_a_split_sum_to_the_whole_and_stay_within_one_unit_of_their_share(
    whole: Money, weights: list[Decimal]
) -> None:
    parts = whole.split(weights)
    assert total(parts, whole.currency) == whole
    unit = minor_unit(whole.currency)
    for part, weight in zip(parts, weights, strict=True):
        share = whole.amount * weight / sum(weights)
        assert abs(part.amount - share) <= unit
        if weight == 0:
            assert part.amount == 0


def test_what_is_left_of_a_split_goes_to_the_largest_remainders_first() -> None:
    parts = Money(Decimal("1.00"), "CNY").split([Decimal(1), Decimal(1), Decimal(1)])
    assert [part.amount for part in parts] == [Decimal("0.34"), Decimal("0.33"), Decimal("0.33")]
    parts = Money(Decimal("0.05"), "CNY").split([Decimal("0.26"), Decimal("0.74")])
    assert [part.amount for part in parts] == [Decimal("0.01"), Decimal("0.04")]
    # On a tie, 1.5 and 3.5 cents, the earlier part is served first.
    parts = Money(Decimal("0.05"), "CNY").split([Decimal("0.3"), Decimal("0.7")])
    assert [part.amount for part in parts] == [Decimal("0.02"), Decimal("0.03")]


@pytest.mark.parametrize(
    ("given_amount", "rounded"), [("0.005", "0.00"), ("0.015", "0.02"), ("-0.025", "-0.02"), ("1.006", "1.01")]
)
def test_a_tie_is_rounded_to_the_even_cent(given_amount: str, rounded: str) -> None:
    assert Money.rounded(Decimal(given_amount), "CNY").amount == Decimal(rounded)


@pytest.mark.parametrize(
    ("amount", "currency", "says"),
    [
        ("0.001", "CNY", "finer than 0.01"),
        ("0.5", "JPY", "finer than 1"),
        ("NaN", "CNY", "finite"),
        ("1", "GBP", "GBP"),
    ],
)
def test_what_cannot_be_booked_is_refused_with_the_reason(amount: str, currency: str, says: str) -> None:
    with pytest.raises(InvalidMoney, match=says):
        Money(Decimal(amount), currency)


def test_two_currencies_are_never_mixed() -> None:
    yuan, dollar = Money(Decimal(1), "CNY"), Money(Decimal(1), "USD")
    for combine in (lambda: yuan + dollar, lambda: yuan - dollar, lambda: yuan < dollar, lambda: yuan <= dollar):
        with pytest.raises(CurrencyMismatch, match="CNY and one in USD"):
            combine()


@pytest.mark.parametrize("weights", [[], [Decimal(0)], [Decimal(1), Decimal(-1)]])
def test_weights_that_divide_nothing_are_refused(weights: list[Decimal]) -> None:
    with pytest.raises(InvalidMoney, match="at least one above 0"):
        Money(Decimal(1), "CNY").split(weights)
