"""`python -m scaling.plan`: the sweep's dry run under a name of its own."""

import sys

from scaling.sweep import main as sweep


def main() -> None:
    sys.argv.append("dry_run=true")
    sweep()


if __name__ == "__main__":
    main()
