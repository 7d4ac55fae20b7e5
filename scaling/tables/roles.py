"""What stands beside N, D and the loss, by its name: what makes losses different things, what is a recipe, a seed, a
moment of a run, an outcome."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from scaling.tables.headers import words_of

Role = Literal[
    "kind",
    "recipe",
    "method",
    "seed",
    "progress",
    "total",
    "outcome",
    "decay",
    "provenance",
    "result",
    "label",
    "unknown",
]
MEANING: dict[Role, str] = {
    "kind": "says which text or loss it is: rows that differ in it are not compared",
    "method": "optimizer or schedule",
    "recipe": "a number or choice of the recipe",
    "seed": "a seed",
    "progress": "how far a run has come",
    "total": "how far a run was to go",
    "outcome": "how a run ended",
    "decay": "whether a run's learning rate had decayed",
    "provenance": "where and with what it was trained",
    "result": "another result; held against the losses where it is text that groups rows",
    "label": "a name; held against the losses where it groups rows",
    "unknown": "not known; held against the losses",
}


def _set(*lines: str) -> frozenset[str]:
    """Words, or phrases where a bar stands between them."""
    text = " ".join(lines)
    return frozenset(part.strip() for part in (text.split("|") if "|" in text else text.split()))


LIGHT = _set("config cfg summary metrics hparams args the name n num id model train training")
KIND = _set(
    "tokenizer tokeniser tokenization vocab vocabulary vocabsize dataset datasets corpus corpora mixture",
    "datamix evalset valset testset split language lang benchmark objective modality arch architecture family",
    "context ctx seqlen domain paper study data tok partition subset evaluated position positions moe",
)
KIND_PHRASES = _set(
    "eval set | eval data | validation set | val set | val data | set | metric | validation data | test set |",
    "test data | sequence length | seq len | seq length | block size | max seq len | unit | units | loss unit |",
    "loss type | loss name | datensatz | eval | text",
)
NOT_KIND = _set(
    "tokens token bytes seconds time path hash url examples samples rows documents fraction share loss size acc",
    "accuracy ppl perplexity epochs multiplier parallel workers loader order ratio wait mb gb root dir per",
)
METHOD = _set(
    "optimizer optimiser optim opt schedule scheduler sched scheduling algo algorithm method strategy setup variant",
    "trainer regime",
)
# A column called after one says whether it was used: use_muon, is_cosine.
METHODS = _set("adam adamw muon lion sgd adafactor shampoo soap sophia cosine wsd")
RECIPE = _set(
    "lr batch bs bsz gbs gbsz warmup wd beta beta1 beta2 betas momentum dropout clip eps epsilon init",
    "activation act norm cooldown anneal mup depth width layers layer heads head hidden dmodel dff ffn kv mlp",
    "aspect experts expert topk rope tied bias zloss smoothing recipe ablation",
)
RECIPE_PHRASES = _set(
    "learning rate | z loss | weight decay | d model | d ff | n layer | max lr | min lr | rate | lernrate"
)
METHOD_PHRASES = _set("lr scheduler type | lr schedule | lr scheduler | lr decay | lr decay style | decay type")
CHOSEN = _set("lr rate batch bs bsz gbs gbsz warmup wd decay beta1 beta2 dropout momentum")
SEED = _set("seed seeds replicate replica rep rng repeat replicates")
PROGRESS = _set(
    "step | iter | iters | iteration | global step | update | updates | train step | checkpoint | ckpt |",
    "eval step | epoch | batch idx | checkpoint step | opt step | optimizer step | schritt | etape | paso | it",
)
TOTALS = _set(
    "planned tokens | max tokens | target tokens | horizon | max steps | total steps | max iters | planned",
    "steps | max step | total iterations | max iterations | budget tokens",
)
OUTCOME = _set(
    "state | status | outcome | finished | completed | complete | done | diverged | crashed | failed | exit",
    "status | run state | run status | success | zustand",
)
DECAY = _set("decayed | cooled | annealed | cooled down | decay complete | is decayed | lr decayed | cooldown done")
PROVENANCE = _set(
    "commit git sha version code branch host hostname machine node cluster gpu gpus hardware device devices",
    "precision dtype framework torch cuda python codebase repo micro accum accumulation workers processes",
    "parallel ranks world",
)
RESULT = _set(
    "loss ppl perplexity acc accuracy bpb bpc grad gradient throughput mfu seconds hours time runtime duration",
    "energy memory mem score error timestamp speed utc created updated flops tokens toks params bytes bits nats",
    "std sem se rank r2",
)
LABEL = _set(
    "run name id url notes note tags tag user comment comments path sweep job label index link author hash",
    "created description trial remark bemerkung display experiment exp uuid wandb date datetime day month year",
)
BAD_ENDS = _set(
    "crashed | crash | failed | fail | failure | killed | running | diverged | divergence | nan | oom | error |",
    "aborted | preempted | pending | queued | cancelled | canceled | stopped | timeout | incomplete |",
    "unfinished | interrupted | stopped_early | out_of_memory | out of memory | preempting | exploded",
)
TRUE = _set("true yes 1 1.0 y t wahr oui vrai")
FALSE = _set("false no 0 0.0 n f falsch non faux")
ENDED_BADLY = _set("diverged crashed failed")  # of a column of this name, true is bad


def role_of(name: str) -> Role:
    """Of a column that is no field; of a nested key the last part says it, unless that says nothing."""
    last = re.split(r"[./:]", name)[-1]
    if last != name and (role := _role(last)) not in ("unknown", "label"):
        return role
    return _role(name)


def _role(name: str) -> Role:
    words = words_of(re.sub(r"[(\[].*$", "", name))
    kept = tuple(word for word in words if word not in LIGHT) or words
    given, joined = set(kept), " ".join(kept)
    whole = " ".join(words)
    if not words or words[0] == "unnamed":
        return "label"
    if given & SEED:
        return "seed"
    if joined in PROGRESS or whole in PROGRESS:
        return "progress"
    if joined in TOTALS or whole in TOTALS:
        return "total"
    if joined in DECAY:
        return "decay"
    if joined in OUTCOME:
        return "outcome"
    if (given & KIND and not given & (NOT_KIND - {"size"})) and not (
        given & {"dataset", "corpus", "data", "subset"} and "size" in given
    ):
        return "kind"
    if joined in KIND_PHRASES or whole in ("model type", "model family"):
        return "kind"
    if given & METHOD and not given & (RECIPE | {"step", "steps"}):
        return "method"
    if given & METHODS and not given & (RECIPE | RESULT | {"step", "steps"}):
        return "method"
    if given & PROVENANCE:
        return "provenance"
    if whole in METHOD_PHRASES:
        return "method"
    if {joined, whole} & RECIPE_PHRASES:
        return "recipe"
    if given & RECIPE or "learning rate" in whole or "weight decay" in whole:
        return "result" if given & {"loss", "time", "grad"} else "recipe"
    if given & RESULT:
        return "result"
    if given & LABEL or whole in ("name", "id", "model", "model name"):
        return "label"
    return "unknown"


def is_chosen(name: str, values: Sequence[str]) -> bool:
    """Whether a recipe's column holds what was chosen, not what was measured: by its name, or for its values recur."""
    counts = Counter(values)
    return bool(set(words_of(name)) & CHOSEN) or sum(counts[value] > 1 for value in values) > len(values) / 2


def ended_badly(name: str, value: str) -> bool:
    """Whether a cell of an outcome's or a decay's column says that its row is no finished run."""
    text, bad_if_true = value.strip().lower(), bool(set(words_of(name)) & ENDED_BADLY)
    return text in BAD_ENDS or text in (TRUE if bad_if_true else FALSE)


def values_of(cells: Sequence[object]) -> list[str]:
    """Cells as labels: 0.001 and 1e-3 are one, and so are "GPT2" and " GPT2"."""
    try:
        labels = {cell: _label(cell) for cell in set(cells)}
    except TypeError:  # lists of JSON
        return [_label(cell) for cell in cells]
    return list(map(labels.__getitem__, cells))


def _label(cell: object) -> str:
    if cell is None:
        return ""
    text = " ".join(str(cell).split())
    try:
        number = float(text)
    except ValueError:
        return text
    return "" if number != number else f"{number:.12g}"
