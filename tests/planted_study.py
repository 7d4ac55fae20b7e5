"""A study's folder with records of a planted law, as a sweep would have left it, without training anything."""

import random
from math import exp, sqrt
from pathlib import Path

from scaling.config import CONFIG_FILE, PLAN_FILE, StudyConfig
from scaling.records import write_record
from scaling.specs import Plan
from scaling.stages.study import plan_study
from scaling.values import write_json
from tests.analysis.conftest import make_record, planted_loss
from tests.test_configs import load


def planted_study(folder: Path, *overrides: str, noise: float = 0.003, shared: float = 0.5) -> tuple[StudyConfig, Plan]:
    """`folder`/runs/default, of the default grid; overrides as on the command line."""
    config = load(f"runs={folder / 'runs'}", f"cache={folder / 'cache'}", *overrides)
    return config, plant(config, noise=noise, shared=shared)


def plant(config: StudyConfig, *, noise: float = 0.003, shared: float = 0.5) -> Plan:
    """Records of all points of a config's plan; a point keeps its loss whatever is planned beside it."""
    plan = plan_study(config)
    for point in plan.points:
        of_run, own = (random.Random(f"{point.run_id} {end}").gauss(0, 1) for end in ("", point.tokens))
        scatter = sqrt(shared) * of_run + sqrt(1 - shared) * own
        record = make_record(plan, point, planted_loss(point.params, point.tokens) * exp(noise * scatter))
        run_folder = config.folder / point.run_id
        run_folder.mkdir(parents=True, exist_ok=True)
        write_record(run_folder, record)
    write_json(config.folder / CONFIG_FILE, config)
    write_json(config.folder / PLAN_FILE, plan)
    return plan
