"""By which channel each customer is best reached: how contacts of each were answered, what one costs, how many fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from features import query
from training.whitelist.plan import ChannelPlan

Vector = npt.NDArray[np.float64]

_PRIOR_CONTACTS: Final = 200.0
"""A channel's rate counts as much as that of all once it has so many contacts."""


@dataclass(frozen=True, slots=True)
class ChannelRates:
    """Take-up of a contact by channel, over that of all contacts; 1 where a channel was never used."""

    over_all: Mapping[str, float]

    def of(self, channel: str) -> float:
        """The factor of a channel."""
        return self.over_all.get(channel, 1.0)


def channel_rates(canonical: Path, known_at: object) -> ChannelRates:
    """The rates of the contacts whose outcome was known by then, drawn towards that of all where there are few."""
    if not any((canonical / "contacts").glob("*.parquet")):
        return ChannelRates({})
    rows = query(
        """
        SELECT channel, count(*) AS contacts, count(*) FILTER (took_up) AS taken
        FROM read_parquet($contacts)
        WHERE treated AND channel IS NOT NULL AND created_timestamp <= $known_at
          AND (superseded_at IS NULL OR superseded_at > $known_at)
        GROUP BY channel ORDER BY channel
        """,
        {"contacts": f"{canonical}/contacts/*.parquet", "known_at": known_at},
    )
    taken, contacts = int(rows["taken"].sum()), int(rows["contacts"].sum())
    if not taken:
        return ChannelRates({})
    overall = taken / contacts
    found = rows.select(
        "channel",
        factor=(pl.col("taken") + _PRIOR_CONTACTS * overall) / (pl.col("contacts") + _PRIOR_CONTACTS) / overall,
    )
    return ChannelRates(dict(found.iter_rows()))


def chosen_channels(
    worth: Vector, channels: Mapping[str, ChannelPlan], rates: ChannelRates
) -> tuple[list[str], Vector]:
    """The channel of each offer, and what the offer is worth by it less what the contact costs.

    Channels with a bound go to the offers that gain most by them over the best one without. Where all have bounds,
    whoever comes last gets the cheapest.

    Args:
        worth: CNY that an offer is expected to earn when it is made by an average channel, ``(n,)``.
        channels: of the plan.
        rates: how contacts of each were answered.
    """
    names = list(channels)
    value = np.column_stack([worth * rates.of(name) - channels[name].cost for name in names])
    free = [place for place, name in enumerate(names) if channels[name].most is None]
    if not free:
        free = [min(range(len(names)), key=lambda place: channels[names[place]].cost)]
    rows = np.arange(len(worth))
    best = np.array(free)[value[:, free].argmax(axis=1)] if len(worth) else np.zeros(0, np.int64)
    for place, name in enumerate(names):
        most = channels[name].most
        if place in free or most is None:
            continue
        gain = value[:, place] - value[rows, best]
        order = np.argsort(-gain, kind="stable")[:most]
        better = order[gain[order] > 0]
        best[better] = place
    return [names[place] for place in best], value[rows, best]
