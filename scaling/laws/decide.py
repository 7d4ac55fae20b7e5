"""Chinchilla's law asked for a decision: which N and D, for a budget, a loss, a size or a number of tokens.

Training costs 6 N D FLOPs and serving 2 N for each token (Kaplan et al. 2020, section 2.1), so that a model that will
be used much is best smaller and trained longer (Sardana et al. 2023, arXiv 2401.00448).

Legend: R parameter vectors side by side.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import FloatArray

TRAINING, SERVING = 6.0, 2.0  # FLOPs for each parameter and token
GOLDEN = (math.sqrt(5) - 1) / 2
STEPS = 80  # of golden sections and bisections: 0.618^80 is below the rounding of a logarithm's range
WIDEST = 60.0  # log of N over its least value, where the search ends
LOG_FLOPS = (0.0, 200.0)  # natural log


@dataclass(frozen=True)
class Goal:
    """One of flops (training, and serving where inference_tokens are given), params, tokens and loss.

    Raises:
        ValueError: not exactly one is given, or a value is not positive.
    """

    flops: float | None = None
    params: float | None = None
    tokens: float | None = None
    loss: float | None = None
    inference_tokens: float = 0.0

    def __post_init__(self) -> None:
        given = {name: v for name, v in vars(self).items() if name != "inference_tokens" and v is not None}
        if len(given) != 1:
            raise ValueError(f"{len(given)} goals are given ({', '.join(given) or 'none'}): give exactly one")
        ((name, value),) = given.items()
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}: it must be positive and finite")
        if not 0 <= self.inference_tokens < math.inf:
            raise ValueError(f"inference_tokens is {self.inference_tokens}: it must be at least 0 and finite")
        if self.inference_tokens and name in ("params", "tokens"):
            raise ValueError(f"inference_tokens weighs N against D, and {name} fixes one: give flops or loss with it")


@dataclass(frozen=True)
class Choice:
    """What is best, each [R]: N, D, the loss there, FLOPs of training and of serving. NaN where nothing reaches it."""

    params: FloatArray
    tokens: FloatArray
    loss: FloatArray
    training_flops: FloatArray
    inference_flops: FloatArray


def decide(theta: FloatArray, goal: Goal) -> Choice:
    """Give the best N and D under each parameter vector, [R, P], of Chinchilla's law."""
    theta = np.atleast_2d(np.asarray(theta, dtype=np.float64))
    with np.errstate(all="ignore"):
        if goal.loss is not None:
            params, _ = cheapest(theta, np.full(len(theta), goal.loss), goal.inference_tokens)
            tokens = tokens_for_loss(theta, params, np.full(len(theta), goal.loss))
        elif goal.flops is not None and goal.inference_tokens:
            params = _best_within(theta, goal.flops, goal.inference_tokens)
            tokens = _tokens_within(goal.flops, params, goal.inference_tokens)
        else:
            flops = np.full(len(theta), goal.flops) if goal.flops is not None else _budget(theta, goal)
            params = np.asarray(CHINCHILLA.optimal_params(theta, flops))
            tokens = flops / TRAINING / params
        loss = loss_at(theta, params, tokens)
    return Choice(params, tokens, loss, TRAINING * params * tokens, SERVING * params * goal.inference_tokens)


def loss_at(theta: FloatArray, params: FloatArray, tokens: FloatArray) -> FloatArray:
    """Give the loss of parameter vector i at point i, [R]."""
    E, A, B, alpha, beta = theta.T
    return np.asarray(E + A / params**alpha + B / tokens**beta)


def least_params(theta: FloatArray, loss: FloatArray) -> FloatArray:
    """Give the N below which no number of tokens reaches a loss, [R]; NaN where no N does."""
    E, A, _, alpha, _ = theta.T
    return np.asarray(np.where(loss > E, (A / np.maximum(loss - E, 1e-300)) ** (1 / alpha), np.nan))


def tokens_for_loss(theta: FloatArray, params: FloatArray, loss: FloatArray) -> FloatArray:
    """Give the D with which N reaches a loss, [R]; NaN where none does."""
    E, A, B, alpha, beta = theta.T
    with np.errstate(over="ignore", invalid="ignore"):
        return _tokens_for(loss - E - A / params**alpha, B, beta)


def _tokens_for(rest: FloatArray, B: FloatArray, beta: FloatArray) -> FloatArray:
    return np.asarray(np.where(rest > 0, (B / np.maximum(rest, 1e-300)) ** (1 / beta), np.nan))


def cost(theta: FloatArray, params: FloatArray, loss: FloatArray, inference_tokens: float) -> FloatArray:
    """Give the FLOPs of training N until it reaches a loss and of serving it, [R]."""
    return np.asarray(params * (TRAINING * tokens_for_loss(theta, params, loss) + SERVING * inference_tokens))


def cheapest(theta: FloatArray, loss: FloatArray, inference_tokens: float) -> tuple[FloatArray, FloatArray]:
    """Give the N that reaches a loss with the fewest FLOPs, and those FLOPs, each [R]."""
    least = least_params(theta, loss)

    def log_cost(x: FloatArray) -> FloatArray:
        return np.log(cost(theta, least * np.exp(x), loss, inference_tokens))

    x = _golden(log_cost, np.full(len(theta), 1e-9), np.full(len(theta), WIDEST))
    params = least * np.exp(x)
    return params, cost(theta, params, loss, inference_tokens)


def band(theta: FloatArray, loss: float, inference_tokens: float, share: float) -> tuple[float, float]:
    """Give the least and the largest N that reach a loss with at most (1 + share) times the fewest FLOPs.

    Args:
        theta: one parameter vector, [P].
        loss: what is to be reached.
        inference_tokens: that will be served.
        share: of compute that may be lost.
    """
    one, goal = np.atleast_2d(theta), np.array([loss])
    best, fewest = cheapest(one, goal, inference_tokens)
    limit = (1 + share) * fewest

    def end(outside: float) -> float:
        inner, outer = np.log(best), np.array([outside])
        for _ in range(STEPS):
            middle = (inner + outer) / 2
            with np.errstate(all="ignore"):
                within = cost(one, np.exp(middle), goal, inference_tokens) <= limit
            inner, outer = np.where(within, middle, inner), np.where(within, outer, middle)
        return float(np.exp(inner[0]))

    least = float(np.log(least_params(one, goal)[0]))
    return end(least), end(float(np.log(best[0])) + WIDEST)


def _budget(theta: FloatArray, goal: Goal) -> FloatArray:
    """The training FLOPs whose best N, or D, is the one asked for, [R], by bisection."""
    low, high = (np.full(len(theta), end) for end in LOG_FLOPS)
    for _ in range(STEPS):
        middle = (low + high) / 2
        params = np.asarray(CHINCHILLA.optimal_params(theta, np.exp(middle)))
        if goal.params is not None:
            small = params < goal.params
        else:
            small = np.exp(middle) / TRAINING / params < (goal.tokens or 0.0)
        low, high = np.where(small, middle, low), np.where(small, high, middle)
    found = np.exp((low + high) / 2)
    return np.where(np.isfinite(CHINCHILLA.optimal_params(theta, found)), found, np.nan)


def _tokens_within(flops: float, params: FloatArray, inference_tokens: float) -> FloatArray:
    return np.asarray((flops - SERVING * params * inference_tokens) / (TRAINING * params))


def _best_within(theta: FloatArray, flops: float, inference_tokens: float) -> FloatArray:
    """The N of least loss when training and serving share a budget, [R]."""

    def loss(x: FloatArray) -> FloatArray:
        params = np.exp(x)
        return loss_at(theta, params, np.maximum(_tokens_within(flops, params, inference_tokens), 1e-300))

    largest = math.log(flops / (SERVING * inference_tokens))
    return np.exp(_golden(loss, np.zeros(len(theta)), np.full(len(theta), largest)))


def _golden(function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray) -> FloatArray:
    """Give the minimum of a function with one valley between low and high, each [R] (Kiefer 1953)."""
    for _ in range(STEPS):
        width = GOLDEN * (high - low)
        left, right = high - width, low + width
        fell = function(left) < function(right)
        low, high = np.where(fell, low, left), np.where(fell, right, high)
    return np.asarray((low + high) / 2)
