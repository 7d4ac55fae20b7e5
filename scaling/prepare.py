"""`python -m scaling.prepare data=aws_docs`: fetch, clean, split and tokenise a corpus, and say what it holds.

Example: python -m scaling.prepare data=python_sources
"""

import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from scaling.command import run_hydra
from scaling.config import study_config
from scaling.data.manifest import read_manifest
from scaling.data.prepare import prepare


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    folder = prepare(
        config.data, config.cache_folder, progress=lambda stage: print(f"prepare: {stage}", file=sys.stderr)
    )
    manifest = read_manifest(folder)
    for name, split in (("training", manifest.train), ("validation", manifest.validation)):
        print(
            f"{name}: {split.documents} documents, {split.bytes} bytes, {split.tokens} tokens, "
            f"{split.bytes_per_token:.4f} bytes a token"
        )
    print(f"vocabulary {manifest.vocab_size}, {manifest.tokenizer_kind}; in {folder}")
    return 0


def main(argv: Sequence[str] | None = None) -> None:
    run_hydra(task, "sweep", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
