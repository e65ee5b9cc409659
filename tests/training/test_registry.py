"""The registry: all that a model was judged by is kept, nothing is pickled, and a changed file is refused."""

from pathlib import Path

import mlflow
import numpy as np
import pytest

from group.settings import Settings, load_settings
from pipelines.model_approval import approve_latest
from training import (
    Candidate,
    ModelTampered,
    NoChampion,
    RegisteredModel,
    RegistryUnavailable,
    champion,
    model_version,
    register,
    versions,
)
from training.registered import CHAMPION
from training.registry import report_of, report_page


def made_champion(registered: RegisteredModel, settings: Settings) -> RegisteredModel:
    """Approve a version as a committee does."""
    return approve_latest(settings, registered.name, by="Bob Li", reason="it is good", version=registered.version)


def test_what_was_registered_is_what_is_loaded_once_it_is_champion(settings: Settings, candidate: Candidate) -> None:
    with pytest.raises(NoChampion, match=r"has no model 'credit_pd' with the alias 'champion'; train one"):
        champion(settings)
    registered = register(candidate, settings, source="a test")
    with pytest.raises(NoChampion):
        champion(settings)
    made_champion(registered, settings)
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
    assert {
        "test_ks",
        "test_brier",
        "score_psi",
        "train_auc",
        "calibration_slope",
        "best_single_auc",
    } <= run.data.metrics.keys()
    assert run.data.tags["data_sha256"] == candidate.card.data_sha256
    assert len(run.data.tags["git_commit"].rstrip("+")) in (40, len("unknown"))
    plots = {Path(entry.path).name for entry in client.list_artifacts(registered.run_id, "plots")}
    assert plots == {f"{name}.png" for name in candidate.pictures}
    signature = mlflow.models.get_model_info(f"models:/credit_pd/{registered.version}").signature
    assert signature.inputs.input_names() == list(candidate.model.features)


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
    made_champion(register(candidate, settings, source="a test"), settings)
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
    made_champion(register(candidate, remote, source="a test"), remote)
    assert champion(remote).model.to_texts() == candidate.model.to_texts()
    assert not (tmp_path / "home" / "mlflow_artifacts").exists()


def test_a_version_that_got_the_alias_without_an_approval_is_not_served(
    settings: Settings, candidate: Candidate
) -> None:
    registered = register(candidate, settings, source="a test")
    client = mlflow.MlflowClient(settings.tracking_uri)
    client.set_registered_model_alias(registered.name, CHAMPION, registered.version)
    with pytest.raises(NoChampion, match="but nobody has approved it"):
        champion(settings)


def test_the_report_is_kept_as_a_page_and_as_figures_and_a_changed_one_is_refused(
    settings: Settings, candidate: Candidate
) -> None:
    registered = register(candidate, settings, source="a test")
    content = report_of(registered, settings)
    assert content["validation"]["figures"]["test_gini"] == pytest.approx(candidate.validation.test.gini)
    assert content["card"]["trained_by"] == "Alice Wang"
    page = report_page(registered, settings)
    assert page.startswith("<!doctype html>")
    assert "模型验证报告" in page
    [stored] = (settings.home / "mlflow_artifacts").rglob("report.json")
    stored.write_text(stored.read_text().replace('"test_gini": 0.', '"test_gini": 0.9'))
    with pytest.raises(ModelTampered, match="was changed after it was registered"):
        report_of(registered, settings)


def test_versions_are_listed_with_who_trained_and_approved_them(settings: Settings, candidate: Candidate) -> None:
    first = register(candidate, settings, source="a test")
    made_champion(first, settings)
    second = register(candidate, settings, source="a test")
    rows = versions(settings)
    assert [(row.version, row.aliases, row.trained_by, row.approved_by) for row in rows] == [
        (second.version, ("candidate",), "Alice Wang", ""), (first.version, ("champion",), "Alice Wang", "Bob Li"),
    ]  # fmt: skip
    assert versions(settings, "another") == versions(settings, "an'other") == []
