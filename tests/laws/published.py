"""Published losses of ../shared/data, where present, and the best known optimum of each set."""

import csv
from pathlib import Path

import numpy as np
import pytest

from scaling.laws.observations import Observations

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

# From the README beside the data: the minimum of the Huber sum and E, A, B, alpha, beta there (5,261 starts
# each, cross-checked by a second method).
YARDSTICKS = {
    "epoch_240": (0.001018274017800603, (1.817218, 477.8259, 2143.417, 0.3473105, 0.3671724)),
    "epoch_245": (0.0018260105230693355, (1.891338, 495.726, 12845.6, 0.3493129, 0.4530493)),
    "kyo_takano": (0.0008400931199574232, (1.783894, 442.164, 1271.81, 0.3426260, 0.3420019)),
    "gemstones": (0.001964086431185414, (2.074784, 226.133, 271661, 0.3003606, 0.5801673)),
    "mlf_c4": (0.0005299541304503397, (1.620024, 122.553, 242.609, 0.2525741, 0.2622292)),
    "datablations": (0.008952652805458866, (1.685031, 112.591, 46044.6, 0.2292563, 0.5107533)),
    "datablations_one_epoch": (0.0005845489185818659, (1.898855, 233.069, 13114.1, 0.2933535, 0.4377221)),
}

FILES = {
    "epoch_240": ("epoch_chinchilla.csv", lambda row: row["epoch_excluded"] == "0"),
    "epoch_245": ("epoch_chinchilla.csv", lambda row: True),
    "kyo_takano": ("kyo_takano.csv", lambda row: True),
    "gemstones": ("gemstones_cool_end.csv", lambda row: True),
    "mlf_c4": ("mlf_c4.csv", lambda row: True),
    "datablations": ("datablations_c4_182.csv", lambda row: True),
    "datablations_one_epoch": ("datablations_c4_182.csv", lambda row: float(row["epochs"]) <= 1),
}


def load(name: str) -> Observations:
    """Read a set; the calling test is skipped, with the reason, where the data are not at hand."""
    file, keep = FILES[name]
    path = SHARED / file
    if not path.exists():
        pytest.skip(f"published losses are not at hand: no {file} in shared/data beside the repository")
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if keep(row)]
    column = {key: np.array([float(row[key]) for row in rows]) for key in ("N_params", "D_tokens", "C_flops", "loss")}
    repeated = "unique_tokens" in rows[0]
    return Observations(
        params=column["N_params"],
        tokens=column["D_tokens"],
        flops=column["C_flops"],
        loss=column["loss"],
        trajectory=np.array([row["run_id"].split("@")[0] + (row["run_id"] if repeated else "") for row in rows]),
        unique_tokens=np.array([float(row["unique_tokens"]) for row in rows]) if repeated else None,
    )
