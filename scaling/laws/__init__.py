"""Functional forms, their fits and forecasts, with numpy and scipy alone; the names below also read tables and draw."""

from scaling.lazy import lazy_names

TYPE_CHECKING = False  # and true to a type checker, as that of `typing`, which takes longer to import than all else
if TYPE_CHECKING:
    from scaling.laws.custom import Form, Parameter
    from scaling.laws.fit import Fit
    from scaling.laws.forms import Law
    from scaling.laws.observations import Observations, Points, points
    from scaling.laws.registry import forms, register
    from scaling.library.fitted import FitResult, fit
    from scaling.library.forecasts import Forecast, forecast, load

__all__ = [
    "Fit",
    "FitResult",
    "Forecast",
    "Form",
    "Law",
    "Observations",
    "Parameter",
    "Points",
    "fit",
    "forecast",
    "forms",
    "load",
    "points",
    "register",
]

lazy_names(
    __name__,
    {
        "Fit": "scaling.laws.fit",
        **dict.fromkeys(("Form", "Parameter"), "scaling.laws.custom"),
        "Law": "scaling.laws.forms",
        **dict.fromkeys(("Observations", "Points", "points"), "scaling.laws.observations"),
        **dict.fromkeys(("forms", "register"), "scaling.laws.registry"),
        **dict.fromkeys(("FitResult", "fit"), "scaling.library.fitted"),
        **dict.fromkeys(("Forecast", "forecast", "load"), "scaling.library.forecasts"),
    },
)
