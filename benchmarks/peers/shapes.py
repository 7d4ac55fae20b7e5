"""The sizes of the benchmark, without torch: layers, width and heads by non-embedding parameters."""

VOCABULARY, CONTEXT = 1024, 128
SHAPES = {"37k": (3, 32, 2), "332k": (3, 96, 6), "3.15M": (4, 256, 8)}
