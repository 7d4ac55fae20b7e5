"""A plan that cannot answer its question is refused with points that make it answer, as overrides that run."""

import shlex
from pathlib import Path

import pytest

from scaling.config import ConfigError, StudyConfig
from scaling.findings import Finding
from scaling.stages.checkup import check_plan
from scaling.stages.outlook import asked, belief_of, question
from scaling.stages.study import plan_study
from tests.test_configs import load

ONE_RATIO = (
    "grid.kind=tokens_per_param",
    "grid.budgets=[20,24]",
    "grid.sizes=[{name: a, num_layers: 2, d_model: 32, num_heads: 2}, "
    "{name: b, num_layers: 3, d_model: 48, num_heads: 3}, "
    "{name: c, num_layers: 3, d_model: 64, num_heads: 4}, {name: d, num_layers: 3, d_model: 96, num_heads: 6}]",
    "grid.replicates=[]",
    "grid.holdout_share=0",
)


def findings(config: StudyConfig) -> list[Finding]:
    return [finding for finding in check_plan(config, plan_study(config)) if finding.name == "unanswerable"]


def test_the_default_study_answers_its_question(tmp_path: Path) -> None:
    config = load(f"cache={tmp_path}")
    power = question(config, plan_study(config)).power
    assert power is not None
    assert power["ln N_opt"].sd < 0.3
    assert findings(config) == []


def test_points_at_one_ratio_are_refused_with_a_remedy_that_runs(tmp_path: Path) -> None:
    config = load(f"cache={tmp_path}", *ONE_RATIO)
    (finding,) = findings(config)
    assert (finding.name, finding.level) == ("unanswerable", "refuse")
    overrides = finding.remedy.split("Add ", 1)[1].split("; or", 1)[0]
    # The target was ten times the old plan's largest point; the question stays the same.
    target = 10 * max(point.flops for point in plan_study(config).points)
    mended = load(f"cache={tmp_path}", *ONE_RATIO, *shlex.split(overrides), f"power.target={target}")
    assert findings(mended) == []


def test_nothing_asked_is_nothing_refused(tmp_path: Path) -> None:
    config = load(f"cache={tmp_path}", *ONE_RATIO, "power.quantity=null")
    assert findings(config) == []


def test_a_prior_must_be_a_study(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no study"):
        belief_of(load(f"power.prior={tmp_path}"))


@pytest.mark.parametrize(
    "override", ["power.quantity=N", "power.law.alpha=0", "power.relative_sd=2", "power.target=-1"]
)
def test_impossible_beliefs_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"power|noise"):
        load(override)


def test_the_question_is_of_the_studys_own_text_and_grid(tmp_path: Path) -> None:
    """Not of the default's, whatever the text; and the user's words where there are any."""
    assert asked(load("question=Why?")) == "Why?"
    assert asked(load()) == (
        "How does the loss of decoders of 10k to 983k on aws_docs fall with their parameters and their training "
        "tokens, 262k to 3.15M?"
    )
    own = asked(load("data=local", "data.source.path=my/texts", "grid=isoflop"))
    assert own.startswith("Which of the decoders of 3k to 332k does best on my/texts for budgets of 1.5")
    assert "same text of synthetic worth" in asked(load("experiment=data_constrained", "question=null"))
