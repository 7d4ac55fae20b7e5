"""Units as headers and cells name them, and what one of each is in parameters, tokens, FLOPs or nats."""

import math
import re
import unicodedata
from dataclasses import dataclass

K, M, G, T, P, E, Z = (10.0 ** (3 * i) for i in range(1, 8))
MULTIPLES = {
    **dict.fromkeys(("k", "thousand", "thousands", "tsd", "mille"), K),
    **dict.fromkeys(("m", "mm", "mn", "mil", "mio", "mln", "million", "millions", "millionen", "millones", "mega"), M),
    **dict.fromkeys(
        (
            "b",
            "bn",
            "bil",
            "billion",
            "billions",
            "g",
            "giga",
            "mrd",
            "md",
            "mld",
            "milliard",
            "milliards",
            "milliarden",
        ),
        G,
    ),
    **dict.fromkeys(("t", "tn", "tril", "trillion", "trillions", "tera"), T),
    **dict.fromkeys(("p", "peta", "quadrillion"), P),
    **dict.fromkeys(("exa",), E),
    **dict.fromkeys(("zetta",), Z),
    "千": K,
    "万": 1e4,
    "萬": 1e4,
    "百万": M,
    "亿": 1e8,
    "億": 1e8,
}
PREFIXES = {"k": K, "m": M, "g": G, "t": T, "p": P, "e": E, "z": Z, "kilo": K, "mega": M, "giga": G, "tera": T,
            "peta": P, "exa": E, "zetta": Z}  # fmt: skip
NOUNS = {
    *("params", "param", "parameters", "parameter", "tokens", "token", "tok", "toks", "flops", "flop", "nats", "nat"),
    *("nats/token", "per", "raw", "count", "counts", "#"),
}
DAY = 86400.0
LOGARITHMS = {"log10": 10.0, "lg": 10.0, "log2": 2.0, "lb": 2.0, "ln": math.e}
LOSS_UNITS = {
    **dict.fromkeys(("nats", "nat", "natstoken", "natspertoken", "natstok"), "nats"),
    **dict.fromkeys(("bits", "bit", "bitstoken", "bitspertoken", "bpt", "base2", "log2"), "bits"),
    **dict.fromkeys(("ppl", "perplexity", "exp"), "perplexity"),
    **dict.fromkeys(
        ("bpb", "bitsbyte", "bitsperbyte", "bpc", "bitschar", "bitsperchar", "bitspercharacter", "bitscharacter"),
        "bits/byte",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """What a column's numbers count: `factor` of what is meant in one, or the base of a logarithm."""

    name: str
    factor: float = 1.0
    log_base: float | None = None

    @property
    def plain(self) -> bool:
        return self.factor == 1.0 and self.log_base is None


def count_unit(text: str) -> Unit | None:
    """A unit of parameters, tokens or FLOPs: 1e6, M, "billions", PFLOPs, PF-days, log10; None for anything else."""
    name = unicodedata.normalize("NFKC", text).strip()
    lowered = name.lower().strip(" .:")
    if not lowered:
        return None
    if lowered in LOGARITHMS:
        return Unit(name, log_base=LOGARITHMS[lowered])
    number = re.fullmatch(r"(?:[x×*/]\s*)?(?:10\s*(?:\^|\*\*)\s*\{?(\d+)\}?|(1e\+?\d+|1|1[0_, ]*0(?:\.0)?))", lowered)
    if number:
        if number[1]:
            return Unit(name, 10.0 ** int(number[1])) if int(number[1]) < 100 else None
        return Unit(name, float(re.sub(r"[_, ]", "", number[2])))
    words = [word for word in re.split(r"[\s_/*·.-]+", lowered) if word and word not in ("in", "of", "x")]
    factor, days = 1.0, False
    for i, word in enumerate(words):
        if word in ("day", "days") and i:
            days = True
        elif word in NOUNS or word in ("s", "sec"):
            continue
        elif word in MULTIPLES and factor == 1.0:
            factor = MULTIPLES[word]
        elif prefix := re.fullmatch(
            r"(k|m|g|t|p|e|z|kilo|mega|giga|tera|peta|exa|zetta)(f|flops?|tok|toks|tokens?|params?)", word
        ):
            factor = PREFIXES[prefix[1]]
        else:
            return None
    return Unit(name, factor * (DAY if days else 1.0)) if words else None


def loss_unit(text: str) -> str | None:
    """nats, bits, perplexity or bits/byte, by any of their usual names."""
    return LOSS_UNITS.get(re.sub(r"[^a-z0-9]", "", text.lower()))
