"""Several processes on one machine, forked from the test: what torchrun sets up, without its start-up time."""

import os
import signal
import socket
import time
import traceback
from collections.abc import Callable

from scaling.training.team import Team, team_of_this_process

SECONDS = 120


def run_team(size: int, work: Callable[[Team], int | None]) -> list[int]:
    """Exit codes by rank of `work`, a result of None being 0 and an exception 1; -9 for one that did not end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_fork(rank, size, port, work) for rank in range(size)]
    deadline = time.monotonic() + SECONDS
    codes: dict[int, int] = {}
    while len(codes) < size:
        for rank, child in enumerate(children):
            if rank not in codes:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    codes[rank] = os.waitstatus_to_exitcode(status)
                elif time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    return [codes[rank] for rank in range(size)]


def _fork(rank: int, size: int, port: int, work: Callable[[Team], int | None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        team_of_this_process.cache_clear()
        code = work(team_of_this_process()) or 0
    except BaseException:  # noqa: BLE001 - the child of a fork must not return into pytest
        traceback.print_exc()
    finally:
        os._exit(code)
