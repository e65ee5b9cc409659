"""``jinkong whitelist`` and ``train marketing``, as marketing walks through them."""

import csv
import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import select

from group.audit import GROUP, audit_log, verify
from group.database import open_database
from group.settings import Settings
from pipelines.workspace import Workspace
from tests.pipelines.in_process import jinkong
from tests.serving.calling import calling
from training import champion
from training.registry import report_of
from training.whitelist.plan import EXAMPLE_FILE

pytestmark = pytest.mark.long

Desk = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def own_settings(marketing_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The models are shared with other tests, lists are not."""
    database = tmp_path_factory.mktemp("desk") / "state.db"
    return marketing_settings.model_copy(update={"database_url": f"sqlite:///{database}"})


@pytest.fixture(scope="module")
def desk(own_settings: Settings) -> Desk:
    """The command on these settings."""
    return partial(jinkong, home=own_settings.home, JINKONG_DATABASE_URL=own_settings.database_url)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example under a name of its own."""
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    path.write_text(EXAMPLE_FILE.read_text().replace("name: spring", "name: desk", 1))
    return path


def test_each_marketing_model_has_a_report_and_limits_of_its_own(own_settings: Settings) -> None:
    wanted = {"response": "test_gini", "uplift": "qini", "customer_value": "mean_over_actual"}
    for name, figure in wanted.items():
        model = champion(own_settings, name)
        report = report_of(model, own_settings)
        assert figure in report["validation"]["figures"]
        assert {verdict["measure"] for verdict in report["validation"]["verdicts"]} & {figure}
        page = (Workspace.of(own_settings).reports / "models" / f"{name}-v{model.version}.html").read_text()
        assert "模型卡" in page
        assert "<svg" in page


def test_a_model_of_amounts_gives_no_scores(own_settings: Settings, desk: Desk, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n")
    refused = desk("score", "uplift", str(rows), "--output", str(tmp_path / "out.csv"))
    assert (refused.returncode, "gives no probabilities" in refused.stderr) == (2, True)
    with calling(own_settings) as client:
        reply = client.post("/v1/score", json={"legal_entity": "credit", "features": {"a": 1}, "model": "uplift"})
    assert reply.status_code == 422
    assert "gives no probabilities" in reply.json()["detail"]


@pytest.fixture(scope="module")
def offers(own_settings: Settings, desk: Desk, plan: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The offers of a list that was made and released, without those held out."""
    folder = tmp_path_factory.mktemp("export")
    made = desk("whitelist", "make", str(plan), "--by", "Wang")
    assert made.returncode == 0, made.stderr
    assert "no consent to marketing" in made.stdout
    assert "a draft" in made.stdout
    early = desk("whitelist", "export", "desk", "--output", str(folder))
    assert (early.returncode, "No version of 'desk' is released yet" in early.stderr) == (2, True)
    with calling(own_settings) as client:
        reply = client.get("/v1/whitelists/desk", params={"legal_entity": "credit"})
        assert reply.json()["code"] == "unknown_whitelist"
    released = desk("whitelist", "release", "desk", "--by", "Li", "--reason", "the campaign")
    assert released.returncode == 0, released.stderr
    return exported(desk, folder)


def exported(desk: Desk, folder: Path, *options: str, version: int = 1) -> pl.DataFrame:
    done = desk(
        "whitelist", "export", "desk", "--output", str(folder), "--format", "parquet", *options
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return pl.read_parquet(folder / f"desk-v{version}.parquet")


def test_a_released_list_is_exported_in_every_format(desk: Desk, offers: pl.DataFrame, tmp_path: Path) -> None:
    for written_as in ("csv", "xlsx"):
        done = desk("whitelist", "export", "desk", "--output", str(tmp_path), "--format", written_as)
        assert done.returncode == 0, done.stderr
    with (tmp_path / "desk-v1.csv").open(encoding="utf-8-sig") as file:
        assert [row["party_id"] for row in csv.DictReader(file)] == offers["party_id"].to_list()
    assert pl.read_excel(tmp_path / "desk-v1.xlsx")["party_id"].to_list() == offers["party_id"].to_list()
    assert len(offers) > 50
    assert not offers["held_out"].any()
    assert exported(desk, tmp_path, "--with-held-out")["held_out"].sum() > 0
    assert json.loads((tmp_path / "manifest.json").read_text())["files"][0]["file"] == "desk-v1.parquet"
    assert "Li" in desk("whitelist", "list", "desk").stdout
    page = desk("whitelist", "report", "desk").stdout.strip()
    assert "影子价格" in Path(page).read_text()


def test_a_released_list_is_served_to_its_company_alone(own_settings: Settings, offers: pl.DataFrame) -> None:
    with calling(own_settings) as client:
        served = []
        asked: dict[str, str | int] = {"legal_entity": "credit", "limit": 40}
        while True:
            page = client.get("/v1/whitelists/desk", params=asked).json()
            served += page["offers"]
            if page["next_cursor"] is None:
                break
            asked["cursor"] = page["next_cursor"]
        own = offers.filter(pl.col("legal_entity") == "credit")
        assert [offer["rank"] for offer in served] == own["rank"].to_list()
        first = served[0]
        one = client.get(f"/v1/whitelists/desk/parties/{first['party_id']}", params={"legal_entity": "credit"})
        assert one.json() == first
        elsewhere = client.get(f"/v1/whitelists/desk/parties/{first['party_id']}", params={"legal_entity": "leasing"})
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "not_listed")
        assert client.get("/v1/whitelists/desk").status_code == 422
        assert client.get("/v1/whitelists/desk", params={"legal_entity": "credit", "limit": 5_000}).status_code == 422


def test_a_list_comes_out_the_same_again_whatever_was_asked_since(
    own_settings: Settings, desk: Desk, plan: Path, offers: pl.DataFrame, tmp_path: Path
) -> None:
    again = desk("whitelist", "verify", "desk", "--version", "1")
    assert (again.returncode, "comes out the same" in again.stdout) == (0, True), again.stdout
    silent = offers.row(0, named=True)
    customer = f"{silent['source']}/{silent['customer_id']}"
    asked_off = desk("whitelist", "do-not-contact", customer, "--by", "Chen", "--reason", "a call")
    assert asked_off.returncode == 0, asked_off.stderr
    assert desk("whitelist", "make", str(plan)).returncode == 0
    newer = exported(desk, tmp_path, "--version", "2", "--with-held-out", version=2)
    assert silent["party_id"] not in newer["party_id"].to_list()
    assert "comes out the same" in desk("whitelist", "verify", "desk", "--version", "1").stdout

    engine = open_database(own_settings.state_url)
    with engine.connect() as connection:
        actions = connection.execute(
            select(audit_log.c.action).where(
                audit_log.c.legal_entity == GROUP, audit_log.c.subject.in_(["desk/1", "desk/2"])
            )
        ).scalars()
        assert sorted(actions) == ["whitelist.made", "whitelist.made", "whitelist.released"]
    assert verify(engine) is None
    engine.dispose()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["make", "nowhere.yaml"], "whitelist example"),
        (["export", "nothing"], "There is no whitelist 'nothing'"),
        (["export", "nothing", "--company", "bank"], "'bank' is not a company of the group"),
        (["release", "nothing", "--by", "Li", "--reason", "x"], "There is no whitelist 'nothing'"),
        (["do-not-contact", "C1", "--by", "Li", "--reason", "x"], "write COMPANY/CUSTOMER"),
        (["do-not-contact", "bank/C1", "--by", "Li", "--reason", "x"], "'bank' is not a company of the group"),
        (["do-not-contact", "--by", "Li", "--reason", "x"], "Name customers"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(desk: Desk, arguments: list[str], says: str) -> None:
    done = desk("whitelist", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert not re.search("Traceback", done.stderr)
    assert done.stderr.count("\n") == 1
