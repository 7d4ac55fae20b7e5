"""Documents to a token file, a separator before each, and what they hold; on all cores where there is enough to do."""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

import numpy as np

from scaling.data.config import DataError
from scaling.data.manifest import SplitCounts
from scaling.data.spool import Side
from scaling.data.tokenizers import SubwordTokenizer, Tokenizer

_BATCH_BYTES = 1 << 22
# Starting processes takes as long as encoding some ten megabytes, so it must be worth it.
_WORTH_PROCESSES_BYTES = 1 << 26
_MOST_PROCESSES = 16

TokenDtype = np.dtype[np.unsignedinteger]


def write_tokens(side: Side, tokenizer: Tokenizer, path: Path, dtype: TokenDtype) -> SplitCounts:
    """Write one side's documents in their order. The file does not depend on the number of cores."""
    total = SplitCounts(0, 0, 0, 0, 0, 0)
    batches = _batches(side.texts())
    with ExitStack() as stack:
        file = stack.enter_context(path.open("wb"))
        is_slow = isinstance(tokenizer, SubwordTokenizer) and tokenizer.memo is not None
        processes = min(available_cores(), _MOST_PROCESSES)
        if is_slow and processes > 1 and int(side.lengths.sum()) >= _WORTH_PROCESSES_BYTES:
            workers = [stack.enter_context(_Worker(tokenizer, dtype)) for _ in range(processes)]
            encoded = _in_parallel(batches, workers)
        else:
            encoded = (encode_batch(batch, tokenizer, dtype) for batch in batches)
        for content, counts in encoded:
            file.write(content)
            total += counts
        file.flush()
        os.fsync(file.fileno())
    return total


def encode_batch(batch: list[bytes], tokenizer: Tokenizer, dtype: TokenDtype) -> tuple[bytes, SplitCounts]:
    """What stands in the token file for these documents, and what they hold."""
    parts: list[bytes] = []
    characters = words = lines = tokens = 0
    separator = np.array([tokenizer.separator], dtype=dtype).tobytes()
    for text, ids in zip(batch, tokenizer.encode(batch), strict=True):
        decoded = text.decode()
        parts += separator, ids.astype(dtype).tobytes()
        characters += len(decoded)
        words += len(decoded.split())
        lines += decoded.count("\n")
        tokens += 1 + len(ids)
    return b"".join(parts), SplitCounts(len(batch), sum(map(len, batch)), characters, words, lines, tokens)


def available_cores() -> int:
    """Cores this process may use, which on a shared machine are often fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A process that encodes batches: it is told one on its standard input and answers on its standard output.

    It ends with its input, so it outlives nobody, however the process that started it may have ended.
    """

    def __init__(self, tokenizer: Tokenizer, dtype: TokenDtype) -> None:
        package_root = str(Path(__file__).parents[2])
        paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scaling.data.token_files"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is for the process that started it
        )
        self._send((tokenizer, dtype))

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        if kind is not None:
            self._process.kill()
        with suppress(BrokenPipeError):  # it has ended already
            self._process.stdin.close()
        self._process.wait()

    def encode(self, batch: list[bytes]) -> tuple[bytes, SplitCounts]:
        assert self._process.stdout is not None
        try:
            self._send(batch)
            content, counts = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise DataError(
                "A process that tokenises has ended before its time, most often since memory ran out: free some "
                "memory and run the same command again."
            ) from error
        return content, counts

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()


def _in_parallel(batches: Iterable[list[bytes]], workers: list[_Worker]) -> Iterator[tuple[bytes, SplitCounts]]:
    """Answers in the order of the batches; only a few are under way at a time, so memory stays bounded."""
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def encode(batch: list[bytes]) -> tuple[bytes, SplitCounts]:
        worker = idle.get()
        try:
            return worker.encode(batch)
        finally:
            idle.put(worker)

    under_way: deque[Future[tuple[bytes, SplitCounts]]] = deque()
    with ThreadPoolExecutor(len(workers)) as threads:
        for batch in batches:
            under_way.append(threads.submit(encode, batch))
            if len(under_way) > 2 * len(workers):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _batches(texts: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _serve() -> None:
    """The life of a worker."""
    tokenizer, dtype = pickle.load(sys.stdin.buffer)
    while True:
        try:
            batch = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(encode_batch(batch, tokenizer, dtype), sys.stdout.buffer, protocol=pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
