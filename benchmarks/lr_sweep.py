"""Evidence for the recipe's learning rate: three sizes, five multiples of the rate, one budget each.

    python benchmarks/lr_sweep.py [--tokens 1048576] [--sizes 10k 55k 332k] [--multiples 0.25 0.5 1 2 4] [overrides ...]

Every rate (matrices, embeddings, vectors) is multiplied alike. Under muP the best multiple should be the same at each
size. Prints a Markdown table of final validation losses; runs go to runs/lr-sweep and are resumed like any others.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from hydra import compose, initialize_config_dir

from scaling.config import StudyConfig, study_config
from scaling.config_folder import config_folder
from scaling.launching.tasks import Task
from scaling.planning.cost import Cost
from scaling.records import read_record, record_path
from scaling.specs import Plan
from scaling.stages.local import run_here
from scaling.stages.study import plan_study, prepare_study, write_jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=float, default=1048576)
    parser.add_argument("--sizes", nargs="+", default=["10k", "55k", "332k"])
    parser.add_argument("--multiples", nargs="+", type=float, default=[0.25, 0.5, 1.0, 2.0, 4.0])
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        base = study_config(compose("sweep", ["study=lr-sweep", *arguments.overrides]))
    plans = {m: plan_multiple(base, m, arguments.tokens, arguments.sizes) for m in arguments.multiples}
    corpora = prepare_study(base)
    cost = Cost(base.time_model)
    tasks: list[Task] = []
    for plan in plans.values():
        for folder in write_jobs(base, plan, corpora, plan.points):
            run = plan.by_id[folder.name]
            tasks.append(Task(folder, cost.run_seconds(run, run.budgets), run.budgets, run.size))
    result = run_here(base, tasks, "rates")
    assert not result.failed, result.failed
    print_table(base.folder, plans, arguments.sizes)


def plan_multiple(base: StudyConfig, multiple: float, tokens: float, sizes: list[str]) -> Plan:
    recipe = replace(
        base.recipe,
        matrix_lr=base.recipe.matrix_lr * multiple,
        embedding_lr=base.recipe.embedding_lr * multiple,
        vector_lr=base.recipe.vector_lr * multiple,
    )
    chosen = tuple(replace(s, budgets=(tokens,)) for s in base.grid.sizes if s.name in sizes)
    grid = replace(base.grid, sizes=chosen, replicates=(), holdout_share=0.0, max_flops=None)
    return plan_study(replace(base, recipe=recipe, grid=grid))


def print_table(folder: Path, plans: dict[float, Plan], sizes: list[str]) -> None:
    print("| rate | matrices at the base width | " + " | ".join(sizes) + " |")
    print("| --- | --- | " + " | ".join("---" for _ in sizes) + " |")
    for multiple, plan in plans.items():
        losses = {}
        for point in plan.points:
            loss = read_record(record_path(folder / point.run_id, point.tokens)).final_loss_nats
            losses[point.size] = "diverged" if loss is None else f"{loss:.4f}"
        run = plan.runs[0]
        rate = run.optimizer.matrix_lr * run.model.width_multiplier
        print(f"| x{multiple:g} | {rate:.3g} | " + " | ".join(losses[size] for size in sizes) + " |")


if __name__ == "__main__":
    main()
