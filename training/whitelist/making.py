"""Make a whitelist: score who is eligible, allocate limits, choose product and channel, hold some out, rank."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from training.amounts import AmountModel
from training.frames import data_hash, matrix
from training.model import ScoringModel
from training.pre_credit import (
    Allocation,
    Prospects,
    ShadowPrice,
    affordable_principal,
    allocate_limits,
    income_and_due,
)
from training.pre_credit.products import profit_rate
from training.scale import grade_of
from training.whitelist.channels import ChannelRates, chosen_channels
from training.whitelist.eligibility import EXCLUSIONS, exclusions, qualifies
from training.whitelist.plan import WhitelistPlan
from training.whitelist.reasons import reasons_of

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

_TICKETS: Final = 2**48


@dataclass(frozen=True)
class MarketingModels:
    """The approved models that a list rests on."""

    default: ScoringModel
    response: ScoringModel
    uplift: AmountModel
    value: AmountModel


@dataclass(frozen=True)
class Whitelist:
    """A list and how it came about.

    Attributes:
        offers: an offer a row, the most worthwhile first: ``rank, legal_entity, party_id, customer_id, source, product,
            credit_limit, rate_per_annum, term_months, channel, valid_from, valid_until, held_out, expected_profit,
            uplift, response, probability_of_default, grade, customer_value, reason_zh, reason_en``.
        seen: parties that a company could have offered something to.
        left_out: how many companies' parties were left out, by the reason.
        not_allocated: eligible parties for whom the caps left nothing.
        allocation: limits under the caps, with what each cap costs.
        sha256: of the offers.
    """

    offers: pl.DataFrame
    seen: int
    left_out: Mapping[str, int]
    not_allocated: int
    shadow_prices: tuple[ShadowPrice, ...]
    sha256: str

    @property
    def held_out(self) -> int:
        """Offers that are not to be made, so that the next uplift model can learn."""
        return int(self.offers["held_out"].sum())


@dataclass(frozen=True)
class Ingredients:
    """What a list is made from.

    Attributes:
        facts: as ``facts.prospect_facts`` gives them.
        features: of the rows of the facts in their order, as their source knows the party; null where it has none.
        models: the approved ones.
        rates: how often contacts of each channel were answered.
        do_not_contact: parties.
        as_of: the instant of facts and features.
        seed: of the draw of who is held out: another list draws others.
    """

    facts: pl.DataFrame
    features: pl.DataFrame
    models: MarketingModels
    rates: ChannelRates
    do_not_contact: AbstractSet[str]
    as_of: datetime
    seed: str


def make_whitelist(plan: WhitelistPlan, given: Ingredients) -> Whitelist:
    """The offers that are expected to earn most under the plan's caps, one a party at most.

    The limits of all products are allocated first, which says what each cap costs. At those prices each party keeps the
    product that earns most with it, and limits are allocated again over these alone.
    """
    served = pl.Series(
        [
            any(product.legal_entity == company and kind in product.kinds for product in plan.products)
            for company, kind in given.facts.select("legal_entity", "kind").iter_rows()
        ],
        dtype=pl.Boolean,
    )
    facts, features = given.facts.filter(served), given.features.filter(served)
    scores = _scores(features, given.models)
    excluded = exclusions(facts, plan, given.do_not_contact, scores.default)
    eligible = (excluded == "").to_numpy()
    left_out = Counter(reason for reason in excluded.to_list() if reason)
    facts, features, scores = facts.filter(eligible), features.filter(eligible), scores.chosen(eligible)
    parties = _Parties.of(facts, features, scores, plan)
    products = [product.terms for product in plan.products]
    channel_cost = min(channel.cost for channel in plan.channels.values())
    terms = [replace(product, cost_per_offer=product.cost_per_offer + channel_cost) for product in products]
    first = allocate_limits(parties.prospects, terms, plan.caps.caps)
    best = first.surplus.argmax(axis=1)
    alone = np.where(np.arange(len(products)) == best[:, None], parties.prospects.affordable, 0.0)
    second = allocate_limits(replace(parties.prospects, affordable=alone), terms, plan.caps.caps)
    offers = _offers(second, parties, plan, given)
    return Whitelist(
        offers=offers,
        seen=int(served.sum()),
        left_out={name: left_out[name] for name in EXCLUSIONS if left_out[name]},
        not_allocated=len(parties.prospects.pd) - len(offers),
        shadow_prices=second.shadow_prices,
        sha256=data_hash(offers),
    )


@dataclass(frozen=True)
class _Scores:
    """What the models say of each row; NaN where the row has no features."""

    default: Vector
    response: Vector
    uplift: Vector
    value: Vector

    def chosen(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "_Scores":
        return _Scores(self.default[which], self.response[which], self.uplift[which], self.value[which])


def _scores(features: pl.DataFrame, models: MarketingModels) -> _Scores:
    known = ~features.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()

    def asked(names: Sequence[str]) -> Matrix:
        return matrix(features.filter(known), names)

    def everywhere(values: Vector) -> Vector:
        found = np.full(len(known), np.nan)
        found[known] = values
        return found

    return _Scores(
        everywhere(models.default.probability(asked(models.default.features))),
        everywhere(models.response.probability(asked(models.response.features))),
        everywhere(models.uplift.amount(asked(models.uplift.features))),
        everywhere(models.value.amount(asked(models.value.features))),
    )


@dataclass(frozen=True)
class _Parties:
    """The eligible rows put together by party: an entry a party, a column a product.

    ``row`` is the row of facts, features and scores that a party's product goes by, −1 where the party does not
    qualify.
    """

    facts: pl.DataFrame
    scores: _Scores
    row: npt.NDArray[np.int64]
    prospects: Prospects

    @classmethod
    def of(cls, facts: pl.DataFrame, features: pl.DataFrame, scores: _Scores, plan: WhitelistPlan) -> "_Parties":
        may = qualifies(facts, plan, scores.default)
        names, party = np.unique(facts["party_id"].to_numpy().astype(np.str_), return_inverse=True)
        row = np.full((len(names), len(plan.products)), -1, np.int64)
        place, product = np.nonzero(may)
        row[party[place], product] = place
        affordable = np.zeros(row.shape)
        income, due = income_and_due(partial(_feature, features), plan.caps.external_debt_due_a_month)
        for number, planned in enumerate(plan.products):
            own = row[:, number] >= 0
            rows = row[own, number]
            affordable[own, number] = affordable_principal(
                income[rows], due[rows], planned.rate_per_annum, planned.term_months,
                most_of_income=plan.caps.most_of_income,
            )  # fmt: skip
        # Of what several companies know of a party, the most cautious counts.
        pd = np.zeros(len(names))
        np.maximum.at(pd, party, scores.default)
        any_row = np.zeros(len(names), np.int64)
        any_row[party[::-1]] = np.arange(len(party))[::-1]
        groups = {name: facts[name].to_numpy().astype(np.str_)[any_row] for name in plan.caps.largest_share}
        prospects = Prospects(
            party_id=names,
            pd=pd,
            affordable=affordable,
            # All products share one income: the largest principal that one of them would allow bounds them together.
            affordable_in_all=affordable.max(axis=1, initial=0.0),
            groups={str(name): values for name, values in groups.items()},
            uplift=_at(np.maximum(scores.uplift, 0.0), row),
            take_up=_at(scores.response, row),
        )
        return cls(facts, scores, row, prospects)


def _at(values: Vector, row: npt.NDArray[np.int64]) -> Matrix:
    """Each party's and product's value, 0 where it does not qualify."""
    return np.where(row >= 0, values[np.maximum(row, 0)], 0.0) if len(values) else np.zeros(row.shape)


def _feature(features: pl.DataFrame, name: str) -> Vector:
    if name not in features.columns:
        return np.full(len(features), np.nan)
    return features[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _offers(found: Allocation, parties: _Parties, plan: WhitelistPlan, given: Ingredients) -> pl.DataFrame:
    who, product = np.nonzero(found.limits)
    row = parties.row[who, product]
    limit = found.limits[who, product]
    facts = parties.facts[row]
    scores = parties.scores.chosen(row)
    pd = parties.prospects.pd[who]
    rates = np.column_stack([profit_rate(planned.terms, pd) for planned in plan.products])
    margin = rates[np.arange(len(product)), product] * limit
    channel, reached = chosen_channels(np.maximum(scores.uplift, 0.0) * margin, plan.channels, given.rates)
    cost = np.array([plan.products[number].cost_per_offer for number in product])
    profit = reached - cost
    day = given.as_of.date()
    frame = pl.DataFrame(
        {
            "legal_entity": facts["legal_entity"],
            "party_id": facts["party_id"],
            "customer_id": facts["customer_id"],
            "source": facts["source"],
            "product": [plan.products[number].name for number in product],
            "credit_limit": limit,
            "rate_per_annum": [plan.products[number].rate_per_annum for number in product],
            "term_months": [plan.products[number].term_months for number in product],
            "channel": channel,
            "valid_from": [day] * len(row),
            "valid_until": [day + timedelta(days=plan.valid_days)] * len(row),
            "held_out": held_out(facts["party_id"].to_list(), given.seed, plan.rules.holdout_share),
            "expected_profit": np.round(profit, 2),
            "uplift": scores.uplift,
            "response": scores.response,
            "probability_of_default": pd,
            "grade": [grade_of(float(one)) for one in pd],
            "customer_value": np.round(scores.value, 2),
        },
        schema_overrides=_OFFER_SCHEMA,
    )
    frame = frame.filter(pl.col("expected_profit") > 0)
    told = frame.with_columns(reasons_of(frame, parties.scores.uplift, parties.scores.value))
    ranked = told.sort("expected_profit", "party_id", descending=[True, False])
    return ranked.with_row_index("rank", offset=1).with_columns(pl.col("rank").cast(pl.Int64))


_OFFER_SCHEMA: Final[dict[str, Any]] = {
    "legal_entity": pl.String, "party_id": pl.String, "customer_id": pl.String, "source": pl.String,
    "product": pl.String, "credit_limit": pl.Float64, "rate_per_annum": pl.Float64, "term_months": pl.Int64,
    "channel": pl.String, "valid_from": pl.Date, "valid_until": pl.Date, "held_out": pl.Boolean,
    "expected_profit": pl.Float64, "uplift": pl.Float64, "response": pl.Float64, "probability_of_default": pl.Float64,
    "grade": pl.String, "customer_value": pl.Float64,
}  # fmt: skip


def held_out(party_ids: Sequence[str], seed: str, share: float) -> list[bool]:
    """Whether each party is drawn to be held out; the draw depends on seed and party alone."""
    return [
        int.from_bytes(hashlib.blake2b(f"{seed}\0{party}".encode(), digest_size=6).digest()) < share * _TICKETS
        for party in party_ids
    ]
