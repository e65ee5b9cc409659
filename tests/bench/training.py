"""How good the models are and how fast they explain themselves, against other ways: ``make bench-training``.

Each part prints a line to standard error when it is done; all of it is JSON at the end. Models are compared on the same
folds in the same run. The real files are taken from where the tests take them, and a part without its file says so.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from catboost import CatBoostClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from group.libraries import prepare_libraries

prepare_libraries()

from group.settings import Settings, load_settings  # noqa: E402
from tests.bench.timing import medians, ratio  # noqa: E402
from tests.conftest import REAL_DATA  # noqa: E402
from training import BoosterParameters, Explainer, LocalGrowth, RayGrowth, performance, ray_session  # noqa: E402
from training.growth import TrainingRows, grown_model  # noqa: E402
from training.scorecard import fit_scorecard  # noqa: E402
from training.table import TableFrame, TableRequest, read_training_table, table_parameters  # noqa: E402
from training.validation.reliability import calibration_line  # noqa: E402

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Chosen = npt.NDArray[np.bool_]

PLAIN: Final[dict[str, Any]] = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.03,
    "verbosity": -1,
    "seed": 0,
}
PLAIN_TREES: Final = 300


def ours(frame: TableFrame, fit: Chosen, test: Chosen) -> Vector:
    """The recipe of ``jinkong train table``, early stopping and calibration included, on the rows ``fit`` alone."""
    categorical = tuple(place for place, given in enumerate(frame.inputs) if given.kind == "category")
    folds = np.arange(int(fit.sum())) % 5
    training = TrainingRows(frame.rows[fit], frame.labels[fit], folds, categorical=categorical)
    parameters = table_parameters(frame)
    grown = grown_model(training, frame.inputs, frame.directions, parameters, threads=2, growth=LocalGrowth())
    return grown.model.probability(frame.rows[test])


def plain_lightgbm(frame: TableFrame, fit: Chosen, test: Chosen) -> Vector:
    """LightGBM with 300 trees of 15 leaves on the columns as they stand."""
    rows, categorical = as_they_stand(frame)
    data = lgb.Dataset(rows[fit], frame.labels[fit], categorical_feature=categorical)
    return np.asarray(lgb.train(PLAIN, data, PLAIN_TREES).predict(rows[test]))


def catboost_defaults(frame: TableFrame, fit: Chosen, test: Chosen) -> Vector:
    """CatBoost as it comes, told which columns are categories."""
    rows, categorical = as_they_stand(frame)
    columns = [
        np.nan_to_num(rows[:, place], nan=-1).astype(np.int64) if place in categorical else rows[:, place]
        for place in range(rows.shape[1])
    ]
    import pandas as pd

    whole = pd.DataFrame(dict(enumerate(columns)))
    model = CatBoostClassifier(verbose=0, random_seed=0, thread_count=2, allow_writing_files=False)
    model.fit(whole[fit], frame.labels[fit], cat_features=categorical or None)
    return np.asarray(model.predict_proba(whole[test])[:, 1])


def scorecard(frame: TableFrame, fit: Chosen, test: Chosen) -> Vector:
    """OptBinning's scorecard on the same columns as our model."""
    return fit_scorecard(frame.rows[fit], frame.labels[fit], frame.inputs, frame.directions).probability(
        frame.rows[test]
    )


def as_they_stand(frame: TableFrame) -> tuple[Matrix, list[int]]:
    """The file's own columns, without what we make of series, and which are categories."""
    own = [place for place, given in enumerate(frame.inputs) if given.kind != "series"]
    categorical = [number for number, place in enumerate(own) if frame.inputs[place].kind == "category"]
    return frame.rows[:, own], categorical


Contender = Callable[[TableFrame, Chosen, Chosen], Vector]
CONTENDERS: Final[dict[str, Contender]] = {
    "ours": ours,
    "plain_lightgbm": plain_lightgbm,
    "catboost_defaults": catboost_defaults,
    "optbinning_scorecard": scorecard,
}


def cross_validated(frame: TableFrame) -> dict[str, float]:
    """Mean AUC of each contender over the same five shuffled folds."""
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for fit_rows, test_rows in StratifiedKFold(5, shuffle=True, random_state=0).split(frame.rows, frame.labels):
        fit, test = (np.isin(np.arange(len(frame.labels)), rows) for rows in (fit_rows, test_rows))
        for name, contender in CONTENDERS.items():
            found[name].append(float(roc_auc_score(frame.labels[test], contender(frame, fit, test))))
    return {name: float(np.mean(aucs)) for name, aucs in found.items()}


def uci() -> dict[str, Any]:
    """UCI credit cards, five-fold cross-validation."""
    frame = read_training_table(TableRequest(REAL_DATA / "uci_credit_card.csv.gz", "DID_DEFAULT_PAYMENT"))
    return {"auc": cross_validated(frame), "wanted": "ours at least 0.787, and ahead of the others"}


def bank() -> dict[str, Any]:
    """UCI bank marketing without the length of the call: five random folds, and the latest fifth."""
    request = TableRequest(
        REAL_DATA / "bank_marketing.csv.gz", "y", task="response", drop=("duration",), ordered=True
    )  # fmt: skip
    frame = read_training_table(request)
    latest = {
        name: float(roc_auc_score(frame.labels[frame.test], contender(frame, ~frame.test, frame.test)))
        for name, contender in CONTENDERS.items()
    }
    wanted = "ours at least 0.81 on random folds, and ahead of plain LightGBM on the latest fifth"
    return {"auc_random_folds": cross_validated(frame), "auc_latest_fifth": latest, "wanted": wanted}


def reasons(rounds: int) -> dict[str, Any]:
    """Exact SHAP values of one row and of ten thousand: LightGBM's ``pred_contrib=True`` over ours, values equal."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40_000, 60))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    known = np.nan_to_num(rows)
    target = known[:, :12] @ rng.normal(size=12) + known[:, 0] * known[:, 1] + rng.normal(size=40_000) > 0
    parameters = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.05, "verbosity": -1, "num_threads": 2}
    booster = lgb.train(parameters, lgb.Dataset(rows, target.astype(float)), 300)
    began = time.perf_counter()
    explainer = Explainer(booster)
    made = time.perf_counter() - began
    result: dict[str, Any] = {
        "trees": 300,
        "leaves": 31,
        "features": 60,
        "seconds_to_make": made,
        "wanted": "at least 10",
    }
    result["table_megabytes"] = explainer.table_bytes / 2**20
    for name, count, calls, repeats in (("one_row", 1, 200, 2 * rounds), ("ten_thousand_rows", 10_000, 1, rounds)):
        # Another row each call, as callers ask: one that was just explained is still in the processor's cache. Single
        # rows are asked for 200 times in a row: threads that LightGBM leaves waiting would slow the other side down.
        both = {side: iter(_successive(rows, count)) for side in ("pred_contrib", "ours")}
        asked = rows[:count]
        theirs, own = booster.predict(asked, pred_contrib=True), explainer.contributions(asked, threads=2)
        times = medians(
            repeats,
            pred_contrib=partial(_of_next, both["pred_contrib"], partial(booster.predict, pred_contrib=True), calls),
            ours=partial(_of_next, both["ours"], partial(explainer.contributions, threads=2), calls),
        )
        result[name] = {
            "largest_difference": float(np.abs(theirs - own).max()),
            "times_as_fast": ratio(times, "pred_contrib", "ours"),
            "median_seconds_a_call": {side: found["median"] / calls for side, found in times.items()},
        }
    return result


def _successive(rows: Matrix, count: int) -> Iterator[Matrix]:
    """``count`` rows at a time, over and over."""
    while True:
        for first in range(0, len(rows) - count + 1, count):
            yield rows[first : first + count]


def _of_next(rows: Iterator[Matrix], explain: Callable[[Matrix], Any], calls: int) -> None:
    for _ in range(calls):
        explain(next(rows))


def parallel(rounds: int, rows: int = 1_000_000, columns: int = 40) -> dict[str, Any]:
    """One LightGBM model on a million rows: data-parallel on two Ray workers over one process with two threads."""
    rng = np.random.default_rng(1)
    data = rng.normal(size=(rows + 100_000, columns))
    odds = data[:, :10] @ rng.normal(size=10) - 2.0
    labels = (rng.random(len(data)) < 1 / (1 + np.exp(-odds))).astype(float)
    training = TrainingRows(data[:rows], labels[:rows], np.zeros(rows, np.int64))
    lightgbm = BoosterParameters(num_leaves=31).for_lightgbm([0] * columns, 2)
    settings = load_settings({"JINKONG_TRAINING_WORKERS": "2"})
    found: dict[str, list[float]] = {"ray_seconds": [], "one_process_seconds": [], "ray_auc": [], "one_process_auc": []}
    with ray_session(settings):
        # The first run starts the workers' processes: Ray is up from then on.
        RayGrowth(2).on_all(training, lightgbm, 2)
        for _ in range(rounds):
            for side, growth in (("ray", RayGrowth(2)), ("one_process", LocalGrowth())):
                began = time.perf_counter()
                booster = growth.on_all(training, lightgbm, 100)
                found[f"{side}_seconds"].append(time.perf_counter() - began)
                scores = booster.predict(data[rows:], raw_score=True)
                found[f"{side}_auc"].append(float(roc_auc_score(labels[rows:], scores)))
    middle = {name: float(np.median(values)) for name, values in found.items()}
    return middle | {
        "rows": rows, "auc_difference": abs(middle["ray_auc"] - middle["one_process_auc"]),
        "wall_time_over_one_process": middle["ray_seconds"] / middle["one_process_seconds"],
        "wanted": "AUC within 0.002, wall time at most 1.5 times",
    }  # fmt: skip


def simulated(seed: int | None = None, size: str = "small") -> dict[str, Any]:
    """The credit model on a simulated group: its share of the oracle's Gini, and its calibration out of time."""
    import polars as pl

    from features.sources.deliveries import DEFAULT_SEED
    from pipelines.workspace import Workspace
    from tests.bench.credit import measure

    with tempfile.TemporaryDirectory(prefix="jinkong-bench-") as home:
        compared = measure(home, size, DEFAULT_SEED if seed is None else seed)
        settings = load_settings({"JINKONG_HOME": home})
        tested = pl.read_parquet(Workspace.of(settings).test_pd)
        moved, side_by_side, most = uplift_of(settings), segments_of(settings), most_of_features(settings)
    labels, probability = tested["defaulted"].cast(pl.Float64).to_numpy(), tested["probability"].to_numpy()
    slope, _ = calibration_line(labels, probability)
    wanted = "share of the oracle's Gini at least 0.9, calibration slope from 0.9 to 1.1"
    return compared | {
        "calibration_slope": slope, "auc": performance(labels, probability).auc, "size": size, "wanted": wanted,
        "most_that_the_features_give": most, "uplift": moved, "segments": side_by_side,
    }  # fmt: skip


def most_of_features(settings: Settings) -> float:
    """The share of the oracle's Gini where LightGBM learns the oracle's own log-odds from the same rows and features.

    What it misses, no learner can find in these features and so many rows: the labels hold less.
    """
    import polars as pl

    from features import query
    from pipelines.workspace import Workspace
    from training import matrix

    workspace = Workspace.of(settings)
    truth = query(
        """
        SELECT legal_entity, parties.party_id, truth.event_timestamp,
               max(truth.probability_of_default_12m) AS true_pd
        FROM read_parquet($truth) AS truth
        JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
        GROUP BY ALL
        """,
        {
            "truth": f"{workspace.truth}/default_probability/*.parquet",
            "parties": f"{workspace.canonical}/parties/*.parquet",
        },
    )
    frame = pl.read_parquet(workspace.frame)
    names = frame.columns[frame.columns.index("product") + 1 :]
    known = frame.join(truth, on=["legal_entity", "party_id", "event_timestamp"], how="inner", maintain_order="left")
    train, test = known.filter(pl.col("fold") == "train"), known.filter(pl.col("fold") == "test")
    rows, pd = matrix(train, names), train["true_pd"].to_numpy()
    held = train["party_fold"].to_numpy() == 0
    parameters: dict[str, Any] = {
        "objective": "regression", "learning_rate": 0.05, "num_leaves": 31, "feature_fraction": 0.3,
        "bagging_fraction": 0.7, "bagging_freq": 1, "min_data_in_leaf": 100, "force_col_wise": True, "verbosity": -1,
    }  # fmt: skip
    log_odds = np.log(pd / (1 - pd))
    fit = lgb.Dataset(rows[~held], log_odds[~held], params=parameters)
    booster = lgb.train(
        parameters, fit, 3_000, valid_sets=[lgb.Dataset(rows[held], log_odds[held], reference=fit)],
        callbacks=[lgb.early_stopping(50, verbose=False)],
    )  # fmt: skip
    found = 1 / (1 + np.exp(-np.asarray(booster.predict(matrix(test, names)))))
    labels = test["defaulted"].cast(pl.Float64).to_numpy()
    return performance(labels, found).gini / performance(labels, test["true_pd"].to_numpy()).gini


def segments_of(settings: Settings) -> dict[str, Any]:
    """The models of all segments: side by side on Ray over one after the other with all threads, models equal."""
    from pipelines.jobs.segments import segment_work
    from training.segments import train_segment_candidate

    work = segment_work(settings)
    pooled, origin = work.runs.pooled, work.runs.origin
    together: dict[Any, Any] = {}
    alone: dict[Any, Any] = {}

    def side_by_side() -> None:
        together.update((plan.segment, candidate) for plan, candidate in work.runs.candidates(work.plans))

    def in_sequence() -> None:
        for plan in work.plans:
            alone[plan.segment] = train_segment_candidate(
                plan, pooled, origin, threads=settings.threads, growth=LocalGrowth()
            )  # fmt: skip

    with ray_session(settings):
        # The first round starts the workers' processes and imports in them.
        side_by_side()
        times = medians(3, in_sequence=in_sequence, side_by_side=side_by_side)
    for segment, candidate in alone.items():
        rows = np.random.default_rng(0).normal(size=(1_000, len(candidate.model.features)))
        other = together[segment].model
        assert np.array_equal(candidate.model.probability(rows), other.probability(rows)), "the models differ"
    return {
        "segments": len(work.plans), "served_by_the_pooled_model": len(work.small), "seconds": times,
        "times_as_fast": ratio(times, "in_sequence", "side_by_side"), "wanted": "more than 1",
    }  # fmt: skip


def uplift_of(settings: Settings) -> dict[str, Any]:
    """The chosen learner of uplift on the latest campaigns, against the simulation's own uplifts."""
    import polars as pl

    from features import open_store
    from pipelines.workspace import Workspace
    from training.uplift import chosen_uplift_model, qini_of_truth, uplift_frame

    workspace, store = Workspace.of(settings), open_store(settings)
    frame = uplift_frame(store, workspace.canonical)
    choice, test = chosen_uplift_model(frame, settings.threads), frame.part("test")
    truth = pl.read_parquet(workspace.truth / "uplift" / "*.parquet")
    keys = ["legal_entity", "customer_id", "campaign_id"]
    true = test.rows.join(truth, on=keys, how="left", maintain_order="left")["uplift"].to_numpy()
    share = qini_of_truth(choice.model.amount(test.matrix), true) / qini_of_truth(true, true)
    return {
        "learner": choice.learner, "qini_when_choosing": choice.chosen_by, "qini_on_test": choice.test,
        "share_of_oracle_qini": share, "contacts": len(frame.rows), "wanted": "share of the oracle's Qini at least 0.7",
    }  # fmt: skip


def main() -> None:
    """Measure and print JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    parts: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "uci": lambda _: uci(),
        "bank": lambda _: bank(),
        "reasons": lambda chosen: reasons(chosen.rounds),
        "parallel": lambda chosen: parallel(chosen.rounds),
        "simulated": lambda chosen: simulated(chosen.seed, chosen.size),
    }
    arguments.add_argument("--only", choices=sorted(parts), nargs="+", default=list(parts))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--size", default="small")
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    result: dict[str, Any] = {"benchmark": "training"}
    for name in chosen.only:
        needed = {"uci": "uci_credit_card.csv.gz", "bank": "bank_marketing.csv.gz"}.get(name)
        if needed and not (REAL_DATA / needed).is_file():
            result[name] = {"skipped": f"{needed} is not in {REAL_DATA}"}
        else:
            result[name] = parts[name](chosen)
        print(json.dumps({name: result[name]}), file=sys.stderr, flush=True)  # noqa: T201 - progress
    print(json.dumps(result, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
