"""Settings: one list, read once, and a wrong value is named without being repeated."""

from pathlib import Path

import pytest

from group.settings import InvalidSetting, Settings, documented_settings, environment_of, load_settings


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("JINKONG_PORT", "70000", "from 0 to 65535"),
        ("JINKONG_REJECTED_SHARE_LIMIT", "a tenth", "from 0 to 1"),
        ("JINKONG_DATABASE_URL", "mysql://root:hunter2@db/jinkong", "sqlite:///FILE or postgresql"),
        ("JINKONG_ONLINE_STORE_URL", "not a url", "redis://HOST:PORT/N"),
        ("JINKONG_MLFLOW_TRACKING_URI", "ftp://somewhere", "http"),
        ("JINKONG_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("JINKONG_TOKEN_KEYS", "x" * 40 + ",short", "at least 32 characters"),
    ],
)
def test_a_wrong_value_ends_with_the_name_of_the_variable_and_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(InvalidSetting) as refused:
        load_settings({variable: value})
    assert variable in str(refused.value)
    assert allowed in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_refused_value_is_not_repeated_since_it_may_be_a_secret() -> None:
    with pytest.raises(InvalidSetting) as refused:
        load_settings({"JINKONG_DATABASE_URL": "mysql://root:hunter2@db/jinkong"})
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_mistyped_name_is_refused_and_the_nearest_one_named() -> None:
    with pytest.raises(InvalidSetting, match=r"JINKONG_PROT is not a setting; JINKONG_PORT is\."):
        load_settings({"JINKONG_PROT": "80"})


def test_defaults_keep_everything_in_the_home_folder(tmp_path: Path) -> None:
    settings = load_settings({"JINKONG_HOME": str(tmp_path)})
    assert settings.state_url == f"sqlite:///{tmp_path / 'state.db'}"
    assert settings.tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_home_that_is_moved_takes_what_follows_from_it_along(tmp_path: Path) -> None:
    settings = load_settings({})
    assert "var" in settings.state_url
    assert settings.at(tmp_path).state_url == f"sqlite:///{tmp_path / 'state.db'}"


def test_rays_own_variable_is_honoured_unless_ours_is_set() -> None:
    assert load_settings({"RAY_ADDRESS": "head:6379"}).ray_address == "head:6379"
    ours = {"RAY_ADDRESS": "head:6379", "JINKONG_RAY_ADDRESS": "other:6379"}
    assert load_settings(ours).ray_address == "other:6379"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({"JINKONG_PORT": ""}).port == load_settings({}).port


def test_every_setting_is_documented_and_no_secret_has_a_default() -> None:
    listed = documented_settings()
    assert {name for name, _, _ in listed} == {f"JINKONG_{field.upper()}" for field in Settings.model_fields}
    assert all(len(description) > 15 for _, _, description in listed)
    assert load_settings({}).token_keys is None


def test_a_process_of_our_own_reads_the_settings_that_it_is_started_with(tmp_path: Path) -> None:
    given = load_settings(
        {
            "JINKONG_HOME": str(tmp_path), "JINKONG_TOKEN_KEYS": "a-very-secret-key-of-32-characters",
            "JINKONG_REJECTED_SHARE_LIMIT": "0.25", "JINKONG_TLS_KEY": "key.pem", "JINKONG_WORKERS": "3",
        }
    )  # fmt: skip
    assert load_settings(environment_of(given)) == given
    assert load_settings(environment_of(load_settings({}))) == load_settings({})


def test_a_secret_is_not_printed() -> None:
    settings = load_settings({"JINKONG_TOKEN_KEYS": "a-very-secret-key-of-32-characters"})
    assert "a-very-secret-key" not in repr(settings)
