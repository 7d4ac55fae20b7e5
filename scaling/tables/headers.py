"""What the columns of a table are, by their names: the fields of a law, their units, and what stands beside them."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from scaling.tables.account import TableError
from scaling.tables.units import LOGARITHMS, Unit, count_unit, loss_unit

REQUIRED = ("params", "tokens", "loss")
COUNTS = ("params", "tokens", "flops", "budget", "unique_tokens")
FIELDS = (*REQUIRED, "flops", "budget", "unique_tokens", "epochs", "tokens_per_param", "loss_sem", "run")
# Words that may stand beside any name without changing what it is.
FILLERS = {
    *("n", "num", "number", "of", "count", "counts", "total", "the", "no", "nr", "nb", "anzahl", "nombre", "numero"),
    *(
        "config",
        "cfg",
        "summary",
        "metrics",
        "metric",
        "results",
        "result",
        "hparams",
        "args",
        "stats",
        "value",
        "mean",
    ),
    *("final", "last", "end", "model", "arch", "all", "raw", "de", "der", "des", "finale", "anz"),
}
TRAINING = {
    "train",
    "training",
    "trained",
    "seen",
    "processed",
    "consumed",
    "on",
    "so",
    "far",
    "data",
    "cumulative",
    "entrenamiento",
    "entrainement",
    "addestramento",
}
HELD_OUT = {"val", "valid", "validation", "eval", "evaluation", "dev", "heldout", "held", "out", "validierung"}
NAMES: Mapping[str, tuple[str, ...]] = {
    "params": ("params", "param", "parameters", "parameter", "nparams", "numparams", "size", "modelsize", "parametros",
               "parametres", "parametri", "parameteranzahl", "paramcount"),
    "tokens": ("tokens", "token", "toks", "tok", "ntokens", "numtokens", "tokencount", "tokenanzahl", "jetons"),
    "loss": ("loss", "losses", "nll", "ce", "xent", "cross entropy", "crossentropy", "celoss", "ce loss", "valloss",
             "lm loss", "verlust", "perte", "perdida", "perdita"),
    "flops": ("flops", "flop", "compute", "pflops", "eflops", "zflops", "tflops", "gflops"),
    "budget": ("budget", "compute budget", "flops budget", "flop budget", "nominal flops", "nominal compute", "isoflop",
               "budget flops", "isoflop budget", "c budget"),
    "unique_tokens": ("unique tokens", "unique", "unique toks", "distinct tokens", "tokens unique", "tokens per epoch",
                      "epoch tokens", "uniquetokens"),
    "epochs": ("epochs", "passes", "passes over data", "data passes", "dataset epochs"),
    "tokens_per_param": ("tokens per param", "tokens per parameter", "tokens param", "tokens params", "tpp",
                         "token param ratio", "tokens parameter"),
    "loss_sem": ("loss sem", "loss se", "loss stderr", "loss std err", "loss standard error", "sem", "stderr"),
    "run": ("run", "run id", "runid", "run name", "runname"),
}  # fmt: skip
LETTERS = {"params": "N", "tokens": "D", "loss": "L", "flops": "C", "unique_tokens": "U"}
PERPLEXITY = ("perplexity", "ppl")
LOSS_LIKE = {"loss", "prob", "likelihood", "perplexity", "ppl"}
BITS = ("bits per token", "bpt", "bits", "bits token")
COUNTED_OTHERWISE = {
    "non", "embedding", "embeddings", "noembed", "nonembedding", "nonemb", "noembedding", "active", "activated", "ne",
}  # fmt: skip
LONGEST_NAME = 200  # of a column: what is longer is no header
LATER = 100  # rank of what is taken only where nothing else is there


@dataclass(frozen=True)
class Header:
    """A column's name, its words, and the unit that its name gives, as written there."""

    name: str
    words: tuple[str, ...]
    unit: str | None = None


@dataclass(frozen=True)
class Found:
    """A field's column, by number, and how it came to be; `others` could be meant too."""

    field: str
    column: int
    how: str
    unit: Unit | None = None
    loss_unit: str | None = None
    others: tuple[str, ...] = ()


def words_of(name: str) -> tuple[str, ...]:
    """Lower-case words of a name, without accents: n_params, nParams and "N params" are the same two."""
    text = unicodedata.normalize("NFKD", re.sub(r"([a-z])([A-Z])", r"\1 \2", name)).replace("ß", "ss")
    text = "".join(letter for letter in text if not unicodedata.combining(letter)).lower()
    return tuple(word for word in re.split(r"[^\w#]+|_", text) if word)


@cache
def header(name: str) -> Header:
    """Bracketed or trailing units, and logarithms, apart from the name."""
    text = name.strip().lstrip("#").strip()
    if re.search(r"(/\s*|\bper[ _])s(ec(ond)?s?)?\b", text, flags=re.IGNORECASE):
        return Header(name, (*words_of(text), "rate"))  # a speed is no count
    if found := re.fullmatch(r"((?:thousand|million|billion|trillion)s?)[ _](?:of[ _])?(.+)", text, re.IGNORECASE):
        return Header(name, words_of(found[2]), found[1])
    if re.search(r"flop|\b[pez]f", text, re.IGNORECASE) and (known := count_unit(text)) and not known.plain:
        return Header(name, ("flops",), text)  # PF-days, exaFLOPs
    if found := re.fullmatch(r"[kMGT](params?|parameters|toks?|tokens?)", text):
        return Header(name, words_of(found[1]), text[0])
    if found := re.fullmatch(r"(log10|log2|log|lg|ln)\s*[(_ \[]\s*(.+?)\s*[)\]]?", text, flags=re.IGNORECASE):
        rest, base = words_of(found[2]), found[1].lower()
        of_loss = set(rest) & LOSS_LIKE  # log loss is a loss, no logarithm of one
        if not of_loss or (base in ("log10", "ln") and "loss" in rest):
            return Header(name, rest, base)
    if found := re.fullmatch(r"(.+?)\s*[(\[{]\s*([^()\[\]{}]*)\s*[)\]}]", text):
        unit = found[2].strip()
        if count_unit(unit) or loss_unit(unit):
            return Header(name, words_of(found[1]), unit)
        return Header(name, words_of(f"{found[1]} {unit}"))
    for pattern in (r"(.+?),?\s+in\s+(\S.*)", r"(.+?)\s*[,/|:]\s*(\S.*)", r"(.+?)\s*[x×*]\s*(10\^\d+|1e\d+)"):
        found = re.fullmatch(pattern, text, flags=re.IGNORECASE)
        if found and (count_unit(found[2]) or loss_unit(found[2])):
            return Header(name, words_of(found[1]), found[2].strip())
    words = words_of(text)
    if len(words) > 1 and re.fullmatch(
        r"k|m|mm|mn|mio|b|bn|mrd|t|1?e\d+|(?:thousand|million|billion|trillion)s?", words[-1]
    ):
        rest = words[: -2 if words[-2] == "in" else -1]
        return Header(name, rest, re.sub(r"^e(\d)", r"1e\1", words[-1]))
    if len(words) > 1 and re.fullmatch(r"[gtpez]flops?", words[-1]):
        return Header(name, words[:-1], words[-1])
    if len(words) > 1 and loss_unit(words[-1]) and words[-1] not in PERPLEXITY:
        return Header(name, words[:-1], words[-1])
    return Header(name, words)


def rank(field: str, head: Header) -> int | None:
    """How well a name fits a field, 0 the best; None: not at all."""
    name, words = re.sub(r"[^A-Za-z]", "", head.name.split("(")[0].split("[")[0]), head.words
    letter = LETTERS.get(field)
    if letter and words == (letter.lower(),):
        return 4 if name.startswith(letter) or head.unit else 8
    if field == "loss":
        return _loss_rank(words)
    if field == "run":
        joined = " ".join(words)
        return NAMES["run"].index(joined) if joined in NAMES["run"] else None
    fillers = FILLERS | (TRAINING if field in ("params", "tokens", "flops", "epochs") else set())
    counted = set(words) & COUNTED_OTHERWISE if field == "params" else set()
    kept = tuple(word for word in words if word not in fillers and word not in counted)
    if len(kept) > 1 and letter:  # "N (parameters)"
        kept = tuple(word for word in kept if word != letter.lower())
    if not kept and letter and words and words[0] == "n" and counted:  # N_noembed
        return LATER
    if " ".join(kept) not in NAMES[field] or (kept == ("size",) and not set(words) <= {"size", "model", "n", "total"}):
        return None
    return (LATER if counted else 0) + NAMES[field].index(" ".join(kept)) + 20 * (words != kept and bool(counted))


def _loss_rank(words: tuple[str, ...]) -> int | None:
    """Validation before unnamed before training, losses before perplexities; the least along a run comes late."""
    given = set(words)
    kept = tuple(
        w for w in words if w not in FILLERS | HELD_OUT | {"test", "train", "training", "best", "min", "lowest"}
    )
    joined = " ".join(kept)
    if joined in NAMES["loss"]:
        base = 0
    elif joined in BITS or (joined.startswith("loss bits") and len(kept) <= 4):
        base = 10
    elif joined in PERPLEXITY:
        base = 12
    else:
        return None
    kind = 0 if given & HELD_OUT else 2 if "test" in given else 50 if given & {"train", "training"} else 3
    return base + kind + (25 if given & {"best", "min", "lowest"} else 0)


def guess(
    field: str, headers: Sequence[Header], taken: Collection[int], same: Callable[[int, int], bool]
) -> Found | None:
    """The column that a field's name fits best. Raises TableError where two fit as well that are not the `same`."""
    ranked = sorted(
        (place, i) for i, head in enumerate(headers) if i not in taken and (place := rank(field, head)) is not None
    )
    if not ranked:
        return None
    best, column = ranked[0]
    others = tuple(headers[i].name for _, i in ranked[1:])
    as_well = [
        headers[i].name
        for place, i in ranked[1:]
        if place == best and headers[i].name != headers[column].name and not same(i, column)
    ]
    if as_well and field in REQUIRED:
        names = ", ".join(map(repr, (headers[column].name, *as_well)))
        raise TableError(f"{names} could each be the {field}: name the one that is with columns.{field}=NAME")
    exact = headers[column].name == field
    how = "the column of that name" if exact else f"taken for it by its name, {headers[column].name!r}"
    if field == "params" and set(headers[column].words) & COUNTED_OTHERWISE:
        how += ", which does not count all parameters"
    return unit_of(field, headers[column], Found(field, column, how, others=others))


def unit_of(field: str, head: Header, found: Found) -> Found:
    """With the unit that the name gives."""
    unit, of_loss = None, None
    if field in COUNTS and head.unit:
        unit = count_unit(head.unit) or (Unit(head.unit, log_base=0.0) if head.unit == "log" else None)
    elif field in COUNTS:
        prefixed = [count_unit(word) for word in head.words if re.fullmatch(r"[gtpez]flops?", word)]
        unit = prefixed[0] if prefixed else None
    elif field in ("loss", "loss_sem"):
        of_loss = None if head.unit is None else head.unit if head.unit in LOGARITHMS else loss_unit(head.unit)
        if of_loss is None and set(head.words) & {*PERPLEXITY}:
            of_loss = "perplexity"
        elif of_loss is None and set(head.words) & {"bits", "bpt", "bit"}:
            of_loss = "bits/byte" if set(head.words) & {"byte", "char", "character"} else "bits"
        elif of_loss is None and set(head.words) & {"bpb", "bpc"}:
            of_loss = "bits/byte"
    return Found(found.field, found.column, found.how, unit, of_loss, found.others)


def find_fields(
    names: Sequence[str], given: Mapping[str, str], path: str, same: Callable[[int, int], bool]
) -> dict[str, Found]:
    """Each field's column: as `given` by the user, else by its name. Raises TableError, for all that is missing at
    once."""
    headers = [header(name) for name in names]
    found: dict[str, Found] = {}
    wrong = {field: name for field, name in given.items() if name not in names}
    for field, name in given.items():
        if field not in wrong:
            at = names.index(name)
            found[field] = unit_of(field, headers[at], Found(field, at, f"columns.{field}={name}"))
    taken = {one.column for one in found.values()}
    for field in FIELDS:
        if field not in given and (one := guess(field, headers, taken, same)) is not None:
            found[field] = one
            taken.add(one.column)
    missing = [field for field in REQUIRED if field not in found and field not in wrong and not _derived(field, found)]
    if wrong or missing:
        raise TableError(_what_is_missing(wrong, missing, names, path))
    return found


def _derived(field: str, found: Collection[str]) -> bool:
    """Whether a required field follows from others."""
    if field == "tokens":
        return bool({"flops", "budget", "tokens_per_param"} & set(found)) or {"unique_tokens", "epochs"} <= set(found)
    return field == "params" and "tokens" in found and bool({"flops", "tokens_per_param"} & set(found))


def _what_is_missing(wrong: Mapping[str, str], missing: Iterable[str], names: Sequence[str], path: str) -> str:
    parts = [f"no column {name!r} for {field}" for field, name in wrong.items()]
    parts += [f"no column for {field}" for field in missing]
    keys = " ".join(f"columns.{field}=NAME" for field in (*wrong, *missing))
    known = ", ".join(name for name in names if name) or "none"
    text = f"{path} has {' and '.join(parts)}: the columns are {known}; name what is meant with {keys}"
    if any(name.endswith(("__MIN", "__MAX")) for name in names):
        text += (
            ". It looks like the chart of a W&B panel, one column a run, which knows no N and D: export the table "
            "of runs instead (runs table, download as CSV), with N, D and the loss among its columns"
        )
    if "tokens" in missing and any(set(header(n).words) & {"steps", "step", "batch", "epochs"} for n in names):
        text += ". Tokens are steps x batch x context: add them as a column"
    return text


def recognised(names: Sequence[str], given: Collection[str]) -> int:
    """How many of a line's cells name a field: what tells a header from text above it."""
    heads = [header(name) for name in names if name.strip() and len(name) <= LONGEST_NAME]
    fields = {field for field in FIELDS if any(rank(field, head) is not None for head in heads)}
    return len(fields - {"run"}) + len(set(given) & set(names))
