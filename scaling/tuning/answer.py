"""The answer of a search as a recipe that runs as it is, with its evidence above it."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields

from scaling.tuning.space import Recipe, with_values
from scaling.tuning.verdict import Contender, Verdict


def tuned_recipe(default: Recipe, verdict: Verdict) -> Recipe:
    return with_values(default, verdict.winner.values or {})


def recipe_yaml(recipe: object, verdict: Verdict, about: Sequence[str]) -> str:
    """Every number of the recipe, so that it does not move with the default; `about` are sentences on the search."""
    lines = [f"# {line}" for sentence in (*about, verdict.words) for line in textwrap.wrap(sentence, 116)]
    lines += ["#", *(f"# {row}" for row in table(verdict)), "#"]
    lines += [f"{f.name}: {_scalar(getattr(recipe, f.name))}" for f in fields(recipe)]  # type: ignore[arg-type]
    return "\n".join(lines) + "\n"


def table(verdict: Verdict) -> list[str]:
    """Rows of Markdown: the default and the finalists, by mean loss."""
    contenders = sorted((verdict.default, *verdict.finalists), key=lambda contender: contender.mean)
    rows = ["| recipe | mean loss | by seed |", "| --- | --- | --- |"]
    for contender in contenders:
        by_seed = ", ".join(f"{loss:.4f}" for loss in contender.losses)
        rows.append(f"| {name(contender)} | {contender.mean:.4f} | {by_seed} |")
    return rows


def name(contender: Contender) -> str:
    if contender.values is None:
        return "default"
    return " ".join(f"{key}={value:.4g}" for key, value in contender.values.items())


def as_json(recipe: object, verdict: Verdict, trials: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        "better_than_default": verdict.is_better,
        "verdict": verdict.words,
        "gain_nats": verdict.gain,
        "needed_gain_nats": verdict.needed,
        "noise_sd_nats": verdict.noise_sd,
        "finalists": [
            {"values": c.values, "losses_nats": list(c.losses)} for c in (verdict.default, *verdict.finalists)
        ],
        "recipe": {f.name: getattr(recipe, f.name) for f in fields(recipe)},  # type: ignore[arg-type]
        "trials": list(trials),
    }


def _scalar(value: object) -> str:
    """JSON's scalars are YAML's, but for exponents without a point: YAML 1.1 reads 1e-10 as text."""
    text = json.dumps(value)
    return text.replace("e", ".0e", 1) if isinstance(value, float) and "e" in text and "." not in text else text
