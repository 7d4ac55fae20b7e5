"""Prints what nanoGPT's train.py prints, and leaves its one checkpoint. Its seed: (1337 + 0)."""

import os
import sys
from pathlib import Path

ends = os.environ.get("STAND_IN_ENDS", "well")
asked = dict(a.removeprefix("--").split("=") for a in sys.argv[1:] if a.startswith("--"))
out, steps = Path(asked["out_dir"]), int(asked["max_iters"])
layers, width = int(asked["n_layer"]), int(asked["n_embd"])
assert type(eval(asked["eval_interval"])) is int  # it checks the type of what it is given
first, mark = 0, out.parent / "been"
seen = mark.exists()
mark.touch()
if asked.get("init_from") == "resume":
    state = (out / "ckpt.pt").read_text()
    first = int(state)  # half of one is no number
print(f"number of parameters: {(12 * layers * width**2 + (2 * layers + 66) * width) / 1e6:.2f}M")
for step in range(first, steps + 1):
    if step % int(asked["eval_interval"]) == 0:
        print(f"step {step}: train loss 3.9, val loss {1.5 + 100 / (step + 1) ** 0.5:.4f}", flush=True)
        if step:
            (out / "ckpt.pt").write_text(str(step))
    if step % 10 == 0:
        print(f"iter {step}: loss 3.9211, time 12.3ms, mfu 1.20%")
    if 2 * step >= steps and not seen and ends != "well":
        if ends == "half_a_checkpoint":
            (out / "ckpt.pt").write_text("12 and no")
        if ends in ("killed", "half_a_checkpoint"):
            os.kill(os.getpid(), 9)
    if 2 * step >= steps and ends in ("stopped", "out_of_data"):
        sys.exit(0)
