"""What the study says of depth against width: the headline where that was asked, losses by shape, what each costs."""

import math

from scaling.laws.shapes import Estimate, Valley
from scaling.report.document import Block, Fact, Paragraph, Section, Table, Tone, Verdict
from scaling.report.numbers import MISSING, amount, level_text, nats, percent, plural, significant
from scaling.report.tables import number_columns, text_columns
from scaling.shapes import Shape, Shapes

RATIO = "d_model / num_layers"
MISFIT = 0.01  # probability below which a curve is said not to fit


def shapes_verdict(found: Shapes, warnings: int, *, law: bool) -> Verdict:
    """Of a study that was asked for this, with a law beside or without."""
    assert found.valley is not None
    kind = found.valley.kind
    words = {
        "flat": "No shape told from another",
        "no valley": "No best shape between those measured",
        "below": f"Best at or below the smallest {RATIO}, {_ends(found)[0]}",
        "above": f"Best at or above the largest {RATIO}, {_ends(found)[1]}",
    }.get(kind, f"Best {RATIO}: {significant(_value(found.best))}")
    closed = kind == "inside" and found.best is not None and None not in (found.best.low, found.best.high)
    tone: Tone = "good" if closed and not warnings else "careful"
    warned = f" {plural(warnings, 'check')} warned: see below." if warnings else ""
    limits = "" if law else " The sizes carry no law in N, so nothing is said of the best N or of exponents of N."
    return Verdict(tone, words, f"{best_words(found)} {cost_words(found)}{limits}{warned}".replace("  ", " "))


def best_words(found: Shapes) -> str:
    """What was measured, and where the best ratio lies."""
    valley, best = found.valley, found.best
    assert valley is not None
    low, high = _ends(found)
    sizes = " and ".join(f"{amount(group.typical_params, 2)} {group.counted}" for group in found.groups)
    among = f"Among {plural(len(found.shapes), 'shape')} of about {sizes}, {RATIO} {low} to {high}"
    if valley.kind == "flat":
        return (
            f"{among}, the losses are flat within noise: no two ratios differ by more than "
            f"{percent(math.expm1(valley.largest), 1)} of the loss ({level_text(found.level)})."
        )
    if best is None:
        return f"{among}, the loss rises and falls again: the best is at one end. Look for a broken run."
    return f"{among}, the {level_text(found.level)} interval of the best is {interval_words(best)}."


def interval_words(best: Estimate) -> str:
    """The ends of an interval, open where nothing was measured beyond."""
    if best.low is None and best.high is None:
        return "wider than what was measured"
    if best.low is None:
        return f"open below and ends at {significant(best.high)}"
    if best.high is None:
        return f"begins at {significant(best.low)} and is open above"
    return f"{significant(best.low)} to {significant(best.high)}"


def cost_words(found: Shapes) -> str:
    """What the worst shape costs, and which ratios cost little."""
    valley = found.valley
    assert valley is not None
    if valley.kind == "flat":
        return ""
    worst = max(found.shapes, key=lambda shape: shape.loss_cost.value if shape.loss_cost else 0.0)
    return (
        f"The worst, {_shape(worst)}, costs {_cost(worst.loss_cost)} of the loss, worth {_cost(worst.compute_cost)} "
        f"more compute, by {found.slope_from}.{band_words(found)}"
    )


def band_words(found: Shapes) -> str:
    """Nothing where there is no best."""
    if found.band is None:
        return ""
    low, high = found.band
    first, last = _ends(found)
    if low is None and high is None:
        return f" All of them cost less than {percent(found.share, 0)} of the compute."
    ends = f"{significant(low) if low else first} to {significant(high) if high else last}"
    beyond = "" if low and high else ", and perhaps beyond"
    return f" By the fitted curve, ratios from {ends}{beyond} cost less than {percent(found.share, 0)} of the compute."


def shapes_facts(found: Shapes) -> list[Fact]:
    """The numbers that decide; none where there is no curve."""
    valley = found.valley
    if valley is None:
        return []
    facts = []
    if found.best is not None and valley.kind != "flat":
        where = "" if valley.kind == "inside" else "at the edge of what was measured; "
        interval = f"{where}{level_text(found.level)} interval: {interval_words(found.best)}"
        facts.append(Fact(f"Best {RATIO}", significant(found.best.value), interval))
    chance = f"probability of as much by noise alone: {significant(valley.effect, 2)}"
    facts.append(
        Fact("Largest cost of a shape", f"at most {percent(math.expm1(valley.largest), 1)} of the loss", chance)
    )
    for group, slope in zip(found.groups, found.slopes, strict=True):
        facts.append(
            Fact(
                "Twice the tokens lower the loss by",
                percent(1 - 2**-slope.value, 1),
                f"at {amount(group.typical_params)} {group.counted}, by {found.slope_from}",
            )
        )
    return facts


def shapes_section(found: Shapes) -> Section:
    return Section("shapes", "Shapes", tuple(_blocks(found)))


def _blocks(found: Shapes) -> list[Block]:
    if found.valley is None:
        return [Paragraph(f"Nothing is said of shapes: {found.reason}."), losses_table(found)]
    paragraphs = [f"{best_words(found)} {cost_words(found)}", caveats(found, found.valley)]
    tables = [costs_table(found), losses_table(found), *([cells_table(found)] if len(found.cells) > 1 else [])]
    return [*map(Paragraph, paragraphs), *tables]


def caveats(found: Shapes, valley: Valley) -> str:
    """What the comparison takes for granted."""
    spread = max(group.spread for group in found.groups)
    taken = (
        f"The N of one group differ by up to {percent(spread, 1)}; that was taken out by {found.taken_out}, which "
        f"moved no loss by more than {percent(found.moved)}."
    )
    if found.odd:
        taken += f" Left out, since noise does not explain them: {', '.join(run.run_id for run in found.odd)}."
    misfit = ""
    if valley.misfit is not None and valley.misfit < MISFIT:
        misfit = (
            " Shapes lie farther off the curve than seeds of one shape lie apart: something besides the ratio moves "
            "them (heads, a rate that suits one shape less), and the intervals count shapes, not runs."
        )
    return (
        f"{taken} All shapes were trained by one recipe: one whose own best rate is another pays for that here too."
        f"{misfit}"
    )


def costs_table(found: Shapes) -> Table:
    rows = tuple(
        (
            _shape(shape), significant(shape.aspect), amount(shape.params), amount(shape.flops_per_token),
            percent(_value(shape.loss_cost)), _range(shape.loss_cost),
            percent(_value(shape.compute_cost), 1), _range(shape.compute_cost, 1),
        )
        for shape in found.shapes
    )  # fmt: skip
    return Table(
        "shape_costs",
        "What a shape costs",
        "Above the loss of the best ratio that was measured, by the curve in the log of the ratio that all budgets "
        f"share; {level_text(found.level)} intervals (Student's t). In compute: the share of tokens more, at its own "
        f"size, that would make up for it, by {found.slope_from}. FLOPs per token are counted: shapes of one N differ "
        "in attention and head.",
        (
            *text_columns("Shape"),
            *number_columns(RATIO, "N", "FLOPs/token", "Costs of the loss", "Interval", "In compute", "Interval"),
        ),
        rows,
    )


def losses_table(found: Shapes) -> Table:
    rows = tuple(
        (
            _shape(shape), significant(shape.aspect), amount(found.cells[each.cell].params),
            amount(found.cells[each.cell].tokens), str(each.num_runs), nats(each.loss.value), _nats_range(each.loss),
        )
        for shape in found.shapes
        for each in shape.losses
    )  # fmt: skip
    noise = f"{level_text(found.level)} intervals by {found.noise_from}, pooled" if found.noise_from else "no intervals"
    return Table(
        "shape_losses",
        "Losses by shape",
        f"As measured, geometric mean over seeds; {noise}. N and D are typical of what is compared.",
        (*text_columns("Shape"), *number_columns(RATIO, "N", "D", "Runs", "Loss (nats/token)", "Interval")),
        rows,
    )


def cells_table(found: Shapes) -> Table:
    return Table(
        "shape_cells",
        "Best ratio by size and budget",
        "Each from its own losses alone. Look for: does the best move with N or D, or do the intervals share a value?",
        (*text_columns("N"), *number_columns("D", "Losses", f"Best {RATIO}"), *text_columns("Interval")),
        tuple(
            (
                amount(cell.params), amount(cell.tokens), str(cell.num_losses),
                significant(_value(cell.best)),
                MISSING if cell.best is None else interval_words(cell.best),
            )
            for cell in found.cells
        ),
    )  # fmt: skip


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _ends(found: Shapes) -> tuple[str, str]:
    assert found.valley is not None
    low, high = (significant(math.exp(end)) for end in found.valley.ends)
    return low, high


def _shape(shape: Shape) -> str:
    heads = plural(shape.num_heads, "head")
    return f"{plural(shape.num_layers, 'layer')} of {shape.d_model}, {heads}"


def _cost(cost: Estimate | None) -> str:
    return MISSING if cost is None else f"{percent(cost.value, 1)} ({_range(cost, 1)})"


def _range(cost: Estimate | None, digits: int = 2) -> str:
    return MISSING if cost is None else f"{percent(cost.low, digits)} to {percent(cost.high, digits)}"


def _nats_range(loss: Estimate) -> str:
    return MISSING if loss.low is None else f"{nats(loss.low)} to {nats(loss.high)}"
