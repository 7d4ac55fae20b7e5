"""The fitted floor of a study against the known entropy of its text: exit code 1 where the truth lies outside.

Example: python -m scaling.truth experiment=truth
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig

from scaling.command import run_hydra
from scaling.config import ConfigError, of_study, require_as_stored, study_config
from scaling.data.oracle import KnownEntropy
from scaling.laws.floor import FloorInterval
from scaling.stages.finish import FITS_FILE
from scaling.terminal import PlainConsole
from scaling.values import from_file, read_plain

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXIT_MISSED = 1
MOST_WIDTH = 0.5  # of the fitted E: an interval beyond would hold almost any truth


def task(composed: "DictConfig") -> int:
    config = study_config(composed)
    require_as_stored(config, "truth", HydraConfig.get().overrides.task)
    path = of_study(config.folder, FITS_FILE)
    fits = read_plain(path)
    text = (fits.get("text") if isinstance(fits, dict) else None) or {}
    if not isinstance(text, dict):
        raise ConfigError(f"{path} has a text that is no mapping: fit the study again")
    if text.get("entropy") is None:
        raise ConfigError(
            f"the entropy of the text of {config.study} is not known: take data=synthetic, as experiment=truth does, "
            "and keep its corpus in the cache"
        )
    if text.get("floor") is None:
        raise ConfigError(f"the points of {config.study} are too few for a floor: add sizes and budgets")
    found, words = judge(from_file(FloorInterval, text["floor"], path), from_file(KnownEntropy, text["entropy"], path))
    if config.json:
        PlainConsole().print_json(data={"found": found, "words": words, **fits["text"]})
    else:
        print(words)
    return 0 if found else EXIT_MISSED


def judge(floor: FloorInterval, entropy: KnownEntropy) -> tuple[bool, str]:
    """Whether the interval for E holds the truth and is narrow enough for that to mean something, and the numbers."""
    truth = entropy.rate if entropy.floor is None else entropy.floor
    width = (floor.high - floor.low) / floor.estimate if floor.estimate else float("inf")
    inside, narrow = floor.low <= truth <= floor.high, width <= MOST_WIDTH
    numbers = (
        f"truth {truth:.4f} nats/token (entropy rate {entropy.rate:.4f}); fitted E {floor.estimate:.4f}, off by "
        f"{abs(floor.estimate / truth - 1):.1%}; interval {floor.low:.4f} to {floor.high:.4f}, {width:.0%} wide"
    )
    if not inside:
        return False, f"MISSED: {numbers}: the interval for E does not hold the truth"
    if not narrow:
        return False, f"TOO WIDE: {numbers}: more than {MOST_WIDTH:.0%} says nothing"
    return True, f"FOUND: {numbers}"


def main(argv: Sequence[str] | None = None) -> None:
    run_hydra(task, "sweep", command="truth", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
