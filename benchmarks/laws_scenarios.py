"""Simulated tables of losses whose truth is known, clean ones and ones with a sin of the field in them.

Truth unless said otherwise: L = 1.72 + 380/N^.33 + 1500/D^.355 with .4% of noise. Designs in turn: isoFLOP (5 budgets
over 2.5 decades from 2e18 FLOPs, 6 sizes .28 to 3.6 times the best N, the grid .8 to 1.25 off centre), ladder (7 sizes
by 5 ratios D/N of 5 to 120) and random (32 rows).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scaling.laws.observations import FloatArray, Observations

Law = Callable[[FloatArray, FloatArray], FloatArray]
E, A, ALPHA, B, BETA = 1.72, 380.0, 0.33, 1500.0, 0.355
NOISE = 0.004
UNIQUE, HALF_LIFE = 12e9, 5.0  # tokens of text, and R_D of what repeats
GRID = np.linspace(np.log(1e5), np.log(1e13), 20001)


@dataclass(frozen=True)
class Scenario:
    """One table and its truth.

    Attributes:
        rows: the losses.
        truth: the law that the targets follow, in the table's own count of N.
        odd: rows that were spoilt one by one, [n].
        noise: standard deviation of the log loss of a new run.
    """

    rows: Observations
    truth: Law
    odd: np.ndarray
    noise: float = NOISE

    def best(self, flops: float) -> tuple[float, float]:
        """Give N* for a budget and the loss there."""
        return best(self.truth, flops)


def best(law: Law, flops: float) -> tuple[float, float]:
    """Give the N of least loss for a budget (6 N D = flops), and that loss."""
    params = np.exp(GRID)
    losses = law(params, flops / 6 / params)
    at = int(np.argmin(losses))
    return float(params[at]), float(losses[at])


def base(N: FloatArray, D: FloatArray) -> FloatArray:
    return E + A / N**ALPHA + B / D**BETA


def broken(N: FloatArray, D: FloatArray) -> FloatArray:
    """The exponent of D falls smoothly from .42 to .22 around 1.6e10 tokens."""
    x = np.log(D / 1.6e10)
    return np.asarray(E + A / N**ALPHA + B / 1.6e10**BETA * np.exp(-0.32 * x + 0.10 * np.log(np.cosh(x))))


def coupled(N: FloatArray, D: FloatArray) -> FloatArray:
    return 1.5 + 1.35 * (700 / N**0.42 + 3000 / D**0.46) ** 0.6


def untuned(cost: float) -> Law:
    """A learning rate tuned at 5e7 parameters costs this share of the loss for the square of each e-fold beyond."""
    return lambda N, D: np.asarray(base(N, D) * (1 + cost * np.log(np.maximum(N / 5e7, 1.0)) ** 2))


def repeated(N: FloatArray, D: FloatArray) -> FloatArray:
    again = np.maximum(D / UNIQUE - 1, 0.0)
    worth = np.where(again > 0, UNIQUE * (1 + HALF_LIFE * (1 - np.exp(-again / HALF_LIFE))), D)
    return base(N, worth)


def total_params(without_embeddings: FloatArray) -> FloatArray:
    """N with the embeddings of 50,304 entries, for the width of a decoder of 12 L d^2 parameters with d = 64 L."""
    width = (without_embeddings * 64 / 12) ** (1 / 3)
    return np.asarray(without_embeddings + 50_304 * width)


def without_embeddings(total: FloatArray) -> FloatArray:
    low, high = 1e-4 * total, total.copy()
    for _ in range(100):
        middle = np.sqrt(low * high)
        below = total_params(middle) < total
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(np.sqrt(low * high))


def isoflop(
    rng: np.random.Generator, budgets: int = 5, sizes: int = 6, decades: float = 2.5
) -> tuple[FloatArray, FloatArray]:
    off = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    flops = np.geomspace(2e18, 2e18 * 10**decades, budgets)
    params = np.concatenate([best(base, C)[0] * off * np.geomspace(0.28, 3.6, sizes) for C in flops])
    return params, np.repeat(flops, sizes) / 6 / params


def design(kind: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    if kind == 0:
        return isoflop(rng)
    if kind == 1:
        params, ratios = np.meshgrid(np.geomspace(2e7, 1.4e9, 7), np.geomspace(5, 120, 5), indexing="ij")
        return params.ravel(), (params * ratios).ravel()
    params = 10 ** rng.uniform(7.3, 9.3, 32)
    return params, params * np.exp(rng.uniform(np.log(4), np.log(200), 32))


def draw(name: str, seed: int) -> Scenario:
    """Give study `seed` of a scenario; seeds go through the designs in turn."""
    rng = np.random.default_rng([seed, *name.encode()])
    return SCENARIOS[name](rng, *design(seed % 3, rng))


Draw = Callable[[np.random.Generator, FloatArray, FloatArray], Scenario]


def noisy(law: Law, truth: Law | None = None, noise: float = NOISE) -> Draw:
    def scenario(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
        loss = law(N, D) * np.exp(noise * rng.standard_normal(len(N)))
        return Scenario(Observations(N, D, loss), truth or law, np.zeros(len(N), dtype=np.bool_), noise)

    return scenario


def spoilt(change: Callable[[np.random.Generator, Observations], tuple[FloatArray, np.ndarray]]) -> Draw:
    """A clean table whose losses are multiplied by factors, [n], some of them odd."""

    def scenario(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
        clean = noisy(base)(rng, N, D)
        factor, odd = change(rng, clean.rows)
        return Scenario(replace(clean.rows, loss=clean.rows.loss * factor), base, odd)

    return scenario


def changing(first: float, last: float) -> Draw:
    """Noise that goes from one size to another with compute."""

    def scenario(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
        c = np.log(N * D)
        noise = first * (last / first) ** ((c - c.min()) / np.ptp(c))
        loss = base(N, D) * np.exp(noise * rng.standard_normal(len(N)))
        return Scenario(Observations(N, D, loss), base, np.zeros(len(N), dtype=np.bool_), last)

    return scenario


def heavy(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
    loss = base(N, D) * np.exp(NOISE * 0.7 * rng.standard_t(2, len(N)))
    return Scenario(Observations(N, D, loss), base, np.zeros(len(N), dtype=np.bool_))


def runs(named: bool) -> Draw:
    """.5% of noise shared by all rows of a size, of which there are at most nine, and .1% of a row's own."""

    def scenario(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
        edges = np.linspace(np.log(N.min()), np.log(N.max()) + 1e-9, 10)
        run = np.digitize(np.log(N), edges) - 1
        N = np.array([np.exp(np.log(N[run == one]).mean()) for one in run])
        noise = 0.005 * rng.standard_normal(9)[run] + 0.001 * rng.standard_normal(len(N))
        rows = Observations(N, D, base(N, D) * np.exp(noise))
        named_rows = replace(rows, trajectory=run.astype(np.str_)) if named else rows
        return Scenario(named_rows, base, np.zeros(len(N), dtype=np.bool_), float(np.hypot(0.005, 0.001)))

    return scenario


def miscounted(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
    """The law is in all parameters, and the table has those without embeddings."""
    clean = noisy(base)(rng, N, D)
    rows = Observations(without_embeddings(N), D, clean.rows.loss)
    return Scenario(rows, lambda n, d: base(total_params(n), d), clean.odd)


def repeats(column: bool) -> Draw:
    def scenario(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
        found = noisy(repeated, base)(rng, N, D)
        return replace(found, rows=replace(found.rows, unique_tokens=np.minimum(D, UNIQUE))) if column else found

    return scenario


def rounded(rng: np.random.Generator, N: FloatArray, D: FloatArray) -> Scenario:
    clean = noisy(base)(rng, N, D)
    return replace(clean, rows=replace(clean.rows, loss=np.round(clean.rows.loss, 2)))


def some_broken(rng: np.random.Generator, rows: Observations) -> tuple[FloatArray, np.ndarray]:
    odd = rng.random(len(rows)) < 0.02
    if not odd.any():
        odd[rng.integers(len(rows))] = True
    return np.where(odd, 1 + rng.uniform(0.08, 0.30, len(rows)), 1.0), odd


def dearest_broken(rng: np.random.Generator, rows: Observations) -> tuple[FloatArray, np.ndarray]:
    odd = np.arange(len(rows)) == int(np.argmax(rows.flops))
    return np.where(odd, 1.06, 1.0), odd


def one_bad(times: float) -> Draw:
    def change(rng: np.random.Generator, rows: Observations) -> tuple[FloatArray, np.ndarray]:
        odd = np.arange(len(rows)) == rng.integers(len(rows))
        return np.where(odd, times, 1.0), odd

    return spoilt(change)


def undecayed(rng: np.random.Generator, rows: Observations) -> tuple[FloatArray, np.ndarray]:
    read_early = rng.random(len(rows)) < 1 / 3
    return np.where(read_early, 1 + rng.uniform(0.02, 0.04, len(rows)), 1.0), np.zeros(len(rows), dtype=np.bool_)


def short_warmup(rng: np.random.Generator, rows: Observations) -> tuple[FloatArray, np.ndarray]:
    factor = 1 + 0.06 * (rows.tokens.min() / rows.tokens) ** 0.8
    return factor, np.zeros(len(rows), dtype=np.bool_)


SCENARIOS: dict[str, Draw] = {
    "clean": noisy(base),
    "little_noise": noisy(base, noise=0.001),
    "rounded": rounded,
    "broken_D": noisy(broken),
    "coupled": noisy(coupled),
    "lr_grows": noisy(untuned(0.006)),
    "lr_grows_tuned_target": noisy(untuned(0.004), base),
    "heavy_t": heavy,
    "outliers": spoilt(some_broken),
    "outliers_top": spoilt(dearest_broken),
    **{f"one_bad_{times:g}": one_bad(times) for times in (1.05, 1.1, 1.2, 1.5, 2.0, 4.0)},
    "hetero_large": changing(0.001, 0.02),
    "hetero_small": changing(0.03, 0.001),
    "runs_named": runs(True),
    "runs_unnamed": runs(False),
    "miscounted_N": miscounted,
    "repeats": repeats(False),
    "repeats_named": repeats(True),
    "undecayed": spoilt(undecayed),
    "short_warmup": spoilt(short_warmup),
}
