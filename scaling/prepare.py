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
from scaling.terminal import PlainConsole
from scaling.values import to_plain


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    folder = prepare(
        config.data, config.cache_folder, progress=lambda stage: print(f"prepare: {stage}", file=sys.stderr)
    )
    manifest = read_manifest(folder)
    if config.json:
        PlainConsole().print_json(data={"folder": str(folder), **to_plain(manifest)})
        return 0
    for name, split in (("training", manifest.train), ("validation", manifest.validation)):
        print(
            f"{name}: {split.documents:,} documents, {split.bytes:,} bytes, {split.tokens:,} tokens, "
            f"{split.bytes_per_token:.4f} bytes a token"
        )
    dropped = {name.replace("_", " "): count for name, count in vars(manifest.dropped).items() if count}
    print(f"dropped or repaired: {', '.join(f'{count:,} {name}' for name, count in dropped.items()) or 'nothing'}")
    print(f"vocabulary {manifest.vocab_size}, {manifest.tokenizer_kind}; in {folder}")
    return 0


def main(argv: Sequence[str] | None = None) -> None:
    run_hydra(task, "sweep", command="prepare", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
