"""What the study says of its text: how well the floor is pinned, each validation set, what repeated text is worth."""

import math

from scaling.report.document import Block, Paragraph, Section, Table
from scaling.report.numbers import MISSING, level_text, nats, percent, range_text, significant
from scaling.report.tables import number_columns, status_words, text_columns
from scaling.results import Repetition, StudyReport, ValidationLaw, VocabularyLaw

EPOCHS = (1, 2, 4, 8, 16, 32)


def text_section(report: StudyReport) -> Section | None:
    """None where nothing is to be said: the rows carry no floor, and there is one validation set and no repetition."""
    blocks: list[Block] = []
    if report.floor is not None:
        blocks += [Paragraph(floor_words(report)), floor_table(report)]
    if report.validation_laws:
        blocks.append(validation_table(report.validation_laws))
    if report.vocabulary_laws:
        blocks.append(vocabulary_table(report.vocabulary_laws))
    if report.repetition is not None:
        blocks += repetition_blocks(report.repetition)
    return Section("text", "The text", tuple(blocks)) if blocks else None


def floor_words(report: StudyReport) -> str:
    """How well E is pinned, and whether the truth was found where it is known."""
    floor, known = report.floor, report.entropy
    assert floor is not None
    width = (floor.high - floor.low) / floor.estimate if floor.estimate else math.inf
    words = (
        f"The points pin the floor E to {nats(floor.low)} to {nats(floor.high)} nats/token, a width of "
        f"{percent(width)} of the fitted {nats(floor.estimate)}: the least and the most that noise, form and choice of "
        "points leave."
    )
    if known is None:
        return words
    truth = known.rate if known.floor is None else known.floor
    found = "inside" if floor.low <= truth <= floor.high else "OUTSIDE"
    return (
        f"{words} The truth is known: the best possible model loses {nats(truth)} on this validation text, which lies "
        f"{found} the interval; the fitted E is off by {percent(abs(floor.estimate / truth - 1))}."
    )


def floor_table(report: StudyReport) -> Table:
    floor, known = report.floor, report.entropy
    assert floor is not None
    rows = [(d.name.replace("_", " "), nats(d.estimate), nats(d.low), nats(d.high)) for d in floor.doubts]
    rows.append(("all together", nats(floor.estimate), nats(floor.low), nats(floor.high)))
    if known is not None and known.floor is not None:
        best = f"truth: the best possible model, {known.context} tokens of context"
        rows.append((best, nats(known.floor), "", ""))
    if known is not None:
        rows.append(("truth: entropy rate", nats(known.rate), "", ""))
    return Table(
        "floor",
        "How well the points pin the floor E",
        f"E in nats/token. From and to: the {level_text(floor.level)} profile, all other parameters fitted anew at "
        "each E; a selection of points counts by its estimate. Growing exponents: the law in N + N0 and D + D0, the "
        "middle of each range, which meets its floor faster than a power. Small residuals do not say that E is right.",
        (*text_columns("By"), *number_columns("E", "From", "To")),
        tuple((name, *(cell or MISSING for cell in cells)) for name, *cells in rows),
    )


def validation_table(laws: tuple[ValidationLaw, ...]) -> Table:
    """The same law on each validation set; bits per byte compare across them, nats per token hardly do."""
    return Table(
        "validation_sets",
        "Validation sets",
        "L(N, D) fitted to the losses on each set. Overlap: share of the set's runs of 13 words that the training text "
        "has too. Lowest: of the fitted points. fit.validation=NAME makes the whole report about one of them.",
        (
            *text_columns("Set", "Status"),
            *number_columns("E", "α", "β", "E (bits/byte)", "Lowest (nats/token)", "Lowest (bits/byte)", "Overlap"),
        ),
        tuple(_validation_row(law) for law in laws),
    )


def _validation_row(each: ValidationLaw) -> tuple[str, ...]:
    fit, lowest = each.law.fit, float(each.law.observations.loss.min())
    per_byte = 1 / math.log(2) / each.bytes_per_token
    if fit.usable:
        numbers = tuple(
            f"{significant(fit.parameters[name])} ({range_text(each.law.intervals.get(name))})"
            for name in ("E", "alpha", "beta")
        )
        floor = significant(fit.parameters["E"] * per_byte)
    else:
        numbers, floor = (MISSING, MISSING, MISSING), MISSING
    overlap = MISSING if each.overlap is None else percent(each.overlap)
    return (each.name, status_words(fit), *numbers, floor, nats(lowest), nats(lowest * per_byte), overlap)


def vocabulary_table(laws: tuple[VocabularyLaw, ...]) -> Table:
    """Each vocabulary's law, in the one unit that does not know what a token is."""
    budget = significant(laws[0].flops)
    return Table(
        "vocabularies",
        "Vocabularies",
        "L(N, D) fitted to the points of each vocabulary alone, for nats/token of different tokens do not compare. All "
        f"losses here are in bits/byte. Best: by the law, at its best N and D for {budget} FLOPs (6 N D), the most "
        "that all vocabularies were fitted at. Lowest: of the fitted points. Held-out error: of this law.",
        (
            *text_columns("Entries", "Status"),
            *number_columns("Bytes/token", "E", "α", "β", "Best", "Lowest", "Held-out error"),
        ),
        tuple(_vocabulary_row(law) for law in laws),
    )


def _vocabulary_row(each: VocabularyLaw) -> tuple[str, ...]:
    fit, per_byte = each.law.fit, 1 / math.log(2) / each.bytes_per_token
    numbers: tuple[str, ...] = (MISSING, MISSING, MISSING)
    if fit.usable:
        numbers = (nats(fit.parameters["E"] * per_byte), *(significant(fit.parameters[n]) for n in ("alpha", "beta")))
    return (
        f"{each.vocab_size:,}",
        status_words(fit),
        significant(each.bytes_per_token),
        *numbers,
        MISSING if each.best_loss is None else nats(each.best_loss * per_byte),
        nats(float(each.law.observations.loss.min()) * per_byte),
        MISSING if each.error is None else f"{percent(each.error.mean)} ({each.error.num_points})",
    )


def repetition_blocks(found: Repetition) -> list[Block]:
    law, plain = found.law.fit, found.plain.fit
    errors = {error.law: error for error in found.errors}
    rows = []
    for each, name in ((law, "knows unique tokens"), (plain, "takes every token for a new one")):
        error = errors.get(each.law.name)
        rms = math.sqrt(float((each.residuals**2).mean())) if each.residuals.size else None
        rows.append(
            (
                each.law.name.replace("_", " "), name, status_words(each), percent(rms),
                MISSING if error is None else f"{percent(error.mean)} ({error.num_points})",
            )
        )  # fmt: skip
    blocks: list[Block] = [
        Table(
            "repetition",
            "Repeated text",
            f"{found.num_repeated} points saw text more than once, at most {significant(found.most_epochs)} times. "
            "Both laws are fitted to all points, fresh and repeated. Held-out error: on repeated points alone. "
            f"{_stands_on(found)}Muennighoff et al. 2023, arXiv 2305.16264.",
            (*text_columns("Law", "It", "Status"), *number_columns("Residual rms", "Held-out error")),
            tuple(rows),
        )
    ]
    return [*blocks, _worth(found)] if law.usable else blocks


def _stands_on(found: Repetition) -> str:
    if found.fresh_status in (None, "converged"):
        return ""
    return (
        f"The law of fresh text that it stands on is {str(found.fresh_status).replace('_', ' ')}: it serves to read "
        "between the fresh points, its parameters are no result, and nothing is predicted with it. "
    )


def _worth(found: Repetition) -> Table:
    r, interval = found.law.fit.parameters["R_D"], found.law.intervals.get("R_D")

    def fresh(epochs: int, scale: float) -> float:
        return 1 + scale * -math.expm1(-(epochs - 1) / scale)

    def ends(epochs: int) -> str:
        if interval is None:
            return MISSING
        return f"{fresh(epochs, max(interval.low, 1e-3)):.2f} to {fresh(epochs, interval.high):.2f}"

    return Table(
        "worth",
        "What epochs are worth",
        f"How many epochs of fresh text so many epochs over the same text are worth, D'/U, by R_D = {significant(r)} "
        f"({range_text(interval)}). At most {significant(found.most_epochs)} epochs were trained: what is said of more "
        "is extrapolated, and this law knows no overfitting.",
        number_columns("Epochs", "Worth", "Interval"),
        tuple((_epochs(epochs, found), f"{fresh(epochs, r):.2f}", ends(epochs)) for epochs in EPOCHS),
    )


def _epochs(epochs: int, found: Repetition) -> str:
    return str(epochs) if epochs <= found.most_epochs * 1.01 else f"{epochs} (extrapolated)"
