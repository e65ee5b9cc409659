"""The training job: idempotent, on record, and no judge of what somebody decided by hand."""

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from sqlalchemy import select

from group.audit import GROUP, audit_log, verify
from group.database import open_database
from group.settings import Settings
from pipelines.jobs.training import train_credit
from pipelines.progress import Silence
from pipelines.told import tell_training
from pipelines.workspace import Workspace
from tests.pipelines.in_process import jinkong
from tests.serving.calling import calling
from training import MODEL_NAME, champion, latest_candidate, versions
from training.registry import report_of

pytestmark = pytest.mark.long


def test_a_promotion_is_on_record_with_what_it_was_decided_by(trained_settings: Settings) -> None:
    engine = open_database(trained_settings.state_url)
    model = champion(trained_settings)
    with engine.connect() as connection:
        records = connection.execute(
            select(audit_log.c.payload).where(
                audit_log.c.legal_entity == GROUP,
                audit_log.c.action == "model.promoted",
                audit_log.c.subject == f"{MODEL_NAME}/{model.version}",
            )
        ).scalars()
        [payload] = [json.loads(text) for text in records]
    assert payload["sha256"] == model.sha256
    assert payload["run_id"] == model.run_id
    assert payload["trained_by"] == "the fixture"
    assert payload["reason"] == "for the tests"
    assert verify(engine) is None
    engine.dispose()


def test_training_again_from_the_same_inputs_changes_nothing(trained_settings: Settings) -> None:
    before = [row.version for row in versions(trained_settings, MODEL_NAME)]
    record = train_credit(trained_settings, Silence())
    assert record.reused
    assert [row.version for row in versions(trained_settings, MODEL_NAME)] == before
    told = io.StringIO()
    tell_training(Console(width=200, file=told), record)
    assert "training: unchanged, reused" in told.getvalue()
    assert "scorecard (OptBinning): Gini 0." in told.getvalue()
    assert Path(record.facts["report"]).read_text().startswith("<!doctype html>")


class WorkBegan(Exception):
    """The job got as far as the join."""


class StopAtTheJoin(Silence):
    """A reporter that ends the job once the work begins: that it does is all that is asked."""

    def bar(self, description: str, total: float | None) -> AbstractContextManager[Callable[[float], None]]:
        if description == "point-in-time join":
            raise WorkBegan
        return super().bar(description, total)


def test_a_version_that_is_no_longer_in_the_registry_is_trained_anew(trained_settings: Settings) -> None:
    record = Workspace.of(trained_settings).steps / "training.json"
    kept = record.read_text()
    content = json.loads(kept)
    content["facts"]["model"]["version"] = "999"
    record.write_text(json.dumps(content))
    try:
        with pytest.raises(WorkBegan):
            train_credit(trained_settings, StopAtTheJoin())
    finally:
        record.write_text(kept)
    assert train_credit(trained_settings, StopAtTheJoin()).reused


def test_the_committee_lists_reads_approves_and_rolls_back_by_command(
    trained_settings: Settings, tmp_path: Path
) -> None:
    home = trained_settings.home
    own = champion(trained_settings).version
    assert MODEL_NAME in jinkong("models", "list", home=home).stdout
    assert "the committee" in jinkong("models", "history", MODEL_NAME, home=home).stdout
    # A home that was kept from an earlier run may have had others before; an audit log of the test's own has not.
    log = f"sqlite:///{tmp_path / 'state.db'}"
    refused = jinkong(
        "models", "roll-back", MODEL_NAME, "--by", "Bob", "--reason", "a try", home=home, JINKONG_DATABASE_URL=log
    )
    assert (refused.returncode, "no champion before the present one" in refused.stderr) == (2, True)
    unknown = jinkong("models", "approve", "nothing", "--by", "Bob", "--reason", "a try", home=home)
    assert (unknown.returncode, "The registry has no model 'nothing'" in unknown.stderr) == (3, True)
    shown = jinkong("models", "report", MODEL_NAME, "--version", own, home=home)
    assert shown.returncode == 0
    assert Path(shown.stdout.strip().splitlines()[-1]).is_file()


def test_each_segment_gets_a_model_of_its_own_or_is_named_as_too_small(trained_settings: Settings) -> None:
    home = trained_settings.home
    done = jinkong("train", "segments", "--by", "the fixture", home=home)
    assert done.returncode == 0, done.stderr
    names = {row.name for row in versions(trained_settings) if row.name.startswith(f"{MODEL_NAME}-")}
    assert f"{MODEL_NAME}-consumer-revolving_card-person" in names
    assert f"{MODEL_NAME}-leasing-finance_lease-enterprise" in names
    assert "the pooled model serves it" in done.stdout or len(names) >= 8
    own = latest_candidate(trained_settings, f"{MODEL_NAME}-consumer-revolving_card-person")
    assert own is not None
    beside = report_of(own, trained_settings)["validation"]["challengers"][0]
    assert "pooled model" in beside["name"]
    # What a segment adds is small: it must not lose what the pooled model knows.
    assert beside["gini_difference"] > -0.01
    refused = jinkong("models", "approve", own.name, "--by", "The  Fixture", "--reason", "mine", home=home)
    assert (refused.returncode, "somebody else has to approve it" in refused.stderr) == (2, True)

    approved = jinkong("models", "approve", own.name, "--by", "the committee", "--reason", "it holds", home=home)
    assert approved.returncode == 0, approved.stderr
    newest = sorted((Workspace.of(trained_settings).features / "profile").glob("*.parquet"))[-1]
    customers = pl.read_parquet(newest, columns=["legal_entity", "party_id"]).filter(legal_entity="consumer")
    party = customers.sort("party_id").row(3, named=True)
    with calling(trained_settings) as client:
        pooled = client.post("/v1/score", json=party).json()
        by_segment = client.post("/v1/score", json=party | {"model": own.name}).json()
    assert by_segment["model"]["name"] == own.name
    assert by_segment["probability_of_default"] == pytest.approx(pooled["probability_of_default"], rel=0.5)
    assert by_segment["features_as_of"] == pooled["features_as_of"]


def test_segments_without_a_pooled_model_are_told_what_to_run(tmp_path: Path) -> None:
    refused = jinkong("train", "segments", home=tmp_path)
    assert (refused.returncode, "run `jinkong train` first" in refused.stderr) == (2, True)
