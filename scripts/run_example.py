"""Runs an example for real and keeps what is worth keeping: `python scripts/run_example.py adamw_or_muon`.

Into examples/<name>/ go, for each study, its report with its figures (PNG), fits.json, points.csv and the ledger; for a
comparison its words and its numbers; and ran.json: the commands, their seconds, the machine.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXIT_NO_ANSWER = 3  # a report that withholds its answer is a report
OWN = "'hydra.searchpath=[file://examples]'"
EXAMPLES: dict[str, tuple[list[str], str]] = {
    "adamw_or_muon": (["adamw", "muon"], "a=runs/adamw b=runs/muon"),
    "repeated_text": (["repeated_text"], ""),
}
KEPT = ("fits.json", "points.csv", "forecasts.jsonl")


def run(command: str, to: Path | None = None) -> dict[str, object]:
    """Returns the command as typed and its wall seconds; leaves this program where it fails."""
    print(f"$ {command}", flush=True)
    began = time.monotonic()
    words = [sys.executable, *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE if to else None)
    if done.returncode not in (0, EXIT_NO_ANSWER):
        sys.exit(f"error: {command} ended with {done.returncode}; nothing was copied")
    if to:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(done.stdout)
    return {"command": command, "seconds": round(time.monotonic() - began, 1)}


def keep(study: Path, folder: Path) -> None:
    """The report as the folder's README, so that it is read where it lies."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "figures").mkdir(parents=True)
    report = (study / "report/report.md").read_text()
    (folder / "README.md").write_text(
        report.replace("](../", "](")
    )  # what lay beside the report's folder lies beside it
    for picture in sorted((study / "report/figures").glob("*.png")):
        shutil.copy(picture, folder / "figures")
    for name in KEPT:
        if (study / name).exists():
            shutil.copy(study / name, folder)


def main(name: str) -> None:
    if name not in EXAMPLES:
        sys.exit(f"error: {name} is no example; there are {', '.join(EXAMPLES)}")
    experiments, sides = EXAMPLES[name]
    folder = ROOT / "examples" / name
    ran = [run(f"python -m scaling.sweep {OWN} experiment={experiment}") for experiment in experiments]
    if sides:
        ran.append(run(f"python -m scaling.compare {sides}", folder / "comparison.txt"))
        ran.append(run(f"python -m scaling.compare {sides} --json", folder / "comparison.json"))
    for experiment in experiments:
        keep(ROOT / "runs" / experiment, folder / experiment)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    (folder / "ran.json").write_text(json.dumps({"commands": ran, "machine": machine}, indent=2) + "\n")
    print(f"kept in {folder}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
