"""`laws.fit`: one law on one table, as an object that predicts, decides, says how sure it is, prints and draws."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from scaling.findings import Finding
from scaling.laws.analysis import resample
from scaling.laws.bootstrap import Bootstrap
from scaling.laws.decide import Choice, Goal, decide
from scaling.laws.fit import Fit, fit_law
from scaling.laws.form_report import preferred
from scaling.laws.forms import CHINCHILLA, Law, SumOfPowers
from scaling.laws.intervals import Interval, check_level, delta_interval, linearise_fit, parameter_intervals
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, Observations, points
from scaling.laws.optimum import Allocation, optimum
from scaling.laws.profile import parameter_profile
from scaling.laws.registry import law_named
from scaling.library.frames import Library, Text, frame, html_table, table_lines
from scaling.library.tables import Losses, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Method = Literal["delta", "bootstrap", "profile"]
RESAMPLES, SEED = 1000, 0
MOST_WORDS = 180  # of a message, in the few lines that a fit prints of itself


@dataclass(frozen=True)
class Decision:
    """The best N and D for a goal by one law, with the interval of each number that has one.

    Attributes:
        params, tokens: N and D.
        loss: nats per token there.
        training_flops: 6 N D.
        inference_flops: 2 N for each token to be served.
        intervals: of params, tokens, loss and training_flops, by the delta method; without those that reach beyond
            what the goal allows.
    """

    params: float
    tokens: float
    loss: float
    training_flops: float
    inference_flops: float
    intervals: Mapping[str, Interval] = field(repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class FitResult(Fit):
    """A fitted law that knows its rows.

    Beside the attributes of `Fit`:
        rows: what it was fitted to.
        notes: what was converted or decided when the table was read, in words.
        findings: what the checks say of the table.
        resamples: of `conf_int(method="bootstrap")`, which draws whole runs.
        seed: of the resampling.
    """

    rows: Observations
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    resamples: int = RESAMPLES
    seed: int = SEED

    def predict(
        self,
        params: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
        *,
        flops: ArrayLike | None = None,
        unique_tokens: ArrayLike | None = None,
    ) -> Any:
        """Return the law's loss in nats per token: a number for numbers, else an array of their common shape.

        Args:
            params: N.
            tokens: D.
            flops: C; 6 N D where a law in C is not given it.
            unique_tokens: tokens of distinct text, for a law of repeated data.

        Raises:
            ValueError: the fit may not be used, or a value is missing or not positive.
        """
        self._require_usable()
        given = {"params": params, "tokens": tokens, "flops": flops, "unique_tokens": unique_tokens}
        at, shape = points_of(given)
        missing = [name for name in self.law.inputs if name in ("params", "tokens") and given[name] is None]
        if missing or ("flops" in self.law.inputs and np.isnan(at.flops).any()):
            needed = " and ".join(self.law.inputs)
            raise ValueError(f"{', '.join(missing) or 'flops'} is not given: {self.law.name} predicts from {needed}")
        return shaped(np.asarray(self.law.predict(self.theta, at)), shape)

    def conf_int(self, level: float = 0.95, method: Method | None = None) -> dict[str, Interval]:
        """Return the interval of each parameter.

        Args:
            level: probability that the interval should hold the truth.
            method: "delta" (Student's t, to first order), "bootstrap" (percentiles over resampled runs) or "profile"
                (likelihood ratio; of the floor and the exponents alone). None takes the bootstrap where rows share
                runs or are many, as the report does, else the delta method.

        Raises:
            ValueError: the fit may not be used, level is no probability, or the method is not known or not possible.
        """
        self._require_usable()
        check_level(level)
        if method is None:
            return parameter_intervals(self, self.rows, preferred(self._bootstrap, self.rows), level=level)
        if method == "delta":
            return parameter_intervals(self, self.rows, level=level)
        if method == "bootstrap":
            if self._bootstrap is None:
                raise ValueError(
                    f"method is 'bootstrap', and {len(self.rows)} rows of one run, or more than 3,000, are not "
                    "resampled: take 'delta'"
                )
            return parameter_intervals(self, self.rows, self._bootstrap, level=level)
        if method == "profile":
            return self._profiles(level)
        raise ValueError(f"method is {method!r}: it must be 'delta', 'bootstrap' or 'profile'")

    def _profiles(self, level: float) -> dict[str, Interval]:
        if not isinstance(self.law, SumOfPowers):
            raise ValueError(f"method is 'profile', which {self.law.name} has none of: take 'delta' or 'bootstrap'")
        names = [name for name in self.parameters if name == "E" or name in self.law.exponent_names]
        found = {name: parameter_profile(self, self.rows, name, level) for name in names}
        return {name: Interval(one.low, one.high, level, "profile") for name, one in found.items()}

    @cached_property
    def _bootstrap(self) -> Bootstrap | None:
        return resample(self, self.rows, resamples=self.resamples, seed=self.seed)

    def optimum(self, flops: float) -> Allocation:
        """Return the N and D of least loss for a budget, 6 N D = flops, and the loss there.

        Raises:
            ValueError: the fit may not be used, the law does not weigh N against D, or flops is not positive.
        """
        self._require_usable()
        return optimum(self, flops)

    def decide(
        self,
        *,
        flops: float | None = None,
        params: float | None = None,
        tokens: float | None = None,
        loss: float | None = None,
        inference_tokens: float = 0.0,
        level: float = 0.95,
    ) -> Decision:
        """Return the best N and D for a goal: the least loss for a budget, or the least FLOPs for a loss.

        Args:
            flops: a budget; of training and serving together where inference_tokens are given.
            params, tokens: one of them is fixed, and the other is that of its compute-optimal budget.
            loss: nats per token, to be reached with the fewest FLOPs of training and serving.
            inference_tokens: tokens that the model will serve, at 2 N FLOPs each.
            level: of the intervals.

        Raises:
            ValueError: the fit may not be used or is not Chinchilla's, not exactly one goal is given, or no N and D
                reach it.
        """
        self._require_usable()
        if self.law.name != CHINCHILLA.name:
            raise ValueError(
                f"law is {self.law.name}: decisions are by chinchilla; fit that, or ask for optimum(flops)"
            )
        goal = Goal(flops, params, tokens, loss, inference_tokens)
        found = decide(self.theta, goal)
        if not all(
            np.isfinite(getattr(found, one.name)[0]) and getattr(found, one.name)[0] >= 0 for one in fields(found)
        ):
            floor = self.parameters["E"]
            raise ValueError(f"no N and D reach {goal_words(goal)}: the floor of the law is {floor:.4g}; ask for less")
        names = [name for name in ("params", "tokens", "loss", "training_flops") if getattr(goal, name, None) is None]
        intervals = {name: self._decided(goal, name, level) for name in names}
        return Decision(
            **{one.name: float(getattr(found, one.name)[0]) for one in fields(Choice)},
            intervals={name: one for name, one in intervals.items() if np.isfinite([one.low, one.high]).all()},
        )

    def _decided(self, goal: Goal, name: str, level: float) -> Interval:
        def value(theta: FloatArray) -> FloatArray:
            lanes = np.asarray(theta).reshape(-1, np.shape(theta)[-1])
            return np.asarray(getattr(decide(lanes, goal), name)).reshape(np.shape(theta)[:-1])

        with np.errstate(all="ignore"):
            return delta_interval(self, self.rows, value, level=level, log=True, linear=self._linear)

    @cached_property
    def _linear(self) -> Any:
        return linearise_fit(self, self.rows)

    def to_frame(self, library: Library | None = None, *, level: float = 0.95) -> Any:
        """Return the parameters with their intervals as a frame of pandas or polars where installed, else of Arrow.

        Raises:
            ValueError: `library` is not known or not installed, or the fit may not be used.
        """
        self._require_usable()
        return frame(self._table(level), library)

    def _table(self, level: float) -> list[dict[str, Any]]:
        intervals = self.conf_int(level)
        return [
            {"parameter": name, "value": value, "low": intervals[name].low, "high": intervals[name].high,
             "method": intervals[name].method}
            for name, value in self.parameters.items()
        ]  # fmt: skip

    def summary(self, level: float = 0.95) -> Text:
        """Return all that is to be said of the fit, as text."""
        rms = float(np.sqrt(np.mean(self.residuals**2))) if self.residuals.size else None
        lines = [
            f"{self.law.formula}",
            f"status       {self.status}: {self.message}",
            f"rows         {len(self.rows):,} fitted, {len(self.rows.excluded):,} left out",
            f"convention   {self.convention}",
            f"objective    Huber loss of log residuals, delta = {self.objective.delta:g}",
        ]
        lines += [] if rms is None else [f"residuals    {rms:.3%} of the loss, root mean square"]
        lines += ["", *self._numbers(level)]
        said = [*self.notes, *(f"{one.level_words} {one.name}: {one.numbers} {one.remedy}" for one in self.findings)]
        said += [f"left out: row {one.row}, {one.reason}" for one in self.rows.excluded[:10]]
        more = len(self.rows.excluded) - 10
        said += [f"left out: {more:,} more"] if more > 0 else []
        return Text("\n".join([*lines, *([""] if said else []), *said]))

    def _numbers(self, level: float) -> list[str]:
        if not self.usable:
            return ["no parameters are shown: the fit may not be used"]
        return [f"{level:.0%} intervals", *table_lines(self._table(level))]

    @property
    def _head(self) -> str:
        return f"{self.law.name}: {self.law.formula}, {len(self.rows):,} rows"

    @property
    def _verdict(self) -> str:
        short = self.message if len(self.message) <= MOST_WORDS else f"{self.message[:MOST_WORDS]} ..."
        doubts = [one.name for one in self.findings if one.level != "info"]
        return f"{self.status}: {short}" + (f"; see summary() on {', '.join(doubts)}" if doubts else "")

    def __repr__(self) -> str:
        return "\n".join([self._head, *self._numbers(0.95), self._verdict])

    def _repr_html_(self) -> str:
        return html_table(self._table(0.95) if self.usable else [], self._head, self._verdict)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the report's own figure of the law on matplotlib's axes, and return them.

        A law in N and D is shown as lines of equal loss, a law in one variable as its line with the band.

        Raises:
            ValueError: the fit may not be used.
        """
        from scaling.library.plots import plot_fit

        self._require_usable()
        return plot_fit(self, self.rows, ax)

    def _require_usable(self) -> None:
        if not self.usable:
            raise ValueError(
                f"the fit of {self.law.name} to {len(self.rows)} rows is {self.status}, not to be used: {self.message}"
            )


def fit(
    table: Losses,
    law: str | Law = "chinchilla",
    *,
    columns: Mapping[str, Any] | None = None,
    delta: float = DELTA,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    convention: str | None = None,
    force: Collection[str] = (),
    **reading: Any,
) -> FitResult:
    """Fit a law to a table of losses: the global optimum of Huber's loss of log residuals.

    Args:
        table: a path (.csv .tsv .jsonl .parquet .xlsx, or a study's folder), a mapping of columns, a list of rows, a
            frame of pandas, polars or Arrow, or `Observations`. Columns that the field names in a usual way are found.
        law: the name of a registered form (`laws.forms()`), or a form.
        columns: what the table calls params, tokens, loss, flops, budget, unique_tokens, epochs, loss_sem or run, as in
            {"params": "N"}; {"tokens_unit": "B"} says what one of its numbers stands for.
        delta: the residual of the log loss at which Huber's loss turns linear.
        resamples: of the bootstrap.
        seed: of the resampling.
        convention: how N and C were counted, in words.
        force: names of checks whose refusal of the table is overruled.
        reading: `loss_unit`, `decimal`, `where`, `ignore` and `duplicates`, as the command has them.

    Raises:
        ValueError: the table cannot be read or a check refuses it, or no form has that name. A fit that cannot be used
            raises nothing here; its `status` and `message` say why.
    """
    given = read(table, columns, convention=convention, force=force, **reading)
    form = law_named(law) if isinstance(law, str) else law
    return result(fit_law(form, given.rows, delta=delta), given.rows, given.notes, given.findings, resamples, seed)


def result(
    found: Fit,
    rows: Observations,
    notes: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> FitResult:
    """Return a fit together with its rows."""
    known = {one.name: getattr(found, one.name) for one in fields(Fit)}
    return FitResult(**known, rows=rows, notes=notes, findings=findings, resamples=resamples, seed=seed)


def points_of(given: Mapping[str, ArrayLike | None]) -> tuple[Any, tuple[int, ...]]:
    """Return the points of columns of any common shape as one row after another, and that shape."""
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in given.items() if column is not None}
    shape = np.broadcast_shapes(*(column.shape for column in arrays.values()))
    return points(**{name: np.broadcast_to(column, shape).ravel() for name, column in arrays.items()}), shape


def shaped(values: FloatArray, shape: tuple[int, ...]) -> Any:
    """Return values, [m], in the shape of what was asked; a number where numbers were."""
    return values.reshape(shape) if shape else float(values[0])


def goal_words(goal: Goal) -> str:
    """Return a goal as in "loss = 2.2"."""
    given = {name: value for name, value in vars(goal).items() if value}
    return ", ".join(f"{name} = {value:.4g}" for name, value in given.items())
