"""A process that has everything imported and forks itself for each run: the run's process is as much its own as a
fresh one, less the seconds of importing torch.

It speaks JSON lines: {"run": folder} and {"signal": folder, "number": n} on its standard input, {"ended": folder,
"code": c} on its standard output. When its input ends, because whoever started it is done or dead, it waits for its
children and leaves; they go on undisturbed.
"""

import contextlib
import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.exits import EXIT_FAILED
from scaling.folders import storage_words
from scaling.records import LOG_FILE
from scaling.values import open_to_append

NOTICES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def serve(run_folder: Callable[[Path], int], prepare: Callable[[Path], None]) -> None:
    """Until the input ends and every child with it. `prepare` is called with the first run's folder, once no request
    waits: what helps the runs after it need not delay the first.

    Nothing that starts a thread or touches a GPU may run before a fork, here or in what was imported.
    """
    for number in NOTICES:
        signal.signal(number, signal.SIG_IGN)  # whoever starts it decides what a signal means, and passes it on
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    children: dict[int, str] = {}
    requests = b""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        listening, prepared = True, False
        while listening or children:
            ready = selector.select(None if prepared or not children else 0)
            if not ready:
                prepared = True
                prepare(Path(next(iter(children.values()))))
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                if key.fd != 0:
                    continue
                if not chunk:
                    selector.unregister(0)
                    listening = False
                *lines, requests = (requests + chunk).split(b"\n")
                for line in lines:
                    _answer(json.loads(line), children, run_folder)
            _report_ended(children)


def _answer(request: dict[str, Any], children: dict[int, str], run_folder: Callable[[Path], int]) -> None:
    if "run" in request:
        pid = os.fork()
        if pid == 0:
            _be_a_worker(Path(request["run"]), run_folder)
        children[pid] = request["run"]
    else:
        for pid, folder in children.items():
            if folder == request["signal"]:
                os.kill(pid, request["number"])  # not reaped yet, so the id is still its own


def _report_ended(children: dict[int, str]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        said = {"ended": children.pop(pid), "code": os.waitstatus_to_exitcode(status)}
        with contextlib.suppress(BrokenPipeError):  # nobody listens any more
            os.write(1, json.dumps(said).encode() + b"\n")


def _be_a_worker(folder: Path, run_folder: Callable[[Path], int]) -> None:
    """What a fresh process would do, from its first line to its exit code; never returns."""
    code = EXIT_FAILED
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (*NOTICES, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        with open_to_append(folder / LOG_FILE) as log:
            for source, target in ((null, 0), (log.fileno(), 1), (log.fileno(), 2)):
                os.dup2(source, target)
        os.close(null)
        code = run_folder(folder)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else EXIT_FAILED
    except OSError as error:
        print(f"error: {storage_words(error)}", file=sys.stderr)
    finally:
        # Here ends the process, as the interpreter would end it: nothing may climb into the parent's loop.
        if sys.exc_info()[0] not in (None, SystemExit):
            traceback.print_exc()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
