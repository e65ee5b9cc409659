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
from features.catalogue.supplier_peers import PEERS
from features.catalogue.trade import TRADE
from features.catalogue.utilisation import UTILISATION
from features.windows import DeclaredView, Derived, Direction, Windowed


@dataclass(frozen=True, slots=True)
class View:
    """A feature view as the other rooms know it: how it is declared, and what it is about."""

    declared: DeclaredView
    subject: str

    @property
    def name(self) -> str:
        """The view's name in Feast."""
        return self.declared.name

    @property
    def table(self) -> str:
        """The raw table that it reads, beside customers and parties."""
        return self.declared.table

    @property
    def features(self) -> tuple[Windowed | Derived, ...]:
        """The view's features, in column order."""
        return self.declared.features

    @property
    def feature_names(self) -> list[str]:
        """Names of the view's features, in column order."""
        return [feature.name for feature in self.features]


VIEWS: Final[tuple[View, ...]] = (
    View(PROFILE, "Who the party is"),
    View(REPAYMENT, "How it pays what is due"),
    View(UTILISATION, "How much of its limits it draws"),
    View(CASH_FLOW, "Money in and out of its accounts"),
    View(BALANCE, "What is left on its accounts"),
    View(RHYTHM, "Trend, season and volatility of its money"),
    View(EXPOSURE, "What it owes across the group"),
    View(BUREAU, "What the credit bureau says"),
    View(TRADE, "What it invoices, and how its buyers pay"),
    View(PEERS, "How the other suppliers of its buyers pay"),
    View(APPLICATIONS, "What it asked for, and how it was answered"),
    View(MARKETING, "How it answers to marketing"),
)

CREDIT_SERVICE: Final = "credit_pd"
"""The name in Feast of the features that the credit model reads, online and offline."""

MARKETING_SERVICE: Final = "marketing"
"""That of those that models of marketing read, offline: all there are, how the party answered before among them."""

CREDIT_VIEWS: Final = (
    "profile", "repayment", "utilisation", "cash_flow", "balance", "rhythm", "exposure", "bureau", "supplier_peers",
)  # fmt: skip
"""What a probability of default may rest on."""


def risk_directions(features: list[str]) -> list[Direction]:
    """The direction of each feature, for monotone constraints.

    Raises:
        KeyError: a name that is in no view.
    """
    known = {feature.name: feature.risk for view in VIEWS for feature in view.features}
    return [known[name] for name in features]
