"""The demonstration: every step from raw data to ten scores over HTTP, and a summary of what was seen."""

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from features import Source
from group.database import migrated
from group.entities import LEGAL_ENTITIES
from group.home import working_in
from group.settings import Settings
from pipelines.access import bearer, program_secret
from pipelines.api_process import start_api
from pipelines.demo_watch import watch_past_months
from pipelines.jobs.data import load_data
from pipelines.jobs.features import build_features
from pipelines.jobs.identity import link_customers
from pipelines.jobs.marketing import train_marketing
from pipelines.jobs.training import train_credit
from pipelines.jobs.whitelist import keep_page, make_and_keep
from pipelines.memory import peak_memory
from pipelines.model_approval import approve_latest
from pipelines.oracle import OracleComparison, compare_with_oracle
from pipelines.progress import Reporter
from pipelines.reports import identity_report
from pipelines.source_judging import EXAMPLE_BUDGET, EXAMPLE_OFFERS, source_report
from pipelines.steps import StepRecord
from pipelines.told import (
    tell_data,
    tell_features,
    tell_identity,
    tell_marketing,
    tell_training,
    tell_whitelist,
)
from pipelines.workspace import Workspace
from training import MODEL_NAME, git_commit
from training.whitelist.kept import KeptWhitelist, release
from training.whitelist.plan import EXAMPLE_FILE, read_plan
from workflow.pre_credit import EXAMPLE_FILE as POLICY_FILE
from workflow.pre_credit import all_policies, read_policy, release_policy

_PARTIES = 10
_ASKED = 3
"""Parties of each product that pre-credit is asked for."""

_PROGRAM = "demo"
"""The account that the demonstration's requests are made with."""

_COMMITTEE = "demonstration committee"
"""Approves what the demonstration trained: a person of their own in real life."""


@dataclass(frozen=True)
class DemoResult:
    """Where the demonstration worked, and what it left running."""

    summary: Path
    api_url: str
    api_pid: int | None
    secret: str


def run_demo(settings: Settings, source: Source, reporter: Reporter, console: Console, *, keep: bool) -> DemoResult:
    """Run the steps a user runs one by one, start the API, score ten parties, say where to look.

    Everything lies below ``<home>/demo/<source>``; the summary also stands in ``<home>/demo/summary.json``.
    With ``keep``, the API stays up after this returns.
    """
    demo_home = settings.home / "demo"
    own = settings.at(demo_home / source.name)
    workspace = Workspace.of(own)
    console.print(f"[bold]Jinkong demo[/bold]: {source.name} in {workspace.home}\n")
    seconds: dict[str, float] = {}
    with working_in(workspace.home), peak_memory() as memory:
        records = _steps(own, source, reporter, console, seconds)
        approve_latest(own, MODEL_NAME, by=_COMMITTEE, reason="the demonstration")
        _release_policy(own)
        listed = None
        if "marketing" in records:
            with _timing(seconds, "whitelist"):
                listed = _whitelist(own, records["marketing"], reporter, console)
        with _timing(seconds, "reports"):
            reports = _reports(own, workspace, reporter)
        oracle = _oracle(workspace, console)
        with _timing(seconds, "monitoring"):
            watched = watch_past_months(own, reporter, console)
        with _timing(seconds, "serving"):
            with reporter.bar("starting the API", None):
                server = start_api(own, workspace.home / "api.log")
            try:
                secret = program_secret(own, _PROGRAM, ("credit_officer", "marketer"))
                signed_in = bearer(server.url, _PROGRAM, secret)
                scores = _score_parties(server.url, workspace, signed_in)
                offers = _offers(server.url, listed, signed_in) if listed else []
                decisions = _pre_credit(server.url, workspace, signed_in)
            except BaseException:
                server.stop()
                raise
            if not keep:
                server.stop()
    _tell_scores(console, scores)
    if decisions:
        _tell_pre_credit(console, decisions)
    if listed:
        _tell_offers(console, listed, offers)
    summary = _summary(source, workspace, records, oracle, scores, seconds, memory.peak_bytes)
    summary |= {"reports": reports, "pre_credit": decisions}
    if watched:
        summary["reports"] = reports | {"monitoring": str(watched.reports[0])}
        summary["alarms"] = [f"{kept.model}: {kept.alarm.kind}" for kept in watched.alarms]
    if listed:
        summary["whitelist"] = _whitelist_summary(listed, records["marketing"], offers)
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    for path in (workspace.home / "summary.json", demo_home / "summary.json"):
        path.write_text(text)
    result = DemoResult(demo_home / "summary.json", server.url, server.process.pid if keep else None, secret)
    _tell_where_to_look(console, own, result)
    return result


@contextmanager
def _timing(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - began, 2)


def _oracle(workspace: Workspace, console: Console) -> OracleComparison | None:
    found = compare_with_oracle(workspace)
    if found is not None:
        console.print(
            f"  the oracle, which knows the true PD, has a Gini of {found.oracle_gini:.4f} on these rows "
            f"(AUC {found.oracle_auc:.4f}); the model reaches {found.share:.1%} of it",
            soft_wrap=True,
            highlight=False,
        )
    return found


def _steps(
    settings: Settings, source: Source, reporter: Reporter, console: Console, seconds: dict[str, float]
) -> dict[str, StepRecord]:
    records: dict[str, StepRecord] = {}
    steps: tuple[tuple[str, Callable[[], StepRecord], Callable[[Console, StepRecord], None]], ...] = (
        ("data", lambda: load_data(settings, source, reporter), tell_data),
        ("identity", lambda: link_customers(settings, reporter), tell_identity),
        ("features", lambda: build_features(settings, reporter), tell_features),
        ("training", lambda: train_credit(settings, reporter), tell_training),
        ("marketing", lambda: train_marketing(settings, reporter), tell_marketing),
    )
    for step, work, tell in steps:
        if step == "marketing" and not any((Workspace.of(settings).canonical / "contacts").glob("*.parquet")):
            continue
        with _timing(seconds, step):
            records[step] = work()
        tell(console, records[step])
    return records


def _whitelist(settings: Settings, trained: StepRecord, reporter: Reporter, console: Console) -> KeptWhitelist:
    """Approve the marketing models, make a list by the example plan, and release it."""
    for name in trained.facts["models"]:
        approve_latest(settings, name, by=_COMMITTEE, reason="the demonstration")
    plan, text = read_plan(EXAMPLE_FILE)
    kept = make_and_keep(settings, plan, text, reporter)
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        kept = release(
            connection, kept.name, kept.version, by=_COMMITTEE, reason="the demonstration", at=datetime.now(UTC)
        )
    tell_whitelist(console, kept, keep_page(settings, kept))
    return kept


def _release_policy(settings: Settings) -> None:
    """Put the example policy in force, unless it is."""
    text = POLICY_FILE.read_text(encoding="utf-8")
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        if not any(kept.text == text for kept in all_policies(connection)[:1]):
            release_policy(connection, text, by=_COMMITTEE, reason="the demonstration", at=datetime.now(UTC))


def _pre_credit(url: str, workspace: Workspace, signed_in: dict[str, str]) -> list[dict[str, Any]]:
    """What a few parties of each company that offers something would get ahead of an application."""
    files = sorted((workspace.features / "profile").glob("*.parquet"))
    known = pl.read_parquet(files[-1], columns=["legal_entity", "party_id"]).sort("legal_entity", "party_id")
    decisions = []
    with httpx.Client(base_url=url, headers=signed_in, timeout=30) as client:
        for product in read_policy(POLICY_FILE)[0].products:
            parties = known.filter(legal_entity=product.legal_entity)["party_id"].gather_every(97).head(_ASKED)
            for party in parties:
                asked = {"legal_entity": product.legal_entity, "party_id": party, "product": product.name}
                response = client.post("/v1/precredit", json=asked)
                if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    # Data of another source lack features that the policy reads.
                    return []
                response.raise_for_status()
                decisions.append(response.json())
    return decisions


def _tell_pre_credit(console: Console, decisions: list[dict[str, Any]]) -> None:
    table = _narrow_table("pre-credit, by the example policy, over HTTP", "grade", "offer, or why there is none")
    for one in decisions:
        reasons = "；".join(rule["zh"] for rule in one["rules"])
        table.add_row(
            one["legal_entity"], one["party_id"], one["product"], one["grade"],
            _offer(one) if one["eligible"] else reasons,
        )  # fmt: skip
    console.print()
    console.print(table)


def _narrow_table(title: str, *columns: str) -> Table:
    """Columns of who is offered what, and others, that are whole where a terminal has 80 columns: ids get copied."""
    whole = [Column(name, no_wrap=True) for name in ("company", "party", "product", *columns[:-1])]
    folded = Column(columns[-1], overflow="fold")
    return Table(*whole, folded, title=title, title_justify="left", box=SIMPLE_HEAD)


def _offer(one: dict[str, Any]) -> str:
    return f"{float(one['credit_limit']):,.0f} at {one['rate_per_annum']:.1%}"


def _offers(url: str, listed: KeptWhitelist, signed_in: dict[str, str]) -> list[dict[str, Any]]:
    """The first offers of each company over HTTP, as a marketer's tool would ask for them."""
    offers: list[dict[str, Any]] = []
    with httpx.Client(base_url=url, headers=signed_in, timeout=30) as client:
        for company in LEGAL_ENTITIES:
            asked: dict[str, str | int] = {"legal_entity": company, "limit": 3}
            response = client.get(f"/v1/whitelists/{listed.name}", params=asked)
            response.raise_for_status()
            offers += response.json()["offers"]
    return offers


def _tell_offers(console: Console, listed: KeptWhitelist, offers: list[dict[str, Any]]) -> None:
    title = f"whitelist {listed.name}, the first offers of each company, over HTTP"
    table = _narrow_table(title, "channel", "offer, and why")
    for offer in offers:
        table.add_row(
            offer["legal_entity"], offer["party_id"], offer["product"], offer["channel"],
            f"{_offer(offer)}：{offer['reason_zh']}",
        )  # fmt: skip
    console.print()
    console.print(table)


def _whitelist_summary(listed: KeptWhitelist, trained: StepRecord, offers: list[dict[str, Any]]) -> dict[str, Any]:
    models = trained.facts["models"]
    return {
        "name": listed.name,
        "version": listed.version,
        "sha256": listed.sha256,
        "offers": listed.offers,
        "held_out": listed.held_out,
        "left_out": listed.manifest["left_out"],
        "first_offers": offers,
        "qini": models["uplift"]["figures"]["qini"],
        "response_gini": models["response"]["figures"]["test_gini"],
    }


def _reports(settings: Settings, workspace: Workspace, reporter: Reporter) -> dict[str, str]:
    """The report on parties; and on data sources, where what the example offers was delivered."""
    written = {"identity": str(identity_report(settings))}
    views = [view for offer in EXAMPLE_OFFERS.sources.values() for view in offer.views]
    if all((workspace.features / view).is_dir() for view in views):
        written["source_quality"] = str(source_report(settings, EXAMPLE_OFFERS, EXAMPLE_BUDGET, reporter))
    return written


def _score_parties(url: str, workspace: Workspace, signed_in: dict[str, str]) -> list[dict[str, Any]]:
    """Score ten parties that are online, spread evenly over companies and parties, as a lending flow would."""
    files = sorted((workspace.features / "profile").glob("*.parquet"))
    known = pl.read_parquet(files[-1], columns=["legal_entity", "party_id"]).sort("legal_entity", "party_id")
    chosen = known.gather_every(max(len(known) // _PARTIES, 1)).head(_PARTIES)
    scores = []
    with httpx.Client(base_url=url, headers=signed_in, timeout=30) as client:
        for party in chosen.to_dicts():
            response = client.post("/v1/score", json=party)
            response.raise_for_status()
            scores.append(response.json())
    return scores


def _tell_scores(console: Console, scores: list[dict[str, Any]]) -> None:
    columns = ("company", "party", "PD", "score", "grade", "what weighs most")
    table = Table(*columns, title="ten parties, scored over HTTP", title_justify="left")
    for column in (2, 3):
        table.columns[column].justify = "right"
    for score in scores:
        pd = f"{score['probability_of_default']:.2%}"
        reason = score["reasons"][0]["zh"] if score["reasons"] else ""
        table.add_row(score["legal_entity"], score["party_id"], pd, str(score["score"]), score["grade"], reason)
    console.print()
    console.print(table)


def _summary(
    source: Source,
    workspace: Workspace,
    records: dict[str, StepRecord],
    oracle: OracleComparison | None,
    scores: list[dict[str, Any]],
    seconds: dict[str, float],
    peak_bytes: int,
) -> dict[str, Any]:
    data, features, training = (records[step].facts for step in ("data", "features", "training"))
    folds = training["cross_validated_auc"]
    return {
        "source": source.name,
        "home": str(workspace.home),
        "git_commit": git_commit(),
        "rows": {table: rows["kept"] for table, rows in data["tables"].items()},
        "rejected_rows": {table: rows["rejected"] for table, rows in data["tables"].items()},
        "identity": records["identity"].facts,
        "features": features["features"],
        "feature_rows": features["rows"],
        "online": features["online"],
        "model": training["model"],
        "split": training["split"],
        "test_instants": training["test_instants"],
        "auc": training["test"]["auc"],
        "gini": training["test"]["gini"],
        "ks": training["test"]["ks"],
        "brier": training["test"]["brier"],
        "default_rate": training["test"]["event_rate"],
        "mean_pd": training["test"]["mean_probability"],
        "cross_validated_auc": sum(folds) / len(folds) if folds else None,
        "oracle_gini": oracle.oracle_gini if oracle else None,
        "oracle_auc": oracle.oracle_auc if oracle else None,
        "share_of_oracle_gini": oracle.share if oracle else None,
        "scores": scores,
        "seconds": seconds,
        "reused": [step for step, record in records.items() if record.reused],
        "peak_memory_bytes": peak_bytes,
    }


def _tell_where_to_look(console: Console, settings: Settings, result: DemoResult) -> None:
    home = shlex.quote(str(settings.home))
    lines = [
        f"summary      {result.summary}",
        f"reports      {Workspace.of(settings).reports}",
        f"quarantine   {Workspace.of(settings).quarantine}",
        f"monitoring   JINKONG_HOME={home} .venv/bin/jinkong monitor ui",
        f"MLflow       .venv/bin/mlflow ui --backend-store-uri {shlex.quote(settings.tracking_uri)}",
    ]
    if result.api_pid is None:
        lines += [
            f"API          JINKONG_HOME={home} .venv/bin/jinkong serve",
            f"access       JINKONG_HOME={home} .venv/bin/jinkong access reset {_PROGRAM}, for a secret to sign in with",
            f"OpenAPI      http://{settings.host}:{settings.port}/docs, once it serves",
        ]
    else:
        lines += [
            f"API          {result.api_url} (stop it with: kill {result.api_pid})",
            f"OpenAPI      {result.api_url}/docs, which signs in as '{_PROGRAM}' with the secret '{result.secret}'",
        ]
    console.print("\n[bold]Where to look[/bold]")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, highlight=False)
