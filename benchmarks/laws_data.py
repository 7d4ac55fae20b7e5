"""Data for the benchmarks of the laws: published losses where shared/data lies beside the repository, and planted
ones."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations, points
from scaling.laws.table import observations_from_rows

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
COLUMNS = {"params": "N_params", "tokens": "D_tokens", "flops": "C_flops", "run": "run_id"}
# Sets that are counted, by the experiment that they read; the others are further readings of one of these.
FAMILIES = {
    "datablations_c4_182": "datablations",
    "epoch_chinchilla_240": "chinchilla",
    "kyo_takano": "chinchilla",
    "gemstones_cool_end": "gemstones",
    **{f"mlf_{name}": "mlf" for name in ("c4", "openlm", "falcon", "redpajama", "c4_en", "programming", "ptb", "val")},
}
LOSSES = {  # further columns of mlf_c4.csv
    "openlm": "loss_openlm",
    "falcon": "loss_paloma_falcon-refinedweb",
    "redpajama": "loss_paloma_redpajama",
    "c4_en": "loss_paloma_c4_en",
    "programming": "loss_paloma_dolma_100_programing_languages",
    "ptb": "loss_paloma_ptb",
    "val": "loss_val_de-en_100",
}
TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])


def published() -> dict[str, Observations]:
    """Read every set of shared/data; `as_fresh` is a set with repetition whose every token is taken for fresh."""
    sets = {}
    for path in sorted(SHARED.glob("*.csv")):
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            row["run_id"] = row["run_id"].split("@")[0]  # the ends of one trajectory
        sets[path.stem] = observations_from_rows(rows, COLUMNS, first_line=2)
        if "epoch_excluded" in rows[0]:
            kept = np.array([row["epoch_excluded"] == "0" for row in rows])
            sets[f"{path.stem}_240"] = sets[path.stem].take(kept)
        if path.stem == "mlf_c4":
            for name, column in LOSSES.items():
                sets[f"mlf_{name}"] = observations_from_rows(rows, {**COLUMNS, "loss": column}, first_line=2)
        if "epochs" in rows[0]:
            fresh = np.array([float(row["epochs"]) <= 1 for row in rows])
            sets[f"{path.stem}_one_epoch"] = sets[path.stem].take(fresh)
            sets[f"{path.stem}_as_fresh"] = replace(sets[path.stem], unique_tokens=None)
    return sets


def planted(num_rows: int = 240, noise: float = 0.008, seed: int = 0) -> Observations:
    """Draw a study from Chinchilla's law, for a machine without the published sets."""
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7, 10, num_rows), 10 ** rng.uniform(8, 11, num_rows)
    loss = CHINCHILLA.predict(TRUTH, points(params, tokens)) * np.exp(noise * rng.standard_normal(num_rows))
    return Observations(params, tokens, loss)


def study(design: str, noise: float, seed: int) -> Observations:
    """Draw a study of 24 points: a "grid" of 6 sizes by 4 ratios, or "isoflop": 6 sizes at each of 4 budgets; or of 38
    points, "trunks": 6 sizes with 5 branches each, two of them with two more seeds of 2 branches, half of whose noise
    (in variance) is shared by the branches of a trunk."""
    rng = np.random.default_rng(seed)
    if design == "trunks":
        return _trunks(noise, rng)
    if design == "grid":
        sizes, ratios = np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(5, 100, 4))
        params, tokens = sizes.ravel(), (sizes * ratios).ravel()
    else:
        flops = np.repeat(np.geomspace(1e17, 1e20, 4), 6)
        params = np.sqrt(flops / 120) * np.tile(np.geomspace(0.25, 4, 6), 4)
        tokens = flops / 6 / params
    loss = CHINCHILLA.predict(TRUTH, points(params, tokens)) * np.exp(noise * rng.standard_normal(24))
    return Observations(params, tokens, loss)


def _trunks(noise: float, rng: np.random.Generator) -> Observations:
    sizes = np.geomspace(1e7, 1e9, 6)
    rows = []  # params, tokens, trunk
    for i, size in enumerate(sizes):
        budgets = 20 * np.sqrt(1e8 * size) * np.geomspace(0.25, 4, 5)
        for seed in range(3 if i in (1, 3) else 1):
            rows += [(size, budget, 3 * i + seed) for budget in (budgets if seed == 0 else budgets[[1, 3]])]
    params, tokens, trunk = (np.array(column) for column in zip(*rows, strict=True))
    own, shared = rng.standard_normal(len(rows)), rng.standard_normal(3 * len(sizes))
    loss = CHINCHILLA.predict(TRUTH, points(params, tokens)) * np.exp(noise * (own + shared[trunk]) / np.sqrt(2))
    return Observations(params, tokens, loss, trajectory=trunk.astype(np.str_))
