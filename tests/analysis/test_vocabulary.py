"""Several vocabularies, several corpora: each has a law of its own, and none goes into a fit with another."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.analysis.config import FitOptions
from scaling.analysis.observations import CONVENTIONS, MixedCorpora, observations, usable
from scaling.analysis.vocabulary import vocabulary_laws
from scaling.config import ConfigError, table_options
from scaling.planning.plan import join_plans
from scaling.records import RunRecord
from scaling.report.text_section import vocabulary_table
from scaling.specs import Plan
from scaling.stages.tables import open_table
from tests.analysis.conftest import make_records
from tests.planning.conftest import CORPUS, plan
from tests.test_configs import load_root

OPTIONS = FitOptions("total", bootstrap=0, level=0.95, targets=None, figures=False, seed=0)
BYTES_PER_TOKEN = 2.0


def vocabulary_plan(vocab_size: int) -> Plan:
    return plan(corpus=replace(CORPUS, fingerprint=f"corpus of {vocab_size}", vocab_size=vocab_size))


def in_bits(planned: Plan, noise: float = 0.001) -> list[RunRecord]:
    """Losses of the planted law, two bytes a token, each record naming its run's own corpus."""
    return [
        replace(
            record,
            bits_per_byte=(record.final_loss_nats or 0.0) / math.log(2) / BYTES_PER_TOKEN,
            provenance=replace(record.provenance, corpus=planned.by_id[record.run_id].corpus),
        )
        for record in make_records(planned, noise=noise)
    ]


def test_each_vocabulary_has_its_law_and_they_meet_in_bits_per_byte() -> None:
    plans = {size: vocabulary_plan(size) for size in (512, 1024)}
    records = [record for each in plans.values() for record in in_bits(each)]
    small, large = vocabulary_laws(plans, records, OPTIONS)
    assert (small.vocab_size, large.vocab_size) == (512, 1024)
    assert small.flops == large.flops
    assert len(small.law.observations) == len(large.law.observations) == len(records) // 2 - 4
    assert small.law.fit.usable
    assert small.error is not None
    assert small.error.mean < 0.01
    row = vocabulary_table((small, large)).rows[0]
    assert row[:3] == ("512", "converged", "2.00")
    assert float(row[6]) == pytest.approx((small.best_loss or 0.0) / math.log(2) / 2.0, abs=1e-3)
    assert vocabulary_laws({512: plans[512]}, records, OPTIONS) == ()


def test_one_fit_takes_no_second_corpus() -> None:
    plans = [vocabulary_plan(size) for size in (512, 1024)]
    both = join_plans(plans)
    assert [point.index for point in both.points] == list(range(len(both.points)))
    records = [record for each in plans for record in in_bits(each)]
    with pytest.raises(MixedCorpora, match=r"come from 2 corpora .*fit each corpus alone"):
        observations(both, records, CONVENTIONS["total"])


def test_a_run_on_another_corpus_is_another_run() -> None:
    one, other = vocabulary_plan(512), plan(corpus=replace(CORPUS, fingerprint="other", vocab_size=512))
    assert not {run.id for run in one.runs} & {run.id for run in other.runs}
    good, excluded = usable(one, in_bits(other))
    assert not good
    assert {each.reason for each in excluded} == {"not measured yet"}


def test_a_record_that_was_put_beside_another_corpus_is_left_out() -> None:
    study = vocabulary_plan(512)
    records = in_bits(study)
    strange = replace(records[0], provenance=replace(records[0].provenance, corpus="another text"))
    good, excluded = usable(study, [strange, *records[1:]])
    assert len(good) == len(records) - 1
    assert [each.reason for each in excluded] == ["trained on the corpus another text where corpus of 51 was planned"]


@pytest.mark.parametrize("corpora", [("a" * 64, "b" * 64), ("a" * 64, "a" * 64), ("", "a" * 64)])
def test_a_merged_table_of_two_corpora_is_refused(tmp_path: Path, corpora: tuple[str, str]) -> None:
    path = tmp_path / "points.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["params", "tokens", "loss", "corpus"])
        for i in range(16):
            writer.writerow([1e6 * 2 ** (i % 4), 1e7 * 2 ** (i // 4), 3 - 0.05 * i, corpora[i % 2]])
    options = table_options(load_root("fit", f"source={path}", "out=x"))
    if all(corpora) and len(set(corpora)) == 2:
        with pytest.raises(
            ConfigError, match=r"mixed_kinds: Column 'corpus' has 2 values .*by=corpus fits a law to each"
        ):
            open_table(str(path), options)
    else:
        assert len(open_table(str(path), options)[0].observations) == 16
