"""From cells to the numbers of the fields: notation, units, what is worked out from what."""

import math
from collections.abc import Mapping

import numpy as np

from scaling.laws.observations import FloatArray
from scaling.tables.account import ReadColumn, TableError
from scaling.tables.draft import Draft
from scaling.tables.files import Sheet
from scaling.tables.headers import REQUIRED, Found, find_fields, words_of
from scaling.tables.notation import Evidence, decide, evidence, pointed_evidence
from scaling.tables.numbers import Numbers, numbers, plain_floats
from scaling.tables.options import ReadingOptions
from scaling.tables.units import LOGARITHMS, Unit, loss_unit

NUMERIC = ("params", "tokens", "loss", "flops", "budget", "unique_tokens", "epochs", "tokens_per_param", "loss_sem")
BYTES_PER_TOKEN = "bytes per token"
NO_LOG = {"flops": 30.0, "budget": 30.0}  # a logarithm above is natural: nobody has 10^14 parameters or 10^30 FLOPs
NO_LOG_COUNT = 14.0


def draft_of(path: str, sheet: Sheet, given: Mapping[str, str], options: ReadingOptions) -> Draft:
    """The fields of a sheet as numbers in parameters, tokens, FLOPs and nats. Raises TableError."""
    unknown = [name for name in options.ignore if name not in sheet.names]
    if unknown:
        raise TableError(
            f"ignore has {unknown[0]!r}, which no column of {path} is called: they are "
            f"{', '.join(filter(None, sheet.names))}"
        )
    names = [name if name not in options.ignore or name in given.values() else "" for name in sheet.names]
    found = find_fields(names, given, path, same=lambda i, j: sheet.columns[i] == sheet.columns[j])
    draft = Draft(path, sheet, found, {}, dict(sheet.problems), options, notes=list(sheet.notes))
    for one in found.values():
        draft.cells(sheet.names[one.column])  # raises where a used name stands on two columns that differ
    if (run := found.get("run")) is not None:
        draft.columns.append(ReadColumn("run", sheet.names[run.column], run.how))
    read = _all_numbers(draft, options)
    for field, column in read.items():
        _to_units(draft, field, column, options)
    _work_out(draft)
    return draft


def _all_numbers(draft: Draft, options: ReadingOptions) -> dict[str, Numbers]:
    names = {field: draft.sheet.names[one.column] for field, one in draft.found.items() if field in NUMERIC}
    columns = {field: draft.sheet.columns[draft.found[field].column] for field in names}
    plain = {field: plain_floats(cells) for field, cells in columns.items()}
    seen = {names[f]: evidence(columns[f], odd) if odd else Evidence() for f, (_, odd) in plain.items()}
    losses = frozenset(names[f] for f in names if f.startswith("loss"))
    comma = any(one.decimal_comma or one.grouping_point for one in seen.values())
    if comma or options.decimal == ",":
        # Points of the other columns may group digits where decimals come after a comma.
        for field, (_, odd) in plain.items():
            points = pointed_evidence(columns[field]) if not odd else seen[names[field]]
            if points.pointed and not points.decimal_point and names[field] not in losses:
                seen[names[field]] = Evidence(grouping_point=points.pointed)

    def points_somewhere() -> bool:
        return any(pointed_evidence(cells).decimal_point for cells in columns.values())

    marks = decide(seen, losses, options.decimal, points_somewhere)  # type: ignore[arg-type]
    out = {}
    for field, (values, odd) in plain.items():
        read = numbers(columns[field], values, odd, marks[names[field]], count=not field.startswith("loss"))
        spare = field not in (*REQUIRED, *draft.options.columns.renamed) and set(REQUIRED) <= set(draft.found)
        if spare and read.bad and np.isnan(read.values).all():
            draft.say(f"column {names[field]!r} holds no numbers, and was not taken for {field}")
            del draft.found[field]
            continue
        for what, (rows, example) in read.said.items():
            draft.say(f"column {names[field]!r}: {what} ({example})", rows)
        for row, problem in read.bad.items():
            draft.reasons.setdefault(row, f"{field} {problem}")
        if field in ("params", "tokens", "loss"):
            for row in np.flatnonzero(np.isnan(read.values) & ~read.blank).tolist():
                if row not in draft.sheet.problems:
                    draft.reasons.setdefault(row, f"{field} is nan, not finite")
        out[field] = read
    return out


def _to_units(draft: Draft, field: str, read: Numbers, options: ReadingOptions) -> None:
    one, name = draft.found[field], draft.sheet.names[draft.found[field].column]
    values = read.values
    said: str | None = None
    if field in ("loss", "loss_sem"):
        values, said = _in_nats(draft, field, one, values, options)
    elif field in options.columns.units or one.unit is not None:
        given = options.columns.units.get(field)
        unit = given or one.unit or Unit("1")
        where = f"columns.{field}_unit={unit.name}" if given else f"the column's name says {unit.name!r}"
        values, said = _in_ones(field, values, unit, read)
        if said:
            draft.say(f"column {name!r} is {said}: {where}")
    draft.numbers[field] = values
    how = one.how + (f"; {', '.join(map(repr, one.others))} could be meant too" if one.others else "")
    draft.columns.append(ReadColumn(field, name, how, said))
    if "does not count all" in one.how:
        draft.say(f"params is column {name!r}, which does not count all parameters: neither does the best N")
    if one.others and (one.how.startswith("taken") or (field == "loss" and not one.how.startswith("columns."))):
        draft.say(
            f"{field} is column {name!r}; {', '.join(map(repr, one.others))} could be meant too: columns.{field}=NAME"
        )


def _in_ones(field: str, values: FloatArray, unit: Unit, read: Numbers) -> tuple[FloatArray, str | None]:
    if unit.log_base is not None:
        base = unit.log_base or (
            10.0 if float(np.nanmax(values, initial=0.0)) < NO_LOG.get(field, NO_LOG_COUNT) else math.e
        )
        with np.errstate(over="ignore"):
            return base**values, f"a logarithm to base {'e' if base == math.e else f'{base:g}'}"
    if unit.factor == 1.0:
        return values, None
    own = np.zeros(len(values), dtype=np.bool_) if read.own_unit is None else read.own_unit
    return np.where(own, values, values * unit.factor), f"in units of {unit.factor:g}"


def _in_nats(
    draft: Draft, field: str, one: Found, values: FloatArray, options: ReadingOptions
) -> tuple[FloatArray, str | None]:
    """Losses, or their standard errors, in nats for each token."""
    name, factor = draft.sheet.names[one.column], options.loss_factor
    if factor is not None:
        if factor == 1.0:
            return values, None
        draft.say(f"column {name!r} was multiplied by {factor:g}: loss_unit={options.loss_unit}")
        return values * (abs(factor) if field == "loss_sem" else factor), f"in units of {factor:g} nats"
    unit = loss_unit(str(options.loss_unit)) if options.loss_unit is not None else one.loss_unit
    why = f"loss_unit={options.loss_unit}" if options.loss_unit is not None else "by its name"
    if unit == "perplexity":
        if field == "loss_sem":
            return values / np.exp(draft.numbers["loss"]), "of a perplexity"
        with np.errstate(invalid="ignore", divide="ignore"):
            nats = np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), np.nan)
        for row in np.flatnonzero(values <= 1).tolist():
            draft.reasons.setdefault(row, f"perplexity is {values[row]:g}, which is never below 1")
        draft.say(f"column {name!r} holds perplexities, {why}: the loss is their logarithm")
        return nats, "a perplexity"
    if unit in LOGARITHMS:
        draft.say(f"column {name!r} holds logarithms of losses, {why}: raised again to base {LOGARITHMS[unit]:.4g}")
        with np.errstate(over="ignore"):
            return LOGARITHMS[unit] ** values, f"{unit} of it"
    if unit == "bits":
        draft.say(f"column {name!r} is in bits, {why}: multiplied by ln 2")
        return values * math.log(2), "in bits"
    if unit == "bits/byte":
        at = next((n for n in draft.sheet.names if " ".join(words_of(n)) == BYTES_PER_TOKEN), None)
        if at is None:
            raise TableError(
                f"column {name!r} is in bits/byte, {why}, and nothing says how many bytes a token has: add a column "
                "bytes_per_token, or say loss_unit=1 for a law in bits/byte, whose losses the report calls nats/token"
            )
        length, odd = plain_floats(draft.cells(at))
        draft.leave_out(odd, f"{at} is no number")
        draft.say(f"column {name!r} is in bits/byte, {why}: multiplied by ln 2 and by {at!r}")
        return values * math.log(2) * length, "in bits/byte"
    return values, None


def _work_out(draft: Draft) -> None:
    """Fields that follow from others: tokens from compute, unique tokens from epochs."""
    have, names = draft.numbers, {f: draft.sheet.names[one.column] for f, one in draft.found.items()}

    def made(field: str, values: FloatArray, how: str, of: tuple[str, ...]) -> None:
        have[field] = values
        draft.columns.append(ReadColumn(field, " and ".join(names.get(f, f) for f in of), f"worked out: {how}"))
        draft.say(f"{field} is no column: worked out as {how}")

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if "tokens" not in have:
            if "tokens_per_param" in have:
                made("tokens", have["params"] * have["tokens_per_param"], f"{names['tokens_per_param']} x params",
                     ("tokens_per_param", "params"))  # fmt: skip
            elif "flops" in have or "budget" in have:
                field = "flops" if "flops" in have else "budget"
                made("tokens", have[field] / 6 / have["params"], f"{names[field]} / (6 x params)", (field, "params"))
            else:
                made("tokens", have["unique_tokens"] * have["epochs"], f"{names['unique_tokens']} x {names['epochs']}",
                     ("unique_tokens", "epochs"))  # fmt: skip
        if "params" not in have:
            if "tokens_per_param" in have:
                made("params", have["tokens"] / have["tokens_per_param"], f"tokens / {names['tokens_per_param']}",
                     ("tokens", "tokens_per_param"))  # fmt: skip
            else:
                made(
                    "params",
                    have["flops"] / 6 / have["tokens"],
                    f"{names['flops']} / (6 x tokens)",
                    ("flops", "tokens"),
                )
        if "epochs" in have:
            worked = np.where(have["epochs"] > 1, have["tokens"] / have["epochs"], have["tokens"])
            if "unique_tokens" not in have:
                if np.nanmax(have["epochs"], initial=0.0) > 1:
                    made("unique_tokens", worked, f"tokens / {names['epochs']}", ("tokens", "epochs"))
            else:
                have["unique_tokens"] = np.where(np.isnan(have["unique_tokens"]), worked, have["unique_tokens"])
    have.pop("epochs", None)
    have.pop("tokens_per_param", None)
