"""The training curves of a study's runs, read back from their folders."""

from pathlib import Path

from scaling.curves import curve_path, read_curve
from scaling.results import CurveSegment
from scaling.specs import Plan


def read_segments(folder: Path, plan: Plan) -> tuple[CurveSegment, ...]:
    """The trunk and the branches of each run that has them, in the plan's order."""
    segments = []
    for run in plan.runs:
        for budget in (None, *run.budgets):
            path = curve_path(folder / run.id, budget)
            if not path.exists():
                continue
            rows = read_curve(path)
            segments.append(
                CurveSegment(
                    run_id=run.id,
                    size=run.size,
                    budget=budget,
                    tokens=tuple(row.tokens for row in rows),
                    train_loss=tuple(row.train_loss_nats for row in rows),
                    validation_loss=tuple(row.validation_loss_nats for row in rows),
                )
            )
    return tuple(segments)
