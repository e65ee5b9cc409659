"""What each step tells the user when it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Column, Table

from features import TablePreview
from pipelines.steps import StepRecord
from training.whitelist.eligibility import EXCLUSIONS

if TYPE_CHECKING:
    from pipelines.jobs.applications import TrainedApplications
    from pipelines.jobs.losses import TrainedLosses
    from pipelines.jobs.segments import TrainedSegments
    from pipelines.jobs.table import TrainedTable
    from training.table import TableFrame
    from training.whitelist.kept import KeptWhitelist


def tell_data(console: Console, record: StepRecord) -> None:
    """Rows read, kept and rejected by table, and why."""
    facts = record.facts
    table = Table("table", *_right("read", "kept", "rejected"), title=_title("data", record), title_justify="left")
    for name, rows in facts["tables"].items():
        table.add_row(name, *(f"{rows[part]:,}" for part in ("read", "kept", "rejected")))
    console.print(table)
    for name, rules in facts["broken_rules"].items():
        for rule, count in rules.items():
            _line(console, f"{name}: {count:,} × {rule}")
    for name, columns in facts["ignored_columns"].items():
        _line(console, f"{name}: ignored {', '.join(columns)}")


def tell_preview(console: Console, tables: Sequence[TablePreview]) -> None:
    """What a load would keep and reject, and which foreign columns nothing was taken from."""
    table = Table(
        "table", *_right("read", "would be kept", "would be rejected"), title="dry run: nothing was kept",
        title_justify="left",
    )  # fmt: skip
    for line in tables:
        load = line.load
        table.add_row(load.table, f"{load.rows_read:,}", f"{load.rows_kept:,}", f"{load.rows_rejected:,}")
    console.print(table)
    for line in tables:
        for rule, count in line.load.broken_rules.items():
            _line(console, f"{line.load.table}: {count:,} × {rule}")
        for row in line.rejections.to_dicts():
            place = f"{line.load.table}, {row['file']} row {row['row_number']}"
            _line(console, f"  {place}: {row['column']} is {row['value']!r}; {row['rule']}")
        if line.unused:
            _line(console, f"{line.load.table}: nothing was taken from {', '.join(line.unused)}")


def tell_identity(console: Console, record: StepRecord) -> None:
    """How many parties the customers are, by what they were linked, and what waits for an officer."""
    facts = record.facts
    console.print(_title("identity", record))
    links = ", ".join(f"{count:,} by {basis.replace('_', ' ')}" for basis, count in facts["links"].items()) or "none"
    _line(console, f"{facts['customers']:,} customers are {facts['parties']:,} parties; links: {links}")
    if facts["waiting"]:
        _line(console, f"{facts['waiting']:,} pairs wait for an officer: jinkong identity review")


def tell_features(console: Console, record: StepRecord) -> None:
    """Rows, features and parties online by view."""
    facts = record.facts
    columns = _right("features", "rows", "online")
    table = Table("view", *columns, title=_title("features", record), title_justify="left")
    for view, features in facts["features"].items():
        table.add_row(view, f"{features}", f"{facts['rows'][view]:,}", f"{facts['online'][view]:,}")
    console.print(table)
    first, last = facts["first_instant"][:10], facts["last_instant"][:10]
    months = f"at {last}, which" if first == last else f"at month starts from {first} to {last}; the last"
    _line(console, f"{months} is online")
    _line(console, f"{facts['files_computed']:,} of {facts['files']:,} files had to be computed")


def tell_training(console: Console, record: StepRecord) -> None:
    """Performance in training and on the test."""
    facts = record.facts
    name = f"{facts['model']['name']} version {facts['model']['version']}"
    table = Table("", *_right("training", "test"), title=_title("training", record), title_justify="left")
    _performance(table, facts)
    console.print(table)
    out_of_time = f"out of time, at {', '.join(instant[:10] for instant in facts['test_instants'])}"
    where = out_of_time if facts["split"] == "out_of_time" else "parties that training never saw"
    _line(console, f"test: {where}")
    folds = facts["cross_validated_auc"]
    if folds:
        mean = sum(folds) / len(folds)
        each = ", ".join(f"{auc:.4f}" for auc in folds)
        _line(console, f"AUC {mean:.4f} in {len(folds)}-fold cross-validation ({each})")
    for challenger in facts["challengers"]:
        _line(console, f"{challenger['name']}: Gini {challenger['gini']:.4f}, behind by {challenger['behind_by']:.4f}")
    tell_limits(console, facts["limits"])
    _line(console, f"{name}: {facts['features']} features, {facts['trees']} trees; report {facts['report']}")


def tell_segments(console: Console, segments: "TrainedSegments") -> None:
    """Each segment's model beside the pooled one on the same rows, and the segments that the pooled one serves."""
    columns = _right("rows", "defaults", "long-run rate", "own trees", "Gini", "pooled", "p")
    table = Table(
        "segment", *columns, "hard limits", title=f"segments, beside version {segments.pooled_version} of the pooled "
        "model on the same test rows", title_justify="left",
    )  # fmt: skip
    for one in segments.trained:
        table.add_row(
            str(one.segment), f"{one.training_rows:,}", f"{one.training_defaults:,}", f"{one.default_rate:.2%}",
            str(one.trees), f"{one.gini:.4f}", f"{one.pooled_gini:.4f}", f"{one.p_value:.2f}",
            "met" if one.may_become_champion else "not met",
        )  # fmt: skip
    console.print(table)
    for small in segments.small:
        defaults = f"{small.training_defaults} defaults in training and {small.test_defaults} on the test"
        _line(console, f"{small.segment}: {defaults} are too few; the pooled model serves it")
    if segments.trained:
        first = segments.trained[0]
        _line(console, f"reports {Path(first.report).parent}")
        tell_awaiting(console, first.registered.name, first.registered.version)


def tell_marketing(console: Console, record: StepRecord) -> None:
    """What was measured of each marketing model, and where its report is."""
    table = Table(
        "model", "version", "measured", "hard limits", title=_title("marketing", record), title_justify="left"
    )
    models = record.facts["models"]
    for name, one in models.items():
        measured = [f"{label} {one['figures'][key]:.4f}" for key, label in _MARKETING_FIGURES if key in one["figures"]]
        met = "met" if one["may_become_champion"] else "not met"
        table.add_row(name, one["model"]["version"], "; ".join(measured), met)
    console.print(table)
    for name, one in models.items():
        for unmet in one["unmet"]:
            _line(console, f"{name}: {unmet}")
        _line(console, f"{name}: {one['method']}; report {one['report']}")


def tell_losses(console: Console, trained: "TrainedLosses") -> None:
    """How near both models come, and what each company is expected to lose."""
    table = Table(
        "model", *_right("version", "mean", "actual", "Gini of the order", "error over naive"), "hard limits",
        title="what a default costs, on the latest defaults", title_justify="left",
    )  # fmt: skip
    for candidate, registered in zip(trained.candidates, trained.registered, strict=True):
        figures = candidate.evidence.figures
        table.add_row(
            registered.name, registered.version, f"{figures['mean_predicted']:.3f}", f"{figures['mean_actual']:.3f}",
            f"{figures['rank_gini']:.3f}", f"{figures['error_over_naive']:.3f}",
            "met" if candidate.evidence.may_become_champion else "not met",
        )  # fmt: skip
    console.print(table)
    for report in trained.reports:
        _line(console, f"report {report}")
    if trained.losses is None or trained.pd_by_year is None:
        _line(console, "no PD model yet: `jinkong train`, then this again, says what the portfolio will lose")
        return
    columns = _right("loans", "exposure, CNY", "PD", "LGD", "expected loss, CNY", "of exposure", "for life, CNY")
    title = f"expected loss of twelve months from {trained.as_of:%Y-%m-%d}, by version {trained.pd_version} of the PD"
    table = Table("company", *columns, title=title, title_justify="left")
    for row in trained.losses.iter_rows(named=True):
        table.add_row(
            row["legal_entity"], f"{row['loans']:,}", f"{row['exposure']:,.0f}",
            f"{row['probability_of_default']:.2%}", f"{row['lost_share']:.1%}", f"{row['expected_loss']:,.0f}",
            f"{row['expected_loss'] / row['exposure']:.2%}", f"{row['lifetime_loss']:,.0f}",
        )  # fmt: skip
    console.print(table)
    years = "; ".join(f"{year + 1}: {pd:.2%}" for year, pd in enumerate(trained.pd_by_year))
    _line(console, f"mean PD by the end of year {years}")


def tell_applications(console: Console, trained: "TrainedApplications") -> None:
    """What each way makes of the declined, and what was registered."""
    table = Table(
        "the declined are", *_right("prudence", "their mean PD", "of the true one", "Gini of theirs", "of the granted"),
        title=f"{trained.granted:,} granted and {trained.declined:,} declined applications", title_justify="left",
    )  # fmt: skip
    for bias in trained.biases:
        table.add_row(
            bias.method, f"{bias.prudence:g}" if bias.method != "ignored" else "",
            f"{bias.mean_pd_of_declined:.2%}", "" if bias.ratio is None else f"{bias.ratio:.2f}",
            "" if bias.declined_gini is None else f"{bias.declined_gini:.4f}", f"{bias.granted_gini:.4f}",
        )  # fmt: skip
    console.print(table)
    tell_limits(console, [asdict(verdict) for verdict in trained.candidate.validation.verdicts])
    _line(console, f"{trained.registered.name} version {trained.registered.version}; report {trained.report}")


_MARKETING_FIGURES: Final = (
    ("test_gini", "Gini"), ("qini", "Qini"), ("qini_low", "at least"), ("qini_high", "at most"),
    ("rank_gini", "Gini of the order"), ("mean_over_actual", "predicted over actual"),
)  # fmt: skip


def tell_whitelist(console: Console, kept: "KeptWhitelist", page: Path) -> None:
    """How a list came about, what its caps cost, and what comes next."""
    manifest = kept.manifest
    table = Table("", *_right("customers"), title=f"{kept.name} version {kept.version}", title_justify="left")
    table.add_row("seen, a company and a party each", f"{manifest['seen']:,}")
    for name, (_, english) in EXCLUSIONS.items():
        if name in manifest["left_out"]:
            table.add_row(f"  {english}", f"-{manifest['left_out'][name]:,}")
    table.add_row("  the caps, or what it earns, leave nothing", f"-{manifest['not_allocated']:,} parties")
    table.add_row("on the list", f"{kept.offers:,}")
    table.add_row("  held out at random, not to be contacted", f"{kept.held_out:,}")
    console.print(table)
    for price in manifest["shadow_prices"]:
        if price["price"] > 0:
            used = f"{price['used']:,.0f} of {price['allowed']:,.0f}"
            _line(console, f"cap {price['cap']}: {used} used; one more would earn {price['price']:,.4f} CNY")
    _line(console, f"page {page}")
    if kept.released_by:
        _line(console, f"released by {kept.released_by}")
        return
    _line(
        console,
        f'a draft: jinkong whitelist release {kept.name} --version {kept.version} --by NAME --reason "…"',
    )


def tell_limits(console: Console, limits: Sequence[Mapping[str, Any]]) -> None:
    """How many limits are met, and each one that is not."""
    unmet = [limit for limit in limits if not limit["met"]]
    _line(console, f"{len(limits) - len(unmet)} of {len(limits)} limits are met")
    for limit in unmet:
        kind = "hard limit" if limit["hard"] else "warning"
        _line(console, f"{kind}: {limit['en']} is {limit['figure']:.4f}, wanted is {limit['wanted']}")


def tell_readings(console: Console, frame: "TableFrame") -> None:
    """How each column of a file was read, how it was divided, and what somebody should look at."""
    table = Table("column", "read as", "because", title="how the file was read", title_justify="left")
    for reading in frame.readings:
        table.add_row(reading.name, reading.read_as, reading.note)
    console.print(table)
    tested = int(frame.test.sum())
    rate = float(frame.labels.mean())
    _line(
        console,
        f"{len(frame.labels):,} rows, {rate:.2%} with the event '{frame.event}'; "
        f"test: {tested:,} rows, the {frame.split}",
    )
    for warning in frame.warnings:
        _line(console, f"warning: {warning}")


def tell_trained_table(console: Console, trained: "TrainedTable") -> None:
    """Performance in training and on the test, the challenger, the limits, and where the report is."""
    validation = trained.candidate.validation
    table = Table("", *_right("training", "test"), title="training: done", title_justify="left")
    _performance(table, {"train": asdict(validation.fit), "test": asdict(validation.test)})
    console.print(table)
    for challenger in validation.challengers:
        behind = challenger.gini_difference
        _line(console, f"{challenger.name}: Gini {challenger.test.gini:.4f}, behind by {behind:.4f}")
    tell_limits(console, [asdict(verdict) for verdict in validation.verdicts])
    trees = trained.candidate.model.booster.num_trees()
    _line(console, f"{trained.registered.name} version {trained.registered.version}: {trees} trees")
    _line(console, f"report {trained.report}")
    if not validation.may_become_champion:
        _line(console, "it is registered, but cannot become champion: a hard limit is not met")


def tell_awaiting(console: Console, name: str, version: str) -> None:
    """What has to happen before the version is served."""
    _line(
        console,
        f"version {version} waits for approval by somebody else: "
        f'jinkong models approve {name} --version {version} --by NAME --reason "…"',
    )


def _performance(table: Table, parts: Mapping[str, Mapping[str, Any]]) -> None:
    for measure, shown in (
        ("rows", "{:,}"),
        ("event_rate", "{:.2%}"),
        ("mean_probability", "{:.2%}"),
        ("auc", "{:.4f}"),
        ("gini", "{:.4f}"),
        ("ks", "{:.4f}"),
        ("brier", "{:.4f}"),
    ):
        table.add_row(measure.replace("_", " "), *(shown.format(parts[part][measure]) for part in ("train", "test")))


def _line(console: Console, text: str) -> None:
    """A line below a table. It wraps where the terminal does, so that it can be copied whole."""
    console.print(f"  {text}", soft_wrap=True, highlight=False, markup=False)


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right") for name in names]


def _title(step: str, record: StepRecord) -> str:
    return f"{step}: unchanged, reused" if record.reused else f"{step}: done in {record.seconds:.1f} s"
