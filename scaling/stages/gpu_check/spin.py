"""One worker that takes steps for a while: `python -m scaling.stages.gpu_check.spin DEVICE SIZE BEGIN SECONDS`.

It prints its tokens per second between the two times, in which its like are at work beside it.
"""

import sys
import tempfile
import time
from pathlib import Path

from scaling.stages.gpu_check.finding import SIZES, model_of, run_of
from scaling.training.config import Runtime
from scaling.training.device import synchronize
from scaling.training.probe import Stepper


def main() -> None:
    device, size, begin, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    layers, width, heads = SIZES[size]
    run = run_of(model_of(layers, width, heads, context=128), 512)
    with tempfile.TemporaryDirectory() as cache:
        stepper = Stepper(run, Runtime(device=device), Path(cache))  # type: ignore[arg-type]
        for _ in range(10):
            stepper.step()
        synchronize(stepper.device)
        while time.time() < begin:
            time.sleep(0.01)
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            stepper.step()
            steps += 1
            if steps % 10 == 0:
                synchronize(stepper.device)
        synchronize(stepper.device)
        print(steps * run.optimizer.batch_tokens / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
