"""What a check saw: a value that the dry run prints and the report shows at its top."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

Level = Literal["info", "warn", "refuse"]
GRAVITY: dict[Level, int] = {"refuse": 0, "warn": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """`numbers` are what was seen beside its threshold, in words; `source` is the evidence for the threshold.

    A refusal stops a study before it spends, or withholds its answer, unless it is `forced`: overruled by name.
    """

    name: str
    level: Level
    numbers: str
    remedy: str
    source: str
    forced: bool = False

    @property
    def level_words(self) -> str:
        return f"{self.level}, forced" if self.forced else self.level


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: GRAVITY[finding.level]))


def overrule(findings: Iterable[Finding], force: Collection[str]) -> tuple[Finding, ...]:
    """The same findings; a refusal that `force` names is marked as overruled, and stays a refusal to be seen."""
    return tuple(
        replace(finding, forced=True) if finding.level == "refuse" and finding.name in force else finding
        for finding in findings
    )


def refusals(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that stop a study: refusals that nobody overruled."""
    return tuple(finding for finding in findings if finding.level == "refuse" and not finding.forced)


def forced(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.forced)
