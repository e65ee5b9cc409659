"""Everything that can be set, in one list. Each setting is the environment variable ``JINKONG_<NAME>``.

Settings are read once, at the rim (the command line, the server, a notebook), and passed down.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from group.errors import InputError

PREFIX: Final = "JINKONG_"


class InvalidSetting(InputError):
    """An environment variable holds a value that is not allowed, or is no setting at all."""


class Settings(BaseSettings):
    """What a deployment chooses. The defaults run everything inside one folder of one machine."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(Path("var"), description="a folder, in which everything that Jinkong writes is kept")
    database_url: str = Field(
        "",
        description="sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DB, for state and the audit log; "
        "empty for state.db in the home folder",
    )
    online_store_url: str = Field(
        "",
        description="redis://HOST:PORT/N or postgresql://USER:PASSWORD@HOST/DB, for online features; "
        "empty for SQLite in the home folder",
    )
    mlflow_tracking_uri: str = Field(
        "", description="http(s)://HOST:PORT of an MLflow server; empty for mlflow.db in the home folder"
    )
    ray_address: str = Field(
        "",
        description="HOST:PORT of a Ray cluster or 'auto' (RAY_ADDRESS is honoured too); empty to start Ray here",
    )
    identity_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="a secret of at least 32 characters, never changed: identity and phone numbers of deliveries are "
        "kept as keyed hashes by it; empty where deliveries hold such tokens already",
    )
    rejected_share_limit: float = Field(
        0.01, ge=0, le=1, description="a share from 0 to 1; a load that rejects more of a table's rows fails"
    )
    training_workers: int = Field(
        1, ge=1, le=256, description="a whole number from 1 to 256: Ray workers that share one training run"
    )
    training_rows_per_worker: int = Field(
        2_000_000,
        ge=1_000,
        description="a whole number from 1000: a segment with more training rows is shared by several Ray workers",
    )
    feature_partitions: int = Field(
        1,
        ge=1,
        le=4096,
        description="a whole number from 1 to 4096: with more than 1, features are computed by hash of the party, "
        "each partition a Ray task of one CPU; some 5 million transactions a partition suit 2 GB of memory",
    )
    threads: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        ge=1,
        le=1024,
        description="a whole number from 1 to 1024: threads of one process; the default is what the machine grants",
    )
    memory_limit: str = Field(
        "",
        pattern=r"^(\d+(\.\d+)? ?(MB|GB|TB))?$",
        description="a size such as 4GB: what one DuckDB query may hold in memory before it goes through files; "
        "empty for four fifths of the machine's",
    )
    host: str = Field("127.0.0.1", min_length=1, description="an address to serve on")
    port: int = Field(8600, ge=0, le=65535, description="a whole number from 0 to 65535: the port to serve on; 0 picks")
    workers: int = Field(1, ge=1, le=256, description="a whole number from 1 to 256: processes that serve")
    token_keys: SecretStr | None = Field(
        None,
        min_length=32,
        description="secrets of at least 32 characters, separated by commas: the first signs access tokens, the others "
        "are still believed; empty for one that ends with the server",
    )
    token_minutes: float = Field(
        15.0, ge=0.1, le=1_440, description="minutes from 0.1 to 1440 after which an access token runs out"
    )
    requests_per_second: float = Field(
        1_000.0,
        gt=0,
        description="a number above 0: requests a second that one account may make of one worker, where the account "
        "has no rate of its own",
    )
    tls_certificate: Path | None = Field(None, description="a PEM file with the certificate to serve HTTPS with")
    tls_key: Path | None = Field(None, description="a PEM file with the certificate's key")
    trusted_proxies: str = Field(
        "",
        description="addresses, separated by commas, of proxies that end TLS in front and whose X-Forwarded headers "
        "are believed",
    )
    model_refresh_seconds: float = Field(
        10.0, ge=0.1, le=3_600, description="seconds from 0.1 to 3600 between two looks at the registry's champions"
    )
    last_score_days: float = Field(
        30.0,
        ge=0,
        le=3_660,
        description="days from 0 to 3660: so old may a party's last score be that is given again, and said to be so, "
        "while the online store is away; 0 for never",
    )
    job_result_days: float = Field(
        30.0,
        ge=1,
        le=3_660,
        description="days from 1 to 3660: so long is a job's result kept after its end; then it is removed",
    )
    alarm_webhook_url: SecretStr | None = Field(
        None, description="http(s)://HOST/PATH, to which each case that monitoring opens is posted as JSON"
    )
    alarm_webhook_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="a secret of at least 32 characters: posts are signed with it (HMAC-SHA-256, X-Jinkong-Signature)",
    )
    alarm_smtp_url: SecretStr | None = Field(
        None,
        description="smtp://USER:PASSWORD@HOST:587 (STARTTLS where the server has it) or smtps://…:465, by which cases "
        "that monitoring opens are mailed",
    )
    alarm_mail_from: str = Field("", description="the address that alarms are mailed from")
    alarm_mail_to: str = Field("", description="addresses, separated by commas, that alarms are mailed to")
    max_body_bytes: int = Field(
        65_536, ge=1_024, le=104_857_600, description="a whole number from 1024 to 104857600: the largest request body"
    )
    max_batch_bytes: int = Field(
        33_554_432, ge=1_024, le=1_073_741_824, description="a whole number from 1024 to 1073741824: the largest batch"
    )
    max_job_bytes: int = Field(
        1_073_741_824, ge=1_024, description="a whole number from 1024: the largest file that a job scores"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="one of debug, info, warning, error"
    )

    @field_validator("database_url")
    @classmethod
    def _database_is_known(cls, url: str) -> str:
        return _with_driver(url, ("sqlite", "postgresql+psycopg"))

    @field_validator("online_store_url")
    @classmethod
    def _online_store_is_known(cls, url: str) -> str:
        return _with_driver(url, ("redis", "postgresql"))

    @field_validator("token_keys")
    @classmethod
    def _keys_are_long(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None and any(len(key.strip()) < 32 for key in keys.get_secret_value().split(",")):
            raise ValueError("too short a key")
        return keys

    @field_validator("alarm_webhook_url")
    @classmethod
    def _webhook_is_http(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("not a URL of a server")
        return url

    @field_validator("alarm_smtp_url")
    @classmethod
    def _mail_goes_by_smtp(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("smtp://", "smtps://")):
            raise ValueError("not a URL of a mail server")
        return url

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _tracking_server_is_http(cls, uri: str) -> str:
        if uri and not uri.startswith(("http://", "https://")):
            raise ValueError("not a URL of a server")
        return uri

    @property
    def state_url(self) -> str:
        """Where workflow state and the audit log are kept, as SQLAlchemy writes it."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'state.db'}"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps experiments and the registry."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.home.absolute() / 'mlflow.db'}"

    def at(self, home: Path) -> Self:
        """The same settings for another home folder."""
        return self.model_copy(update={"home": home})


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environment`` (``os.environ`` if none is given).

    Raises:
        InvalidSetting: a value is not allowed, or a variable with the prefix is no setting.
    """
    given = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for variable, value in given.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in Settings.model_fields:
            raise InvalidSetting(f"{variable} is not a setting{_nearest(name)}.")
        if value:
            values[name] = value
    if "ray_address" not in values and given.get("RAY_ADDRESS"):
        values["ray_address"] = given["RAY_ADDRESS"]
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidSetting(_sentence(error)) from None


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that ``load_settings`` reads these settings from, for a process of our own. It holds secrets."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    plain = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return {f"{PREFIX}{name.upper()}": value for name, value in plain.items()}


def documented_settings() -> list[tuple[str, str, str]]:
    """The list of settings: variable, default, what is allowed."""
    return [
        (
            f"{PREFIX}{name.upper()}",
            "" if field.default_factory or field.default in ("", None) else str(field.default),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _with_driver(url: str, allowed: tuple[str, ...]) -> str:
    if not url:
        return url
    try:
        driver = make_url(url).drivername
    except ArgumentError:
        raise ValueError("not a URL") from None
    if driver not in allowed:
        raise ValueError(f"'{driver}' is not one of {', '.join(allowed)}")
    return url


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f"; {PREFIX}{near[0].upper()} is" if near else "; `jinkong doctor --settings` lists them"


def _sentence(error: ValidationError) -> str:
    """One sentence for each wrong value. The value itself may be a secret or hold a password: it is not repeated."""
    names = dict.fromkeys(str(detail["loc"][0]) for detail in error.errors())
    return " ".join(
        f"The value of {PREFIX}{name.upper()} is not allowed: it must be {Settings.model_fields[name].description}."
        for name in names
    )
