"""Time models of GPUs from their data sheets: predictions for who has no such GPU at hand, and measured on none."""

from scaling.datasheets import DataSheet
from scaling.planning.config import TimeModel

# Of the sheet: a large product of random numbers, and a copy, as they were measured by others on an H200.
PRODUCT_SHARE, COPY_SHARE = 0.66, 0.83
# Launches of a step (counted: 44 a layer and 22 beside them in bf16, and the update's), some 7 us each when the host
# calls them one by one. A captured step has none of it, and is planned for by who has measured it (`calibrate=true`).
SECONDS_PER_LAUNCH, LAUNCHES_PER_LAYER, LAUNCHES_BESIDE = 7e-6, 44, 50
# Bytes that go to memory and back for each token, layer and channel of the width, operation by operation.
BYTES_PER_WIDTH_TOKEN = 540
SECONDS_PER_RUN, SECONDS_PER_BRANCH, SECONDS_PER_STUDY = 6.0, 2.0, 20.0


def time_model(sheet: DataSheet, name: str) -> TimeModel:
    """In bf16, or fp16 where a GPU has no units for that."""
    return TimeModel(
        seconds_per_run=SECONDS_PER_RUN,
        seconds_per_step=LAUNCHES_BESIDE * SECONDS_PER_LAUNCH,
        seconds_per_layer_step=LAUNCHES_PER_LAYER * SECONDS_PER_LAUNCH,
        flops_per_second=PRODUCT_SHARE * (sheet.bf16 or sheet.fp16),
        seconds_per_study=SECONDS_PER_STUDY,
        seconds_per_branch=SECONDS_PER_BRANCH,
        seconds_per_width_token=BYTES_PER_WIDTH_TOKEN / (COPY_SHARE * sheet.bytes_per_second),
        memory_bytes=sheet.memory_bytes,
        watts=sheet.watts,
        name=name,
    )
