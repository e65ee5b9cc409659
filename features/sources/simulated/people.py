"""The customers table of a partition: what each company wrote down about the same party, typos and gaps included."""

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.sources.simulated.columns import amounts, constant, dates, instants, texts, to_cents
from features.sources.simulated.partition import DAY, HOUR, Partition
from features.sources.simulated.plan import (
    BUSINESSES,
    CURRENCY,
    EDUCATION_LEVELS,
    ENTERPRISE_SIZES,
    INDUSTRIES,
    LAST_INSTANT,
    MONTHS,
    REGIONS,
)

_SURNAMES: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN: Final = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰飞红波辉宇浩然欣怡梓涵诗雨晨轩博文思远嘉"
_PLACES: Final = "华东金海瑞恒永泰鑫盛隆昌达信诚嘉源宏远兴顺通利安康"
_TRADES: Final = ("农业", "机械", "建筑", "商贸", "物流", "餐饮", "软件", "租赁", "科技", "环保", "家政", "文化")
_IDENTITY_MISSING: Final = 0.03
_IDENTITY_MISTYPED: Final = 0.01
_NAME_MISTYPED: Final = 0.04
_PHONE_CHANGED: Final = 0.15
_OWNER_FACTOR: Final = 2_654_435_761


def customer_table(partition: Partition) -> pa.Table:
    """What the companies know of their customers. Identity numbers and phones are tokens, never plain."""
    rng = partition.rng("names")
    parties, customers = partition.parties, partition.customers
    party, rows = customers.party, len(customers)
    enterprise = parties.enterprise[party]
    names = _names(partition, rng)
    born = LAST_INSTANT.astype(np.int64) - (parties.age_years[party] * 365.25).astype(np.int64) * DAY
    female = rng.random(len(parties)) < 0.49
    married = rng.random(len(parties)) < np.clip((parties.age_years - 18) / 25, 0.05, 0.8)
    stated_income = parties.monthly_income[party] * np.exp(0.12 * rng.standard_normal(rows))
    joined = _joined(partition, rng)
    return pa.table({
        "legal_entity": texts(customers.business, [b.legal_entity for b in BUSINESSES]),
        "customer_id": pa.array(partition.customer_ids),
        "kind": texts(enterprise.astype(np.int32), ("person", "enterprise")),
        "name": pa.array(names),
        "identity_token": _identity_tokens(partition, rng),
        "phone_token": _phone_tokens(partition, rng),
        "owner_identity_token": texts(party, _owner_tokens(partition), ~enterprise),
        "birth_or_founding_date": dates(born),
        "gender": texts(female.astype(np.int32)[party], ("male", "female"), enterprise),
        "marital_status": texts(married.astype(np.int32)[party], ("single", "married"), enterprise),
        "education": texts(parties.education[party], EDUCATION_LEVELS, enterprise | (rng.random(rows) < 0.05)),
        "income_per_month": amounts(to_cents(stated_income), rng.random(rows) < 0.08),
        "currency": constant(CURRENCY, rows),
        "region": texts(parties.region[party], REGIONS),
        "industry": texts(parties.industry[party], INDUSTRIES, ~enterprise | (rng.random(rows) < 0.02)),
        "enterprise_size": texts(parties.enterprise_size[party], ENTERPRISE_SIZES, ~enterprise),
        "marketing_consent": pa.array(customers.marketing_consent),
        "share_within_group_consent": pa.array(customers.share_within_group),
        "event_timestamp": instants(joined),
        "created_timestamp": instants(joined + HOUR),
    })  # fmt: skip


def _joined(partition: Partition, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """When the customer was taken on: a day of the month before the first loan."""
    month = np.clip(partition.customers.start_month, 0, MONTHS)
    before = np.where(partition.customers.start_month < 0, -partition.customers.start_month * 30, 0)
    days = before + 6 + rng.integers(0, 20, len(month))
    return np.asarray(partition.month_starts[month] - days * DAY + 10 * HOUR)


def _names(partition: Partition, rng: np.random.Generator) -> list[str]:
    parties = partition.parties
    count = len(parties)
    surname, first, second, third = (rng.integers(0, 2**31, count) for _ in range(4))
    true_names = [
        f"{_PLACES[s % len(_PLACES)]}{_PLACES[a % len(_PLACES)]}{_GIVEN[c % len(_GIVEN)]}{_TRADES[trade]}有限公司"
        if is_enterprise
        else f"{_SURNAMES[s % len(_SURNAMES)]}{_GIVEN[a % len(_GIVEN)]}{_GIVEN[b % len(_GIVEN)] if c % 4 else ''}"
        for s, a, b, c, is_enterprise, trade in zip(
            surname, first, second, third, parties.enterprise, parties.industry, strict=True
        )
    ]
    names = [true_names[party] for party in partition.customers.party]
    for row in np.flatnonzero(rng.random(len(names)) < _NAME_MISTYPED):
        place = int(rng.integers(1, len(names[row])))
        names[row] = names[row][:place] + _GIVEN[int(rng.integers(0, len(_GIVEN)))] + names[row][place + 1 :]
    return names


def _identity_tokens(partition: Partition, rng: np.random.Generator) -> pa.Array:
    numbers = partition.parties.number[partition.customers.party]
    rows = len(numbers)
    mistyped = rng.random(rows) < _IDENTITY_MISTYPED
    tokens = [
        _token("identity", number + (10**10 + row if wrong else 0))
        for row, (number, wrong) in enumerate(zip(numbers.tolist(), mistyped.tolist(), strict=True))
    ]
    return pa.array(tokens, mask=rng.random(rows) < _IDENTITY_MISSING)


def _owner_tokens(partition: Partition) -> list[str]:
    """The identity of the person who owns each party, if it is an enterprise: one of the partition's own persons.

    Chosen by multiplication rather than at random, so that the other columns stay what they are.
    """
    persons = partition.parties.number[~partition.parties.enterprise]
    chosen = partition.parties.number * _OWNER_FACTOR % len(persons)
    return [_token("identity", int(person)) for person in persons[chosen]]


def _phone_tokens(partition: Partition, rng: np.random.Generator) -> pa.Array:
    numbers = partition.parties.number[partition.customers.party]
    changed = rng.random(len(numbers)) < _PHONE_CHANGED
    tokens = [
        _token("phone", number + (10**10 + row if other else 0))
        for row, (number, other) in enumerate(zip(numbers.tolist(), changed.tolist(), strict=True))
    ]
    return pa.array(tokens, mask=rng.random(len(numbers)) < 0.04)


def _token(kind: str, number: int) -> str:
    return hashlib.blake2b(f"{kind}:{number}".encode(), digest_size=12).hexdigest()
