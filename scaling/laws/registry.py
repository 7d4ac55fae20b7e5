"""Every form by its name."""

from scaling.laws.broken import BROKEN_FLOPS
from scaling.laws.forms import CHINCHILLA, CROSS, TIED, Law, power_law
from scaling.laws.joint import INTERACTION, KAPLAN
from scaling.laws.repeated import DATA_CONSTRAINED

_FORMS: dict[str, Law] = {
    law.name: law
    for law in (
        CHINCHILLA,
        TIED,
        CROSS,
        INTERACTION,
        KAPLAN,
        DATA_CONSTRAINED,
        *(power_law(variable, floor) for variable in ("params", "tokens", "flops") for floor in (True, False)),
        BROKEN_FLOPS,
    )
}


def forms() -> tuple[str, ...]:
    """Return the names of the registered forms."""
    return tuple(_FORMS)


def law_named(name: str) -> Law:
    """Return a registered form.

    Raises:
        ValueError: no form has that name.
    """
    if name not in _FORMS:
        raise ValueError(f"law is {name!r}, which no form is called: they are {', '.join(_FORMS)}")
    return _FORMS[name]


def register(law: Law) -> None:
    """Give a form its name in `laws.fit` and `laws.forms`."""
    _FORMS[law.name] = law
