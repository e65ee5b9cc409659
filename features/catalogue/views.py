"""All views, and which of them serve which models."""

from dataclasses import dataclass
from typing import Final

from features.catalogue.applications import APPLICATIONS
from features.catalogue.balance import BALANCE
from features.catalogue.bureau import BUREAU
from features.catalogue.cash_flow import CASH_FLOW
from features.catalogue.exposure import EXPOSURE
from features.catalogue.marketing import MARKETING
from features.catalogue.profile import PROFILE
from features.catalogue.repayment import REPAYMENT
from features.catalogue.rhythm import RHYTHM
from features.catalogue.trade import TRADE
from features.catalogue.utilisation import UTILISATION
from features.compute import ViewQuery
from features.window_sql import profile_sql, window_sql
from features.windows import Derived, Direction, Windowed


@dataclass(frozen=True, slots=True)
class View:
    """A feature view as the other rooms know it: name, what it is about, query, features."""

    query: ViewQuery
    subject: str
    features: tuple[Windowed | Derived, ...]

    @property
    def name(self) -> str:
        """The view's name in Feast."""
        return self.query.name

    @property
    def feature_names(self) -> list[str]:
        """Names of the view's features, in column order."""
        return [feature.name for feature in self.features]


VIEWS: Final[tuple[View, ...]] = (
    View(ViewQuery("profile", profile_sql(PROFILE), "customers"), "Who the party is", PROFILE),
    *(
        View(ViewQuery(view.name, window_sql(view), view.table), subject, view.features)
        for view, subject in (
            (REPAYMENT, "How it pays what is due"),
            (UTILISATION, "How much of its limits it draws"),
            (CASH_FLOW, "Money in and out of its accounts"),
            (BALANCE, "What is left on its accounts"),
            (RHYTHM, "Trend, season and volatility of its money"),
            (EXPOSURE, "What it owes across the group"),
            (BUREAU, "What the credit bureau says"),
            (TRADE, "What it invoices, and how its buyers pay"),
            (APPLICATIONS, "What it asked for, and how it was answered"),
            (MARKETING, "How it answers to marketing"),
        )
    ),
)

CREDIT_VIEWS: Final = ("profile", "repayment", "utilisation", "cash_flow", "balance", "rhythm", "exposure", "bureau")
"""What a probability of default may rest on."""


def risk_directions(features: list[str]) -> list[Direction]:
    """The direction of each feature, for monotone constraints.

    Raises:
        KeyError: a name that is in no view.
    """
    known = {feature.name: feature.risk for view in VIEWS for feature in view.features}
    return [known[name] for name in features]
