"""The simulated group: deterministic, plausible, hard enough, and with an oracle that can be trusted."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features import query
from features.contracts import CONTRACTS
from features.sources.simulated import SIZES, Size, simulate
from features.sources.simulated.columns import amounts, numbered
from features.sources.simulated.credit_state import (
    DEFAULTED,
    HORIZON_MONTHS,
    INACTIVE,
    DefaultOracle,
    simulate_payments,
    stress_chain,
)
from features.sources.simulated.plan import BUSINESSES, MONTHS
from pipelines.workspace import Workspace
from training import performance

TINY = Size("tiny", parties=300, transactions=12_000, parties_per_partition=100)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def test_the_seed_decides_every_byte_whatever_the_number_of_threads(tmp_path: Path) -> None:
    for name, seed, threads in (("one", 7, 1), ("two", 7, 2), ("other", 8, 2)):
        simulate(tmp_path / name / "raw", tmp_path / name / "truth", TINY, seed=seed, threads=threads)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    one, other = files(tmp_path / "one"), files(tmp_path / "other")
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)


_PEAK_OF_A_GROUP = """
import resource, sys
from pathlib import Path
from features.sources.simulated import Size, simulate
partitions = int(sys.argv[1])
size = Size("measured", 2_500 * partitions, 500_000 * partitions)
simulate(Path(sys.argv[2]) / "raw", Path(sys.argv[2]) / "truth", size, seed=1, threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.long
def test_a_group_five_times_as_large_needs_hardly_more_memory(tmp_path: Path) -> None:
    def peak(partitions: int) -> int:
        command = [sys.executable, "-c", _PEAK_OF_A_GROUP, str(partitions), str(tmp_path / str(partitions))]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    # With as many transactions a partition as `large` has.
    assert peak(20) < 1.25 * peak(4)


def test_all_tables_are_there_and_their_sizes_are_near_the_plan(the_small_group: Workspace) -> None:
    size = SIZES["small"]
    assert {path.name for path in the_small_group.raw.iterdir()} == set(CONTRACTS)
    transactions = pl.scan_parquet(the_small_group.raw / "transactions/*.parquet").select(pl.len()).collect().item()
    assert transactions == pytest.approx(size.transactions, rel=0.01)
    truth = pl.read_parquet(the_small_group.truth / "identity/*.parquet")
    assert truth["true_party"].n_unique() == size.parties
    assert not truth.select("legal_entity", "customer_id").is_duplicated().any()


def test_only_the_planted_faults_are_rejected_and_all_of_them(the_small_group: Workspace) -> None:
    rejected = {
        folder.name: pl.read_parquet(folder / "*.parquet")["row_number"].len()
        for folder in the_small_group.quarantine.iterdir()
    }
    spoiled = rejected.pop("transactions")
    assert not any(rejected.values())
    rows = pl.read_parquet(the_small_group.raw / "transactions/*.parquet")
    by_hand = rows.filter(
        (pl.col("currency") == "RMB")
        | (pl.col("amount") < 0)
        | (pl.col("created_timestamp") < pl.col("event_timestamp"))
    )
    assert spoiled == len(by_hand) > 30


def test_no_table_that_features_read_holds_the_truth(the_small_group: Workspace) -> None:
    secret = {"ability", "willingness", "stress", "risk", "index", "true_party", "probability_of_default_12m", "uplift"}
    for table in CONTRACTS:
        columns = pl.scan_parquet(the_small_group.raw / table / "*.parquet").collect_schema().names()
        assert not secret & set(columns), table
    assert not the_small_group.truth.is_relative_to(the_small_group.data)


def test_an_enterprise_is_owned_by_a_person_whom_the_group_may_know(the_small_group: Workspace) -> None:
    customers = pl.read_parquet(the_small_group.canonical / "customers/*.parquet")
    persons = customers.filter(pl.col("kind") == "person")["identity_token"].drop_nulls().unique()
    owners = customers.filter(pl.col("kind") == "enterprise")["owner_identity_token"]
    assert owners.null_count() == 0
    # Not every owner is a customer with a number on record, but most are.
    assert owners.is_in(persons.implode()).sum() > 0.9 * len(owners)
    assert customers.filter(pl.col("kind") == "person")["owner_identity_token"].null_count() == len(
        customers.filter(pl.col("kind") == "person")
    )


def default_rates(group: Workspace) -> pl.DataFrame:
    """Truth and outcome of every customer-month whose twelve months lie within the history."""
    return query(
        """
        WITH first_default AS (
            SELECT legal_entity, customer_id, min(event_timestamp) AS defaulted_at
            FROM read_parquet($defaults)
            GROUP BY ALL
        )
        SELECT
            truth.legal_entity,
            truth.event_timestamp,
            truth.probability_of_default_12m AS pd,
            coalesce(epoch_us(defaulted_at) < epoch_us(truth.event_timestamp + INTERVAL 365 DAYS), false) AS defaulted
        FROM (SELECT * REPLACE (event_timestamp::TIMESTAMP AS event_timestamp) FROM read_parquet($truth)) AS truth
        LEFT JOIN (SELECT * REPLACE (defaulted_at::TIMESTAMP AS defaulted_at) FROM first_default) AS first_default
            USING (legal_entity, customer_id)
        WHERE truth.event_timestamp <= TIMESTAMP '2025-01-01'
        """.replace("event_timestamp::TIMESTAMP", "make_timestamp(epoch_us(event_timestamp))").replace(
            "defaulted_at::TIMESTAMP", "make_timestamp(epoch_us(defaulted_at))"
        ),
        {
            "truth": f"{group.truth}/default_probability/*.parquet",
            "defaults": f"{group.raw}/defaults/*.parquet",
        },
    )


def test_default_rates_are_those_of_lenders_and_the_oracle_is_good_but_not_omniscient(
    the_small_group: Workspace,
) -> None:
    rows = default_rates(the_small_group)
    rates = dict(rows.group_by("legal_entity").agg(pl.col("defaulted").mean()).iter_rows())
    assert set(rates) == {business.legal_entity for business in BUSINESSES}
    assert all(0.02 <= rate <= 0.06 for rate in rates.values()), rates
    result = performance(rows["defaulted"].cast(pl.Float64).to_numpy(), rows["pd"].to_numpy())
    assert 0.80 <= result.auc <= 0.90
    assert result.mean_probability == pytest.approx(result.event_rate, rel=0.08)


def test_the_oracles_probability_is_the_share_that_defaults_when_the_same_state_is_played_often() -> None:
    month, players = 20, 60_000
    rng = np.random.default_rng(3)
    chain = stress_chain()
    oracle = DefaultOracle()
    for index, level, arrears in ((-3.5, 4, 0), (-2.6, 6, 0), (-3.0, 5, 1), (-3.2, 2, 2)):
        defaults = play(index, level, arrears, month, players, rng, chain.transition)
        known = oracle.probability(
            np.array([month]), np.array([index]), np.array([level], np.int8), np.array([arrears], np.int8)
        )[0]
        error = np.sqrt(known * (1 - known) / players)
        assert abs(defaults / players - known) < 4 * error, (index, level, arrears)


def play(
    index: float, level: int, arrears: int, month: int, players: int, rng: np.random.Generator, transition: np.ndarray
) -> int:
    """Defaults within twelve months, played move by move and independently of the recursion."""
    from features.sources.simulated.credit_state import _CURE_PROBABILITY, _EXIT_PROBABILITY, economy, miss_probability

    levels = stress_chain().levels
    cumulative = transition.cumsum(axis=1)
    stress = np.full(players, level)
    state = np.full(players, arrears)
    gone = np.zeros(players, bool)
    defaulted = np.zeros(players, bool)
    for step in range(HORIZON_MONTHS):
        stress = (rng.random(players)[:, None] > cumulative[stress]).sum(axis=1)
        gone |= (state == 0) & ~defaulted & (rng.random(players) < _EXIT_PROBABILITY)
        cycle = float(economy(np.array([month + step]))[0])
        misses = rng.random(players) < miss_probability(np.array(index), levels[stress], cycle, np.minimum(state, 2))
        cures = rng.random(players) < _CURE_PROBABILITY[np.minimum(state, 2)]
        following = np.where(misses, state + 1, np.where(cures, 0, state))
        state = np.where(gone | defaulted, state, following)
        defaulted |= ~gone & (state >= DEFAULTED)
    return int(defaulted.sum())


def test_histories_obey_the_rules_of_arrears() -> None:
    rng = np.random.default_rng(5)
    start = rng.integers(-10, MONTHS, 4_000)
    history = simulate_payments(rng.normal(-2.5, 0.8, 4_000), stress_chain().paths(4_000, rng), start, rng)
    arrears, missed = history.arrears.astype(int), history.missed
    months = np.arange(MONTHS)
    assert (arrears[months[None, :] < start[:, None]] == INACTIVE).all()
    before, after = arrears[:, :-1], arrears[:, 1:]
    was_there = (before >= 0) & (before < DEFAULTED) & (after != INACTIVE)
    up = was_there & missed[:, 1:]
    assert (after[up] == before[up] + 1).all()
    kept = was_there & ~missed[:, 1:]
    assert ((after[kept] == 0) | (after[kept] == before[kept])).all()
    assert (after[before == DEFAULTED] == INACTIVE).all()


def test_marketing_contacts_are_randomised_so_that_their_difference_is_the_true_uplift(
    the_small_group: Workspace,
) -> None:
    contacts = pl.read_parquet(the_small_group.canonical / "contacts/*.parquet")
    truth = pl.read_parquet(the_small_group.truth / "uplift/*.parquet")
    joined = contacts.join(truth, on=["legal_entity", "campaign_id", "customer_id"])
    assert len(joined) == len(contacts)
    shares = dict(joined.group_by("treated").agg(pl.col("took_up").mean()).iter_rows())
    held_out = len(joined) - joined["treated"].sum()
    error = np.sqrt(shares[True] * (1 - shares[True]) / held_out)
    assert shares[True] - shares[False] == pytest.approx(joined["uplift"].mean(), abs=4 * error)


def test_the_ledger_of_a_month_fits_together(the_small_group: Workspace) -> None:
    statements, schedule, repayments, defaults = (
        pl.read_parquet(the_small_group.canonical / table / "*.parquet")
        for table in ("statements", "schedule", "repayments", "defaults")
    )
    assert len(statements) == len(schedule)
    failed = defaults.select("legal_entity", "loan_id", defaulted_at="event_timestamp")
    dated = repayments.join(failed, on=["legal_entity", "loan_id"], how="left").with_columns(
        paid=pl.sum_horizontal("principal_paid", "interest_paid", "penalty_paid").cast(pl.Float64)
    )
    recovered = pl.col("event_timestamp") > pl.col("defaulted_at")
    paid = float(dated.filter(~recovered.fill_null(value=False))["paid"].sum())
    # Each part is rounded to the cent by itself: at most two cents a repayment.
    assert paid == pytest.approx(float(statements["amount_paid"].sum()), abs=0.02 * len(repayments))
    # What comes in after a default is on no statement, and is never more than was owed.
    owed = statements.join(defaults, on=["legal_entity", "loan_id", "event_timestamp"], how="semi")
    back = dated.filter(recovered).group_by("legal_entity", "loan_id").agg(pl.col("paid").sum())
    both = back.join(owed, on=["legal_entity", "loan_id"], how="inner")
    assert len(both) == len(back) > 100
    assert (both["paid"] <= both["statement_balance"].cast(pl.Float64) + 0.1).all()
    late = statements.join(defaults, on=["legal_entity", "loan_id", "event_timestamp"], how="semi")
    assert (late["days_past_due"] >= 90).all()
    assert len(late) == len(defaults)
    assert statements.filter(pl.col("event_timestamp") >= datetime(2026, 1, 1, tzinfo=UTC)).is_empty()


def test_cents_become_decimals_and_numbers_identifiers() -> None:
    cents = np.array([0, 1, -1, 123_456_789_012, -(10**15)])
    assert amounts(cents).to_pylist() == [pl.Series([c]).cast(pl.Decimal(18, 0)).to_list()[0] / 100 for c in cents]
    assert numbered("T", np.array([0, 7, 10**11]), 12).to_pylist() == [
        "T000000000000",
        "T000000000007",
        "T100000000000",
    ]
