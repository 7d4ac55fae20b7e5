"""Every form by its name, with what it is used for. A form is a file and an entry here, or comes from outside:
`register` in a notebook, or an entry point of the group "scaling.laws" in a package that is installed.

Roles: "report" is fitted in every report of rows in N and D; "selectable" is a candidate of the selected forecast, in
its order; "floor" is one of the doubts about E.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Literal

from scaling.laws.broken import BROKEN_FLOPS
from scaling.laws.forms import CHINCHILLA, CROSS, TIED, Law, Variable, power_law
from scaling.laws.joint import INTERACTION, KAPLAN
from scaling.laws.repeated import DATA_CONSTRAINED

Role = Literal["report", "selectable", "floor"]
GROUP = "scaling.laws"
VARIABLES: tuple[Variable, ...] = ("params", "tokens", "flops")


@dataclass(frozen=True)
class _Entry:
    law: Law
    roles: frozenset[str]


_FORMS: dict[str, _Entry] = {}


def _add(law: Law, *roles: Role) -> None:
    _FORMS[law.name] = _Entry(law, frozenset(roles))


_add(CHINCHILLA, "report", "selectable", "floor")
_add(TIED, "report", "floor")
_add(CROSS, "report", "selectable")
_add(INTERACTION, "report", "selectable", "floor")
_add(KAPLAN, "report")
_add(DATA_CONSTRAINED)  # where text was repeated, to report and selection
for _variable in VARIABLES:
    for _floor in (True, False):
        _add(power_law(_variable, _floor))
_add(BROKEN_FLOPS)
BUILT_IN = frozenset(_FORMS)


def register(law: Law, *, roles: Collection[str] | None = None, replace: bool = False) -> Law:
    """Add a form, so that `laws.fit` knows its name, and reports and forecasts take it as its roles say.

    Args:
        law: a `Form`, or whatever has the attributes of `Law`.
        roles: "report" and "selectable"; None takes the form's own, else "report".
        replace: whether an earlier registration of the name gives way; a form of this package never does.

    Raises:
        ValueError: the name is taken, or a role needs N and D, which the form does not read.
    """
    _plugins()
    return _register(law, roles, replace)


def _register(law: Law, roles: Collection[str] | None, replace: bool) -> Law:
    given = frozenset(getattr(law, "roles", ("report",)) if roles is None else roles)
    if law.name in BUILT_IN or (law.name in _FORMS and not replace):
        raise ValueError(f"form {law.name!r} is there already: give it another name, or replace=True for one of yours")
    if not given <= {"report", "selectable", "floor"}:
        raise ValueError(f"roles is {sorted(given)}: each must be report, selectable or floor")
    if set(law.inputs) != {"params", "tokens"}:
        if roles is not None and given:
            raise ValueError(
                f"roles is {sorted(given)}, and {law.name} does not read params and tokens: leave them out"
            )
        given = frozenset()
    _FORMS[law.name] = _Entry(law, given)
    return law


@cache
def _plugins() -> None:
    """Load the forms of installed packages, once. Raises ValueError where one of them cannot be had."""
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            _register(point.load(), None, False)
        except (ImportError, AttributeError, ValueError) as error:
            where = "" if point.dist is None else f" of {point.dist.name}"
            raise ValueError(
                f"the form {point.name} = {point.value}{where} cannot be loaded ({error}): correct or uninstall it"
            ) from error


def forms(role: Role | None = None) -> tuple[str, ...]:
    """Return the names of the registered forms, or of those with a role."""
    _plugins()
    return tuple(name for name, entry in _FORMS.items() if role is None or role in entry.roles)


def laws_with(role: Role) -> tuple[Law, ...]:
    """Return the forms with a role, those of this package first."""
    return tuple(_FORMS[name].law for name in forms(role))


def law_named(name: str) -> Law:
    """Return a registered form.

    Raises:
        ValueError: no form has that name.
    """
    known = forms()
    if name not in known:
        raise ValueError(f"law is {name!r}, which no form is called: they are {', '.join(known)}")
    return _FORMS[name].law
