"""A whole study beside the naive sweep: the same cells, the same tokens, the same recipe's numbers.

    python -m benchmarks.sweep_speed [--out /tmp/sweep-speed] [--cache cache] [--quick] [overrides ...]

Ours is `python -m scaling.sweep` itself, process starts and evaluations included, fit and report not: a trunk for each
size at a constant rate with a short cooldown for each budget, one worker on each core. The naive sweep is what a person
writes first: for each size and budget a run of its own, with warmup and its own cosine to a tenth, in a plain eager
loop (benchmarks/peers/naive_sweep.py), one after the other, with all cores as threads, in one process. Both train the
same decoders from the same weights at the same peak rates on the same tokens, and are evaluated on the same split.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environment import untuned_environment
from scaling.launching.slots import cpu_environment, usable_cores
from scaling.records import read_records
from scaling.specs import Plan
from scaling.values import read_json

SIZES = (
    "{name: 10k, num_layers: 2, d_model: 20, num_heads: 2}",
    "{name: 25k, num_layers: 2, d_model: 32, num_heads: 2}",
    "{name: 55k, num_layers: 2, d_model: 48, num_heads: 3}",
    "{name: 147k, num_layers: 3, d_model: 64, num_heads: 4}",
)
SMALLEST_BUDGET, NUM_BUDGETS = 65536, 5
QUICK_SMALLEST_BUDGET, QUICK_NUM_BUDGETS = 65536, 2
# The smallest budget has 128 steps, which the default warmup would take too many of.
WARMUP_STEPS = 12


def grid_overrides(quick: bool) -> list[str]:
    """Four sizes by five budgets that double; nothing held out, no further seeds."""
    smallest, count = (QUICK_SMALLEST_BUDGET, QUICK_NUM_BUDGETS) if quick else (SMALLEST_BUDGET, NUM_BUDGETS)
    sizes = SIZES[:1] if quick else SIZES
    return [
        f"grid.budgets={[smallest * 2**i for i in range(count)]}",
        f"grid.sizes=[{','.join(sizes)}]",
        "grid.replicates=[]",
        "grid.holdout_share=0.0",
        "grid.max_flops=null",
        f"recipe.warmup_min_steps={WARMUP_STEPS}",
        "power.quantity=null",
    ]


def run_ours(study: str, out: Path, overrides: Sequence[str]) -> float:
    """Wall seconds from the command to its last record."""
    began = time.time()
    command = [sys.executable, "-m", "scaling.sweep", f"study={study}", f"runs={out}", "fit.figures=false", *overrides]
    # Exit code 1 or 2 of the fit's refusals says nothing of the training: the records decide below.
    subprocess.run(command, check=False, env=plain_environment(), stdout=subprocess.DEVNULL)
    ends = [path.stat().st_mtime for path in (out / study).glob("*/record-*.json")]
    if not ends:
        raise SystemExit(f"error: the sweep trained nothing; run it by hand: {' '.join(command)}")
    return max(ends) - began


def run_naive(study: Path, cache: Path, out: Path, *, our_environment: bool) -> float:
    """Wall seconds of one process that trains every cell of the study's plan."""
    cores = str(usable_cores())
    threads = cpu_environment(cores) if our_environment else {"OMP_NUM_THREADS": cores, "MKL_NUM_THREADS": cores}
    began = time.time()
    command = [sys.executable, "-m", "benchmarks.peers.naive_sweep", str(study / "plan.json"), str(cache), str(out)]
    subprocess.run(command, check=True, env={**plain_environment(), **threads})
    return time.time() - began


def plain_environment() -> dict[str, str]:
    return {**untuned_environment(), "PYTHONPATH": str(Path(__file__).parents[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--quick", action="store_true", help="one size, two budgets: does it run?")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    overrides = [*grid_overrides(arguments.quick), f"cache={arguments.cache}", *arguments.overrides]
    study = f"sweep-speed-{int(time.time())}"
    prepare = [sys.executable, "-m", "scaling.prepare", f"cache={arguments.cache}", *arguments.overrides]
    subprocess.run(prepare, check=True, env=plain_environment(), stdout=subprocess.DEVNULL)
    ours = run_ours(study, arguments.out, overrides)
    folder = arguments.out / study
    plan = read_json(Plan, folder / "plan.json")
    records = {(r.size, r.budget_tokens): r for r in read_records(folder)}
    assert len(records) == len(plan.points), f"{len(plan.points) - len(records)} cells are missing; see {folder}"
    our_loss = statistics.fmean(loss for r in records.values() if (loss := r.final_loss_nats) is not None)
    print(f"\n{len(plan.points)} cells, {sum(point.tokens for point in plan.points):,} tokens\n")
    print("| | wall seconds | ours is faster by | mean loss over cells |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| ours | {ours:.0f} | | {our_loss:.4f} |")
    for name, environment in (("naive sweep, as it ships", False), ("naive sweep, same environment", True)):
        answers = folder / f"naive-{int(environment)}.json"
        seconds = run_naive(folder, arguments.cache, answers, our_environment=environment)
        losses = json.loads(answers.read_text())
        assert all(math.isfinite(loss) for loss in losses.values())
        print(
            f"| {name} | {seconds:.0f} | {seconds / ours:.2f} | {statistics.fmean(losses.values()):.4f} |", flush=True
        )


if __name__ == "__main__":
    main()
