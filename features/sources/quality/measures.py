"""Measures of a column: how far it moved, how well it tells the classes apart, how much of it is known already."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from features.bins import BINS, bin_counts, bin_edges, bin_places, stability_index

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

_NO_SPREAD: Final = 1e-12


def population_stability_index(reference: Vector, current: Vector, bins: int = BINS) -> float:
    """PSI = Σ (c − r) · ln(c / r) over the shares of bins that hold equal parts of ``reference``.

    Missing values (NaN) are a bin of their own. Equal values stay in one bin, so a feature with few values has few
    bins. An empty bin counts as half a row, so that the sum stays finite.

    Source: Siddiqi, Credit Risk Scorecards (2006), chapter 9.
    """
    present = reference[~np.isnan(reference)]
    if not len(present):
        return 0.0 if np.isnan(current).all() else float("inf")
    edges = bin_edges(present, bins)
    return stability_index(bin_counts(reference, edges), bin_counts(current, edges))


def largest_psi(values: Vector, periods: npt.NDArray[np.int64], reference: int, bins: int = BINS) -> float:
    """The largest PSI of any later period against all of the first ``reference`` periods; 0 where none is later.

    ``periods`` numbers the period of each row from 0.
    """
    count = int(periods.max()) + 1 if len(periods) else 0
    before = periods < reference
    present = values[before & ~np.isnan(values)]
    if count <= reference:
        return 0.0
    if not len(present):
        return 0.0 if np.isnan(values[~before]).all() else float("inf")
    edges = bin_edges(present, bins)
    width = len(edges) + 2
    # Each row is put into its bin once, whatever its period.
    rows = np.bincount(periods * width + bin_places(values, edges), minlength=count * width).reshape(count, width)
    first = rows[:reference].sum(axis=0)
    return max((stability_index(first, counts) for counts in rows[reference:] if counts.sum()), default=0.0)


def information_value(values: Vector, labels: Vector, bins: int = BINS) -> float:
    """IV = Σ (g − b) · ln(g / b) over bins of equal size, g and b their shares of the good and of the bad.

    Missing values are a bin of their own; a bin without one of the classes counts half a row of it. 0 where one class
    is missing altogether.

    Source: Siddiqi, Credit Risk Scorecards (2006), chapter 6: below 0.02 no use, 0.1 to 0.3 medium, above 0.3 strong.
    """
    present = values[~np.isnan(values)]
    bad = labels > 0
    if not len(present) or bad.all() or not bad.any():
        return 0.0
    edges = bin_edges(present, bins)
    good_rows, bad_rows = (bin_counts(values[chosen], edges) for chosen in (~bad, bad))
    filled = good_rows + bad_rows > 0
    g, b = (np.maximum(rows[filled], 0.5) / rows.sum() for rows in (good_rows, bad_rows))
    return float(np.sum((g - b) * np.log(g / b)))


def single_auc(values: Vector, labels: Vector) -> float:
    """AUC of the column alone, from 0.5 (tells nothing) to 1, whichever way it points. Empty rows are left out."""
    there = ~np.isnan(values)
    found = labels[there]
    if not there.any() or found.min() == found.max():
        return 0.5
    # Infinities keep their order.
    auc = float(roc_auc_score(found, rankdata(values[there])))
    return max(auc, 1 - auc)


def bootstrapped_gini(labels: Vector, scores: Vector, draws: npt.NDArray[np.int64]) -> Vector:
    """Gini of each draw of rows, given as how often each row was drawn ``(draws, n)``; NaN where a class is missing."""
    _, group = np.unique(scores, return_inverse=True)
    groups = int(group.max()) + 1
    found = np.empty(len(draws))
    for number, times in enumerate(draws):
        bad = np.bincount(group, weights=times * (labels > 0), minlength=groups)
        good = np.bincount(group, weights=times * (labels <= 0), minlength=groups)
        # Of each bad row: the good ones below it, and half of those beside it.
        beaten = float(bad @ (np.cumsum(good) - 0.5 * good))
        pairs = bad.sum() * good.sum()
        found[number] = 2 * beaten / pairs - 1 if pairs else np.nan
    return found


def rank_correlations(values: Matrix, others: Matrix) -> Matrix:
    """Correlation of the ranks of each column of ``values (n, p)`` with each of ``others (n, k)``, as ``(p, k)``.

    Spearman's, but that a column is ranked once over all of its own values and not anew for each pair; a pair counts
    the rows where both have a value. 0 where a column does not vary, or fewer than three rows are left.
    """
    (a, in_a), (b, in_b) = _ranks(values), _ranks(others)
    rows = in_a.T @ in_b
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_a, mean_b = a.T @ in_b / rows, in_a.T @ b / rows
        spread_a = (a**2).T @ in_b / rows - mean_a**2
        spread_b = in_a.T @ b**2 / rows - mean_b**2
        found = (a.T @ b / rows - mean_a * mean_b) / np.sqrt(spread_a * spread_b)
    varies = (rows >= 3) & (spread_a > _NO_SPREAD) & (spread_b > _NO_SPREAD)
    return np.where(varies, np.clip(found, -1, 1), 0.0)


def _ranks(columns: Matrix) -> tuple[Matrix, Matrix]:
    """Ranks from -0.5 to 0.5 with 0 for what is missing, and 1 where there is a value."""
    there = ~np.isnan(columns)
    ranks = np.zeros_like(columns)
    for place in range(columns.shape[1]):
        present = there[:, place]
        ranks[present, place] = rankdata(columns[present, place]) / max(present.sum(), 1) - 0.5
    return ranks, there.astype(np.float64)
