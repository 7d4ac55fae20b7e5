"""What the losses are losses of: the text, its tokens, its validation part."""

import math
from collections.abc import Iterator
from statistics import median

from scaling.checks.evidence import PlannedStudy
from scaling.findings import Finding
from scaling.laws.distributions import chi2_quantile
from scaling.results import StudyReport

OVERLAP_WARN = 0.01
SEM_WARN = 1.0


def known_validation_text(study: PlannedStudy) -> Iterator[Finding]:
    """A loss on text that was trained on is no validation loss, the more so the larger the model."""
    overlap = None if study.corpus is None else study.corpus.overlap
    share = None if overlap is None else overlap.share
    if overlap is not None and share is not None and share > OVERLAP_WARN:
        yield Finding(
            "known_validation_text",
            "warn",
            f"{share:.1%} of the {overlap.validation_ngrams:,} runs of {overlap.ngram_words} words in the validation "
            f"text are in the training text too (warn above {OVERLAP_WARN:.0%}).",
            "Set data.remove_overlap=true, which drops those lines from the training text.",
            "Brown et al. 2020, arXiv 2005.14165, appendix C: overlap by 13-grams",
        )


def unknown_words(study: PlannedStudy) -> Iterator[Finding]:
    """WikiText comes in two versions; in one of them rare words are the token <unk>, which is easy to predict."""
    source = study.data.source
    if (
        source.kind == "hub"
        and source.name is not None
        and source.name.startswith("wikitext")
        and "raw" not in source.name
    ):
        yield Finding(
            "unknown_words",
            "warn",
            f"{source.path} {source.name} has <unk> in the place of rare words, so its losses are lower than those of "
            "the text.",
            f"Set data.source.name={source.name.replace('-v1', '-raw-v1')}.",
            "Merity et al. 2016, arXiv 1609.07843; the raw version keeps every word",
        )


def noisy_validation(report: StudyReport) -> Iterator[Finding]:
    """A validation text too short to tell two losses apart that differ by less than a seed.

    All points share the windows, so most of this error is common to them and moves the floor alone; what is left
    between two models is a third of it or so. The bar is therefore a whole seed's deviation, not a third of one, and
    that taken at the upper end of its 99% interval, since few seeds know it.
    """
    noise = report.noise
    if noise is None:
        return
    freedom = noise.num_points - noise.num_cells
    seeds = noise.relative_sd * math.sqrt(freedom / chi2_quantile(0.01, freedom))
    errors = [
        record.loss_sem_nats / record.final_loss_nats
        for record in report.fitted_records
        if record.loss_sem_nats is not None and record.final_loss_nats
    ]
    if errors and median(errors) > SEM_WARN * seeds:
        yield Finding(
            "noisy_validation",
            "warn",
            f"The standard error of a loss over the validation text is {median(errors):.2%}, and a seed moves it by "
            f"{noise.relative_sd:.2%}, at most {seeds:.2%} (warn above {SEM_WARN:g} times that).",
            "Raise data.validation_fraction.",
            "Miller 2024, arXiv 2411.00640: errors of evaluations, and of paired differences",
        )
