"""The environment of whoever measures, without what tunes the allocator or the threads."""

import os

TUNING = ("MALLOC_", "GLIBC_", "OMP_", "MKL_", "KMP_")


def untuned_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(TUNING)}
