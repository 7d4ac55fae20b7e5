"""What the checks of a study look at, read from its config and its folders; `sweep` and `fit` both ask."""

from scaling.checks import catalogue
from scaling.checks.evidence import PlannedStudy
from scaling.config import ConfigError, StudyConfig
from scaling.data.fingerprint import fingerprint
from scaling.data.manifest import Manifest, read_manifest
from scaling.data.prepare import corpus_folder, is_whole
from scaling.findings import Finding
from scaling.outlook import question
from scaling.specs import Plan


def check_plan(config: StudyConfig, plan: Plan) -> tuple[Finding, ...]:
    """Before anything is spent. Raises ConfigError where `force` has a name that no check has."""
    try:
        catalogue.require_known(config.force)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    study = PlannedStudy(plan, config.fit.convention, config.data, prepared_manifest(config), question(config, plan))
    return catalogue.check_plan(study, config.force)


def prepared_manifest(config: StudyConfig) -> Manifest | None:
    """Of the study's corpus, if it is prepared."""
    folder = corpus_folder(config.data, config.cache_folder)
    return read_manifest(folder) if is_whole(folder, fingerprint(config.data)) else None
