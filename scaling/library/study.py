"""`scaling.load`: a study's folder as an object: what was planned, what was measured, what it says."""

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from scaling.analysis.curves import read_segments
from scaling.analysis.study import NothingToFit, fitted_rows, split_records
from scaling.analysis.text import on_validation_set
from scaling.config import CONFIG_FILE, PLAN_FILE, ConfigError, StudyConfig, config_here
from scaling.decisions import Comparison
from scaling.findings import Finding
from scaling.folders import FolderError
from scaling.laws.analysis import sample_rows
from scaling.laws.backtest import forecaster
from scaling.laws.fit import fit_law
from scaling.laws.forms import Law
from scaling.laws.observations import Observations
from scaling.laws.registry import law_named
from scaling.library.fitted import FitResult, result
from scaling.library.forecasts import Forecast
from scaling.library.frames import Library, Rows, preformatted
from scaling.records import RunRecord, read_records
from scaling.results import StudyReport
from scaling.specs import Plan, read_plan
from scaling.stages.checkup import check_plan
from scaling.stages.finish import study_report
from scaling.stages.vocabularies import own_part
from scaling.store import point_rows, read_forecasts
from scaling.values import to_plain


class Records(tuple[RunRecord, ...]):
    """Records of points, with their rows as a frame."""

    _rows: Rows

    def to_frame(self, library: Library | None = None) -> Any:
        """Return the records beside what was planned for them, as `Study.points` has them."""
        return self._rows.to_frame(library)

    def __repr__(self) -> str:
        return repr(self._rows)


class Study:
    """A study as its folder has it; nothing is written. What is read is kept: `load` again to see what came later."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Open a folder of `python -m scaling.sweep`.

        Raises:
            ValueError: the folder is no study's, or what is in it cannot be read.
        """
        self.folder = Path(folder)
        for name in (PLAN_FILE, CONFIG_FILE):
            if not (self.folder / name).is_file():
                raise FolderError(
                    f"{self.folder} holds no {name}, so it is no study: name a folder such as runs/default, which "
                    "`python -m scaling.sweep` makes"
                )
        self.config: StudyConfig = config_here(self.folder)
        self.plan: Plan = read_plan(self.folder / PLAN_FILE)

    @property
    def name(self) -> str:
        """What the study is called."""
        return self.plan.study

    @cached_property
    def records(self) -> Records:
        """What was measured: a record for each planned point that has ended, by run and tokens."""
        planned = {(point.run_id, point.tokens) for point in self.plan.points}
        found = Records(r for r in read_records(self.folder) if (r.run_id, r.budget_tokens) in planned)
        found._rows = Rows(point_rows(self.plan, found), f"records of {self.name}")
        return found

    @property
    def points(self) -> Rows:
        """The records as rows, with the columns of points.csv."""
        return self.records._rows

    @cached_property
    def curves(self) -> Rows:
        """Training curves: the trunk of each run (budget None) and the branch to each of its budgets."""
        rows = [
            {"run_id": one.run_id, "size": one.size, "budget": one.budget, "tokens": tokens, "train_loss": train,
             "validation_loss": validation}
            for one in read_segments(self.folder, self.plan)
            for tokens, train, validation in zip(one.tokens, one.train_loss, one.validation_loss, strict=True)
        ]  # fmt: skip
        return Rows(rows, f"training curves of {self.name}")

    @cached_property
    def forecasts(self) -> Rows:
        """The ledger: losses that were predicted before they were measured."""
        return Rows([to_plain(one) for one in read_forecasts(self.folder)], f"forecasts of {self.name}")

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What the checks say of the plan and, where points are measured, of them and of their fit; gravest first."""
        try:
            return self.report().findings
        except NothingToFit:
            return self._of_the_plan

    @cached_property
    def _of_the_plan(self) -> tuple[Finding, ...]:
        return check_plan(self.config, self.plan)

    @cached_property
    def rows(self) -> Observations:
        """The rows that the laws are fitted to, under the study's convention; held-out points are not among them.

        Raises:
            ValueError: no record can be fitted.
        """
        plan = own_part(self.config, self.plan)
        records = [record for record in self.records if record.run_id in plan.by_id]
        measured = split_records(plan, on_validation_set(records, self.config.fit.validation))
        return fitted_rows(plan, measured, self.config.fit)

    def fit(self, law: str | Law = "chinchilla") -> FitResult:
        """Fit a law to `rows`, as `scaling.laws.fit` does.

        Raises:
            ValueError: no record can be fitted, or no form has that name.
        """
        form = law_named(law) if isinstance(law, str) else law
        found = fit_law(form, self.rows)
        return result(found, self.rows, resamples=self.config.fit.bootstrap, seed=self.config.fit.seed)

    def forecast(self) -> Forecast:
        """Select a forecast on `rows`, as `scaling.laws.forecast` does.

        Raises:
            ValueError: no record, or no form, can be fitted.
        """
        return Forecast(forecaster(sample_rows(self.rows)), self.rows)

    def compare(self, other: "Study | str | PathLike[str]", **options: Any) -> Comparison:
        """Return what a FLOP of `other` is worth in this study, as `python -m scaling.compare` says it.

        Args:
            other: a study, or its folder.
            options: keys of configs/compare.yaml, such as level=0.95.

        Raises:
            ValueError: the two cannot be compared.
        """
        from scaling.library.commands import compare

        folder = other.folder if isinstance(other, Study) else Path(other)
        return compare(f"a={self.folder}", f"b={folder}", *(f"{name}={value}" for name, value in options.items()))

    def report(self) -> StudyReport:
        """Return all that the report says, as a value: every form, the forecasts, the findings. Writes nothing.

        Raises:
            ValueError: no record can be fitted.
        """
        return self._report

    @cached_property
    def _report(self) -> StudyReport:
        return study_report(self.config, self.plan, list(self.records), self._of_the_plan)

    def __repr__(self) -> str:
        done = sum(record.status == "done" for record in self.records)
        head = f"study {self.name}: {self.config.question}" if self.config.question else f"study {self.name}"
        points = f"{done} of {len(self.plan.points)} points measured, {self.plan.num_held_out} held out"
        spread = Rows(
            [
                {"size": record.size, "params": record.params.total, "tokens": record.tokens,
                 "loss": record.final_loss_nats, "status": record.status}
                for record in self.records
            ],
        )  # fmt: skip
        return "\n".join([head, f"{points}, in {self.folder}", *(repr(spread).splitlines()[1:])])

    def _repr_html_(self) -> str:
        return preformatted(repr(self))


def load(folder: str | PathLike[str]) -> Study:
    """Open a study's folder, such as runs/default.

    Raises:
        ValueError: the folder is no study's, or what is in it cannot be read.
    """
    try:
        return Study(folder)
    except ConfigError as error:
        raise ValueError(str(error)) from None
