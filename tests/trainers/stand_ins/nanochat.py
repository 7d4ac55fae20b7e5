"""Prints what nanochat's base_train prints, and leaves its checkpoints, the optimizer's last."""

import os
import sys
from pathlib import Path

ends = os.environ.get("STAND_IN_ENDS", "well")
asked = dict(a.removeprefix("--").split("=") for a in sys.argv[1:] if "=" in a)
out, steps = Path(asked["model-tag"]), int(asked["num-iterations"])
params = 1000 * int(asked["depth"]) ** 3
first, mark = int(asked.get("resume-from-step", 0)), out.parent / "been"
seen = mark.exists()
mark.touch()
if first and not (out / f"model_{first:06d}.pt").exists():
    sys.exit("no such model")
print("Parameter counts:\nwte                     : 1,000")
print(f"total                   : {params:,}")
print(f"Estimated FLOPs per token: {6 * params:e}")
print(f"Total number of training tokens: {steps * int(asked['total-batch-size']):,}")
for step in range(first, steps + 1):
    if step % int(asked["eval-every"]) == 0:
        print(f"Step {step:05d} | Validation bpb: {0.8 + 5 / (step + 1) ** 0.5:.6f}", flush=True)
    if step and (step % int(asked["save-every"]) == 0 or step == steps):
        (out / f"model_{step:06d}.pt").write_text("x")
        (out / f"optim_{step:06d}_rank0.pt").write_text("x")
    print(f"step {step:05d}/{steps:05d} ({100 * step / steps:.2f}%) | loss: 3.912312 | lrm: 1.00 | dt: 10.00ms")
    if 2 * step >= steps and not seen:
        if ends == "half_a_checkpoint":
            (out / f"optim_{step:06d}_rank0.pt").write_text("x")
        if ends in ("killed", "half_a_checkpoint"):
            os.kill(os.getpid(), 9)
    if 2 * step >= steps and ends in ("stopped", "out_of_data"):
        sys.exit(0)
