"""How customers pay: a hidden Markov chain of stress and arrears, and the exact default probability it implies.

Each party carries a stress that moves through a few levels (Rouwenhorst's discretisation of an AR(1) process). In a
month a customer misses the payment with probability σ(index + sensitivity·stress + economy + arrears effect); a miss
moves the arrears up by a month, a payment may cure them, three months are a default. Because stress and arrears have
few states, the probability of a default within twelve months can be computed, not sampled: that is the oracle.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from features.sources.simulated.plan import MONTHS

HORIZON_MONTHS: Final = 12
STRESS_LEVELS: Final = 9
DEFAULTED: Final = 3
"""Arrears in months at which a customer is in default: 90 days past due."""

INACTIVE: Final = -1

_STRESS_PERSISTENCE: Final = 0.93
_STRESS_SENSITIVITY: Final = 0.45
_ARREARS_EFFECT: Final = np.array([0.0, 1.2, 2.0])
_CURE_PROBABILITY: Final = np.array([1.0, 0.45, 0.25])
_EXIT_PROBABILITY: Final = 0.008
_INDEX_GRID: Final = np.linspace(-9.0, 3.0, 241)


@dataclass(frozen=True, slots=True)
class StressChain:
    """Levels ``(STRESS_LEVELS,)`` with mean 0 and variance 1, and the monthly transition matrix."""

    levels: npt.NDArray[np.float64]
    transition: npt.NDArray[np.float64]

    def initial(self, parties: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
        """Levels drawn from the stationary distribution, which is binomial."""
        return rng.binomial(STRESS_LEVELS - 1, 0.5, parties).astype(np.int8)

    def paths(self, parties: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
        """Level of each party at the end of each month, ``(parties, MONTHS + 1) int8``; column 0 is the start."""
        cumulative = self.transition.cumsum(axis=1)
        paths = np.empty((parties, MONTHS + 1), np.int8)
        paths[:, 0] = self.initial(parties, rng)
        for month in range(1, MONTHS + 1):
            paths[:, month] = (rng.random(parties)[:, None] > cumulative[paths[:, month - 1]]).sum(axis=1)
        return paths


def stress_chain() -> StressChain:
    """The chain of Rouwenhorst (1995), as in Kopecky and Suen (2010), section 2."""
    stay = (1 + _STRESS_PERSISTENCE) / 2
    transition = np.array([[stay, 1 - stay], [1 - stay, stay]])
    for states in range(3, STRESS_LEVELS + 1):
        wider = np.zeros((states, states))
        wider[:-1, :-1] += stay * transition
        wider[:-1, 1:] += (1 - stay) * transition
        wider[1:, :-1] += (1 - stay) * transition
        wider[1:, 1:] += stay * transition
        wider[1:-1] /= 2
        transition = wider
    return StressChain(np.linspace(-1, 1, STRESS_LEVELS) * np.sqrt(STRESS_LEVELS - 1), transition)


def economy(months: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What the economic cycle and the season add to the miss index: 40 months long, and worst after Spring Festival."""
    return np.asarray(0.25 * np.sin(2 * np.pi * months / 40) + 0.15 * (months % 12 == 1))


def miss_probability(
    index: npt.NDArray[np.float64], stress: npt.NDArray[np.float64], economy_now: float, arrears: npt.NDArray[np.int8]
) -> npt.NDArray[np.float64]:
    """Probability of missing this month's payment. All arrays broadcast."""
    log_odds = index + _STRESS_SENSITIVITY * stress + economy_now + _ARREARS_EFFECT[arrears]
    return np.asarray(1 / (1 + np.exp(-log_odds)))


@dataclass(frozen=True, slots=True)
class PaymentHistory:
    """What each customer did in each month.

    ``arrears`` is ``(customers, MONTHS) int8``: months in arrears at the end of the month, ``DEFAULTED`` in the month
    of default, ``INACTIVE`` before the first and after the last month. ``missed`` tells whether the month's payment
    was missed.
    """

    arrears: npt.NDArray[np.int8]
    missed: npt.NDArray[np.bool_]


def simulate_payments(
    index: npt.NDArray[np.float64],
    stress: npt.NDArray[np.int8],
    start_month: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> PaymentHistory:
    """Play the months. ``stress`` is ``(customers, MONTHS + 1)``: column m + 1 is the level during month m."""
    customers = len(index)
    levels = stress_chain().levels
    arrears = np.full((customers, MONTHS), INACTIVE, np.int8)
    missed = np.zeros((customers, MONTHS), np.bool_)
    current = np.zeros(customers, np.int8)
    gone = np.zeros(customers, np.bool_)
    cycle = economy(np.arange(MONTHS))
    for month in range(MONTHS):
        exits = (current == 0) & (start_month < month) & (rng.random(customers) < _EXIT_PROBABILITY)
        gone |= exits
        active = ~gone & (start_month <= month)
        probability = miss_probability(index, levels[stress[:, month + 1]], float(cycle[month]), current)
        misses = rng.random(customers) < probability
        cures = rng.random(customers) < _CURE_PROBABILITY[current]
        following = np.where(misses, current + 1, np.where(cures, 0, current)).astype(np.int8)
        arrears[active, month] = following[active]
        missed[active, month] = misses[active]
        gone |= active & (following >= DEFAULTED)
        current = np.where(active, np.minimum(following, DEFAULTED - 1), current).astype(np.int8)
    return PaymentHistory(arrears, missed)


class DefaultOracle:
    """The true probability that a customer defaults within twelve months, given everything hidden.

    Backward recursion over the joint chain of stress and arrears on a grid of indices, once for every month in which
    a snapshot can lie; a look-up interpolates linearly between grid points 0.05 apart.
    """

    def __init__(self) -> None:
        chain = stress_chain()
        self._table = np.stack([_twelve_months(chain, month) for month in range(MONTHS + 1)])

    def probability(
        self,
        month: npt.NDArray[np.int64],
        index: npt.NDArray[np.float64],
        stress: npt.NDArray[np.int8],
        arrears: npt.NDArray[np.int8],
    ) -> npt.NDArray[np.float64]:
        """PD over months ``month … month + 11`` given the state at the end of the month before; all ``(n,)``."""
        step = _INDEX_GRID[1] - _INDEX_GRID[0]
        position = np.clip((index - _INDEX_GRID[0]) / step, 0, len(_INDEX_GRID) - 1.000001)
        below = position.astype(np.int64)
        weight = position - below
        low = self._table[month, below, stress, arrears]
        high = self._table[month, below + 1, stress, arrears]
        return np.asarray(low + (high - low) * weight)


def _twelve_months(chain: StressChain, month: int) -> npt.NDArray[np.float64]:
    """PD by (index, stress, arrears) for the twelve months that start with ``month``."""
    cycle = economy(np.arange(month, month + HORIZON_MONTHS))
    value = np.zeros((len(_INDEX_GRID), STRESS_LEVELS, DEFAULTED + 1))
    value[..., DEFAULTED] = 1.0
    for economy_now in cycle[::-1]:
        earlier = np.empty_like(value)
        earlier[..., DEFAULTED] = 1.0
        for arrears in range(DEFAULTED):
            miss = miss_probability(
                _INDEX_GRID[:, None], chain.levels[None, :], float(economy_now), np.array(arrears, np.int8)
            )
            cure = _CURE_PROBABILITY[arrears]
            paid = cure * value[..., 0] + (1 - cure) * value[..., arrears]
            stays = 1 - _EXIT_PROBABILITY * (arrears == 0)
            earlier[..., arrears] = stays * (miss * value[..., arrears + 1] + (1 - miss) * paid) @ chain.transition.T
        value = earlier
    return value[..., :DEFAULTED]
