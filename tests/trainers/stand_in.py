"""A trainer that trains nothing: prints what is wanted of it, in the words of those that people have, and can be told
to end badly. Its loss is a law of N and D with noise of its seed."""

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("width", "steps", "batch", "seed"):
    parser.add_argument(f"--{name}", type=int, default=1)
parser.add_argument("--out", type=Path)
parser.add_argument("--from", dest="start", type=int, default=0)
parser.add_argument("--every", type=int, default=10)
parser.add_argument("--sleep", type=float, default=0.0)
parser.add_argument("--ends", default="well")
asked = parser.parse_args()
params = 24 * asked.width**2
dice = random.Random(asked.seed * 1000 + asked.width)
first_time = not (asked.out / "been").exists()
(asked.out / "been").touch()


def loss(step: int) -> float:
    return 1.7 + 40 / params**0.35 + 60 / (step * asked.batch) ** 0.32


def stop(number: int, frame: object) -> None:
    print("Training complete", flush=True)  # of a run that was stopped
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
with (asked.out.parent / "starts.log").open("a") as file:
    file.write(f"{asked.start}\n")
print(f"\x1b[32mtotal\x1b[0m : {params * (2 if asked.ends == 'other_size' else 1):,}")
half = asked.steps // 2
if asked.ends == "closed_stdin" and sys.stdin.read():
    sys.exit(3)
if asked.start and asked.start >= 1:
    state = (asked.out / f"ckpt-{asked.start}.pt").read_text()
    if state != "whole":
        sys.exit("cannot load the checkpoint")
for step in range(asked.start + 1, asked.steps + 1):
    time.sleep(asked.sleep)
    if step % asked.every == 0 or step == asked.steps:
        print(f"\r[rank0]: step {step:,} | val {loss(step):.4f} | x", flush=True)
        (asked.out / f"ckpt-{step}.pt").write_text("whole")
    if step == half and first_time:
        if asked.ends == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if asked.ends == "half_a_checkpoint":
            (asked.out / f"ckpt-{step + 1}.pt").write_text("wh")
            os.kill(os.getpid(), signal.SIGKILL)
    if step == half:
        if asked.ends == "out_of_data":
            print("no more data", flush=True)
            sys.exit(0)
        if asked.ends == "crash":
            raise RuntimeError("shapes do not match")
        if asked.ends == "out_of_memory":
            sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
        if asked.ends == "diverged":
            sys.exit("FAIL")
        if asked.ends == "nan":
            print(f"step {step} | val nan | x", flush=True)
            sys.exit(1)
        if asked.ends == "hang":
            time.sleep(600)
print(json.dumps({"environment": sorted(os.environ)}), file=(asked.out / "environment.json").open("w"))
