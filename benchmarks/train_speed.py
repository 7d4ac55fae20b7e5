"""How fast one step is beside the peers': tokens per second of one process with one thread, and of the whole machine.

    pip install -c constraints.txt -e '.[speed-peers]'
    python -m benchmarks.train_speed [--sizes 37k 332k 3.15M] [--sequences 32] [--rounds 5] [--seconds 2] [--quick]

Every contestant is a process of its own that stays alive and trains only when asked, one after the other, round after
round, so that a busy or throttled machine slows all alike; medians over rounds are shown. Shape, batch, text, AdamW and
clipping are the same; vocabulary 1,024, sequences of 128. `same environment` gives the peers what our launcher gives
its workers: freed memory is kept and lies in huge pages, threads wait passively; and each peer the better of fp32 and
bf16 autocast. `as they ship` leaves them alone. Ours may take bf16 only where its loss after 200 steps is within 0.5%
of its fp32's. A peer is held against the one of ours with its parts: GPT's (learned positions, LayerNorm) or Llama's.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from benchmarks.environment import untuned_environment
from benchmarks.peers.shapes import CONTEXT, SHAPES
from scaling.launching.slots import cpu_environment, usable_cores

# The decoder that studies train, which normalises queries and keys besides, and those with the parts of the peers.
OURS = ("ours", "ours (gpt)", "ours (llama)")
PEERS = {
    "nanoGPT style": "ours (gpt)",
    "Trainer GPT-2": "ours (gpt)",
    "TransformerEncoder": "ours (gpt)",
    "Trainer Llama": "ours (llama)",
    "litgpt": "ours (llama)",
}
STEPS_OF_THE_LOSS_CHECK = 200
LARGEST_LOSS_DIFFERENCE = 0.005


@dataclass(frozen=True)
class Entry:
    """A contestant under one environment; `workers` processes of `threads` threads work at the same time."""

    name: str
    precision: str
    our_environment: bool
    compile: bool = False
    workers: int = 1
    threads: int = 1

    @property
    def label(self) -> str:
        return f"{self.name}{', compiled' if self.compile else ''}, {self.precision}"


@dataclass
class Running:
    """The processes of one entry, and what they did in each round: tokens per wall second and per CPU second."""

    entry: Entry
    processes: list[subprocess.Popen[str]]
    sequences: int
    per_wall_second: list[float] = field(default_factory=list)
    per_cpu_second: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, entry: Entry, size: str, sequences: int) -> Self:
        layers, width, heads = SHAPES[size]
        task = {"layers": layers, "width": width, "heads": heads, "sequences": sequences}
        task |= {"precision": entry.precision, "compile": entry.compile}
        command = [sys.executable, "-m", "benchmarks.peers.worker", entry.name, json.dumps(task)]
        processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment(entry),
            )
            for _ in range(entry.workers)
        ]
        running = cls(entry, processes, sequences)
        running._answers()  # of the warm-up
        return running

    def round(self, seconds: float) -> None:
        self._say(str(seconds))
        answers = self._answers()
        tokens = [answer["steps"] * self.sequences * CONTEXT for answer in answers]
        self.per_wall_second.append(sum(t / a["wall"] for t, a in zip(tokens, answers, strict=True)))
        self.per_cpu_second.append(sum(tokens) / sum(a["cpu"] for a in answers))

    def loss_at(self, step: int) -> float:
        self._say(f"until {step}")
        return float(self._answers()[0]["loss"])

    def _say(self, line: str) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()

    def _answers(self) -> list[dict[str, Any]]:
        answers = []
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            while line and not line.startswith("{"):
                line = process.stdout.readline()
            if not line:
                raise SystemExit(f"error: {self.entry.label} ended early; run its worker by hand to see why")
            answers.append(json.loads(line))
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def environment(entry: Entry) -> Mapping[str, str]:
    threads = str(entry.threads)
    plain = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    given = cpu_environment(threads) if entry.our_environment else plain
    root = str(Path(__file__).parents[1])
    return {
        **untuned_environment(),
        **given,
        "PYTHONPATH": root,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def our_precisions(name: str, size: str, sequences: int, steps: int) -> tuple[tuple[str, ...], str]:
    """fp32, and bf16 where its loss after so many steps is within 0.5% of fp32's, and the sentence that says so."""
    losses = {}
    for precision in ("fp32", "bf16"):
        with Running.start(Entry(name, precision, True), size, sequences) as running:
            losses[precision] = running.loss_at(steps)
    difference = losses["bf16"] / losses["fp32"] - 1
    allowed = ("fp32", "bf16") if abs(difference) <= LARGEST_LOSS_DIFFERENCE else ("fp32",)
    return allowed, (
        f"{name}, {size}: after {steps} steps {losses['fp32']:.4f} nats in fp32, {losses['bf16']:.4f} in bf16 "
        f"({difference:+.2%})"
    )


def race(entries: Iterable[Entry], size: str, sequences: int, rounds: int, seconds: float) -> list[Running]:
    with ExitStack() as stack:
        running = [stack.enter_context(Running.start(entry, size, sequences)) for entry in entries]
        for _ in range(rounds):
            for contestant in running:
                contestant.round(seconds)
    return running


def print_race(title: str, running: Sequence[Running], *, by_wall: bool) -> None:
    """One table, with what ours at its better precision makes over each peer of the same parts."""

    def speed(contestant: Running) -> float:
        return statistics.median(contestant.per_wall_second if by_wall else contestant.per_cpu_second)

    ours = {name: max((speed(r) for r in running if r.entry.name == name), default=0.0) for name in OURS}
    ratios = [ours[PEERS[r.entry.name]] / speed(r) for r in running if r.entry.name in PEERS]
    print(f"\n{title}\n")
    print("| | tokens per wall second | tokens per CPU second | ours is faster by |")
    print("| --- | ---: | ---: | ---: |")
    for contestant in sorted(running, key=speed, reverse=True):
        wall, cpu = (statistics.median(v) for v in (contestant.per_wall_second, contestant.per_cpu_second))
        name = contestant.entry.name
        factor = f"{ours[PEERS[name]] / speed(contestant):.2f}" if name in PEERS else ""
        print(f"| {contestant.entry.label} | {wall:,.0f} | {cpu:,.0f} | {factor} |")
    print(f"\nthe least of these: {min(ratios):.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--sequences", type=int, default=32, help="of 128 tokens in a step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each contestant in each round")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--compiled", action="store_true", help="the nanoGPT style through torch.compile as well")
    parser.add_argument("--quick", action="store_true", help="one size, one round, ours and the nanoGPT style")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.rounds, arguments.seconds, arguments.peers = ["37k"], 1, 0.3, ["nanoGPT style"]
    steps_of_the_check = 10 if arguments.quick else STEPS_OF_THE_LOSS_CHECK
    settings = (arguments.sequences, arguments.rounds, arguments.seconds)
    for size in arguments.sizes:
        ours = []
        for name in OURS:
            allowed, sentence = our_precisions(name, size, arguments.sequences, steps_of_the_check)
            print(sentence, flush=True)
            ours += [Entry(name, precision, True) for precision in allowed]
        same = [Entry(name, precision, True) for name in arguments.peers for precision in ("fp32", "bf16")]
        shipped = [Entry(name, "fp32", False) for name in arguments.peers]
        if arguments.compiled:
            same.append(Entry("nanoGPT style", "fp32", True, compile=True))
            shipped.append(Entry("nanoGPT style", "fp32", False, compile=True))
        where = f"{size}, {arguments.sequences * CONTEXT:,} tokens a step"
        print_race(f"{where}, one thread each, same environment", race([*ours, *same], size, *settings), by_wall=False)
        print_race(
            f"{where}, one thread each, peers as they ship", race([*ours, *shipped], size, *settings), by_wall=False
        )
        cores = usable_cores()
        machine = [replace(entry, workers=cores) for entry in ours if entry.name == PEERS["nanoGPT style"]]
        machine.append(Entry("nanoGPT style", "fp32", False, threads=cores))
        print_race(f"{where}, {cores} cores, machine against machine", race(machine, size, *settings), by_wall=True)


if __name__ == "__main__":
    main()
