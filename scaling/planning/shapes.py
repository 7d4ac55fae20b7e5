"""From a wanted number of parameters to a decoder that one would train."""

import math

from scaling.planning.config import SizeConfig

# Width over layers: 10 at 10k and 26 at 1M parameters (docs/recipe.md), 64 at 85M and 128 at 13B (Brown et al. 2020,
# arXiv 2005.14165, Table 2.1); between them nearly a power of N.
ASPECT_AT_1M, ASPECT_EXPONENT, ASPECT_MIN, ASPECT_MAX = 25.6, 0.2, 8.0, 128.0
# Channels of a head below a width; the default study has 10 to 16, and models of billions 128.
HEAD_CHANNELS = ((256, 16), (512, 32), (2048, 64), (math.inf, 128))
MIN_LAYERS = 2
MATRICES = 12  # parameters of a layer's matrices are 12 d^2, with an MLP of 4 d


def shape_near(non_embedding: float, name: str | None = None, *, head: int | None = None) -> SizeConfig:
    """The regular shape whose hidden matrices, 12 L d^2, come nearest to `non_embedding` parameters: its depth by a
    rule, its heads of `head` channels, of which the width is a multiple (None: by the width)."""
    aspect = ASPECT_AT_1M * (non_embedding / 1e6) ** ASPECT_EXPONENT
    aspect = min(max(aspect, ASPECT_MIN), ASPECT_MAX)
    wanted = (non_embedding * aspect / MATRICES) ** (1 / 3)

    def off(shape: tuple[int, int]) -> float:
        layers, width = shape
        size = abs(math.log(MATRICES * layers * width**2 / non_embedding))
        return size + 0.2 * abs(math.log(width / layers / aspect))

    shapes = []
    for factor in (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4):
        step = head or head_channels(factor * wanted)
        width = max(1, round(factor * wanted / step)) * step
        shapes.append((max(MIN_LAYERS, round(non_embedding / (MATRICES * width**2))), width))
    layers, width = min(shapes, key=off)
    return SizeConfig(name or size_name(layers, width), layers, width, width // (head or head_channels(width)))


def head_channels(width: float) -> int:
    return next(channels for below, channels in HEAD_CHANNELS if width < below)


def size_name(layers: int, width: int) -> str:
    """Named by its 12 L d^2: 983k, 1.2M, 7.1B."""
    size = MATRICES * layers * width**2
    for unit, word in ((1e9, "B"), (1e6, "M")):
        if size >= unit:
            return f"{size / unit:.3g}{word}"
    return f"{round(size / 1e3)}k"


def ladder(low: float, high: float, factor: float) -> list[SizeConfig]:
    """Regular shapes from `low` to `high` hidden parameters, some `factor` apart."""
    steps = max(1, round(math.log(high / low) / math.log(factor)))
    shapes = [shape_near(low * (high / low) ** (i / steps)) for i in range(steps + 1)]
    return list({shape.name: shape for shape in shapes}.values())
