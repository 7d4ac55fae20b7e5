"""Functional forms, their fits and forecasts, with numpy and scipy alone; the names below also read tables and draw."""

from scaling.lazy import lazy_names

TYPE_CHECKING = False  # and true to a type checker, as that of `typing`, which takes longer to import than all else
if TYPE_CHECKING:
    from scaling.laws.fit import Fit
    from scaling.laws.forms import Law
    from scaling.laws.observations import Observations, Points, points
    from scaling.laws.registry import forms, register
    from scaling.library.fitted import FitResult, fit
    from scaling.library.forecasts import Forecast, forecast

__all__ = [
    "Fit",
    "FitResult",
    "Forecast",
    "Law",
    "Observations",
    "Points",
    "fit",
    "forecast",
    "forms",
    "points",
    "register",
]

lazy_names(
    __name__,
    {
        "Fit": "scaling.laws.fit",
        "Law": "scaling.laws.forms",
        **dict.fromkeys(("Observations", "Points", "points"), "scaling.laws.observations"),
        **dict.fromkeys(("forms", "register"), "scaling.laws.registry"),
        **dict.fromkeys(("FitResult", "fit"), "scaling.library.fitted"),
        **dict.fromkeys(("Forecast", "forecast"), "scaling.library.forecasts"),
    },
)
