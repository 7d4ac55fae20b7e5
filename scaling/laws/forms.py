"""Sums of power laws: E + k/x^alpha, Chinchilla's L(N, D) and its relatives.

Each form is one frozen value. Its parameters are in raw units: N in parameters, D in tokens, C in FLOPs, L, E
in nats per token, coefficients in what makes their term nats per token.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from scaling.laws.observations import FloatArray, Observations, Points
from scaling.laws.surface import SumSurface, Surface

Variable = Literal["params", "tokens", "flops"]
SYMBOL: dict[str, str] = {"params": "N", "tokens": "D", "flops": "C"}

EXPONENT_MAX = 8.0  # an exponent above this is no scaling law; Hoffmann's grid ends at 2


class Law(Protocol):
    """A functional form, whatever its shape."""

    @property
    def name(self) -> str:
        """Identifier in tables and fits.json."""

    @property
    def formula(self) -> str:
        """The form as text."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the P parameters, in the order of theta."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the observations that the form reads."""

    def predict(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the loss, [..., n], for theta, [..., P], in raw units."""

    def gradient(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the derivative of the loss by each raw parameter, [..., P, n]."""

    def surface(self, observations: Observations) -> Surface:
        """Give the form over these rows in the centred coordinates of the solver."""

    def optimal_params(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Give the N that minimises the loss when 6 N D = flops; shapes [..., P] and [...] broadcast.

        Raises:
            ValueError: the form does not weigh N against D.
        """

    def compute_exponents(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the exponents of the optimal N and D as powers of C, each [...]; they add up to one.

        Raises:
            ValueError: the form does not weigh N against D, or its optimum is no power of C.
        """


@dataclass(frozen=True)
class Term:
    """coefficient * product of variable^(sign * exponent); no powers means a constant, the floor."""

    coefficient: str
    powers: tuple[tuple[str, Variable, int], ...] = ()


@dataclass(frozen=True)
class SumOfPowers:
    """L = sum of terms, each a non-negative coefficient times powers of N, D or C."""

    name: str
    formula: str
    terms: tuple[Term, ...]

    @property
    def exponent_names(self) -> tuple[str, ...]:
        """Names of the Q exponents, in order of first use."""
        return tuple(dict.fromkeys(name for term in self.terms for name, _, _ in term.powers))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Coefficients, then exponents."""
        return (*(term.coefficient for term in self.terms), *self.exponent_names)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Variables in order of first use."""
        return tuple(dict.fromkeys(variable for term in self.terms for _, variable, _ in term.powers))

    def features(self, at: Points | Observations) -> FloatArray:
        """Give X, [K, n, Q], such that term k is coefficient_k * exp(X[k] @ exponents)."""
        names = self.exponent_names
        X = np.zeros((len(self.terms), len(at), len(names)))
        for k, term in enumerate(self.terms):
            for exponent, variable, sign in term.powers:
                X[k, :, names.index(exponent)] += sign * np.log(getattr(at, variable))
        return X

    def _term_values(self, theta: FloatArray, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give each term, and each term over its coefficient, both [..., K, n]."""
        K = len(self.terms)
        exponents = theta[..., K:]
        logs = np.einsum("knq,...q->...kn", X, exponents)
        with np.errstate(divide="ignore"):
            log_coefficients = np.log(theta[..., :K])
        return np.exp(logs + log_coefficients[..., None]), np.exp(logs)

    def predict(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the loss in nats per token, [..., n], for theta, [..., P]."""
        values, _ = self._term_values(np.asarray(theta, dtype=np.float64), self.features(at))
        return np.asarray(values.sum(axis=-2))

    def gradient(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the derivative of the loss by each parameter, [..., P, n]."""
        X = self.features(at)
        values, per_coefficient = self._term_values(np.asarray(theta, dtype=np.float64), X)
        by_exponent = np.einsum("...kn,knq->...qn", values, X)
        return np.concatenate([per_coefficient, by_exponent], axis=-2)

    def surface(self, observations: Observations) -> SumSurface:
        """Give the form over these rows in the centred coordinates of the solver."""
        return SumSurface(self.features(observations), np.log(observations.loss), EXPONENT_MAX)

    def _trade(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Give log a, p, log b, q, r, each [...], of the terms a / N^p and b N^r / D^q.

        Raises:
            ValueError: the form has no such pair of terms.
        """
        theta = np.asarray(theta, dtype=np.float64)
        value = {name: theta[..., i] for i, name in enumerate(self.parameter_names)}
        pair: dict[str, tuple[FloatArray, dict[str, FloatArray]]] = {}
        for term in self.terms:
            variables = {variable for _, variable, _ in term.powers}
            powers: dict[str, FloatArray] = {v: -sign * value[name] for name, v, sign in term.powers}
            if variables:
                pair["tokens" if "tokens" in variables else "params"] = (value[term.coefficient], powers)
        if set(pair) != {"params", "tokens"} or self.inputs != ("params", "tokens"):
            raise ValueError(
                f"{self.name} does not weigh params against tokens; use a form in both, such as chinchilla"
            )
        (a, in_a), (b, in_b) = pair["params"], pair["tokens"]
        with np.errstate(divide="ignore"):
            return np.log(a), in_a["params"], np.log(b), in_b["tokens"], -in_b.get("params", np.zeros_like(b))

    def optimal_params(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Give the N that minimises the loss when 6 N D = flops (Hoffmann et al. 2022, Eq. 4; r = 0
        there)."""
        log_a, p, log_b, q, r = self._trade(theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_ratio = np.log(p) + log_a - np.log(q + r) - log_b
            return np.asarray(np.exp((log_ratio + q * np.log(np.asarray(flops) / 6.0)) / (p + q + r)))

    def compute_exponents(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the exponents of the optimal N and D as powers of C: beta / (alpha + beta) and the rest."""
        _, p, _, q, r = self._trade(theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(q / (p + q + r)), np.asarray((p + r) / (p + q + r))


def power_law(variable: Variable, floor: bool = True) -> SumOfPowers:
    """Give E + k/x^alpha, or k/x^alpha without floor, in one variable."""
    x = SYMBOL[variable]
    power = Term("k", (("alpha", variable, -1),))
    if floor:
        return SumOfPowers(f"power_{variable}_floor", f"L = E + k/{x}^alpha", (Term("E"), power))
    return SumOfPowers(f"power_{variable}", f"L = k/{x}^alpha", (power,))


CHINCHILLA = SumOfPowers(
    "chinchilla",
    "L = E + A/N^alpha + B/D^beta",  # Hoffmann et al. 2022, arXiv 2203.15556, Eq. 2
    (Term("E"), Term("A", (("alpha", "params", -1),)), Term("B", (("beta", "tokens", -1),))),
)

TIED = SumOfPowers(
    "tied",
    "L = E + A/N^alpha + B/D^alpha",  # Gadre et al. 2024, arXiv 2403.08540, Eq. 4
    (Term("E"), Term("A", (("alpha", "params", -1),)), Term("B", (("alpha", "tokens", -1),))),
)

CROSS = SumOfPowers(
    "cross",
    "L = E + A/N^alpha + B N^gamma/D^beta",
    (
        Term("E"),
        Term("A", (("alpha", "params", -1),)),
        Term("B", (("beta", "tokens", -1), ("gamma", "params", 1))),
    ),
)
