"""Limits by product that earn most under the group's caps: a linear programme, with what each cap costs.

Variables are the limits of each pair of a party and a product it qualifies for, between nothing and what the party can
carry. Each cap is a row. The programme is solved exactly (HiGHS); the dual of a row is its shadow price, what one more
CNY of the cap would earn. Limits are then cut down to whole steps, which keeps every cap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

from training.errors import InvalidTerms
from training.pre_credit.products import Product, loss_rate, profit_rate

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]

_CUT: Final = 1e-7
"""What HiGHS leaves of rounding beside a whole step."""


@dataclass(frozen=True)
class Prospects:
    """Parties that may be offered something; arrays have an entry a party.

    Attributes:
        party_id: who.
        pd: 12-month probability of default with the group.
        affordable: CNY, ``(n, products)``: the most that the party can carry of each product; 0 where it does not
            qualify.
        affordable_in_all: CNY: the most of all products together.
        groups: by name (region, industry), the group of each party, for caps on concentration; empty text for none.
        uplift: ``(n, products)``: what an offer adds to the probability that the product is taken; 1 if None. It is
            what profit is weighed with.
        take_up: ``(n, products)``: the probability that an offer is taken; 1 if None. Losses are weighed with it.
    """

    party_id: Texts
    pd: Vector
    affordable: Matrix
    affordable_in_all: Vector
    groups: Mapping[str, Texts] = field(default_factory=dict)
    uplift: Matrix | None = None
    take_up: Matrix | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """What must not be exceeded.

    Attributes:
        budget: CNY of all limits.
        expected_loss: CNY of twelve months' expected loss of all limits.
        contacts: offers that can be made.
        largest_share: by name of the grouping, the share of the budget that one group may take.
        largest_share_of_company: the share of the budget that one company may lend.
        highest_pd: parties above it are offered nothing.
    """

    budget: float
    expected_loss: float
    contacts: int
    largest_share: Mapping[str, float] = field(default_factory=dict)
    largest_share_of_company: float = 1.0
    highest_pd: float = 1.0


@dataclass(frozen=True, slots=True)
class ShadowPrice:
    """A cap, how much of it is used, and what one more unit of it would earn, CNY; 0 where there is room."""

    cap: str
    allowed: float
    used: float
    price: float


@dataclass(frozen=True)
class Allocation:
    """Limits under the caps.

    Attributes:
        limits: CNY ``(n, products)``.
        expected_profit: of all of them in twelve months, CNY.
        expected_loss: likewise.
        offers: limits above zero.
        shadow_prices: what each cap costs.
        surplus: CNY ``(n, products)``: what the largest limit of a party and product would earn beyond what it takes of
            the caps at their prices; −∞ where nothing can be offered.
    """

    limits: Matrix
    expected_profit: float
    expected_loss: float
    offers: int
    shadow_prices: tuple[ShadowPrice, ...]
    surplus: Matrix


def allocate_limits(prospects: Prospects, products: Sequence[Product], caps: Caps) -> Allocation:
    """Choose the limits that earn most.

    Of two parties that differ in nothing but the PD, the riskier never gets the higher limit in all.

    Raises:
        InvalidTerms: arrays of different lengths, a PD outside 0 to 1, or a cap below zero.
    """
    _require_sense(prospects, products, caps)
    pairs = _pairs(prospects, products, caps)
    if not len(pairs.party):
        empty = np.zeros((len(prospects.pd), len(products)))
        return Allocation(empty, 0.0, 0.0, 0, _unused(caps), np.full(empty.shape, -np.inf))
    names, rows, allowed = _rows(pairs, prospects, products, caps)
    # What an offer costs is spread over the limit that it makes possible, as is the contact itself.
    solved = linprog(
        -(pairs.profit - pairs.cost / pairs.most), A_ub=rows, b_ub=allowed,
        bounds=np.column_stack([np.zeros(len(pairs.most)), pairs.most]), method="highs",
    )  # fmt: skip
    limits = _in_steps(np.asarray(solved.x), pairs, prospects, products, caps)
    return _allocation(limits, products, names, rows, allowed, pairs, -np.asarray(solved.ineqlin.marginals))


@dataclass(frozen=True)
class _Pairs:
    """A party and a product that earns something with it, an entry each."""

    party: npt.NDArray[np.int64]
    product: npt.NDArray[np.int64]
    most: Vector
    profit: Vector
    loss: Vector
    cost: Vector


def _pairs(prospects: Prospects, products: Sequence[Product], caps: Caps) -> _Pairs:
    largest = np.array([product.largest_limit for product in products])
    least = np.array([product.least_limit for product in products])
    most = np.minimum(np.minimum(prospects.affordable, largest), prospects.affordable_in_all[:, None])
    profit = np.column_stack([profit_rate(product, prospects.pd) for product in products])
    loss = np.column_stack([loss_rate(product, prospects.pd) for product in products])
    if prospects.uplift is not None:
        profit = profit * prospects.uplift
    if prospects.take_up is not None:
        loss = loss * prospects.take_up
    cost = np.array([product.cost_per_offer for product in products])
    worth = (most >= least) & (profit * most > cost) & (prospects.pd <= caps.highest_pd)[:, None]
    party, product = np.nonzero(worth)
    return _Pairs(party, product, most[worth], profit[worth], loss[worth], cost[product])


def _rows(
    pairs: _Pairs, prospects: Prospects, products: Sequence[Product], caps: Caps
) -> tuple[list[str], sparse.csr_matrix, Vector]:
    """The caps as rows over pairs; those of single parties come last, without names."""
    count = len(pairs.party)
    names = ["budget", "expected loss", "contacts"]
    rows: list[Vector] = [np.ones(count), pairs.loss, 1.0 / pairs.most]
    allowed = [caps.budget, caps.expected_loss, float(caps.contacts)]
    companies = np.array([product.legal_entity for product in products])[pairs.product]
    for company in np.unique(companies):
        names.append(f"company {company}")
        rows.append((companies == company).astype(np.float64))
        allowed.append(caps.largest_share_of_company * caps.budget)
    for name, share in caps.largest_share.items():
        of = prospects.groups[name][pairs.party]
        # Whoever is in no group (a person has no industry) is in none together with others either.
        for group in np.unique(of[of != ""]):
            names.append(f"{name} {group}")
            rows.append((of == group).astype(np.float64))
            allowed.append(share * caps.budget)
    known, own = np.unique(pairs.party, return_inverse=True)
    single = sparse.csr_matrix((np.ones(count), (own, np.arange(count))), shape=(len(known), count))
    whole = sparse.vstack([sparse.csr_matrix(np.array(rows)), single], format="csr")
    return names, whole, np.concatenate([allowed, prospects.affordable_in_all[known]])


def _in_steps(solution: Vector, pairs: _Pairs, prospects: Prospects, products: Sequence[Product], caps: Caps) -> Matrix:
    """Whole steps, no more offers than contacts, and no more for the riskier of two that are else alike.

    All three only take away, so that every cap stays kept.
    """
    step = np.array([product.step for product in products])[pairs.product]
    least = np.array([product.least_limit for product in products])[pairs.product]
    whole = np.floor(solution / step + _CUT) * step
    whole = np.where(whole >= least, whole, 0.0)
    limits = np.zeros((len(prospects.pd), len(products)))
    limits[pairs.party, pairs.product] = whole
    limits = _falling_with_risk(limits, prospects, products)
    earned = pairs.profit * limits[pairs.party, pairs.product] - pairs.cost
    worth = (limits[pairs.party, pairs.product] > 0) & (earned > 0)
    # The programme counts a part of an offer as that part of a contact; the least earning ones make way.
    order = np.lexsort((pairs.product, prospects.pd[pairs.party], -earned))
    kept = np.zeros(len(earned), np.bool_)
    kept[order[worth[order]][: caps.contacts]] = True
    limits[pairs.party[~kept], pairs.product[~kept]] = 0.0
    return limits


def _falling_with_risk(limits: Matrix, prospects: Prospects, products: Sequence[Product]) -> Matrix:
    """Cut what the last unit of a cap gave to the riskier of two parties that are else alike.

    Where the programme is indifferent, its solution is any of several.
    """
    alike = [
        *prospects.affordable.T.round(2).tolist(), prospects.affordable_in_all.round(2).tolist(),
        *(groups.tolist() for groups in prospects.groups.values()),
        *(column.tolist() for shares in (prospects.uplift, prospects.take_up) if shares is not None
          for column in shares.T),
    ]  # fmt: skip
    most: dict[tuple[object, ...], float] = {}
    cut = limits.copy()
    for place in np.argsort(prospects.pd, kind="stable"):
        kind = tuple(values[place] for values in alike)
        allowed = most.get(kind, np.inf)
        if cut[place].sum() > allowed:
            cut[place] = _cut_to(cut[place], allowed, products)
        most[kind] = min(allowed, float(cut[place].sum()))
    return cut


def _cut_to(limits: Vector, allowed: float, products: Sequence[Product]) -> Vector:
    """Lower limits, the smallest product first, until they sum to no more than allowed."""
    left = limits.copy()
    for number in np.argsort(left, kind="stable"):
        product, excess = products[number], left.sum() - allowed
        if excess <= 0:
            break
        lower = left[number] - np.ceil(excess / product.step) * product.step
        left[number] = lower if lower >= product.least_limit else 0.0
    return left


def _allocation(
    limits: Matrix,
    products: Sequence[Product],
    names: Sequence[str],
    rows: sparse.csr_matrix,
    allowed: Vector,
    pairs: _Pairs,
    prices: Vector,
) -> Allocation:
    given = limits[pairs.party, pairs.product]
    used = rows[: len(names)] @ given
    offers = int((limits > 0).sum())
    # Of contacts, whole offers are counted.
    used[names.index("contacts")] = offers
    cost = float(np.array([product.cost_per_offer for product in products]) @ (limits > 0).sum(axis=0))
    taken = np.asarray(rows[: len(names)].T @ np.maximum(prices[: len(names)], 0.0))
    surplus = np.full(limits.shape, -np.inf)
    surplus[pairs.party, pairs.product] = (pairs.profit - taken) * pairs.most - pairs.cost
    return Allocation(
        limits=limits,
        expected_profit=float(pairs.profit @ given) - cost,
        expected_loss=float(pairs.loss @ given),
        offers=offers,
        shadow_prices=tuple(
            ShadowPrice(name, float(allowed[place]), float(used[place]), max(float(prices[place]), 0.0))
            for place, name in enumerate(names)
        ),
        surplus=surplus,
    )


def _unused(caps: Caps) -> tuple[ShadowPrice, ...]:
    every = {"budget": caps.budget, "expected loss": caps.expected_loss, "contacts": float(caps.contacts)}
    return tuple(ShadowPrice(name, allowed, 0.0, 0.0) for name, allowed in every.items())


def _require_sense(prospects: Prospects, products: Sequence[Product], caps: Caps) -> None:
    count = len(prospects.pd)
    lengths = {len(prospects.party_id), len(prospects.affordable), len(prospects.affordable_in_all)}
    lengths |= {len(groups) for groups in prospects.groups.values()}
    matrices = [
        matrix for matrix in (prospects.affordable, prospects.uplift, prospects.take_up) if matrix is not None
    ]  # fmt: skip
    lengths |= {len(matrix) for matrix in matrices}
    if lengths != {count} or any(count and matrix.shape[1] != len(products) for matrix in matrices):
        raise InvalidTerms(f"All arrays need an entry for each of the {count} parties, and one for each product.")
    if count and not (prospects.pd.min() >= 0 and prospects.pd.max() <= 1):
        raise InvalidTerms("PDs are from 0 to 1.")
    if min(caps.budget, caps.expected_loss, caps.contacts, caps.largest_share_of_company) < 0:
        raise InvalidTerms("Caps are not below zero.")
    unknown = set(caps.largest_share) - set(prospects.groups)
    if unknown:
        raise InvalidTerms(f"There is a cap on '{sorted(unknown)[0]}', but nobody's is known.")
