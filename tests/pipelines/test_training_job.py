"""The training job: idempotent, on record, and no judge of what somebody decided by hand."""

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import mlflow
import pytest
from rich.console import Console
from sqlalchemy import select

from group.audit import GROUP, audit_log, verify
from group.database import open_database
from group.settings import Settings
from pipelines.jobs.training import train_champion
from pipelines.progress import Silence
from pipelines.told import tell_training
from pipelines.workspace import Workspace
from training import CHAMPION, MODEL_NAME, champion

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
    assert payload["requirements"]["Gini on the test"] == payload["test_gini"] > 0.5
    assert verify(engine) is None
    engine.dispose()


def test_training_again_from_the_same_inputs_leaves_a_champion_that_was_chosen_by_hand(
    trained_settings: Settings,
) -> None:
    trained = champion(trained_settings)
    client = mlflow.MlflowClient(trained_settings.tracking_uri)
    source = client.get_model_version(MODEL_NAME, trained.version)
    other = client.create_model_version(MODEL_NAME, source.source, source.run_id, tags=source.tags)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, other.version)
    try:
        record = train_champion(trained_settings, Silence())
        assert record.reused
        assert champion(trained_settings).version == str(other.version)
        told = io.StringIO()
        tell_training(Console(width=200, file=told), record)
        assert "training: unchanged, reused" in told.getvalue()
        assert f"version {other.version} is champion; `jinkong train --again` may replace it" in told.getvalue()
    finally:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, trained.version)
        client.delete_model_version(MODEL_NAME, other.version)
    assert train_champion(trained_settings, Silence()).facts["champion"] == trained.version


class WorkBegan(Exception):
    """The job got as far as the join."""


class StopAtTheJoin(Silence):
    """A reporter that ends the job once the work begins: that it does is all that is asked."""

    def bar(self, description: str, total: float | None) -> AbstractContextManager[Callable[[float], None]]:
        if description == "point-in-time join":
            raise WorkBegan
        return super().bar(description, total)


def test_without_a_champion_training_begins_anew_since_there_is_nothing_to_serve(trained_settings: Settings) -> None:
    trained = champion(trained_settings)
    record = Workspace.of(trained_settings).steps / "training.json"
    kept = record.read_text()
    client = mlflow.MlflowClient(trained_settings.tracking_uri)
    client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    try:
        with pytest.raises(WorkBegan):
            train_champion(trained_settings, StopAtTheJoin())
    finally:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, trained.version)
        record.write_text(kept)
    assert train_champion(trained_settings, StopAtTheJoin()).reused
