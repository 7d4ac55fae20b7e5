"""Each check of measured points and fits on a study that commits its sin, and on clean ones."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.check_alarms import alarms, design
from benchmarks.check_sins import SINS, Study, changed, clean, largest_run, with_provenance
from scaling.checks import catalogue, fit, profiles
from scaling.checks.catalogue import NAMES, check_study
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations
from scaling.report.content import content
from scaling.report.markdown import markdown
from scaling.results import FittedLaw, StudyReport
from tests.checks import test_plan_checks

TOLD_ALWAYS = {"shared_runs", "flat_optimum"}  # info, of every usable fit


@cache
def study(name: str, seed: int = 0) -> Study:
    return clean(design(name)[1], name, seed)


def grave(report: StudyReport) -> dict[str, str]:
    return {finding.name: finding.level for finding in check_study(report) if finding.level != "info"}


# `form_misfit` warns of one clean study in fifty: the first of the isoFLOP ones is one.
@pytest.mark.parametrize(("name", "seed"), [("default", 0), ("isoflop", 1)])
def test_a_clean_study_is_not_warned_of_from_dry_run_to_report(name: str, seed: int) -> None:
    assert alarms(name, seed) == frozenset()


def test_a_clean_study_is_told_what_its_points_are_worth_and_how_flat_its_optimum_is() -> None:
    told = {finding.name for finding in check_study(study("default").report()) if finding.level == "info"}
    assert told >= TOLD_ALWAYS


@pytest.mark.parametrize("name", SINS)
def test_each_sin_is_caught(name: str) -> None:
    kind, sin = SINS[name]
    findings = {finding.name: finding for finding in check_study(sin(study(kind)).report())}
    assert findings[name].level != "info"
    assert min(len(findings[name].numbers), len(findings[name].remedy), len(findings[name].source)) > 10


def test_a_floor_so_low_that_a_term_vanishes_is_unknown_too() -> None:
    """With the floor held at that end an exponent is zero: the law then has no best N, and still a least loss."""
    kind, sin = SINS["unknown_floor"]
    assert grave(sin(study(kind, seed=2)).report())["unknown_floor"] == "warn"


NEAR_MISSES = {
    "tokens_off": changed(largest_run, tokens=lambda r: round(0.996 * r.tokens)),
    "past_its_best": changed(largest_run, best_loss_nats=lambda r: 0.99 * (r.final_loss_nats or 0.0)),
    "skipped_steps": changed(largest_run, skipped_steps=lambda r: r.steps // 101),
    "noisy_validation": changed(lambda s, r: True, loss_sem_nats=lambda r: 0.009 * (r.final_loss_nats or 0.0)),
    "out_of_order": lambda s: s.scale(lambda r: 1.02 if r is s.largest else 1.0),
    "extrapolation": lambda s: replace(s, targets=(10 * 6.0 * s.largest.params.total * s.largest.tokens,)),
    # Machines that differ without regard to size are listed, not warned of.
    "confounded_machines": lambda s: with_provenance(s, lambda r: r.init_seed == 1, precision="bf16"),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_is_not_called_a_sin(name: str) -> None:
    assert name not in grave(NEAR_MISSES[name](study("default")).report())


def test_a_spike_within_the_scatter_of_a_curve_is_none() -> None:
    clean_study = study("default")
    longest = max(clean_study.curves, key=lambda segment: len(segment.train_loss))
    losses = list(longest.train_loss)
    losses[len(losses) // 2] = 1.04 * (losses[len(losses) // 2] or 0.0)
    bumped = replace(clean_study, curves=(replace(longest, train_loss=tuple(losses)),))
    assert "spikes" not in grave(bumped.report())


def test_leaving_embeddings_out_is_warned_of_where_it_is_the_answer() -> None:
    report = study("default").report()
    assert "conventions" not in grave(report)
    rows = replace(report.fitted, convention="N: parameters without embeddings and head; C: 6 N D")
    answers = tuple(replace(report.conventions[0], params_exponent=exponent) for exponent in (0.5, 0.6))
    assert grave(replace(report, fitted=rows, conventions=answers))["conventions"] == "warn"


def test_two_minima_with_two_answers() -> None:
    """Tokens per parameter within 30% of one another: the terms in N and in D can take each other's part."""
    rng = np.random.default_rng(1)
    rng.standard_normal(28)
    params = np.geomspace(1e7, 1e10, 14)
    tokens = 20 * params * np.exp(0.3 * rng.standard_normal(14))
    loss = (1.7 + 400 / params**0.34 + 600 / tokens**0.28) * np.exp(0.002 * rng.standard_normal(14))
    rows = Observations(params, tokens, loss)
    target = SimpleNamespace(allocation=SimpleNamespace(flops=float((6 * params * tokens).max())))
    law = FittedLaw("L(N, D)", fit_law(CHINCHILLA, rows), rows, None, {})
    report = SimpleNamespace(surface=law, optima=(target,), fitted=rows)
    assert [finding.level for finding in fit.several_optima(report)] == ["warn"]  # type: ignore[arg-type]


@pytest.mark.parametrize(("decades", "caught"), [(4.0, True), (1.0, False)])
def test_parabolas_over_too_wide_a_range_of_sizes(decades: float, caught: bool) -> None:
    """Without any noise: a parabola is no approximation of a profile of four decades when alpha is not beta."""
    law = (1.7, 400.0, 3e4, 0.34, 0.5)
    budgets = np.repeat([1e19, 1e20, 1e21], 9)
    best = CHINCHILLA.optimal_params(np.array(law), budgets)
    params = best * np.tile(10 ** np.linspace(-decades / 2, decades / 2, 9), 3)
    tokens = budgets / 6 / params
    E, A, B, alpha, beta = law
    rows = Observations(params, tokens, E + A / params**alpha + B / tokens**beta, budget=budgets)
    target = SimpleNamespace(allocation=SimpleNamespace(flops=1e22))
    report = SimpleNamespace(
        surface=FittedLaw("L(N, D)", fit_law(CHINCHILLA, rows), rows, None, {}), optima=(target,), fitted=rows
    )
    assert bool(list(profiles.wide_profiles(report))) is caught  # type: ignore[arg-type]


def test_every_check_has_a_sin_in_a_test() -> None:
    by_table = {check.__name__ for check in (*catalogue.TABLE, *catalogue.READING)}  # test_table_checks.py and others
    by_plan = {name for name, *_ in test_plan_checks.SINS}
    by_table |= {"estimators", "form_misfit", "forms_disagree"}
    own = {"conventions", "several_optima", "wide_profiles", *TOLD_ALWAYS}
    assert NAMES - by_table - by_plan - set(SINS) - own == {
        "unanswerable",  # tests/test_outlook.py
        "learning_rate_corners",  # test_corner_check.py
        "one_line",  # tests/laws/test_line.py
        *("mixed_code", "nats_of_bytes", "unchecked_program"),  # tests/trainers/test_checks.py
    }


def test_a_refusal_withholds_the_answer_and_force_shows_it_as_forced() -> None:
    report = study("default").report()
    sinful = SINS["mixed_tokenizers"][1](study("default")).report()
    assert "loss = " in markdown(content(report, ()))
    refused = markdown(content(replace(sinful, findings=check_study(sinful)), ()))
    assert "Refused: mixed\\_tokenizers" in refused
    assert "loss = " not in refused
    overruled = markdown(content(replace(sinful, findings=check_study(sinful, ["mixed_tokenizers"])), ()))
    assert "Forced past 1 refusal: mixed\\_tokenizers" in overruled
    assert "REFUSE, FORCED mixed\\_tokenizers" in overruled
    assert "loss = " in overruled
