"""Amounts of money: a decimal and a currency, to the currency's minor unit, never a float."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction
from typing import Final, Self

from group.errors import InputError

MINOR_DIGITS: Final[dict[str, int]] = {"CNY": 2, "HKD": 2, "TWD": 2, "USD": 2, "EUR": 2, "JPY": 0}
"""Digits after the decimal point of each currency the group books in (ISO 4217)."""


class InvalidMoney(InputError):
    """An amount or a currency that cannot be booked."""


class CurrencyMismatch(InvalidMoney):
    """Two amounts of different currencies were brought together without a rate."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"An amount in {left} and one in {right} cannot be combined; convert one of them first.")


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in one currency, exact to its minor unit.

    Raises:
        InvalidMoney: the currency is unknown, the amount is not finite, or finer than the minor unit.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        unit = minor_unit(self.currency)
        if not self.amount.is_finite():
            raise InvalidMoney(f"{self.amount} {self.currency} is not an amount; it must be a finite decimal.")
        try:
            exact = self.amount.quantize(unit)
        except InvalidOperation:
            raise InvalidMoney(f"{self.amount} {self.currency} is too large to be booked.") from None
        if exact != self.amount:
            raise InvalidMoney(f"{self.amount} {self.currency} is finer than {unit} {self.currency}; round it first.")
        object.__setattr__(self, "amount", exact)

    @classmethod
    def rounded(cls, amount: Decimal, currency: str) -> Self:
        """The nearest amount that can be booked; a tie goes to the even digit (banker's rounding)."""
        return cls(amount.quantize(minor_unit(currency), rounding=ROUND_HALF_EVEN), currency)

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __lt__(self, other: "Money") -> bool:
        self._same_currency(other)
        return self.amount < other.amount

    def __le__(self, other: "Money") -> bool:
        self._same_currency(other)
        return self.amount <= other.amount

    def __str__(self) -> str:
        return f"{self.amount:,} {self.currency}"

    def split(self, weights: Sequence[Decimal]) -> list["Money"]:
        """Divide the amount in proportion to ``weights`` so that the parts sum to it exactly.

        Each part is rounded toward zero; the minor units left over go one each to the parts with the largest
        remainder, the earlier part first on a tie (Hamilton's method).

        Raises:
            InvalidMoney: no weights, a negative one, or all zero.
        """
        total_weight = sum(map(Fraction, weights), Fraction(0))
        if total_weight <= 0 or any(weight < 0 for weight in weights):
            raise InvalidMoney(f"Weights {list(map(str, weights))} cannot divide an amount; give at least one above 0.")
        unit = minor_unit(self.currency)
        units = int(abs(self.amount) / unit)
        shares = [units * Fraction(weight) / total_weight for weight in weights]
        parts = [int(share) for share in shares]
        by_remainder = sorted(range(len(parts)), key=lambda part: (parts[part] - shares[part], part))
        for part in by_remainder[: units - sum(parts)]:
            parts[part] += 1
        sign = -1 if self.amount < 0 else 1
        return [Money(sign * unit * part, self.currency) for part in parts]

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(self.currency, other.currency)


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency, for example ``Decimal('0.01')``.

    Raises:
        InvalidMoney: the group does not book in this currency.
    """
    try:
        return Decimal(1).scaleb(-MINOR_DIGITS[currency])
    except KeyError:
        raise InvalidMoney(f"'{currency}' is not a currency the group books in: {', '.join(MINOR_DIGITS)}.") from None


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The exact sum of amounts in one currency; zero of ``currency`` for none."""
    result = Money(Decimal(0), currency)
    for amount in amounts:
        result = result + amount
    return result
