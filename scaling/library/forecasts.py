"""`laws.forecast`: the average over forms, selected and tested on the rows themselves, as an object."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scaling.findings import Finding
from scaling.laws.analysis import sample_rows
from scaling.laws.backtest import Best, Forecaster, forecaster
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import Prediction
from scaling.laws.objective import DELTA
from scaling.laws.observations import Observations
from scaling.library.fitted import points_of, shaped
from scaling.library.frames import Library, Text, frame, html_table, table_lines
from scaling.library.tables import Losses, read
from scaling.stages.stored_law import stored, stored_law

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Forecast:
    """What to expect of runs that were not made: several forms, weighted by how well they foresaw the largest runs.

    Attributes:
        forecaster: the average with its backtest.
        rows: what it was selected on; None of a saved one.
        notes: what was converted or decided when the table was read, in words.
        findings: what the checks say of the table.
    """

    forecaster: Forecaster
    rows: Observations | None
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def predict(
        self, params: ArrayLike, tokens: ArrayLike, *, level: float = 0.95, unique_tokens: ArrayLike | None = None,
        new_run: bool = True,
    ) -> Prediction:  # fmt: skip
        """Return loss, low and high in nats per token: numbers for numbers, else arrays of their common shape.

        Args:
            params: N.
            tokens: D.
            level: probability that the interval should hold the loss.
            unique_tokens: tokens of distinct text, where text is repeated.
            new_run: the interval of one new run, noise included; False: of the mean of many.

        Raises:
            ValueError: level is no probability, or a value is not positive.
        """
        at, shape = points_of({"params": params, "tokens": tokens, "unique_tokens": unique_tokens})
        found = (self.forecaster.predict if new_run else self.forecaster.curve)(at, level)
        loss, low, high = (shaped(one, shape) for one in found)
        return Prediction(loss, low, high, found.level, found.method)

    def optimum(self, flops: float, *, level: float = 0.95) -> Best:
        """Return the N and D of least loss for a budget, 6 N D = flops, with their intervals and what each form says.

        Raises:
            ValueError: flops is not positive, level is no probability, or the loss has no minimum along the budget.
        """
        if not flops > 0:
            raise ValueError(f"flops is {flops}: it must be positive; give the budget in FLOPs, such as 1e21")
        found = self.forecaster.best(flops, level)
        if found is None:
            raise ValueError(f"flops is {flops:.3g}, along which the forecast has no N of least loss: ask at N and D")
        return found

    def to_frame(self, library: Library | None = None) -> Any:
        """Return the candidates of the average, each with its weight and error, as `FitResult.to_frame` does."""
        return frame(self._table(), library)

    def _table(self) -> list[dict[str, Any]]:
        return [
            {"candidate": member.way.name, "weight": member.weight,
             "mean_abs_rel_error": float(np.mean(member.inner_errors)) if member.inner_errors else None}
            for member in sorted(self.forecaster.average.members, key=lambda member: -member.weight)
        ]  # fmt: skip

    def summary(self) -> Text:
        """Return all that is to be said of the forecast, as text."""
        rungs = [
            {"tested": rung.name, "fitted": rung.num_fitted, "later": len(rung.errors),
             "mean |error|": f"{rung.mean_abs_rel_error:.2%}", "error over announced": rung.rms_score}
            for rung in self.forecaster.backtest.rungs
        ]  # fmt: skip
        said = [*self.notes, *(f"{one.level_words} {one.name}: {one.numbers} {one.remedy}" for one in self.findings)]
        parts = [[self._head, self.forecaster.why], table_lines(self._table()), table_lines(rungs), [self._reach], said]
        return Text("\n\n".join("\n".join(part) for part in parts if part))

    @property
    def _head(self) -> str:
        members = self.forecaster.average.members
        return f"average of {len(members)} candidates" if len(members) > 1 else members[0].way.name

    @property
    def _reach(self) -> str:
        widening, largest = self.forecaster.backtest.widening, self.forecaster.average.reach.flops
        tested = (
            f"tested up to {widening.tested:.2g} decades beyond the rows it was fitted to"
            if self.forecaster.backtest.tested
            else "not tested: no row lies beyond those it could be fitted to"
        )
        rows = "" if self.rows is None else f"{len(self.rows):,} rows "
        return f"{rows}up to {largest:.3g} FLOPs; {tested}; intervals times {widening.factor:.2f}"

    def __repr__(self) -> str:
        return "\n".join([self._head, *table_lines(self._table()[:10]), self._reach])

    def _repr_html_(self) -> str:
        return html_table(self._table()[:10], self._head, self._reach)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw Chinchilla's lines of equal loss with the best N and D by the forecast, and return matplotlib's axes.

        Raises:
            ValueError: the rows are not there, or Chinchilla's law may not be used on them: nothing is under the path.
        """
        from scaling.library.plots import plot_fit

        if self.rows is None:
            raise ValueError("a saved forecast has no rows to draw: make it anew with laws.forecast(table)")
        plain = fit_law(CHINCHILLA, self.rows)
        if not plain.usable:
            raise ValueError(f"the fit of chinchilla is {plain.status} and is not drawn: {plain.message}")
        return plot_fit(plain, self.rows, ax, self.forecaster)


def load(path: str | PathLike[str]) -> Forecast:
    """Return the forecast of a saved fits.json, asked without its rows and without a fit.

    Raises:
        ValueError: the file is no fits.json, holds no forecast, or was refused as an answer when it was fitted.
    """
    content = stored_law(str(path))
    if content is None:
        raise ValueError(f"{path} is no fits.json: name one that `python -m scaling.fit` or a sweep wrote")
    return Forecast(stored(str(path), content), None)


def forecast(
    table: Losses,
    *,
    columns: Mapping[str, Any] | None = None,
    delta: float = DELTA,
    convention: str | None = None,
    force: Collection[str] = (),
    **reading: Any,
) -> Forecast:
    """Select a forecast on a table of losses and test it there: the rows below each cut against the rows above.

    Args:
        table, columns, convention, force, reading: as of `scaling.laws.fit`.
        delta: of Huber's loss where the form is not trusted.

    Raises:
        ValueError: the table cannot be read or a check refuses it, or no form can be fitted.
    """
    given = read(table, columns, convention=convention, force=force, **reading)
    return Forecast(forecaster(sample_rows(given.rows), delta=delta), given.rows, given.notes, given.findings)
