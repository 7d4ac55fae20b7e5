"""`python -m scaling.gpu_check`: does this machine's GPU compute what a CPU does, how fast, and which options pay?

A line of JSON for each finding as it comes, a table last; exit code 1 where something is wrong. The verdict is kept in
the cache, by GPU, driver and torch: `auto` uses capture, compile, sharing and tf32 for small models only where it says
that they have passed. The whole takes at most five minutes, --quick under one; the stages study and tests are asked for
by name. --device=cpu rehearses all of it.

Example: python -m scaling.gpu_check --quick
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scaling.command import told_in_one_paragraph
from scaling.config import ConfigError
from scaling.usage import asks_for_help
from scaling.values import from_plain

KEYS = """Keys, as key=value or --key=value, with their defaults:

  device=cuda      # cpu rehearses the check
  quick=false      # --quick: what a study's first sweep asks for, in under a minute
  stages=          # these, with commas between
  seconds=300      # for all of them
  cache=cache      # where the verdict is kept
  json=false       # --json: the lines alone, without the table
  debug=false      # tracebacks"""
FLAGS = ("quick", "json", "debug")


@dataclass(frozen=True)
class Options:
    device: Literal["cuda", "cpu"] = "cuda"
    quick: bool = False
    stages: str = ""
    seconds: float = 300.0
    cache: str = "cache"
    json: bool = False
    debug: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    if asks_for_help(argv):
        print(f"{(__doc__ or '').strip()}\n\n{KEYS}")
        sys.exit(0)
    exit_codes: list[int] = []
    with told_in_one_paragraph(exit_codes, argv):
        exit_codes.append(check(parsed(argv)))
    sys.exit(max(exit_codes))


def parsed(arguments: Sequence[str]) -> Options:
    """Raises ConfigError or ValueMismatch."""
    plain: dict[str, object] = {}
    for key, value in _pairs(arguments):
        words = {"true": True, "false": False}
        plain[key] = words.get(value.lower(), value) if key in FLAGS else value
    return from_plain(Options, plain, "gpu_check")


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Of `key=value`, `--key=value`, `--key value` and `--flag`."""
    waiting = iter(arguments)
    for argument in waiting:
        key, sign, value = argument.removeprefix("--").partition("=")
        if not sign and key not in FLAGS and argument.startswith("--"):
            value, sign = next(waiting, ""), "="
        if not sign and not argument.startswith("--"):
            raise ConfigError(f"{argument!r} is no key with a value, such as device=cpu; --help lists the keys")
        yield key, value if sign else "true"


def check(options: Options) -> int:
    # Imported late: --help needs no torch.
    from scaling.stages.gpu_check.run import ON_REQUEST, STAGES
    from scaling.stages.gpu_check.run import check as run
    from scaling.training.config import Runtime
    from scaling.training.device import choose_device

    names = [name for name, row in STAGES.items() if name not in ON_REQUEST and (row.quick or not options.quick)]
    if options.stages:
        names = options.stages.split(",")
        unknown = [name for name in names if name not in STAGES]
        if unknown:
            raise ConfigError(f"stages has {unknown[0]!r}; the stages are {', '.join(STAGES)}")
    try:
        choose_device(Runtime(device=options.device))
    except ValueError as error:
        raise ConfigError(f"{error}; device=cpu rehearses the check") from None
    cache = Path(options.cache)
    return run(options.device, names, cache, seconds=options.seconds, quick=options.quick, table=not options.json)


if __name__ == "__main__":
    main()
