"""The registry: all that a model was judged by is kept, nothing is pickled, and a changed file is refused."""

from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest

from group.settings import Settings, load_settings
from training import (
    BoosterParameters,
    Candidate,
    CreditFrame,
    LocalGrowth,
    ModelTampered,
    NoChampion,
    RegistryUnavailable,
    champion,
    model_version,
    promote,
    register,
    train_candidate,
)
from training.frames import Split

NAMES = ("age_years", "income_per_month", "inquiries_latest_360d")


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    rng = np.random.default_rng(4)
    count = 3_000
    rows = pl.DataFrame(rng.normal(size=(count, 3)), schema=list(NAMES))
    log_odds = -1.5 - 1.2 * rows["income_per_month"].to_numpy() + 0.9 * rows["inquiries_latest_360d"].to_numpy()
    instant = datetime(2025, 1, 1, tzinfo=UTC)
    defaulted = rng.random(count) < 1 / (1 + np.exp(-log_odds))
    frame = pl.DataFrame(
        {
            "legal_entity": ["credit"] * count,
            "party_id": [f"P{n}" for n in range(count)],
            "event_timestamp": [instant] * count,
            "defaulted": defaulted,
            "severity": defaulted.astype(np.float64),
            "fold": np.where(np.arange(count) % 4 == 0, "test", "train"),
            "party_fold": np.arange(count) % 5,
        }
    ).hstack(rows)
    split = Split("out_of_sample", (instant,), (instant,))
    quick = BoosterParameters(learning_rate=0.1, max_trees=60)
    return train_candidate(CreditFrame(frame, NAMES, split), quick, threads=2, growth=LocalGrowth())


def test_what_was_registered_is_what_is_loaded_once_it_is_champion(settings: Settings, candidate: Candidate) -> None:
    with pytest.raises(NoChampion, match=r"has no model 'credit_pd' with the alias 'champion'; run `jinkong train`"):
        champion(settings)
    registered = register(candidate, settings, source="a test")
    with pytest.raises(NoChampion):
        champion(settings)
    promote(registered, settings)
    loaded = champion(settings)
    assert loaded.model.to_texts() == candidate.model.to_texts()
    assert (loaded.version, loaded.sha256, loaded.run_id) == (registered.version, registered.sha256, registered.run_id)
    assert loaded.source == "a test"
    assert model_version(registered.version, settings).sha256 == registered.sha256
    with pytest.raises(RegistryUnavailable):
        model_version("99", settings)


def test_the_run_keeps_parameters_measures_plots_signature_data_hash_and_commit(
    settings: Settings, candidate: Candidate
) -> None:
    registered = register(candidate, settings, source="a test")
    client = mlflow.MlflowClient(settings.tracking_uri)
    run = client.get_run(registered.run_id)
    assert run.data.params["num_leaves"] == str(candidate.parameters.num_leaves)
    assert run.data.metrics["test_gini"] == pytest.approx(candidate.validation.test.gini)
    assert {"test_ks", "test_brier", "score_psi", "train_auc"} <= run.data.metrics.keys()
    assert run.data.tags["data_sha256"] == candidate.data_hash
    assert len(run.data.tags["git_commit"].rstrip("+")) in (40, len("unknown"))
    plots = {Path(entry.path).name for entry in client.list_artifacts(registered.run_id, "plots")}
    assert plots == {"roc.png", "calibration.png", "scores.png", "features_by_gain.png"}
    signature = mlflow.models.get_model_info(f"models:/credit_pd/{registered.version}").signature
    assert signature.inputs.input_names() == list(NAMES)


def test_no_stored_file_is_a_pickle_and_mlflow_serves_the_calibrated_pd(
    settings: Settings, candidate: Candidate
) -> None:
    registered = register(candidate, settings, source="a test")
    stored = [path for path in (settings.home / "mlflow_artifacts").rglob("*") if path.is_file()]
    assert {"booster.txt", "parameters.json", "mlflow_model.py"} <= {path.name for path in stored}
    assert not [path for path in stored if path.suffix in (".pkl", ".pickle", ".joblib", ".skops")]
    assert not [path for path in stored if path.read_bytes()[:1] == b"\x80"]
    generic = mlflow.pyfunc.load_model(f"models:/credit_pd/{registered.version}")
    frame = candidate.example.iloc[:, ::-1]
    wanted = candidate.model.probability(candidate.example.to_numpy(np.float64))
    assert np.asarray(generic.predict(frame)).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", ["booster.txt", "parameters.json"])
def test_a_file_that_was_changed_after_registering_is_refused(
    settings: Settings, candidate: Candidate, name: str
) -> None:
    promote(register(candidate, settings, source="a test"), settings)
    [stored] = (settings.home / "mlflow_artifacts").rglob(name)
    text = stored.read_text()
    if name == "parameters.json":
        stored.write_text(text.replace('"shift": ', '"shift": 1'))
    else:
        stored.write_text(text.replace("leaf_value=", "leaf_value=-", 1))
    with pytest.raises(ModelTampered, match="is not the one that was registered: its SHA-256 is"):
        champion(settings)


def test_a_registry_that_is_away_is_named_without_its_password() -> None:
    away = load_settings({"JINKONG_MLFLOW_TRACKING_URI": "http://jinkong:hunter2@127.0.0.1:1"})
    with pytest.raises(RegistryUnavailable) as refused:
        champion(away)
    assert "http://127.0.0.1:1" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.long
def test_the_same_code_registers_with_a_real_mlflow_server(
    mlflow_server: str, candidate: Candidate, tmp_path: Path
) -> None:
    remote = load_settings({"JINKONG_MLFLOW_TRACKING_URI": mlflow_server, "JINKONG_HOME": str(tmp_path / "home")})
    with pytest.raises(NoChampion):
        champion(remote)
    promote(register(candidate, remote, source="a test"), remote)
    assert champion(remote).model.to_texts() == candidate.model.to_texts()
    assert not (tmp_path / "home" / "mlflow_artifacts").exists()
