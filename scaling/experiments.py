"""A config becomes a Hydra experiment: files that people read, change and run."""

import re
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from scaling.config import OF_ONE_COMMAND, ConfigError, StudyConfig
from scaling.folders import below, study_lock
from scaling.values import remove_left_overs, to_plain, write_atomically

WRITTEN_HERE = "# Written by scaling-sweep, which may write it again: keep changes under another name."


def write_experiment(folder: Path, name: str, config: StudyConfig, about: str, *, in_study: bool) -> str:
    """Write a config as a Hydra experiment, `experiment/<name>.yaml` with its corpus in `data/<name>.yaml`.

    The corpus is a file of its own since its keys depend on its kind, and Hydra would merge them with the default's.
    Every string of the config is text in it: none becomes an interpolation. Returns the command that runs it. Raises
    ConfigError where a file of that name is there which this did not write, in a folder that is not a study's own
    (`in_study`), and OSError.
    """
    plain = literal(to_plain(config))
    data = plain.pop("data")
    for key in OF_ONE_COMMAND:
        plain.pop(key, None)
    command = shlex.join(["python", "-m", "scaling.sweep", f"--config-dir={folder}", f"experiment={name}"])
    head = ["# @package _global_", WRITTEN_HERE, *(f"# {line}" for line in (*about.splitlines(), command))]
    head += ["defaults:", f"  - override /data: {name}", ""]
    texts = {
        folder / "data" / f"{name}.yaml": f"{WRITTEN_HERE}\n" + OmegaConf.to_yaml(OmegaConf.create(data)),
        folder / "experiment" / f"{name}.yaml": "\n".join(head) + OmegaConf.to_yaml(OmegaConf.create(plain)),
    }
    for path in texts:
        if in_study:
            below(folder.parent, str(path.relative_to(folder.parent)))
        if not in_study and path.exists() and not (path.is_file() and WRITTEN_HERE.encode() in path.read_bytes()):
            raise ConfigError(f"{path} is there and was not written by this command: name another folder with out=")
    with study_lock(folder.parent) if in_study else nullcontext():
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if in_study:
                remove_left_overs(path.parent)
            write_atomically(path, text.encode())
    return command


def literal(plain: Any) -> Any:
    """Plain values whose strings OmegaConf reads back as they are: what begins an interpolation is escaped."""
    if isinstance(plain, dict):
        return {key: literal(item) for key, item in plain.items()}
    if isinstance(plain, list):
        return [literal(item) for item in plain]
    if isinstance(plain, str):
        return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", plain)
    return plain
