"""Uplift: what learners find on an experiment whose effects are known, and what cannot be learnt from."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklift.metrics import qini_auc_score

from features import open_store, resolve_parties
from group.settings import Settings
from pipelines.workspace import Workspace
from tests.features.tables import a_customer, write
from training.amounts import AmountModel
from training.errors import TooFewContacts
from training.uplift import UpliftFrame, chosen_uplift_model, qini, qini_of_truth, uplift_frame
from training.uplift.learners import LEARNERS, Experiment

NAMES = ("a", "b", "noise")


def an_experiment(rows: int, seed: int) -> tuple[Experiment, np.ndarray]:
    """A contact helps where ``a`` is high and hurts where it is low; ``b`` moves the purchase alone."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(rows, 3))
    without = 1 / (1 + np.exp(-(-1.5 + 0.8 * columns[:, 1])))
    effect = 0.15 * np.tanh(1.5 * columns[:, 0])
    treated = (rng.random(rows) < 0.7).astype(float)
    chance = np.clip(without + treated * effect, 0, 1)
    true = np.clip(without + effect, 0, 1) - without
    columns[rng.random(columns.shape) < 0.05] = np.nan
    took_up = (rng.random(rows) < chance).astype(float)
    return Experiment(NAMES, columns, treated, took_up, np.arange(rows) % 5), true


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_finds_whom_a_contact_moves_and_not_just_who_buys(name: str) -> None:
    data, _ = an_experiment(12_000, 1)
    learner: Callable[[Experiment, int], AmountModel] = LEARNERS[name]
    fresh, true = an_experiment(12_000, 2)
    found = learner(data, 2).amount(fresh.rows)
    assert qini_of_truth(found, true) / qini_of_truth(true, true) > 0.75
    # Who buys anyway is no measure of whom a contact moves.
    assert qini_of_truth(np.nan_to_num(fresh.rows[:, 1]), true) / qini_of_truth(true, true) < 0.2


def test_the_qini_of_the_truth_is_most_for_the_truth_and_nothing_for_chance() -> None:
    data, true = an_experiment(20_000, 3)
    most = qini_of_truth(true, true)
    rng = np.random.default_rng(4)
    assert qini_of_truth(-true, true) < 0 < most
    assert abs(qini_of_truth(rng.normal(size=20_000), true)) < 0.05 * most
    assert qini(true, data.took_up, data.treated) == qini_auc_score(data.took_up, true, data.treated)
    assert qini(true, data.took_up, data.treated) > 0.1


def a_frame(rows: int, effect: bool = True) -> UpliftFrame:
    data, _ = an_experiment(rows, 5)
    rng = np.random.default_rng(6)
    took_up = data.took_up if effect else (rng.random(rows) < 0.2).astype(float)
    parts = np.repeat(["fit", "choice", "test"], [rows // 2, rows // 4, rows - rows // 2 - rows // 4])
    frame = pl.DataFrame(data.rows, schema=list(NAMES)).with_columns(
        treated=pl.Series(data.treated == 1), took_up=pl.Series(took_up == 1), part=pl.Series(parts),
        fold=pl.Series(data.folds),
    )  # fmt: skip
    return UpliftFrame(frame, NAMES)


def test_the_learner_with_the_best_qini_on_later_campaigns_is_chosen_and_judged_on_the_latest() -> None:
    told: list[float] = []
    choice = chosen_uplift_model(a_frame(16_000), 2, told.append)
    assert choice.chosen_by[choice.learner] == max(choice.chosen_by.values())
    assert set(choice.chosen_by) == set(LEARNERS)
    assert choice.test > 0.05
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_an_experiment_without_effect_shows_a_qini_of_nothing() -> None:
    assert abs(chosen_uplift_model(a_frame(16_000, effect=False), 2).test) < 0.05


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_the_same_experiment_gives_the_same_model_twice_and_its_texts_give_it_back(name: str) -> None:
    data, _ = an_experiment(4_000, 7)
    fresh, _ = an_experiment(500, 8)
    model = LEARNERS[name](data, 2)
    assert model.to_texts() == LEARNERS[name](data, 2).to_texts()
    again = AmountModel.from_texts(*model.to_texts())
    assert again.amount(fresh.rows).tobytes() == model.amount(fresh.rows).tobytes()
    assert (again.task, again.features, again.method) == ("uplift", NAMES, model.method)


def contacts(tmp_path: Path, made: list[dict[str, Any]]) -> Path:
    write(tmp_path, "customers", [a_customer()])
    start = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [
        {
            "legal_entity": a_customer()["legal_entity"], "customer_id": a_customer()["customer_id"],
            "campaign_id": f"C{number}", "channel": "sms", "responded": False,
            "event_timestamp": start + timedelta(days=number),
            "created_timestamp": start + timedelta(days=number + 30), "superseded_at": None, **one,
        }
        for number, one in enumerate(made)
    ]  # fmt: skip
    folder = tmp_path / "contacts"
    folder.mkdir()
    pl.DataFrame(rows, schema_overrides={"superseded_at": pl.Datetime("us", "UTC")}).write_parquet(folder / "0.parquet")
    resolve_parties(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ([{"treated": True, "took_up": True}] * 40, "Of those who were held out, 0 took the product up"),
        ([{"treated": False, "took_up": True}] * 40, "Of those who were contacted, 0 took the product up"),
    ],
)
def test_contacts_without_an_experiment_are_refused(tmp_path: Path, made: list[dict[str, Any]], says: str) -> None:
    canonical = contacts(tmp_path, made)
    with pytest.raises(TooFewContacts, match=says):
        uplift_frame(None, canonical)


def test_data_without_contacts_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TooFewContacts, match="There are no contacts"):
        uplift_frame(None, tmp_path)


@pytest.mark.long
def test_the_small_group_is_sorted_by_uplift_nearly_as_well_as_could_be_known(small_group_settings: Settings) -> None:
    workspace = Workspace.of(small_group_settings)
    store = open_store(small_group_settings)
    frame = uplift_frame(store, workspace.canonical)
    test = frame.part("test")
    before = frame.rows.filter(pl.col("part") != "test")["event_timestamp"].to_list()
    assert max(before) < min(test.rows["event_timestamp"].to_list())
    choice = chosen_uplift_model(frame, 2)
    truth = pl.read_parquet(workspace.truth / "uplift" / "*.parquet")
    keys = ["legal_entity", "customer_id", "campaign_id"]
    true = test.rows.join(truth, on=keys, how="left", maintain_order="left")["uplift"].to_numpy()
    assert qini_of_truth(choice.model.amount(test.matrix), true) / qini_of_truth(true, true) > 0.6
