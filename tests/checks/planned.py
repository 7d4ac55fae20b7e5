"""A planned study whose every part can be replaced by a sin."""

from dataclasses import replace
from typing import Any

from scaling.checks.catalogue import check_plan
from scaling.checks.evidence import PlannedStudy
from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.data.manifest import DroppedCounts, Manifest, Overlap, SplitCounts
from scaling.planning.config import ReplicateConfig
from scaling.specs import Plan
from tests.planning.conftest import plan

REPLICATED = {"replicates": (ReplicateConfig("14k", (1,), (3e5,)),)}
DATA = DataConfig(
    name="text",
    source=SourceConfig(kind="synthetic"),
    tokenizer=TokenizerConfig(kind="bytes"),
    licence="none",
    description="text",
    validation_fraction=0.1,
)
COUNTS = SplitCounts(documents=10, bytes=10_000, characters=10_000, words=2000, lines=100, tokens=10_000)


def corpus(seen: int) -> Manifest:
    """Prepared; `seen` of 1,000 n-grams of the validation text are in the training text too."""
    return Manifest(
        format_version=1,
        fingerprint="corpus",
        name="text",
        description="text",
        licence="none",
        source_kind="synthetic",
        source_version="1",
        source_sha256="0",
        tokenizer_kind="bytes",
        tokenizer_sha256="0",
        vocab_size=256,
        separator_token=0,
        token_dtype="uint8",
        train=COUNTS,
        validation=COUNTS,
        dropped=DroppedCounts(),
        overlap=Overlap(13, 1000, seen),
        validation_keys=(),
    )


def planned(grid: dict[str, Any] | None = None, recipe: dict[str, Any] | None = None, **model: Any) -> PlannedStudy:
    """The clean study, with fields of its grid, recipe and model replaced."""
    return PlannedStudy(plan(grid=REPLICATED | (grid or {}), recipe=recipe, **model), "total", DATA, corpus(seen=0))


def with_runs(study: PlannedStudy, change: Any) -> PlannedStudy:
    """The study with each run passed through `change(run)`; points keep to their runs."""
    runs = {run.id: change(run) for run in study.plan.runs}
    points = tuple(replace(p, run_id=runs[p.run_id].id) for p in study.plan.points)
    return replace(study, plan=Plan(study.plan.study, tuple(runs.values()), points))


def found(study: PlannedStudy) -> dict[str, str]:
    return {finding.name: finding.level for finding in check_plan(study)}
