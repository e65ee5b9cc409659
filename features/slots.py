"""Amounts of rows added up to slots, and slots put together to windows.

A slot is the days between two neighbouring edges of a metric's windows. Each row is added up once, into the slot of its
customer, however many windows and views it is in.

Sums are of whole numbers (of the smallest unit a metric has), so they are exact, and the same in whichever order rows
come and whichever slots a window is put together from. That holds below 2**53 of the unit, some 90 trillion CNY; above,
15 digits are right.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np

from features.seen_rows import Amount, SeenRows, run_starts
from features.sight import Integers, Numbers, Sight
from features.windows import Scope, Windowed, WindowView

PartKind = Literal["sum", "square_72", "square_55", "square_36", "square_19", "square_0", "rows", "min", "max", "day"]

SQUARE_POWERS: Final[dict[PartKind, int]] = {
    "square_72": 72, "square_55": 55, "square_36": 36, "square_19": 19, "square_0": 0,
}  # fmt: skip
"""A square is added up in parts, as the sum of squares would not be exact. By part, the power of two it counts.

An amount is high * 2**36 + middle * 2**18 + low, its square
high² * 2**72 + high * middle * 2**55 + (2 * high * low + middle²) * 2**36 + middle * low * 2**19 + low².
"""

_JOINS: Final[dict[PartKind, tuple[np.ufunc, float]]] = {
    "sum": (np.add, 0.0),
    **dict.fromkeys(SQUARE_POWERS, (np.add, 0.0)),
    "rows": (np.add, 0.0),
    "min": (np.minimum, np.inf),
    "max": (np.maximum, -np.inf),
    "day": (np.minimum, np.inf),
}
"""How what is kept of rows is brought together, and what is neutral in it. ``day`` is the latest row's."""

_NEEDS: Final[dict[str, tuple[PartKind, ...]]] = {
    "sum": ("sum",),
    "mean": ("sum", "rows"),
    "std": ("sum", *SQUARE_POWERS, "rows"),
    "min": ("min",),
    "max": ("max",),
    "count": ("rows",),
    "days_since": ("day",),
    "latest": (),
    "distinct": (),
}


@dataclass(frozen=True, slots=True)
class Needed:
    """A kind of what is kept of an amount, over the days from ``window_days`` to ``after_days`` before the instant."""

    amount: Amount
    kind: PartKind
    window_days: int
    after_days: int
    scope: Scope


def part_of(feature: Windowed, kind: PartKind) -> Needed:
    """What a feature needs of a kind."""
    amount, scope = Amount.of(feature.metric), feature.metric.scope
    return Needed(amount, kind, feature.window_days, feature.after_days, scope)


def needed_by(views: Sequence[WindowView]) -> list[Needed]:
    """All that the views need, each once."""
    needed = (part_of(f, kind) for view in views for f in view.computed for kind in _NEEDS[f.aggregate])
    return list(dict.fromkeys(needed))


Edges = tuple[int, ...]
"""Days before the instant, ascending, at which some window begins or ends."""


@dataclass(frozen=True, slots=True)
class Runs:
    """What is kept of runs of rows, each of one customer and slot."""

    places: Integers
    """Of each run, slot * customers + customer."""
    kept: dict[PartKind, Numbers | Integers]


class Slots:
    """What is ``needed`` of one amount, by slot and customer.

    Rows are added up to slots between the edges of all windows. What has fewer windows is kept in fewer slots, which
    halves the memory.
    """

    def __init__(self, amount: Amount, needed: Sequence[Needed], customers: int) -> None:
        self._amount = amount
        self._needed = needed
        self._customers = customers
        self._edges = _edges(needed)
        self._slot_of_day = slot_of_day(self._edges)
        self._kinds: defaultdict[Edges, list[PartKind]] = defaultdict(list)
        for kind in dict.fromkeys(one.kind for one in needed):
            self._kinds[_edges(self._of_kind(kind))].append(kind)
        self._kept: dict[PartKind, Numbers] = {
            kind: np.full((len(edges) - 1, customers), _JOINS[kind][1])
            for edges, kinds in self._kinds.items()
            for kind in kinds
        }

    def of_rows(self, rows: SeenRows) -> list[Runs]:
        """What is to be kept of a batch."""
        applies = rows.within(rows.applies(self._amount), self._edges[-1], self._edges[0])
        if not len(applies):
            return []
        customer, day = rows.customer[applies], rows.day[applies]
        places = self._slot_of_day[day] * self._customers + customer
        firsts = run_starts(places)
        kept = _of_runs(self._kept.keys(), rows.amounts(self._amount, applies), day, firsts)
        places, customer, day = places[firsts], customer[firsts], day[firsts]
        found = []
        for edges, kinds in self._kinds.items():
            of_kinds = {kind: kept[kind] for kind in kinds}
            together = edges == self._edges
            found.append(Runs(places, of_kinds) if together else self._joined(edges, of_kinds, customer, day))
        return found

    def add(self, found: Sequence[Runs]) -> None:
        """Keep it."""
        for runs in found:
            for kind, of_runs in runs.kept.items():
                join, _ = _JOINS[kind]
                kept = self._kept[kind].reshape(-1)
                kept[runs.places] = join(kept[runs.places], of_runs)

    def of_viewers(self, sight: Sight) -> dict[Needed, Numbers]:
        """All that is needed, of each viewer."""
        found = {}
        for edges, kind in ((edges, kind) for edges, kinds in self._kinds.items() for kind in kinds):
            join, nothing = _JOINS[kind]
            # From the shortest window to the longest, each goes on where the last of its beginning ended.
            reached: dict[int, tuple[int, Numbers]] = {}
            for one in sorted(self._of_kind(kind), key=lambda one: one.window_days):
                first, end = edges.index(one.after_days), edges.index(one.window_days)
                begun, by_customer = reached.get(first, (first + 1, self._kept[kind][first]))
                for slot in range(begun, end):
                    by_customer = join(by_customer, self._kept[kind][slot])
                reached[first] = (end, by_customer)
                found[one] = sight.over_customers(join, by_customer, nothing=nothing, scope=one.scope)
        return found

    def _of_kind(self, kind: PartKind) -> list[Needed]:
        return [one for one in self._needed if one.kind == kind]

    def _joined(
        self, edges: Edges, kept: dict[PartKind, Numbers | Integers], customer: Integers, day: Integers
    ) -> Runs:
        """Runs joined to those of the fewer slots between ``edges``."""
        inside = np.flatnonzero((day >= edges[0]) & (day < edges[-1]))
        places = slot_of_day(edges)[day[inside]] * self._customers + customer[inside]
        firsts = run_starts(places)
        if len(firsts):
            kept = {kind: _JOINS[kind][0].reduceat(of_runs[inside], firsts) for kind, of_runs in kept.items()}
        return Runs(places[firsts], kept if len(firsts) else {})


def _edges(needed: Sequence[Needed]) -> Edges:
    return tuple(sorted({days for one in needed for days in (one.window_days, one.after_days)}))


@cache
def slot_of_day(edges: Edges) -> Integers:
    """The slot of each day before the last of ``edges``; of days before the first, none that counts."""
    return np.searchsorted(edges[1:], np.arange(edges[-1]), side="right")


def _of_runs(
    kinds: Collection[PartKind], amounts: Numbers, days: Integers, firsts: Integers
) -> dict[PartKind, Numbers | Integers]:
    of_rows: dict[PartKind, Numbers] = {"sum": amounts, "min": amounts, "max": amounts}
    if not SQUARE_POWERS.keys().isdisjoint(kinds):
        of_rows |= _squares(amounts)
    kept: dict[PartKind, Numbers | Integers] = {"rows": np.diff(firsts, append=len(amounts)), "day": days[firsts]}
    for kind in kinds:
        if kind in of_rows:
            kept[kind] = _JOINS[kind][0].reduceat(of_rows[kind], firsts)
    return {kind: kept[kind] for kind in kinds}


def _squares(amounts: Numbers) -> dict[PartKind, Numbers]:
    high = np.floor(amounts / 2**36)
    rest = amounts - high * 2**36
    middle = np.floor(rest / 2**18)
    low = rest - middle * 2**18
    return {
        "square_72": high * high,
        "square_55": high * middle,
        "square_36": 2 * high * low + middle * middle,
        "square_19": middle * low,
        "square_0": low * low,
    }
