"""Settings of every test."""

import os

# One thread: two that spin against each other on a busy machine take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
