"""One contestant in a process of its own, which trains only while the benchmark asks it to.

    python -m benchmarks.peers.worker NAME '{"layers": 3, ...}'

Each line of standard input is a number of seconds; after training that long it answers with a line of JSON: steps, wall
and CPU seconds, and the loss. "until N" trains until step N of its life. The end of the input ends it.
"""

import json
import sys
import time

import torch
from torch import Tensor

from benchmarks.peers import encoder, litgpt_loop, nanogpt, ours, trainer
from benchmarks.peers.task import Contestant, Task

CONTESTANTS: dict[str, Contestant] = {
    "ours": ours.train_default,
    "ours (gpt)": ours.train_gpt,
    "ours (llama)": ours.train_llama,
    "nanoGPT style": nanogpt.train,
    "Trainer GPT-2": trainer.train_gpt2,
    "Trainer Llama": trainer.train_llama,
    "litgpt": litgpt_loop.train,
    "TransformerEncoder": encoder.train,
}
WARM_UP_STEPS = 5


class Stopwatch:
    """Called after each step; hands over to the benchmark when the asked time or step is reached."""

    def __init__(self) -> None:
        self.step, self.until_step = 0, WARM_UP_STEPS
        self.until_time = float("inf")
        self._begin()

    def _begin(self) -> None:
        self.began_at, self.wall, self.cpu = self.step, time.perf_counter(), time.process_time()

    def __call__(self, loss: Tensor) -> None:
        self.step += 1
        if self.step < self.until_step and time.perf_counter() < self.until_time:
            return
        answer = {
            "steps": self.step - self.began_at,
            "wall": time.perf_counter() - self.wall,
            "cpu": time.process_time() - self.cpu,
            "loss": float(loss),
        }
        print(json.dumps(answer), flush=True)
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        words = line.split()
        self._begin()
        if words[0] == "until":
            self.until_step, self.until_time = int(words[1]), float("inf")
        else:
            self.until_step, self.until_time = sys.maxsize, self.wall + float(words[0])


def main() -> None:
    torch.manual_seed(0)
    CONTESTANTS[sys.argv[1]](Task(**json.loads(sys.argv[2])), Stopwatch())


if __name__ == "__main__":
    main()
