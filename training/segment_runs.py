"""Train the models of all segments on Ray: small ones side by side, each on one CPU; a large one over workers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import ray

from training.candidates import Candidate
from training.credit import Origin
from training.distributed import RayGrowth
from training.growth import LocalGrowth
from training.model import ScoringModel
from training.segments import Pooled, SegmentPlan, train_segment_candidate

Told = Callable[[float], None]


@dataclass(frozen=True)
class SegmentRuns:
    """How the segments are trained.

    Attributes:
        pooled: the model that they go on from.
        origin: for the record.
        rows_per_worker: a segment with more training rows is shared by as many workers as that takes.
        threads: of the process that judges a large segment.
        champions: by name of a segment's model, its champion's version and model.
    """

    pooled: Pooled
    origin: Origin
    rows_per_worker: int
    threads: int
    champions: Mapping[str, tuple[str, ScoringModel]] = field(default_factory=dict)

    def candidates(self, plans: Sequence[SegmentPlan]) -> Iterator[tuple[SegmentPlan, Candidate]]:
        """Each plan with its candidate, as they are done; a Ray session must be open."""
        large = [plan for plan in plans if plan.rows > self.rows_per_worker]
        small = [plan for plan in plans if plan.rows <= self.rows_per_worker]
        yield from self._side_by_side(small)
        for plan in large:
            growth = RayGrowth(self.workers_for(plan.rows))
            champion = self.champions.get(plan.segment.model_name)
            yield (
                plan,
                train_segment_candidate(
                    plan, self.pooled, self.origin, threads=self.threads, growth=growth, champion=champion
                ),
            )

    def workers_for(self, rows: int) -> int:
        """As many as the rows take, and no more than there are CPUs."""
        return max(1, min(-(-rows // self.rows_per_worker), int(ray.cluster_resources().get("CPU", 1))))

    def _side_by_side(self, plans: Sequence[SegmentPlan]) -> Iterator[tuple[SegmentPlan, Candidate]]:
        pooled = ray.put(self.pooled)
        task = ray.remote(num_cpus=1)(_on_one_cpu)
        # The largest first, so that no long one is left for the end.
        waiting = {
            task.remote(plan, pooled, self.origin, self.champions.get(plan.segment.model_name)): plan
            for plan in sorted(plans, key=lambda plan: -plan.rows)
        }
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(done[0]), ray.get(done[0])


def _on_one_cpu(
    plan: SegmentPlan, pooled: Pooled, origin: Origin, champion: tuple[str, ScoringModel] | None
) -> Candidate:
    return train_segment_candidate(plan, pooled, origin, threads=1, growth=LocalGrowth(), champion=champion)
