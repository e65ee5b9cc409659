"""Windowed features as declarations: a metric of each raw row, an aggregate, and a window of days before an instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Aggregate = Literal["sum", "mean", "std", "min", "max", "count", "distinct", "latest", "days_since"]
Scope = Literal["seen", "own", "elsewhere"]
"""Whose rows count for a company that looks at a party: all that it sees, its own, or those of other companies."""

Direction = Literal[-1, 0, 1]
"""Which way risk is expected to move when the feature grows; 0 where nobody would sign for it."""

ENTITY_COLUMNS: Final = ("legal_entity", "party_id")

_UNITS: Final[dict[Aggregate, str]] = {"count": "rows", "distinct": "distinct values", "days_since": "days"}
_WORDS: Final[dict[Aggregate, str]] = {
    "std": "standard deviation",
    "count": "number",
    "distinct": "number of distinct values",
    "latest": "latest value",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A value of each raw row. ``expression`` is DuckDB SQL over the row's columns, null where it does not apply.

    It may name ``$as_of_date``, the date of the instant. Values are whole numbers or decimals, so that sums are exact
    and do not depend on the order in which threads add them up; ``decimals`` is how many digits they have after the
    point, two for amounts. ``scope`` tells whose rows count.
    """

    name: str
    expression: str
    unit: str
    description: str
    scope: Scope = "seen"
    decimals: int = 2


@dataclass(frozen=True, slots=True)
class Windowed:
    """An aggregate of a metric over the rows from ``window_days`` to ``after_days`` before the instant."""

    metric: Metric
    aggregate: Aggregate
    window_days: int
    risk: Direction
    after_days: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.after_days < self.window_days:
            raise ValueError(f"{self.name}: a window ends before it begins; give 0 <= after_days < window_days.")
        if self.aggregate == "distinct" and self.after_days:
            raise ValueError(f"{self.name}: distinct values are counted up to the instant; leave after_days out.")

    @property
    def name(self) -> str:
        """For example ``inflow_sum_90d``, or ``days_past_due_max_60d_after_30d``."""
        earlier = f"_after_{self.after_days}d" if self.after_days else ""
        return f"{self.metric.name}_{self.aggregate}_{self.window_days}d{earlier}"

    @property
    def unit(self) -> str:
        """The unit of the value: the metric's, or what the aggregate counts."""
        return _UNITS.get(self.aggregate, self.metric.unit)

    @property
    def description(self) -> str:
        """A sentence for catalogues."""
        days = f"{self.after_days} to {self.window_days}" if self.after_days else f"{self.window_days}"
        if self.aggregate == "days_since":
            return f"{self.metric.description}: days since the last, of those within {days} days"
        word = _WORDS.get(self.aggregate, self.aggregate)
        return f"{self.metric.description}: {word} over the last {days} days"


@dataclass(frozen=True, slots=True)
class Derived:
    """A value computed from other features of the same view. ``expression`` is DuckDB SQL over their names.

    In a windowed view it may also name ``stated_income``, the highest monthly income (CNY) on the customer records
    that the company sees.
    """

    name: str
    expression: str
    unit: str
    risk: Direction
    description: str


@dataclass(frozen=True, slots=True)
class ProfileView:
    """What is read off the customers' records. ``features`` are SQL over the record of the company that looks.

    They may also name ``companies``, how many the party deals with as far as seen, ``$as_of`` and ``$as_of_date``.
    """

    name: str
    features: tuple[Derived, ...]
    table: str = "customers"


@dataclass(frozen=True, slots=True)
class WindowView:
    """The features that come from one raw table. ``helpers`` serve the derived ones and are not kept."""

    name: str
    table: str
    windowed: tuple[Windowed, ...]
    derived: tuple[Derived, ...] = ()
    row_id: str = "customer_id"
    helpers: tuple[Windowed, ...] = ()

    @property
    def computed(self) -> tuple[Windowed, ...]:
        """Everything that is aggregated, kept or not."""
        return (*self.windowed, *self.helpers)

    @property
    def features(self) -> tuple[Windowed | Derived, ...]:
        """All features in the order of the view's columns."""
        return (*self.windowed, *self.derived)


DeclaredView = ProfileView | WindowView


def over(metric: Metric, aggregate: Aggregate, windows_days: Sequence[int], *, risk: Direction) -> tuple[Windowed, ...]:
    """The same aggregate over several windows."""
    return tuple(Windowed(metric, aggregate, days, risk) for days in windows_days)


def monthly(metric: Metric, aggregate: Aggregate, months: int, *, risk: Direction) -> tuple[Windowed, ...]:
    """The same aggregate over each of the last ``months`` spans of 30 days, the latest first."""
    return tuple(Windowed(metric, aggregate, 30 * (month + 1), risk, after_days=30 * month) for month in range(months))


def share(name: str, part: str, whole: str, *, risk: Direction, description: str) -> Derived:
    """One feature over another; null where that is zero."""
    return Derived(name, f"{part} / nullif({whole}, 0)", "share", risk, description)


def trend(name: str, months: Sequence[Windowed], *, unit: str, risk: Direction, description: str) -> Derived:
    """The slope of the least-squares line through monthly values (latest first), over their mean: change a month."""
    newest = len(months) - 1
    middle = newest / 2
    products = " + ".join(f"{newest - place - middle} * {month.name}" for place, month in enumerate(months))
    squares = sum((newest - place - middle) ** 2 for place in range(len(months)))
    mean = f"list_avg([{', '.join(month.name for month in months)}])"
    return Derived(name, f"({products}) / {squares} / nullif({mean}, 0)", unit, risk, description)


def volatility(name: str, months: Sequence[Windowed], *, risk: Direction, description: str) -> Derived:
    """The sample standard deviation of monthly values over their mean."""
    values = f"[{', '.join(month.name for month in months)}]"
    return Derived(name, f"list_stddev_samp({values}) / nullif(list_avg({values}), 0)", "ratio", risk, description)


def longest_run(name: str, months: Sequence[Windowed], condition: str, *, risk: Direction, description: str) -> Derived:
    """The longest run of consecutive months for which ``condition``, such as ``> 0``, holds; no value holds none."""
    marks = ", ".join(f"CASE WHEN {month.name} {condition} THEN '1' ELSE '0' END" for month in months)
    runs = f"list_transform(string_split(concat({marks}), '0'), lambda run: length(run))"
    return Derived(name, f"list_max({runs})", "months", risk, description)
