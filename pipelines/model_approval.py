"""Approve a version, or roll back: open what that takes, and record who did it."""

from datetime import UTC, datetime

from group.database import migrated
from group.settings import Settings
from training import NoChampion, RegisteredModel, approve, champion, latest_candidate, model_version, roll_back


def approve_latest(
    settings: Settings, name: str, *, by: str, reason: str, version: str | None = None
) -> RegisteredModel:  # fmt: skip
    """Make ``version`` of a model champion; the one trained last if None. One that is champion already stays it.

    Raises:
        NoChampion: the registry has no such model.
        PromotionRefused: it may not be.
        RegistryUnavailable: MLflow does not answer, or has no such version.
    """
    found = model_version(version, settings, name) if version else latest_candidate(settings, name)
    if found is None:
        raise NoChampion(f"The registry has no model '{name}'; `jinkong models list` shows what there is.")
    if found.approved_by and _is_champion(found, settings):
        return found
    with migrated(settings.state_url) as engine:
        approve(found, settings, engine, by=by, reason=reason, at=datetime.now(UTC))
    return found


def roll_back_model(settings: Settings, name: str, *, by: str, reason: str) -> RegisteredModel:
    """Make the champion before the present one champion again.

    Raises:
        NoEarlierChampion: there was none.
    """
    with migrated(settings.state_url) as engine:
        return roll_back(name, settings, engine, by=by, reason=reason, at=datetime.now(UTC))


def _is_champion(found: RegisteredModel, settings: Settings) -> bool:
    try:
        return champion(settings, found.name).version == found.version
    except NoChampion:
        return False
