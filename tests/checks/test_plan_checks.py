"""Each check of a plan on a study that commits its sin, just below it, and on one that is clean."""

from dataclasses import replace

import pytest

from scaling.checks.catalogue import NAMES, check_plan, require_known
from scaling.checks.evidence import PlannedStudy
from scaling.data.config import SourceConfig
from scaling.findings import refusals
from scaling.planning.config import SizeConfig
from scaling.specs import RunSpec
from tests.checks.planned import DATA, corpus, found, planned, with_runs
from tests.planning.conftest import SIZES

ISOFLOP = {"kind": "isoflop", "budgets": (1e12, 2e12, 4e12), "holdout_share": 0.0, "replicates": ()}
BIG = {"sizes": (SizeConfig("big", 12, 512, 8),), "holdout_share": 0.0, "replicates": ()}
WIKITEXT = {"kind": "hub", "path": "Salesforce/wikitext", "revision": "x"}


def wider(factor: float) -> PlannedStudy:
    """Batches of the largest size times `factor`, its budgets alike."""

    def change(run: RunSpec) -> RunSpec:
        if run.size != "332k":
            return run
        batch = round(run.optimizer.batch_tokens * factor)
        budgets = tuple(round(b / batch) * batch for b in run.budgets)
        return replace(run, optimizer=replace(run.optimizer, batch_tokens=batch), budgets=budgets)

    return with_runs(planned(), change)


def middle_lr(factor: float) -> PlannedStudy:
    def change(run: RunSpec) -> RunSpec:
        optimizer = replace(run.optimizer, embedding_lr=run.optimizer.embedding_lr * factor)
        return replace(run, optimizer=optimizer) if run.size == "38k" else run

    return with_runs(planned(), change)


def half_cosine() -> PlannedStudy:
    study = planned({"replicates": ()}, {"schedule": "cosine"})
    return with_runs(
        study, lambda run: replace(run, schedule=replace(run.schedule, kind="linear")) if run.size == "14k" else run
    )


def hub(name: str) -> PlannedStudy:
    source = SourceConfig(name=name, **WIKITEXT)  # type: ignore[arg-type]
    return replace(planned(), data=replace(DATA, source=source))


def test_a_clean_plan_raises_nothing() -> None:
    assert check_plan(planned()) == ()


SINS = [
    ("head_flops", "refuse", replace(planned(), convention="kaplan")),
    ("attention_flops", "warn", replace(planned(), convention="chinchilla")),
    ("embedding_params", "warn", replace(planned(), convention="non_embedding")),
    ("rule_jumps", "warn", wider(16)),
    ("rule_jumps", "warn", middle_lr(1.6)),
    ("rule_jumps", "warn", middle_lr(0.6)),
    ("warmup_share", "warn", planned(recipe={"warmup_min_steps": 80})),
    ("warmup_share", "refuse", planned(recipe={"warmup_min_steps": 200})),
    ("few_steps", "warn", planned(recipe={"batch_tokens": 1024})),
    ("few_steps", "refuse", planned(recipe={"batch_tokens": 4096, "warmup_min_steps": 2})),
    ("batch_rounding", "warn", planned(recipe={"batch_tokens": 65536, "warmup_min_steps": 1})),
    ("undecayed_end", "warn", planned(recipe={"cooldown_share": 0.04})),
    ("undecayed_end", "warn", planned({"replicates": ()}, {"schedule": "cosine", "final_lr_share": 0.5})),
    ("mixed_schedules", "refuse", half_cosine()),
    ("unidentifiable_design", "warn", planned({"budgets": (3e5, 6e5)})),
    (
        "unidentifiable_design",
        "refuse",
        planned({"kind": "tokens_per_param", "budgets": (20.0,), "holdout_min": 1, "replicates": ()}),
    ),
    ("thin_profiles", "warn", planned({**ISOFLOP, "sizes": SIZES[:3]})),
    ("repeated_data", "info", planned({"budgets": (6e6, 1.2e7, 2.4e7), "replicates": ()})),
    ("repeated_data", "warn", planned({"budgets": (3e6, 6e6, 1e7, 5e7), "replicates": ()})),
    ("repeated_data", "refuse", planned({"budgets": (1e7, 2e7, 5e7), "replicates": ()})),  # one fresh token count
    ("repeated_data", "refuse", planned({"budgets": (3e7, 5e7, 1e8), "replicates": ()})),  # no point is fresh
    ("repeated_data", "refuse", planned({"budgets": (6e6, 1.2e7, 2e10), "max_flops": None, "replicates": ()})),
    ("no_replicates", "info", planned({"replicates": ()})),
    ("nothing_held_out", "info", planned({"holdout_share": 0.0})),
    ("known_validation_text", "warn", replace(planned(), corpus=corpus(seen=11))),
    ("unknown_words", "warn", hub("wikitext-2-v1")),
]
NEAR_MISSES = [
    # With a context of 8 and layers of 64 and more channels, head and attention are small beside the matrices.
    ("head_flops", replace(planned(BIG, {"warmup_params_share": 0.0}), convention="kaplan")),
    ("attention_flops", replace(planned(context=8), convention="chinchilla")),
    ("embedding_params", replace(planned(BIG, {"warmup_params_share": 0.0}), convention="non_embedding")),
    ("rule_jumps", wider(2)),
    ("rule_jumps", middle_lr(1.4)),
    ("warmup_share", planned(recipe={"warmup_min_steps": 58})),
    ("few_steps", planned(recipe={"batch_tokens": 576})),
    ("batch_rounding", planned(recipe={"batch_tokens": 32768, "warmup_min_steps": 1}, context=64)),
    ("undecayed_end", planned(recipe={"cooldown_share": 0.06})),
    ("undecayed_end", planned({"replicates": ()}, {"schedule": "cosine", "final_lr_share": 0.1})),
    ("mixed_schedules", planned({"replicates": ()}, {"schedule": "cosine"})),
    ("thin_profiles", planned(ISOFLOP)),
    ("known_validation_text", replace(planned(), corpus=corpus(seen=9))),
    ("known_validation_text", replace(planned(), corpus=None)),
    ("unknown_words", hub("wikitext-2-raw-v1")),
]


@pytest.mark.parametrize(("name", "level", "study"), SINS)
def test_each_sin_is_caught(name: str, level: str, study: PlannedStudy) -> None:
    assert found(study).get(name) == level


@pytest.mark.parametrize(("name", "study"), NEAR_MISSES)
def test_a_near_miss_is_not_called_a_sin(name: str, study: PlannedStudy) -> None:
    assert name not in found(study)


def test_every_finding_can_be_acted_on() -> None:
    for _, _, study in SINS:
        for finding in check_plan(study):
            assert finding.name in NAMES
            assert min(len(finding.numbers), len(finding.remedy), len(finding.source)) > 10


def test_the_gravest_come_first() -> None:
    levels = [finding.level for finding in check_plan(planned(recipe={"warmup_min_steps": 200}))]
    assert levels == sorted(levels, key=["refuse", "warn", "info"].index)


def test_force_overrules_the_named_refusal_and_no_other() -> None:
    sinner = planned(recipe={"warmup_min_steps": 30, "batch_tokens": 4096})
    assert {finding.name for finding in refusals(check_plan(sinner))} == {"warmup_share", "few_steps"}
    findings = check_plan(sinner, force=["few_steps"])
    assert [finding.name for finding in refusals(findings)] == ["warmup_share"]
    assert next(finding for finding in findings if finding.name == "few_steps").forced


def test_an_unknown_name_in_force_is_told_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"force has few_stops, which no check is called: did you mean few_steps"):
        require_known(["few_steps", "few_stops"])
