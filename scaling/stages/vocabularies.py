"""A study over several vocabularies: one part for each, with a corpus, laws and held-out points of its own.

Losses in nats/token of different tokens do not compare and go into no common fit; bits per byte do.
"""

from collections.abc import Iterable
from dataclasses import replace

from scaling.config import ConfigError, StudyConfig
from scaling.data.fingerprint import fingerprint
from scaling.findings import Finding, gravest_first
from scaling.planning.config import GridConfig
from scaling.planning.plan import join_plans
from scaling.specs import Plan


def each_vocabulary(config: StudyConfig) -> tuple[StudyConfig, ...]:
    """The study of each vocabulary alone, in the order of the grid; of a study with one vocabulary, itself.

    A size is called after its vocabulary too, since its parameters depend on it: 10k.v512.
    """
    if not _several(config):
        return (config,)
    return tuple(
        replace(
            config,
            data=replace(config.data, tokenizer=replace(config.data.tokenizer, vocab_size=vocabulary)),
            grid=_named_after(config.grid, vocabulary),
        )
        for vocabulary in config.grid.vocab_sizes
    )


def part_of(plan: Plan, config: StudyConfig) -> Plan:
    """The runs of a plan on the corpus of `config`, with their points, numbered anew."""
    corpus = fingerprint(config.data)
    runs = tuple(run for run in plan.runs if run.corpus == corpus)
    kept = {run.id for run in runs}
    return join_plans([Plan(plan.study, runs, tuple(point for point in plan.points if point.run_id in kept))])


def parts(config: StudyConfig, plan: Plan) -> tuple[tuple[StudyConfig, Plan], ...]:
    """Each vocabulary's study with its part of the plan; a study of one vocabulary is whole."""
    if not _several(config):
        return ((config, plan),)
    return tuple((one, part_of(plan, one)) for one in each_vocabulary(config))


def own_part(config: StudyConfig, plan: Plan) -> Plan:
    """The part of the vocabulary that the study's report is about."""
    return part_of(plan, config) if _several(config) else plan


def once(findings: Iterable[tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """What the checks say of several parts, each finding by its name once, the gravest that there is."""
    several = list(findings)
    if len(several) == 1:
        return several[0]
    kept: dict[str, Finding] = {}
    for finding in gravest_first(found for part in several for found in part):
        kept.setdefault(finding.name, finding)
    return tuple(kept.values())


def require_one_vocabulary(config: StudyConfig, what: str) -> None:
    """Raise ConfigError for what speaks of one law."""
    if _several(config):
        raise ConfigError(
            f"grid.vocab_sizes is {list(config.grid.vocab_sizes)} and {what} needs the law of one vocabulary: sweep "
            "the study of one alone, with data.tokenizer.vocab_size=... grid.vocab_sizes=[] and a study= of its own"
        )


def _several(config: StudyConfig) -> bool:
    return len(config.grid.vocab_sizes) > 1


def _named_after(grid: GridConfig, vocabulary: int) -> GridConfig:
    return replace(
        grid,
        vocab_sizes=(vocabulary,),
        sizes=tuple(replace(size, name=f"{size.name}.v{vocabulary}") for size in grid.sizes),
        replicates=tuple(replace(each, size=f"{each.size}.v{vocabulary}") for each in grid.replicates),
    )
