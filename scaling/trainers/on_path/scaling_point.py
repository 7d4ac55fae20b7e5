"""The point that a sweep asks this program for: `from scaling_point import point`. The standard library alone.

point.tokens, .steps, .batch_tokens, .warmup_steps, .cooldown_steps, .peak_lr, .seed, .gpus, .id, .folder (a pathlib
Path, the program's own), .size["depth"], .recipe["my_rate"]; point.log(step=, loss=, ...) as often as you like, and
point.finish(loss=) at the end, in the unit that trainer.unit names.
"""

import json
import os
from pathlib import Path
from typing import Any


class Point:
    """What is asked for, read from the file that SCALING_POINT names."""

    def __init__(self) -> None:
        file = os.environ.get("SCALING_POINT")
        if file is None:
            raise SystemExit(
                "no sweep asked for a point: start this with `python -m scaling.sweep trainer=... study=mine`, or one "
                "point with `python -m scaling.train trainer=... point=0` (docs/your-own-trainer.md)"
            )
        self._names = json.loads(Path(file).read_text())
        self._log = Path(os.environ["SCALING_POINT_LOG"])
        self.folder = Path(self._names["out"])

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_names"][name]
        except KeyError:
            raise AttributeError(
                f"a point has no {name}; it has {', '.join(sorted(self.__dict__['_names']))}"
            ) from None

    def log(self, *, step: int, **numbers: float) -> None:
        """Numbers of one step, such as loss= (of validation), train_loss=, tokens=."""
        self._write({"step": int(step), **{name: float(value) for name, value in numbers.items()}})

    def finish(self, *, loss: float, **numbers: float) -> None:
        """The final loss, after all of the point's steps; loss_sem=, tokens=, params= where they are known."""
        self._write({"step": self.steps, "loss": float(loss), **{n: float(v) for n, v in numbers.items()}})

    def _write(self, row: dict[str, float]) -> None:
        # One rank writes for all.
        if os.environ.get("RANK", "0") == "0":
            with self._log.open("a") as file:
                file.write(json.dumps(row) + "\n")


def __getattr__(name: str) -> Point:
    if name == "point":
        return Point()
    raise AttributeError(name)
