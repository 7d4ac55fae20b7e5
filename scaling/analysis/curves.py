"""The training curves of a study's runs, read back from their folders."""

import json
from pathlib import Path

from scaling.results import CurveSegment
from scaling.specs import Plan


def read_segments(folder: Path, plan: Plan) -> tuple[CurveSegment, ...]:
    """The trunk and the branches of each run that has them, in the plan's order."""
    segments = []
    for run in plan.runs:
        names: list[tuple[int | None, str]] = [(None, "trunk"), *((b, f"budget-{b}") for b in run.budgets)]
        for budget, name in names:
            path = folder / run.id / f"curve-{name}.jsonl"
            if not path.exists():
                continue
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            segments.append(
                CurveSegment(
                    run_id=run.id,
                    size=run.size,
                    budget=budget,
                    tokens=tuple(row["tokens"] for row in rows),
                    train_loss=tuple(row["train_loss_nats"] for row in rows),
                    validation_loss=tuple(row["validation_loss_nats"] for row in rows),
                )
            )
    return tuple(segments)
