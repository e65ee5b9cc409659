"""Contacts of past campaigns with what was known of each party at that moment, and what each party did."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from feast import FeatureStore

from features import MARKETING_SERVICE, point_in_time_frame, query, service_features
from training.errors import TooFewContacts
from training.frames import matrix, party_tickets

Part = Literal["fit", "choice", "test"]

_LATEST_FOR_TEST: Final = 3
_LATEST_FOR_CHOICE: Final = 3
_LEAST_TAKE_UPS: Final = 20
FOLDS: Final = 5


@dataclass(frozen=True)
class UpliftFrame:
    """One row a contact, in the order of time.

    Attributes:
        rows: ``legal_entity, customer_id, party_id, campaign_id, event_timestamp, treated, took_up, part, fold``, then
            the features as known when the contact was made.
        features: their names, in order.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]

    def part(self, name: Part) -> "UpliftFrame":
        """The earlier campaigns (to fit), those after them (to choose by), or the latest (to judge by)."""
        return UpliftFrame(self.rows.filter(pl.col("part") == name), self.features)

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The features as ``(n, k) float64``, NaN for missing."""
        return matrix(self.rows, self.features)

    @property
    def treated(self) -> npt.NDArray[np.float64]:
        """1 for whoever was contacted, 0 for whoever was held out."""
        return self.rows["treated"].cast(pl.Float64).to_numpy()

    @property
    def took_up(self) -> npt.NDArray[np.float64]:
        """1 for whoever took the product up."""
        return self.rows["took_up"].cast(pl.Float64).to_numpy()

    @property
    def folds(self) -> npt.NDArray[np.int64]:
        """All contacts of a party are in one fold."""
        return self.rows["fold"].to_numpy()


def uplift_frame(store: FeatureStore, canonical: Path) -> UpliftFrame:
    """Join what was known of each contacted party when it was contacted, through Feast.

    The three latest campaigns are the test, the three before them what a learner is chosen by.

    Raises:
        TooFewContacts: there are no held-out contacts, or too few of either kind were followed by a purchase.
    """
    if not any((canonical / "contacts").glob("*.parquet")):
        raise TooFewContacts("There are no contacts, so nothing tells whom one moves.")
    contacts = query(
        _CONTACTS_SQL,
        {"contacts": f"{canonical}/contacts/*.parquet", "parties": f"{canonical}/parties/*.parquet"},
    )
    _require_an_experiment(contacts)
    campaigns = contacts.group_by("campaign_id").agg(pl.col("event_timestamp").min()).sort("event_timestamp")
    names = campaigns["campaign_id"].to_list()
    latest = _LATEST_FOR_TEST + _LATEST_FOR_CHOICE
    if len(names) <= latest:
        raise TooFewContacts(
            f"There are {len(names)} campaigns; {latest + 1} are needed, the latest {latest} to choose and judge by."
        )
    part = dict.fromkeys(names, "fit") | dict.fromkeys(names[-latest:-_LATEST_FOR_TEST], "choice")
    part |= dict.fromkeys(names[-_LATEST_FOR_TEST:], "test")
    divided = contacts.with_columns(
        part=pl.col("campaign_id").replace_strict(part),
        fold=pl.Series(party_tickets(contacts["party_id"]) % FOLDS),
    )
    features = tuple(service_features(store, MARKETING_SERVICE))
    return UpliftFrame(point_in_time_frame(store, divided, MARKETING_SERVICE), features)


_CONTACTS_SQL: Final = """
SELECT
    contacts.legal_entity,
    contacts.customer_id,
    parties.party_id,
    contacts.campaign_id,
    contacts.event_timestamp,
    contacts.treated,
    contacts.took_up
FROM read_parquet($contacts) AS contacts
JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
WHERE contacts.superseded_at IS NULL
ORDER BY contacts.event_timestamp, contacts.legal_entity, contacts.customer_id, contacts.campaign_id
"""


def _require_an_experiment(contacts: pl.DataFrame) -> None:
    for treated, who in ((True, "contacted"), (False, "held out")):
        took_up = int(contacts.filter(pl.col("treated") == treated)["took_up"].sum())
        if took_up < _LEAST_TAKE_UPS:
            raise TooFewContacts(
                f"Of those who were {who}, {took_up} took the product up; at least {_LEAST_TAKE_UPS} are needed to "
                "tell what a contact causes. Keep a random part of each campaign uncontacted."
            )
