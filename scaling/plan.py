"""`python -m scaling.plan`: the sweep's dry run under a name of its own. It writes nothing.

Example: python -m scaling.plan grid.kind=isoflop 'grid.budgets=[1e12,3e12,1e13]'
"""

import sys

from scaling.command import run_hydra
from scaling.sweep import task


def main() -> None:
    sys.argv.append("dry_run=true")
    run_hydra(task, "sweep", about=__doc__)


if __name__ == "__main__":
    main()
