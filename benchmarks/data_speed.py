"""How fast a corpus is prepared: `python benchmarks/data_speed.py [megabytes]` (default 100).

Raw text goes through everything `prepare` does to it: read, normalise, exact deduplication, split, byte-level BPE,
write; the time of training the BPE and of measuring the overlap is given apart. In the same run the tokenizers library
encodes the same documents with `encode_batch` alone, on as many cores. Wanted: 10 MB/s, and 80% of the library's rate.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

from scaling.data import botocore_docs
from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare
from scaling.data.token_files import available_cores
from scaling.data.tokenizers import TOKENIZER_FILE, load

LINES_A_DOCUMENT = 15
SAMPLE_DOCUMENTS = 10_000


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text_bytes = write_text(folder / "text.jsonl", megabytes * 1_000_000)
        config = DataConfig(
            name="speed",
            source=SourceConfig("local", str(folder / "text.jsonl")),
            tokenizer=TokenizerConfig("bpe", 1024),
            licence="Apache-2.0",
            description="benchmark",
            validation_fraction=0.01,
        )
        starts = [("start", time.perf_counter())]
        corpus = prepare(config, folder / "cache", lambda stage: starts.append((stage, time.perf_counter())))
        starts.append(("end", time.perf_counter()))
        seconds = {stage: later - now for (stage, now), (_, later) in pairwise(starts)}
        print(f"{text_bytes / 1e6:.0f} MB of text, {available_cores()} cores")
        for stage, duration in seconds.items():
            print(f"  {duration:7.2f} s  {stage}")
        measured = sum(duration for stage, duration in seconds.items() if stage.startswith(("start", "read", "token")))
        rate = text_bytes / 1e6 / measured
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        library_rate = encode_batch_rate(corpus / TOKENIZER_FILE, folder / "text.jsonl")
        print(f"prepare, without training the BPE and the overlap: {rate:.1f} MB/s")
        print(f"encode_batch of the library alone: {library_rate:.1f} MB/s, ratio {rate / library_rate:.2f}")
        print(f"peak memory of the main process while preparing: {peak:.0f} MB")


def write_text(path: Path, num_bytes: int) -> int:
    """Lines of the default corpus as documents of fifteen, again and again, each numbered to be different."""
    written = turn = 0
    with path.open("w", encoding="utf-8") as file:
        while written < num_bytes:
            for text in paragraphs():
                document = f"{turn} {text}"
                file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
                written += len(document.encode())
                if written >= num_bytes:
                    break
            turn += 1
    return written


def paragraphs() -> Iterator[str]:
    for document in botocore_docs.documents(set()):
        lines = iter(document.text.splitlines(keepends=True))
        while block := "".join(islice(lines, LINES_A_DOCUMENT)):
            yield block


def encode_batch_rate(tokenizer_path: Path, text_path: Path) -> float:
    """Megabytes a second of `encode_batch` over documents already in memory."""
    inner = load(tokenizer_path, "<|endoftext|>").inner
    with text_path.open(encoding="utf-8") as file:
        documents = [str(json.loads(line)["text"]) for line in islice(file, SAMPLE_DOCUMENTS)]
    start = time.perf_counter()
    inner.encode_batch(documents, add_special_tokens=False)
    return sum(len(document.encode()) for document in documents) / 1e6 / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
