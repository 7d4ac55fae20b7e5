"""`python -m scaling.status study=default`: what a study has done, what runs, what failed. It never writes.

Example: python -m scaling.status study=default --json
"""

import time
from collections import Counter

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from scaling.claims import is_claimed
from scaling.command import run_hydra
from scaling.config import StudyConfig, stored_plan, study_config
from scaling.records import STATUS_FILE, RunStatus, read_record, record_path
from scaling.specs import PlannedPoint
from scaling.values import ValueMismatch, read_json


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    plan = stored_plan(config)
    states = [point_state(config, point) for point in plan.points]
    if config.json:
        rows = [
            {"run_id": p.run_id, "tokens": p.tokens, "state": state, "detail": detail}
            for p, (state, detail) in zip(plan.points, states, strict=True)
        ]
        Console().print_json(data={"study": plan.study, "points": rows})
        return 0
    table = Table(title=f"{plan.study}: {dict(Counter(state for state, _ in states))}", title_justify="left")
    for column in ("point", "run", "D tokens", "state", "detail"):
        table.add_column(column)
    for point, (state, detail) in zip(plan.points, states, strict=True):
        table.add_row(str(point.index), point.run_id, f"{point.tokens:,}", state, detail)
    Console().print(table)
    return 0


def point_state(config: StudyConfig, point: PlannedPoint) -> tuple[str, str]:
    """State and words: done, diverged, out_of_memory, stopped_early, running, stale, interrupted, failed or planned."""
    folder = config.folder / point.run_id
    path = record_path(folder, point.tokens)
    if path.exists():
        record = read_record(path)
        loss = "" if record.final_loss_nats is None else f"{record.final_loss_nats:.4f} nats/token"
        return record.status, record.reason or loss
    try:
        status = read_json(RunStatus, folder / STATUS_FILE)
    except (FileNotFoundError, ValueMismatch):
        return "planned", ""
    age = time.time() - status.updated_at
    progress = f"step {status.step:,} of {status.total_steps:,}, {age:.0f} s ago on {status.host}"
    if status.state == "running":
        return ("running" if is_claimed(folder) else "stale"), progress
    if status.state == "done":
        return "planned", "its trajectory is there up to an earlier budget"
    return status.state, status.error or progress


def main() -> None:
    run_hydra(task, "sweep", about=__doc__)


if __name__ == "__main__":
    main()
