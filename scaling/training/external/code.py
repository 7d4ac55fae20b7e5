"""Which code a program is: commit and difference of the checkout that it runs in."""

import hashlib
import subprocess
from pathlib import Path

SECONDS = 20


def code_of(folder: Path) -> str | None:
    """The commit, with a hash of what differs from it; None outside a checkout."""
    try:
        commit = _git(folder, "rev-parse", "HEAD").decode().strip()
        changed = _git(folder, "diff", "HEAD", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+{hashlib.sha256(changed).hexdigest()[:10]}" if changed else commit


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL).stdout
