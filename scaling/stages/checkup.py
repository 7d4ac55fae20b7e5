"""What the checks of a study look at, read from its config and its folders; `sweep` and `fit` both ask."""

import time
from dataclasses import replace

from scaling.analysis.curves import read_segments
from scaling.checks import catalogue
from scaling.checks.evidence import MeasuredStudy, PlannedStudy
from scaling.config import ConfigError, StudyConfig
from scaling.corners import read_corners
from scaling.data.fingerprint import fingerprint
from scaling.data.manifest import Manifest, read_manifest
from scaling.data.prepare import corpus_folder, is_whole
from scaling.findings import Finding, gravest_first
from scaling.planning.table import print_findings
from scaling.records import RunRecord, read_records
from scaling.results import StudyReport
from scaling.specs import Plan
from scaling.stages.outlook import question
from scaling.stages.vocabularies import once, parts
from scaling.terminal import PlainConsole

SECONDS_BETWEEN_LOOKS = 10.0


def check_plan(config: StudyConfig, plan: Plan) -> tuple[Finding, ...]:
    """Before anything is spent. Raises ConfigError where `force` has a name that no check has."""
    try:
        catalogue.require_known(config.force)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return once(_check_part(one, part) for one, part in parts(config, plan))


def _check_part(config: StudyConfig, plan: Plan) -> tuple[Finding, ...]:
    manifest = prepared_manifest(config)
    asked = question(config, plan, manifest)
    study = PlannedStudy(plan, config.fit.convention, config.data, manifest, asked, read_corners(config.folder))
    return catalogue.check_plan(study, config.force)


def check_running(config: StudyConfig, plan: Plan) -> tuple[Finding, ...]:
    """On the points that ended so far and the curves as they stand."""
    records = tuple(read_records(config.folder))
    return once(_check_running_part(one, part, records) for one, part in parts(config, plan))


def _check_running_part(config: StudyConfig, plan: Plan, records: tuple[RunRecord, ...]) -> tuple[Finding, ...]:
    planned = {(point.run_id, point.tokens) for point in plan.points}
    mine = tuple(r for r in records if (r.run_id, r.budget_tokens) in planned)
    return catalogue.check_running(MeasuredStudy(plan, mine, read_segments(config.folder, plan)), config.force)


class Watch:
    """Looks at the runs as they are, and prints each finding once, and again when it grows graver."""

    def __init__(self, config: StudyConfig, plan: Plan, console: PlainConsole) -> None:
        self._config, self._plan, self._console = config, plan, console
        self._told: set[tuple[str, str]] = set()
        self._looked_at, self._pause = time.monotonic(), SECONDS_BETWEEN_LOOKS

    def look(self) -> tuple[Finding, ...]:
        began = time.monotonic()
        findings = check_running(self._config, self._plan)
        new = tuple(f for f in findings if f.level != "info" and (f.name, f.level) not in self._told)
        print_findings(new, self._console)
        self._told.update((f.name, f.level) for f in new)
        self._looked_at = time.monotonic()
        # A look reads every record and curve: at most one part in twenty of the sweep's own time is spent so.
        self._pause = max(SECONDS_BETWEEN_LOOKS, 20 * (self._looked_at - began))
        return findings

    def now_and_then(self) -> None:
        """For a loop that turns many times a second."""
        if time.monotonic() - self._looked_at > self._pause:
            self.look()


def with_findings(config: StudyConfig, report: StudyReport, before: tuple[Finding, ...]) -> StudyReport:
    """The report with all that the checks say of plan, points and fit."""
    findings = gravest_first((*before, *catalogue.check_study(report, config.force)))
    return replace(report, findings=findings)


def prepared_manifest(config: StudyConfig) -> Manifest | None:
    """Of the study's corpus, if it is prepared."""
    folder = corpus_folder(config.data, config.cache_folder)
    return read_manifest(folder) if is_whole(folder, fingerprint(config.data)) else None
