"""What checkpoints take of a run's time when the disk is slow: a decoder of 100M parameters, 50 MB a second.

    python -m benchmarks.checkpoint_share [--megabytes-per-second 50] [--seconds 240] [--size 12x832]

The disk is slowed where the file is written, in the thread that writes it. What is told is the share of the run's wall
time that the training waited for checkpoints, and what the writing thread took of a core beside it.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from scaling.records import TRUNK_FILE
from scaling.stages.gpu_check.finding import model_of, run_of
from scaling.training import checkpoint
from scaling.training.config import Runtime
from scaling.training.probe import Stepper
from scaling.training.progress import Progress
from scaling.training.saving import Saver
from scaling.training.team import Team


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes-per-second", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--size", default="12x832")
    arguments = parser.parse_args()
    slow_down(arguments.megabytes_per_second * 1e6)
    layers, width = map(int, arguments.size.split("x"))
    run = run_of(model_of(layers, width, width // 64, context=64), 64)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stepper = Stepper(run, Runtime(device="auto"), folder)
        stepper.step()
        waited = wrote = 0.0
        saves, every = 0, Runtime().checkpoint_every_seconds
        with Saver(run.id, Team(), stepper.device, stepper.precision) as saver:
            began = time.monotonic()
            while time.monotonic() - began < arguments.seconds:
                stepper.step()
                asked = time.monotonic()
                if saver.due(every):
                    saver.save(folder / TRUNK_FILE, stepper.state, Progress(), budget=None)
                    saves += 1
                waited += time.monotonic() - asked
            wall = time.monotonic() - began
            saver.wait()
            wrote = saver.cost_seconds
        size = (folder / TRUNK_FILE).stat().st_size
    params = sum(p.numel() for p in stepper.state.decoder.parameters())
    print(
        f"{params / 1e6:.0f}M parameters, {size / 1e9:.2f} GB, {arguments.megabytes_per_second:g} MB/s: {saves} saves"
    )
    print(
        f"training waited {waited:.2f} s of {wall:.0f} s, {waited / wall:.2%}; the last save cost {wrote:.1f} s of CPU"
    )


def slow_down(bytes_per_second: float) -> None:
    write = checkpoint._Digesting.write

    def slowly(self: checkpoint._Digesting, part: bytes) -> int:
        time.sleep(len(part) / bytes_per_second)
        return write(self, part)

    checkpoint._Digesting.write = slowly  # type: ignore[method-assign]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
