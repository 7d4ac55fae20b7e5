"""What a person writes of a trainer of their own: the Hydra group `trainer`. docs/your-own-trainer.md is its manual."""

import signal
from dataclasses import dataclass, field
from typing import Any, Literal

from scaling.model.external import Scalar
from scaling.trainers.expressions import ExpressionError, names_in
from scaling.trainers.program import FileOptions
from scaling.values import shown

Unit = Literal["nats/token", "bits/token", "bits/byte", "perplexity"]

# Every name that `{...}` knows beside size.* and recipe.*; each is a variable SCALING_* of the program as well.
NAMES = (
    *("id", "out", "seed", "gpus", "params", "tokens", "steps", "batch_tokens", "warmup_steps", "cooldown_steps"),
    *("flops", "flops_per_token", "peak_lr"),
)
DESCRIBED = ("params", "flops_per_token", "non_embedding_params")
MULTIPLES = ("batch_tokens", "steps")
VALIDATION = ("name", "tokens", "bytes")


@dataclass(frozen=True)
class ResumeOptions:
    """`newest` is a pattern of a checkpoint's whole path, whose named groups, such as (?P<at>...), the arguments to
    `add` may use; of several files the one of the greatest number `at` is the newest, or else the last written."""

    newest: str
    add: tuple[Scalar, ...]


@dataclass(frozen=True)
class TrainerConfig:
    """
    command     the program and its arguments, templates; no shell reads them
    call        in its place a Python function, package.module:function, that is given the point
    cwd         where it runs, of which the commit is recorded; env: variables beside ours
    prepare     a command that runs once before any point; or alone: the first point runs alone until it reports a step
    resume      of a run that was stopped: true, the same command; false, from the start with {out} emptied
    describe    N (`params`), `flops_per_token` (else 6 N) and `non_embedding_params`: arithmetic over a size; a command
                that prints what `read` finds; or start: each size is started and stopped once `read` has found N
    read        the place of each number: loss, step, tokens, params, train_loss, loss_sem, diverged, metrics.*
    unit        of its losses
    files       by name below {out}: see `FileOptions`
    gpus        of each point, in the program's own hands; the pool gives it so many
    timeout     seconds that one start may take
    signal      what tells it to save and leave; stop_seconds later it is killed
    multiples   of which batch_tokens and steps must be
    validation  name, tokens, bytes of the validation text, given or as places to read them from
    remove      patterns below {out} of what is deleted once the record stands
    uses        names that the program takes from its environment where its files do not show it; all: every one
    """

    kind: Literal["command"] = "command"
    command: tuple[Scalar, ...] | None = None
    call: str | None = None
    cwd: str = "."
    env: dict[str, Scalar] = field(default_factory=dict)
    prepare: Literal["alone"] | tuple[Scalar, ...] | None = None
    resume: bool | ResumeOptions = False
    describe: Literal["start"] | tuple[Scalar, ...] | dict[str, Scalar] | None = None
    read: dict[str, str] = field(default_factory=dict)
    unit: Unit = "nats/token"
    files: dict[str, FileOptions] = field(default_factory=dict)
    gpus: int = 1
    timeout: float | None = None
    signal: str = "TERM"
    stop_seconds: float = 60.0
    multiples: dict[str, Scalar] = field(default_factory=dict)
    validation: dict[str, Scalar] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (not self.command) == (self.call is None):
            raise ValueError(
                "trainer needs one of command and call: the program with its arguments, as in "
                "trainer.command=[python,train.py], or a function, as in trainer.call=mypackage.train:train_point"
            )
        if self.call is not None and self.call.count(":") != 1:
            raise ValueError(
                f"trainer.call is {shown(self.call)}; name a module and a function in it: package.module:f"
            )
        if f"SIG{self.signal.removeprefix('SIG')}" not in signal.Signals.__members__:
            raise ValueError(f"trainer.signal is {shown(self.signal)}; name a signal, such as TERM, INT or USR1")
        self._require_keys("multiples", self.multiples, MULTIPLES)
        if isinstance(self.describe, dict):
            self._require_keys("describe", self.describe, DESCRIBED)
            if "params" not in self.describe:
                raise ValueError('trainer.describe has no params: give N, as in {params: "{12 * size.depth * 64**2}"}')
        elif self.describe is None:
            raise ValueError(
                "trainer.describe is not given, so N is not known before training: give arithmetic over the size, as "
                '{params: "{12 * size.layers * size.width**2}"}, a command that prints it, or start'
            )
        elif "params" not in self.read:
            raise ValueError("trainer.describe is a program and trainer.read has no params: say where it prints N")
        for pattern in self.remove:
            if not pattern.startswith("{out}/") or ".." in pattern.split("/"):
                raise ValueError(
                    f"trainer.remove has {shown(pattern)}; only what lies in the run's own folder is deleted: begin it "
                    "with {out}/"
                )
        for name in self.files:
            if name.startswith("/") or ".." in name.split("/"):
                raise ValueError(f"trainer.files has {shown(name)}; it is written below {{out}}: give a name there")
        try:
            self.names_used()
        except ExpressionError as error:
            raise ValueError(f"trainer: {error}") from None

    @staticmethod
    def _require_keys(where: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in given:
            if key not in known:
                raise ValueError(f"trainer.{where} has the key {shown(key)}; it takes {', '.join(known)}")

    @property
    def templates(self) -> list[object]:
        """All that decides what a run of the program is."""
        texts: list[object] = [*(self.command or ()), *self.env.values()]
        for options in self.files.values():
            texts += [options.source or "", *options.set.values(), *options.replace.values()]
        return texts

    def names_used(self) -> set[str]:
        """Of `templates`, and of the batch that a size asks for."""
        texts = [*self.templates, *self.multiples.values()]
        texts += [*self.resume.add] if isinstance(self.resume, ResumeOptions) else []
        return set[str]().union(*map(names_in, texts))
