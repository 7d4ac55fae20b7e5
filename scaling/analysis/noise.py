"""The noise floor of any fit: how much the loss of a cell moves with the seed."""

import math
from collections import defaultdict
from collections.abc import Sequence

from scaling.records import RunRecord
from scaling.results import SeedNoise


def seed_noise(records: Sequence[RunRecord]) -> SeedNoise | None:
    """None where no cell has two seeds; the same tokens from less text are another cell."""
    cells: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for record in records:
        if record.final_loss_nats is not None:
            cells[record.size, record.tokens, record.unique_tokens].append(math.log(record.final_loss_nats))
    replicated = [losses for losses in cells.values() if len(losses) > 1]
    if not replicated:
        return None
    squares = sum(sum((x - math.fsum(ls) / len(ls)) ** 2 for x in ls) for ls in replicated)
    freedom = sum(len(losses) - 1 for losses in replicated)
    return SeedNoise(math.sqrt(squares / freedom), len(replicated), sum(map(len, replicated)))
