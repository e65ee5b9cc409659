"""How the rows of a flat table are divided: a fifth for the test, folds of the rest."""

import hashlib
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from training.table.outcome import Notes
from training.table.request import TableRequest

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Chosen = npt.NDArray[np.bool_]
SplitKind = Literal["latest fifth", "random fifth"]

MOST_FOLDS: Final = 5
_TEST_SHARE: Final = 0.2


def tickets_of(table: pl.DataFrame, request: TableRequest) -> Integers:
    """A whole number for each row that depends on whom it is about, or on its place, and not on the run."""
    if request.identifier is None:
        keys = [str(row) for row in range(len(table))]
    else:
        keys = table[request.identifier].cast(pl.String).fill_null("").to_list()
    found = {key: int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest()) for key in set(keys)}
    return np.array([found[key] for key in keys], np.int64)


def test_rows(
    labels: Vector, order: Vector | None, groups: Integers, request: TableRequest, notes: Notes
) -> tuple[Chosen, SplitKind]:
    """Which rows are the test: the latest fifth where there is an order, unless it cannot judge; else a random one."""
    if order is not None:
        # Rows of one instant stay together.
        cut = np.quantile(order, 1 - _TEST_SHARE, method="higher")
        test = order >= cut
        if _both(labels[test]) and _both(labels[~test]) and test.any() and (~test).any():
            return test, "latest fifth"
        notes.warnings.append(
            f"The latest fifth of the rows has {int(labels[test].sum())} events and {int((1 - labels[test]).sum())} "
            "others, too few to judge by: a random fifth is the test instead, which says less of the future."
        )
    return _random_fifth(labels, groups, request), "random fifth"


def _both(labels: Vector) -> bool:
    return bool(min(labels.sum(), len(labels) - labels.sum()) >= 2)


def _random_fifth(labels: Vector, groups: Integers, request: TableRequest) -> Chosen:
    test = np.zeros(len(labels), np.bool_)
    if request.identifier is not None:
        return np.asarray(groups // MOST_FOLDS % 5 == 0)
    for label in (0.0, 1.0):
        own = np.flatnonzero(labels == label)
        drawn = own[np.argsort(groups[own], kind="stable")]
        test[drawn[: max(2, round(_TEST_SHARE * len(drawn)))]] = True
    return test


def training_folds(labels: Vector, test: Chosen, groups: Integers, request: TableRequest) -> Integers:
    """Folds of the training rows, each with both classes: dealt out by class, or by whom a row is about."""
    events = labels[~test].sum()
    scarce = int(min(events, (~test).sum() - events))
    count = max(2, min(MOST_FOLDS, scarce // 4))
    if request.identifier is not None:
        return np.asarray(groups % count)
    folds = np.zeros(len(labels), np.int64)
    for label in (0.0, 1.0):
        own = np.flatnonzero((labels == label) & ~test)
        folds[own[np.argsort(groups[own], kind="stable")]] = np.arange(len(own)) % count
    return folds
