"""A form of one's own: a function of N, D, C and some parameters becomes a law that every fit here takes.

    def loss(at, E, A, B, alpha, beta):
        return E + A / at.params**alpha + B / at.tokens**beta

Legend: S lanes (starts or resamples side by side), P parameters, n rows.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scaling.laws.curvature import curvature_of_slopes
from scaling.laws.forms import Law
from scaling.laws.observations import FloatArray, IntArray, Observations, Points, points
from scaling.laws.surface import Expansion

# Coefficients are positive and span decades. These parameters of this package's forms do not:
LINEAR = ("E", "alpha", "beta", "gamma", "alpha_N", "alpha_D", "c0", "c1", "s")
STEP = 6e-6  # eps^(1/3), of a central difference
NUM_STARTS = 4096
LOG_PARAMS = (4.0, 40.0)  # natural log of N, between which the best one is looked for
GOLDEN, STEPS = (5**0.5 - 1) / 2, 70


@dataclass(frozen=True)
class Parameter:
    """One parameter of a `Form`.

    Attributes:
        low, high: between which it lies; ends that a fit comes to rest on make its status "at_bound".
        start: between which the search begins, the bounds where left out; needed where a bound is infinite.
        log: whether it spans decades: searched, and its interval symmetric, in the logarithm. Its bounds are positive.

    Raises:
        ValueError: a range is empty, or begins below zero for a logarithm, or there is nowhere to start.
    """

    low: float = 0.0
    high: float = np.inf
    start: tuple[float, float] | None = None
    log: bool = False

    def __post_init__(self) -> None:
        first, last = self.starts
        if not (np.isfinite([first, last]).all() and self.low <= first < last <= self.high):
            raise ValueError(
                f"a parameter from {self.low:g} to {self.high:g} starts between {first:g} and {last:g}: give "
                "start=(first, last), two finite numbers within its bounds"
            )
        if self.log and not first > 0:
            raise ValueError(
                f"a parameter with log=True starts at {first:g}: give start=(first, last), both above zero"
            )

    @property
    def starts(self) -> tuple[float, float]:
        return (self.low, self.high) if self.start is None else self.start


@dataclass(frozen=True)
class Form:
    """A law given by a function.

    Attributes:
        name: identifier in tables and fits.json.
        formula: the form as text.
        function: the loss in nats per token from the columns that it reads (`at.params` N, `at.tokens` D, `at.flops` C,
            `at.unique_tokens`; [n] each) and one argument a parameter, [..., 1], by numpy's broadcasting. A parameter
            E is the floor.
        parameters: the range of each, by name, in the order of the arguments.
        inputs: columns that the function reads.
        gradient_of: derivatives of the loss by each parameter, from the same arguments, in their order; by central
            differences where left out, which is slower by the number of parameters.
        best_params: the N of least loss from flops and the parameters, under C = 6 N D; found by search where left out.
        roles: "report" shows it in every report, "selectable" makes it a candidate of the forecast; both need N and D.

    Raises:
        ValueError: the parameters are not the function's arguments, or a role or an input is not known.
    """

    name: str
    formula: str
    function: Callable[..., Any]
    parameters: dict[str, Parameter] = field(hash=False)
    inputs: tuple[str, ...] = ("params", "tokens")
    gradient_of: Callable[..., Any] | None = None
    best_params: Callable[..., Any] | None = None
    roles: tuple[str, ...] = ("report",)

    def __post_init__(self) -> None:
        _, *arguments = inspect.signature(self.function).parameters
        if arguments != list(self.parameters):
            raise ValueError(
                f"form {self.name} has the parameters {', '.join(self.parameters)} and its function takes "
                f"{', '.join(arguments) or 'none'} after the points: name them alike, in the same order"
            )
        if "E" in self.parameters and self.parameters["E"].log:
            raise ValueError(f"E of form {self.name} is the floor, which may be zero: leave out log=True")
        for what, given, known in (
            ("inputs", self.inputs, ("params", "tokens", "flops")),
            ("roles", self.roles, ("report", "selectable", "floor")),
        ):
            if not set(given) <= set(known):
                raise ValueError(f"{what} of form {self.name} is {given}: each must be one of {', '.join(known)}")

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names in the order of theta."""
        return tuple(self.parameters)

    def predict(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Return the loss, [..., n], for theta, [..., P], in raw units."""
        theta = np.asarray(theta, dtype=np.float64)
        with np.errstate(all="ignore"):  # a start may lie where the form is not defined
            loss = self.function(at, *(theta[..., i, None] for i in range(theta.shape[-1])))
        return np.asarray(np.broadcast_to(loss, (*theta.shape[:-1], len(at))), dtype=np.float64)

    def gradient(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Return the derivative of the loss by each raw parameter, [..., P, n]."""
        theta = np.asarray(theta, dtype=np.float64)
        shape = (*theta.shape[:-1], len(at))
        if self.gradient_of is not None:
            with np.errstate(all="ignore"):
                slopes = self.gradient_of(at, *(theta[..., i, None] for i in range(theta.shape[-1])))
            return np.stack([np.broadcast_to(slope, shape) for slope in slopes], axis=-2)
        slopes = []
        for i in range(theta.shape[-1]):
            step = np.zeros_like(theta)
            step[..., i] = STEP * np.maximum(np.abs(theta[..., i]), 1e-3)
            rise = self.predict(theta + step, at) - self.predict(theta - step, at)
            slopes.append(rise / (2 * step[..., i, None]))
        return np.stack(slopes, axis=-2)

    def surface(self, observations: Observations) -> "FormSurface":
        """Return the form over these rows in the coordinates of the solver."""
        return FormSurface(self, observations)

    def optimal_params(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Return the N that minimises the loss when 6 N D = flops; shapes [..., P] and [...] broadcast.

        Raises:
            ValueError: the form does not weigh N against D.
        """
        theta = np.asarray(theta, dtype=np.float64)
        if set(self.inputs) != {"params", "tokens"}:
            raise ValueError(f"{self.name} does not weigh params against tokens: it reads {', '.join(self.inputs)}")
        if self.best_params is not None:
            return np.asarray(self.best_params(np.asarray(flops), *np.moveaxis(theta, -1, 0)), dtype=np.float64)
        shape = np.broadcast_shapes(theta.shape[:-1], np.shape(flops))
        lanes = np.broadcast_to(theta, (*shape, theta.shape[-1])).reshape(-1, theta.shape[-1])
        budgets = np.broadcast_to(flops, shape).ravel()
        found = [self._valley(one, float(budget)) for one, budget in zip(lanes, budgets, strict=True)]
        return np.array(found).reshape(shape)

    def _valley(self, theta: FloatArray, flops: float) -> float:
        """The N of least loss along a budget: the best of a grid, then golden sections; NaN where it is at an end."""
        low, high = LOG_PARAMS

        def loss(log_n: FloatArray) -> FloatArray:
            N = np.exp(log_n)
            value = self.predict(theta, points(N, flops / 6 / N))
            return np.where(np.isfinite(value), value, np.inf)

        grid = np.linspace(low, high, 400)
        at = int(np.argmin(loss(grid)))
        if not 0 < at < len(grid) - 1:
            return float("nan")
        low, high = float(grid[at - 1]), float(grid[at + 1])
        for _ in range(STEPS):
            width = GOLDEN * (high - low)
            left, right = loss(np.array([high - width, low + width]))
            low, high = (low, low + width) if left < right else (high - width, high)
        return float(np.exp((low + high) / 2))

    def compute_exponents(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Raise ValueError: whether the best N of a function is a power of C is not known."""
        raise ValueError(f"the best N of {self.name} is not known to be a power of C")


def spans_decades(law: Law, name: str) -> bool:
    """Whether a parameter is told in its logarithm: a coefficient of this package's forms, else as the form says."""
    return law.parameters[name].log if isinstance(law, Form) else name not in LINEAR


class FormSurface:
    """A form over given rows; a coordinate is a parameter, or the logarithm of one that spans decades."""

    def __init__(self, form: Form, rows: Observations) -> None:
        """Keep form and rows."""
        self._form, self._rows, self._log_loss = form, rows, np.log(rows.loss)
        kinds = form.parameters.values()
        self._log = np.array([kind.log for kind in kinds])
        with np.errstate(divide="ignore"):
            self.lower = self.from_raw(np.array([kind.low for kind in kinds]))
            self.upper = self.from_raw(np.array([kind.high for kind in kinds]))

    @property
    def num_rows(self) -> int:
        """Number of rows, n."""
        return len(self._rows)

    def rows(self, index: IntArray | slice) -> "FormSurface":
        """Return the same coordinates over some of the rows."""
        return FormSurface(self._form, self._rows.take(np.arange(self.num_rows)[index]))

    def residuals(self, coords: FloatArray) -> FloatArray:
        """Return log of the measured loss minus log f, [S, n]."""
        with np.errstate(all="ignore"):
            return np.asarray(self._log_loss - np.log(self._form.predict(self.to_raw(coords), self._rows)))

    def _slopes(self, coords: FloatArray) -> FloatArray:
        """Return df/dcoordinates, [S, P, n]."""
        raw = self.to_raw(coords)
        with np.errstate(all="ignore"):
            return self._form.gradient(raw, self._rows) * np.where(self._log, raw, 1.0)[..., None]

    def expand(self, coords: FloatArray) -> Expansion:
        """Return value and first derivatives at coords, [S, P]."""
        loss = self._form.predict(self.to_raw(coords), self._rows)
        with np.errstate(all="ignore"):
            return Expansion(self._log_loss - np.log(loss), loss, self._slopes(coords) / loss[:, None])

    def curvature(self, coords: FloatArray, expansion: Expansion, factors: FloatArray) -> FloatArray:
        """Return sum over rows of factors * d2f/dcoordinates2 / f, [S, P, P]; by differences."""
        return curvature_of_slopes(self._slopes, coords, factors / expansion.loss)

    def starts(self, weights: FloatArray) -> FloatArray:
        """Return coordinates, [G, P], drawn evenly between where the parameters start; the same each time."""
        low, high = (
            self.from_raw(np.array([kind.starts[end] for kind in self._form.parameters.values()])) for end in (0, 1)
        )
        draws = np.random.default_rng(0).random((NUM_STARTS, len(low)))
        return np.asarray(low + draws * (high - low))

    def to_raw(self, coords: FloatArray) -> FloatArray:
        """Return parameters in raw units, [..., P]."""
        coords = np.asarray(coords, dtype=np.float64)
        with np.errstate(over="ignore"):
            return np.where(self._log, np.exp(np.where(self._log, coords, 0.0)), coords)

    def from_raw(self, theta: FloatArray) -> FloatArray:
        """Return the coordinates, [..., P], of parameters in raw units."""
        theta = np.asarray(theta, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.where(self._log, np.log(np.where(self._log, theta, 1.0)), theta)
