"""Products as an offer needs them: terms, cost, loss, and what a unit of limit earns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.errors import InvalidTerms

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Product:
    """What one company lends, and at what terms. Rates are per annum, as shares.

    Attributes:
        name: of the product.
        legal_entity: the company that lends.
        rate_per_annum: what the customer pays.
        funding_rate_per_annum: what the money costs the group.
        term_months: over which it is paid back in equal instalments.
        loss_given_default: share of what is owed at a default that is lost.
        usage: share of a limit that is drawn, as a rule and at a default.
        cost_per_offer: of making one offer, CNY.
        least_limit: below this nothing is offered, CNY.
        largest_limit: above this nothing is offered, CNY.
        step: limits are whole multiples of it, CNY.
    """

    name: str
    legal_entity: str
    rate_per_annum: float
    funding_rate_per_annum: float
    term_months: int
    loss_given_default: float
    usage: float
    cost_per_offer: float
    least_limit: float
    largest_limit: float
    step: float

    def __post_init__(self) -> None:
        for name in ("rate_per_annum", "funding_rate_per_annum", "loss_given_default", "usage"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidTerms(f"{name} of '{self.name}' is {getattr(self, name)}; give a share from 0 to 1.")
        if self.term_months < 1 or self.step <= 0 or self.cost_per_offer < 0:
            raise InvalidTerms(
                f"'{self.name}' needs a term of at least a month, a step above zero, a cost not below it."
            )
        if not 0 < self.least_limit <= self.largest_limit:
            raise InvalidTerms(f"The limits of '{self.name}' must satisfy 0 < least_limit <= largest_limit.")


def loss_rate(product: Product, pd: Vector) -> Vector:
    """Expected loss of twelve months per CNY of limit, ``(n,)`` of 12-month PDs: PD · LGD · usage."""
    return np.asarray(pd * product.loss_given_default * product.usage)


def profit_rate(product: Product, pd: Vector) -> Vector:
    """Expected profit of twelve months per CNY of limit, ``(n,)``: margin of those who pay, less the expected loss.

    (1 − PD) · usage · (rate − funding) − PD · LGD · usage; it falls with the PD.
    """
    margin = product.usage * (product.rate_per_annum - product.funding_rate_per_annum)
    return np.asarray((1 - pd) * margin - loss_rate(product, pd))
