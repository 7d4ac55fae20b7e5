"""`python -m scaling.gpu_check`: does this machine's GPU compute what a CPU does, how fast, and which options pay?

A line of JSON for each finding as it comes, a table last; exit code 1 where something is wrong. The verdict is kept in
the cache, by GPU, driver and torch: `auto` uses capture, compile, sharing and tf32 for small models only where it says
that they have passed. The whole takes at most five minutes, --quick under one; the stages study and tests are asked for
by name. --device=cpu rehearses all of it.

Example: python -m scaling.gpu_check --quick
"""

import argparse
import sys
from pathlib import Path

from scaling.command import EXIT_BAD_CONFIG


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="what a study's first sweep asks for, in under a minute")
    parser.add_argument("--stages", help="these, with commas between")
    parser.add_argument("--seconds", type=float, default=300.0, help="for all of them")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    arguments = parser.parse_args()
    sys.exit(check(arguments))


def check(arguments: argparse.Namespace) -> int:
    # Imported late: --help needs no torch.
    from scaling.stages.gpu_check.run import ON_REQUEST, STAGES
    from scaling.stages.gpu_check.run import check as run
    from scaling.training.config import Runtime
    from scaling.training.device import choose_device

    names = [name for name, row in STAGES.items() if name not in ON_REQUEST and (row.quick or not arguments.quick)]
    if arguments.stages is not None:
        names = arguments.stages.split(",")
        unknown = [name for name in names if name not in STAGES]
        if unknown:
            print(f"error: --stages has {unknown[0]!r}; the stages are {', '.join(STAGES)}", file=sys.stderr)
            return EXIT_BAD_CONFIG
    try:
        choose_device(Runtime(device=arguments.device))
    except ValueError as error:
        print(f"error: {error}; --device=cpu rehearses the check", file=sys.stderr)
        return EXIT_BAD_CONFIG
    return run(arguments.device, names, arguments.cache, seconds=arguments.seconds, quick=arguments.quick)


if __name__ == "__main__":
    main()
