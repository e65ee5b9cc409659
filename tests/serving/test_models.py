"""Models in service: replaced while they serve, kept where the registry fails, and never one that nobody approved."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from features.errors import FeatureStoreUnavailable
from group.settings import Settings
from serving.models import Models
from serving.scored import Scored
from serving.scorer import Asked
from tests.serving.registry import another_champion, withdrawn
from training import NoChampion, RegistryUnavailable, champion, champion_mark, deployed

pytestmark = pytest.mark.long


def test_the_mark_is_what_mlflow_says(home: Settings) -> None:
    there = champion(home)
    mark = champion_mark(home)
    assert mark is not None
    assert (mark.version, mark.sha256, mark.approved_by) == (there.version, there.sha256, "the committee")
    assert champion_mark(home, "nothing") is None
    assert champion_mark(home, alias="nothing") is None


def test_the_mark_of_a_server_is_what_mlflow_says(settings: Settings, mlflow_server: str) -> None:
    import mlflow

    remote = settings.model_copy(update={"mlflow_tracking_uri": mlflow_server})
    client = mlflow.MlflowClient(mlflow_server)
    assert champion_mark(remote) is None
    client.create_registered_model("credit_pd")
    assert champion_mark(remote) is None
    tags = {"sha256": "ab", "approved_by": "Li"}
    version = client.create_model_version("credit_pd", "s3://models/nowhere", tags=tags)
    client.set_registered_model_alias("credit_pd", "champion", version.version)
    mark = champion_mark(remote)
    assert mark is not None
    assert (mark.version, mark.sha256, mark.approved_by) == ("1", "ab", "Li")
    away = remote.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    with pytest.raises(RegistryUnavailable):
        champion_mark(away)


def test_a_new_champion_takes_its_place_and_the_old_scorer_still_answers(home: Settings) -> None:
    models = Models(home)
    before = models.scorer()
    row = Asked("credit", features=dict.fromkeys(before.model.read_columns, 0.0))
    [old] = before.score([row])
    models.refresh()
    assert models.ready() is before
    promoted = another_champion(home)
    models.refresh()
    after = models.ready()
    assert after is not None
    assert (after.registered.version, after.registered.sha256) == (promoted.version, promoted.sha256)
    [new] = after.score([row])
    assert isinstance(new, Scored)
    assert isinstance(old, Scored)
    assert new.probability != old.probability
    assert before.score([row]) == [old]
    copy = deployed(home)
    assert copy is not None
    assert copy.version == promoted.version


def test_a_champion_whose_files_were_changed_does_not_take_its_place(home: Settings) -> None:
    models = Models(home)
    before = models.scorer()
    promoted = another_champion(home, tampered=True)
    models.refresh()
    assert models.ready() is before
    assert f"Version {before.registered.version} goes on" in models.notes["credit_pd"]
    # A process that starts now finds the last good one too.
    started = Models(home)
    assert started.scorer().registered.version == before.registered.version
    assert f"Version {promoted.version} of 'credit_pd' is not the one that was registered" in started.notes["credit_pd"]


def test_a_registry_that_is_away_stops_nobody_who_has_served_before(home: Settings) -> None:
    version = Models(home).scorer().registered.version
    away = home.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    started = Models(away)
    assert started.scorer().registered.version == version
    assert "does not answer" in started.notes["credit_pd"]
    with pytest.raises(RegistryUnavailable):
        Models(away.at(home.home / "elsewhere")).scorer()


def test_a_withdrawn_champion_is_not_served_from_a_copy(home: Settings) -> None:
    models = Models(home)
    models.scorer()
    withdrawn(home)
    models.refresh()
    assert models.ready() is None
    with pytest.raises(NoChampion):
        models.scorer()
    with pytest.raises(NoChampion):
        Models(home).scorer()


def test_a_copy_that_was_changed_is_not_used(home: Settings) -> None:
    Models(home).scorer()
    path = home.home / "deployed" / "credit_pd.json"
    content = json.loads(path.read_text())
    content["texts"][0] = content["texts"][0].replace("leaf_value=0", "leaf_value=9", 1)
    path.write_text(json.dumps(content))
    assert deployed(home) is None
    assert Models(home).scorer().registered.sha256 == champion(home).sha256


def test_a_champion_that_asks_for_features_which_are_not_online_leaves_the_old_one(home: Settings) -> None:
    models = Models(home)
    before = models.scorer()
    another_champion(home)
    layout = home.home / "feast" / "service_credit_pd.json"
    layout.write_text(layout.read_text().replace('"age_years"', '"age_in_years"'))
    models.refresh()
    assert models.ready() is before
    assert "age_years" in models.notes["credit_pd"]
    layout.unlink()
    with pytest.raises(FeatureStoreUnavailable):
        Models(home).scorer()


def test_serving_imports_neither_feast_nor_mlflow_nor_what_only_training_needs() -> None:
    code = (
        "import sys; from serving import create_app; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'feast', 'ray', 'mlflow', 'pandas', 'evidently', "
        "'sklearn', 'lightgbm', 'matplotlib', 'polars', 'pyarrow', 'alembic', 'redis', 'psycopg', 'duckdb', 'dbos'}))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_loaded_booster_answers_as_lightgbm_to_the_bit(trained_settings: Settings) -> None:
    import lightgbm as lgb

    from training import ModelTampered
    from training.loaded_booster import LoadedBooster

    text = champion(trained_settings).texts[0]
    theirs, ours = lgb.Booster(model_str=text), LoadedBooster(text)
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(500, theirs.num_feature())) * 1_000
    rows[rng.random(rows.shape) < 0.3] = np.nan
    for raw in (True, False):
        assert ours.predict(rows, raw_score=raw).tobytes() == np.asarray(theirs.predict(rows, raw_score=raw)).tobytes()
    assert ours.predict(rows[:1], raw_score=True)[0] == theirs.predict(rows[:1], raw_score=True)[0]
    assert (ours.num_feature(), ours.num_trees()) == (theirs.num_feature(), theirs.num_trees())
    assert ours.predict(rows[:0]).shape == (0,)
    # Ray's workers are given it.
    assert pickle.loads(pickle.dumps(ours)).predict(rows).tobytes() == ours.predict(rows).tobytes()  # noqa: S301 - ours
    with pytest.raises(ValueError, match="columns"):
        ours.predict(rows[:, :3])
    with pytest.raises(ModelTampered):
        LoadedBooster("not a model")
