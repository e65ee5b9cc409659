"""The demonstration's watch over its model: months before it was made, scored as it would have, and looked at."""

from typing import Final

from rich.console import Console

from features import plus_months, snapshot_instants
from group.settings import Settings
from pipelines.jobs.monitoring import Monitored, monitor
from pipelines.jobs.scored_rows import replay_scores
from pipelines.progress import Reporter
from pipelines.told_monitoring import tell_alarms
from pipelines.workspace import Workspace
from reporting.monitoring.periods import PeriodKind
from training import MODEL_NAME, champion

_MONTHS: Final = 4
_YEAR: Final = 12
_KINDS: Final[tuple[PeriodKind, ...]] = ("month",)


def watch_past_months(settings: Settings, reporter: Reporter, console: Console) -> Monitored | None:
    """Replay the last months, and the one whose outcomes are known at their end; look at the last two.

    None where the data are of one instant.
    """
    instants = snapshot_instants(Workspace.of(settings).canonical)
    if len(instants) <= _YEAR:
        return None
    registered, last = champion(settings, MODEL_NAME), instants[-1]
    for first, until in ((plus_months(last, -_YEAR), plus_months(last, -_YEAR)), (instants[-_MONTHS], last)):
        replay_scores(settings, registered, first.date(), until.date(), reporter)
    begins, ends = plus_months(last, -1), plus_months(last, 1)
    found = monitor(settings, begins.date(), ends.date(), reporter, kinds=_KINDS)
    console.print(f"\n[bold]monitoring[/bold] {len(found.periods)} months, replayed", highlight=False)
    tell_alarms(console, found.alarms)
    return found
