"""`python -m scaling.cluster FILE`: the command of every Slurm job; FILE is its submission, which says what to do.

Notices are listened for before anything else is imported: one that came while torch is would end the process, and the
job would count as failed instead of coming back. No command for people, so it has no `main` and no console script.
"""

import signal
import sys
from pathlib import Path
from types import FrameType


def run_job() -> None:
    early: list[int] = []

    def listen(number: int, _: FrameType | None) -> None:
        early.append(number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, listen)
    from scaling.command import leave, told_in_one_paragraph
    from scaling.stages.slurm_job import do_job

    exit_codes: list[int] = []
    with told_in_one_paragraph(exit_codes):
        exit_codes.append(do_job(Path(sys.argv[1]), early))
    leave(max(exit_codes))


if __name__ == "__main__":
    run_job()
