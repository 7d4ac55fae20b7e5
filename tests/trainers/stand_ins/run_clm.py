"""Leaves what run_clm.py leaves: checkpoints with trainer_state.json, and eval_results.json in the end."""

import json
import os
import sys
from pathlib import Path

ends = os.environ.get("STAND_IN_ENDS", "well")
words = sys.argv[sys.argv.index("run_clm.py") + 1 :]
asked = {w.removeprefix("--"): v for w, v in zip(words, [*words[1:], ""], strict=True) if w.startswith("--")}
out, steps, every = Path(asked["output_dir"]), int(asked["max_steps"]), int(asked["save_steps"])
assert json.loads((Path(asked["config_name"]) / "config.json").read_text())["hidden_size"] > 0
first, mark = 0, out.parent.parent / "been"
seen = mark.exists()
mark.touch()
if "resume_from_checkpoint" in asked:
    if not (Path(asked["resume_from_checkpoint"]) / "model.safetensors").exists():
        sys.exit("no such model")
    first = json.loads((Path(asked["resume_from_checkpoint"]) / "trainer_state.json").read_text())["global_step"]
for step in range(first + 1, steps + 1):
    if step % 10 == 0:
        print("{'loss': 3.9, 'grad_norm': 1.0, 'learning_rate': 0.001, 'epoch': 0.1}")
    if step % every == 0 or step == steps:
        folder = out / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_text("x")
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    if 2 * step >= steps and not seen:
        if ends == "half_a_checkpoint":
            folder = out / f"checkpoint-{step + 1}"
            folder.mkdir(parents=True)
            (folder / "trainer_state.json").write_text(json.dumps({"global_step": step + 1}))
        if ends in ("killed", "half_a_checkpoint"):
            os.kill(os.getpid(), 9)
    if 2 * step >= steps and ends in ("stopped", "out_of_data"):
        steps = step
        break
(out / "trainer_state.json").write_text(json.dumps({"global_step": steps}))
if ends != "stopped":  # out of data, it evaluates what it has come to
    (out / "eval_results.json").write_text(json.dumps({"eval_loss": 3.4567, "eval_samples": 20}))
