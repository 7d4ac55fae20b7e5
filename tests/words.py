"""Documents of words drawn by a fixed rule: the text of tiny studies, the same under every Python."""

from pathlib import Path

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


def write_documents(folder: Path, *, documents: int, words_each: int, vocabulary: int = len(WORDS)) -> Path:
    """Text files in `folder`, of the first `vocabulary` words."""
    state = 1
    for i in range(documents):
        drawn = []
        for _ in range(words_each):
            state = (1103515245 * state + 12345) % 2**31
            drawn.append(WORDS[(state >> 16) % vocabulary])
        (folder / f"{i}.txt").write_text(" ".join(drawn))
    return folder
