"""What a scaling law's readers must be told, filled in: after the checklist of Li et al. 2025 (arXiv 2502.18969).

Their survey of fifty papers found that most leave out what decides the exponents: the form, how models were trained,
which points were kept, and how the law was fitted.
"""

from collections.abc import Iterable, Sequence

from scaling.laws.forms import SumOfPowers
from scaling.model.config import ModelConfig
from scaling.report.document import Table
from scaling.report.numbers import (
    amount,
    formula_text,
    level_text,
    percent,
    plural,
    scientific,
    significant,
)
from scaling.report.reading import held_out_score, sizes, unused
from scaling.report.tables import interval_words, text_columns
from scaling.results import LawReport, StudyReport, TableReport
from scaling.specs import RunSpec

UNKNOWN = "The table does not say."
Answer = tuple[str, str]


def checklist(report: StudyReport | TableReport) -> Table:
    stages = {
        "Form": _form(report),
        "Training": _training(report) if isinstance(report, StudyReport) else _unknown_training(report),
        "Points": _points(report),
        "Fit": _fit(report),
    }
    return Table(
        "checklist",
        "Reporting checklist",
        "What a reader needs to judge or repeat a scaling law, after Li et al. 2025 (arXiv 2502.18969).",
        text_columns("Question", "Stage", "Answer"),
        tuple((question, stage, answer) for stage, answers in stages.items() for question, answer in answers),
    )


def _form(report: LawReport) -> list[Answer]:
    law = report.surface.fit.law
    names = ", ".join(law.parameter_names)
    source = "a floor and one power law in each of N and D (Hoffmann et al. 2022, Eq. 2)"
    others = [f"{one.title} ({one.fit.status.replace('_', ' ')})" for one in report.laws[1:]]
    return [
        ("Which relation is fitted?", f"{formula_text(law.formula)}; {len(law.parameter_names)} parameters: {names}"),
        ("What does it assume?", source if isinstance(law, SumOfPowers) else "see docs/laws.md"),
        ("Which other forms were fitted?", "; ".join(others) or "none"),
        ("How are N, D and C counted?", report.fitted.convention),
    ]


def _training(report: StudyReport) -> list[Answer]:
    runs = report.plan.runs
    models = [run.model for run in runs]
    optimizers, theirs = [run.optimizer for run in runs], models[0].external is not None
    params = [point.params for point in report.plan.points]
    tokens = [point.tokens for point in report.plan.points]
    epochs = max((point.epochs or 0.0 for point in report.plan.points), default=0.0)
    noise = report.noise
    seeds = "none, so the noise of training is not known"
    if noise is not None:
        seeds = (
            f"{plural(noise.num_cells, 'cell')} with {plural(noise.num_points, 'run')} in all, whose losses scatter by "
        )
        seeds += percent(noise.relative_sd)
    return [
        (
            "How many models were trained?",
            f"{plural(len(runs), 'training run')} of {plural(len(sizes(report)), 'size')}, which yield "
            f"{plural(len(report.plan.points), 'point')}",
        ),
        ("How large are they?", f"{amount(min(params))} to {amount(max(params))} parameters, embeddings included"),
        (
            "On how much data?",
            f"{amount(min(tokens))} to {amount(max(tokens))} tokens, at most {significant(epochs, 2)} epochs",
        ),
        ("On which data?", report.corpus),
        (
            "What is their shape?",
            "as the trainer of the study makes it" if theirs else _shape(models),
        ),
        (
            "With which optimiser and rates?",
            f"{'by that trainer' if theirs else _kinds(o.kind for o in optimizers)}; peak rate of the matrices "
            f"{_ends((o.matrix_lr for o in optimizers), 2)}, batch {_ends(o.batch_tokens for o in optimizers)} tokens, "
            f"weight decay {_ends((o.weight_decay for o in optimizers), 2)}",
        ),
        ("With which schedule?", _schedules(runs)),
        ("Which points were repeated with other seeds?", seeds),
    ]


def _shape(models: Sequence[ModelConfig]) -> str:
    return (
        f"{_ends(model.num_layers for model in models)} layers, width {_ends(m.d_model for m in models)}, "
        f"{_ends(m.num_heads for m in models)} heads, context {_ends(m.context for m in models)}, positions "
        f"{_kinds(m.positions for m in models)}"
    )


def _unknown_training(report: TableReport) -> list[Answer]:
    rows = report.fitted
    known = f"{amount(rows.params.min())} to {amount(rows.params.max())}"
    return [
        ("How many models were trained?", plural(len(set(rows.trajectory.tolist())), "training run")
         if report.by_run else f"{UNKNOWN} Each row counts as one."),
        ("How large are they?", f"{known}, as the table counts them"),
        ("On how much data?", f"{amount(rows.tokens.min())} to {amount(rows.tokens.max())} tokens"),
        ("On which data, of which shape, with which recipe?", UNKNOWN),
    ]  # fmt: skip


def _schedules(runs: Sequence[RunSpec]) -> str:
    kinds = {run.schedule.kind for run in runs}
    words = f"{_kinds(kinds)}, warmup {_ends(run.schedule.warmup_steps for run in runs)} steps"
    if "wsd" in kinds:
        return f"{words}; a size is trained once, and each budget is a cooldown that leaves its trunk"
    return f"{words}; each point is a run of its own"


def _points(report: StudyReport | TableReport) -> list[Answer]:
    fitted = report.fitted
    span = f"C {scientific(fitted.flops.min())} to {scientific(fitted.flops.max())} FLOPs"
    if isinstance(report, TableReport):
        left_out = len(fitted.excluded)
        measured = f"{UNKNOWN} One loss a row is taken for the loss at the end of a training run."
    else:
        left_out = len(unused(report))
        tokens = {record.validation_tokens for record in report.records}
        measured = (
            f"Mean validation loss in nats/token over {_ends(tokens)} tokens, after the rate's decay: no point is an "
            "intermediate checkpoint"
        )
    return [
        ("What is measured, and when?", measured),
        ("How many points are fitted?", f"{len(fitted)}, {span}"),
        (
            "Which points are left out?",
            f"{plural(left_out, 'point')}, each with its reason below" if left_out else "none",
        ),
    ]


def _fit(report: LawReport) -> list[Answer]:
    fit = report.surface.fit
    found = held_out_score(report)
    kept = 0 if report.held_out is None else len(report.held_out)
    tested = "none is measured, so the law is not tested"
    if found is not None:
        tested = (
            f"{plural(found.measured, 'point')}, off by {percent(found.mean_error)} on average; {found.inside} inside "
            f"the {level_text(found.level)} interval"
        )
    return [
        (
            "What is minimised?",
            f"The sum of Huber losses of log residuals, delta {fit.objective.delta:g}; weights: "
            f"{fit.objective.weights}",
        ),
        (
            "How, and from where?",
            "Exponents from a grid of starts over their whole range, all other parameters solved for at each, the best "
            "refined to the last digits (docs/laws.md)",
        ),
        ("How sure are the parameters?", interval_words(report.surface)),
        ("How many points are held out?", f"{kept} measured" if kept else "none that is measured"),
        ("How well are they predicted?", tested),
        ("Is the fit a result?", fit.status.replace("_", " ") + ("" if fit.usable else f": {fit.message}")),
    ]


def _ends(values: Iterable[float], digits: int = 3) -> str:
    """Of a range, or the one number there is."""
    found = sorted(set(values))
    if not found:
        return "unknown"
    low, high = (f"{v:,}" if isinstance(v, int) else significant(v, digits) for v in (found[0], found[-1]))
    return low if low == high else f"{low} to {high}"


def _kinds(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))
