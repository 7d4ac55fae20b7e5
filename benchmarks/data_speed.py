"""How fast a corpus is prepared: `python benchmarks/data_speed.py [megabytes]` (default 100).

Raw text goes through everything `prepare` does to it: read, normalise, exact deduplication, split, byte-level BPE,
write; the time of training the BPE and of measuring the overlap is given apart. Between the stages the tokenizers
library encodes documents of the same text with `encode_batch` alone, on as many cores, so that both meet the machine at
the same moments. Wanted: 10 MB/s, 80% of the library's rate, and less than 2 GB for 540 MB of text. CPU seconds, of
all processes, tell on a busy machine. Memory is that of this process and all below it, shared pages counted once (PSS),
five times a second.
"""

import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from scaling.data import botocore_docs
from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare
from scaling.data.token_files import available_cores
from scaling.data.tokenizers import SubwordTokenizer, build

LINES_A_DOCUMENT = 15
SAMPLE_DOCUMENTS = 1_000
BPE = TokenizerConfig("bpe", 1024)
MEASURED = ("reading", "tokenising")
SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of CPU in this process and those that it has waited for."""

    wall: float
    cpu: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.wall - other.wall, self.cpu - other.cpu)


def so_far() -> Spent:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Spent(time.perf_counter(), sum(use.ru_utime + use.ru_stime for use in (own, children)))


class Memory:
    """The most memory that this process and all below it held in each stage, in bytes, as /proc of Linux has it."""

    def __init__(self) -> None:
        self.stage: str | None = None
        self.peaks = defaultdict[str, int](int)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            held, stage = sum(map(proportional_bytes, family(os.getpid()))), self.stage
            if stage is not None:
                self.peaks[stage] = max(self.peaks[stage], held)
            time.sleep(SAMPLE_SECONDS)


def family(ancestor: int) -> list[int]:
    """The process and all below it."""
    children = defaultdict[int, list[int]](list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:  # it has ended
                continue
            children[int(parent)].append(int(entry.name))
    found = [ancestor]
    for process in found:
        found += children[process]
    return found


def proportional_bytes(process: int) -> int:
    """Memory of a process, each shared page divided by those that share it; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@dataclass
class Race:
    """What each stage of `prepare` took, and at each stage's beginning a sample through the library alone."""

    library: SubwordTokenizer
    sample: list[str]
    stages: dict[str, Spent] = field(default_factory=dict)
    samples: list[Spent] = field(default_factory=list)
    memory: "Memory" = field(default_factory=lambda: Memory())
    _running: str | None = None
    _since: Spent = field(default_factory=so_far)

    def enter(self, stage: str | None) -> None:
        """End the stage that runs, take a sample, and begin the next."""
        if self._running is not None:
            self.stages[self._running] = so_far() - self._since
        self.memory.stage = None
        before = so_far()
        self.library.inner.encode_batch(self.sample, add_special_tokens=False)
        self.samples.append(so_far() - before)
        self._running, self._since = stage, so_far()
        self.memory.stage = stage


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text_bytes = write_text(folder / "text.jsonl", megabytes * 1_000_000)
        config = DataConfig(
            name="speed",
            source=SourceConfig("local", str(folder / "text.jsonl")),
            tokenizer=BPE,
            licence="Apache-2.0",
            description="benchmark",
            validation_fraction=0.01,
        )
        sample = read_sample(folder / "text.jsonl")
        library = build(BPE, (text.encode() for text in sample))
        assert isinstance(library, SubwordTokenizer)
        race = Race(library, sample)
        race.enter("start")
        prepare(config, folder / "cache", race.enter)
        race.enter(None)
    print(f"{text_bytes / 1e6:.0f} MB of text, {available_cores()} cores")
    for stage, spent in race.stages.items():
        print(f"  {spent.wall:7.2f} s  {spent.cpu:7.2f} CPU s  {race.memory.peaks[stage] / 1e6:5.0f} MB  {stage}")
    sample_bytes = len(race.samples) * sum(len(text.encode()) for text in sample)
    ours = rate(text_bytes, [spent for stage, spent in race.stages.items() if stage.startswith(MEASURED)])
    theirs = rate(sample_bytes, race.samples)
    print(f"prepare, without training the BPE and the overlap: {words(ours)}")
    print(f"encode_batch of the library alone, in {len(race.samples)} samples between: {words(theirs)}")
    print(f"ratio {ours.wall / theirs.wall:.2f} by the clock, {ours.cpu / theirs.cpu:.2f} by CPU seconds")
    print(f"most memory of all processes together: {max(race.memory.peaks.values()) / 1e6:.0f} MB")


def rate(text_bytes: int, spent: list[Spent]) -> Spent:
    """Megabytes a second, and a CPU second."""
    total = sum(spent, Spent(0.0, 0.0))
    return Spent(text_bytes / 1e6 / total.wall, text_bytes / 1e6 / total.cpu)


def words(found: Spent) -> str:
    return f"{found.wall:.1f} MB/s, {found.cpu:.1f} MB a CPU second"


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


def read_sample(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [str(json.loads(line)["text"]) for line in islice(file, SAMPLE_DOCUMENTS)]


if __name__ == "__main__":
    main()
