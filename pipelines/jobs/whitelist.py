"""Job: from the approved models to a marketing whitelist, kept with all that it was made from."""

import getpass
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
from sqlalchemy import Engine

from features import MARKETING_SERVICE, open_store, point_in_time_frame, query, service_features
from group.database import migrated, reading
from group.files import write_text_whole
from group.settings import Settings
from pipelines.jobs.features import built_features
from pipelines.progress import Reporter
from pipelines.workspace import Workspace
from training import MODEL_NAME, RegisteredModel, champion, git_commit, model_version
from training.amounts import AmountModel
from training.marketing import RESPONSE_MODEL, UPLIFT_MODEL, VALUE_MODEL
from training.whitelist.channels import channel_rates
from training.whitelist.do_not_contact import not_to_contact
from training.whitelist.facts import prospect_facts
from training.whitelist.kept import (
    KeptWhitelist,
    OfferFilter,
    contacts_by_lists,
    keep_whitelist,
    next_version,
    offers_of,
    whitelist,
)
from training.whitelist.making import Ingredients, MarketingModels, Whitelist, make_whitelist
from training.whitelist.plan import WhitelistPlan, plan_of
from training.whitelist.report import whitelist_page

_MODELS: Final = (MODEL_NAME, RESPONSE_MODEL, UPLIFT_MODEL, VALUE_MODEL)


def make_and_keep(
    settings: Settings, plan: WhitelistPlan, text: str, reporter: Reporter, *, by: str | None = None
) -> KeptWhitelist:
    """Make the next version of the plan's list by the champions, as of the instant that is online; keep it as a draft.

    Raises:
        ContractBroken: no features were built.
        NoChampion: one of the four models has not been approved.
        DatabaseUnavailable, RegistryUnavailable: what it says.
    """
    workspace = Workspace.of(settings)
    built = built_features(workspace)
    as_of = datetime.fromisoformat(built.facts["last_instant"])
    with reporter.bar("the approved models", None):
        registered = {name: champion(settings, name) for name in _MODELS}
    with migrated(settings.state_url) as engine:
        known_at = datetime.now(UTC)
        with reading(engine) as connection:
            version = next_version(connection, plan.name)
        with reporter.bar("scoring, and allocating limits", None):
            made = _made(settings, engine, plan, registered, as_of, known_at, version)
        manifest: dict[str, Any] = {
            "source": built.facts["source"],
            "known_at": known_at.isoformat(),
            "models": {name: {"version": one.version, "sha256": one.sha256} for name, one in registered.items()},
            "code": git_commit(),
            "seen": made.seen,
            "left_out": dict(made.left_out),
            "not_allocated": made.not_allocated,
            "shadow_prices": [asdict(price) for price in made.shadow_prices],
        }
        kept = KeptWhitelist(
            name=plan.name, version=version, as_of=as_of, made_at=known_at, made_by=by or getpass.getuser(),
            sha256=made.sha256, offers=len(made.offers), held_out=made.held_out, plan=text, manifest=manifest,
            released_at=None, released_by=None,
        )  # fmt: skip
        with reporter.bar("keeping it", None), engine.begin() as connection:
            keep_whitelist(connection, kept, made.offers.to_dicts())
    return kept


def made_again(settings: Settings, name: str, version: int | None, reporter: Reporter) -> tuple[KeptWhitelist, str]:
    """A kept version, and the SHA-256 of its offers when they are made again from what it was made from.

    Raises:
        NoWhitelist: there is no such version.
        RegistryUnavailable: a model that it rests on is gone.
    """
    with migrated(settings.state_url) as engine:
        with reading(engine) as connection:
            kept = whitelist(connection, name, version)
        plan = plan_of(kept.plan, f"the plan of version {kept.version} of '{name}'")
        with reporter.bar("the models that it rests on", None):
            registered = {
                model: model_version(kept.manifest["models"][model]["version"], settings, model) for model in _MODELS
            }
        known_at = datetime.fromisoformat(kept.manifest["known_at"])
        with reporter.bar("making it again", None):
            made = _made(settings, engine, plan, registered, kept.as_of, known_at, kept.version)
    return kept, made.sha256


def keep_page(settings: Settings, kept: KeptWhitelist) -> Path:
    """Write a version's page below the home folder; return where."""
    with migrated(settings.state_url) as engine, reading(engine) as connection:
        offers = list(offers_of(connection, kept, OfferFilter(with_held_out=True)))
    path = Workspace.of(settings).reports / "whitelists" / f"{kept.name}-v{kept.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(path, whitelist_page(kept, offers))
    return path


def _made(
    settings: Settings,
    engine: Engine,
    plan: WhitelistPlan,
    registered: dict[str, RegisteredModel],
    as_of: datetime,
    known_at: datetime,
    version: int,
) -> Whitelist:
    canonical = Workspace.of(settings).canonical
    with reading(engine) as connection:
        since = as_of - timedelta(days=plan.rules.within_days)
        listed = pl.DataFrame(
            contacts_by_lists(connection, since, known_at),
            schema={"legal_entity": pl.String, "party_id": pl.String, "event_timestamp": pl.Datetime("us", "UTC")},
            orient="row",
        )
        silent = pl.DataFrame(
            not_to_contact(connection, known_at),
            schema={"legal_entity": pl.String, "customer_id": pl.String}, orient="row",
        )  # fmt: skip
    facts = prospect_facts(canonical, plan, as_of, known_at, listed)
    store = open_store(settings)
    asked = facts.select(pl.col("source").alias("legal_entity"), "party_id", event_timestamp=pl.lit(as_of))
    known = point_in_time_frame(store, asked, MARKETING_SERVICE)
    models = MarketingModels(
        registered[MODEL_NAME].model,
        registered[RESPONSE_MODEL].model,
        AmountModel.from_texts(*registered[UPLIFT_MODEL].texts),
        AmountModel.from_texts(*registered[VALUE_MODEL].texts),
    )
    given = Ingredients(
        facts=facts,
        features=known.select(service_features(store, MARKETING_SERVICE)),
        models=models,
        rates=channel_rates(canonical, known_at),
        do_not_contact=_parties(canonical, silent),
        as_of=as_of,
        seed=f"{plan.name}/{version}",
    )
    return make_whitelist(plan, given)


def _parties(canonical: Path, customers: pl.DataFrame) -> frozenset[str]:
    """Whoever asked one company not to be contacted is contacted by none."""
    rows = query(
        "SELECT DISTINCT party_id FROM read_parquet($parties) JOIN customers USING (legal_entity, customer_id)",
        {"parties": f"{canonical}/parties/*.parquet"},
        customers=customers,
    )
    return frozenset(rows["party_id"].to_list())
