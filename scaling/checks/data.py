"""What the losses are losses of: the text, its tokens, its validation part."""

from collections.abc import Iterator

from scaling.checks.evidence import PlannedStudy
from scaling.findings import Finding

OVERLAP_WARN = 0.01


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
