"""The pairs bootstrap, resampled by trajectory, every resample fitted to its global optimum.

A resample is a vector of counts over the same rows, so thousands of fits are one batch under different
weights. Points of one
trajectory share their seed and most of their training: resampling rows would take them for independent and
    give
intervals that are too narrow (Efron & Tibshirani 1993, section 8.5; here the trajectory is the unit).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from scaling.laws.fit import Fit
from scaling.laws.newton import MAX_ITERATIONS, Polished, polish
from scaling.laws.objective import huber
from scaling.laws.observations import ByValue, FloatArray, IntArray, Observations
from scaling.laws.surface import Surface

CHUNK_ELEMENTS = 24_000  # lanes times rows in one batch: its arrays stay in the second-level cache
TOLERANCE = 1e-11  # of the Newton decrement, relative; values are then exact to 1e-12 or so
WITNESSES = 400  # resamples whose optimum is tried on every other resample
POOL = 200  # outer-search points of the full fit that are tried on every resample
ROUNDS = 6
FIRST_ITERATIONS = 18  # most lanes settle in 10
FEW_ROWS = 100  # below, resamples that miss a row or two can have other minima: each gets more starts
FEW_ROWS_STARTS = 3
HOPELESS = 1e6  # the loss of a row where a candidate is undefined
MAX_COUNTS = 10**8  # resamples times rows, 0.8 GB of weights


@dataclass(frozen=True, eq=False)
class Bootstrap(ByValue):
    """Refits of resampled rows.

    Attributes:
        parameter_names: names of the columns.
        parameters: [R, P], raw units.
        values: objective of each resample at its optimum, [R].
        num_trajectories: how many units were resampled.
        seed: of the resampling.
    """

    parameter_names: tuple[str, ...]
    parameters: FloatArray
    values: FloatArray
    num_trajectories: int
    seed: int

    def __len__(self) -> int:
        return len(self.parameters)


def resample_counts(observations: Observations, resamples: int, seed: int) -> FloatArray:
    """Give how often each row is drawn, [R, n], trajectories being drawn with replacement."""
    trajectory = observations.trajectory_index()
    num_trajectories = int(trajectory.max()) + 1
    counts = np.random.default_rng(seed).multinomial(
        num_trajectories, np.full(num_trajectories, 1 / num_trajectories), size=resamples
    )
    return np.asarray(counts[:, trajectory], dtype=np.float64)


def bootstrap(fit: Fit, observations: Observations, *, resamples: int, seed: int) -> Bootstrap:
    """Refit `resamples` resamples of the trajectories; the same seed gives the same numbers on any number of
    cores.

    Each resample starts from the optimum of all rows, then tries the optimum of other resamples and the outer
    search of the full fit, and moves wherever one of them is better, until none is.

    Raises:
        ValueError: the fit has no parameters (it was refused), resamples is negative, or the counts would not fit in
            memory.
    """
    if resamples < 0:
        raise ValueError(f"resamples is {resamples}: it must be 0 or more")
    if resamples * len(observations) > MAX_COUNTS:
        raise ValueError(
            f"{resamples} resamples of {len(observations)} rows are beyond {MAX_COUNTS:.0e} counts: ask for fewer, or "
            "use the delta method, which many rows make exact"
        )
    surface = fit.law.surface(observations)
    weights = resample_counts(observations, resamples, seed) * observations.weights
    coords, values = _search_all(surface, surface.from_raw(fit.theta), surface.from_raw(fit.pool[:POOL]), weights, fit)
    return Bootstrap(
        parameter_names=fit.law.parameter_names,
        parameters=surface.to_raw(coords),
        values=values,
        num_trajectories=int(observations.trajectory_index().max()) + 1,
        seed=seed,
    )


def _search_all(
    surface: Surface, best: FloatArray, pool: FloatArray, weights: FloatArray, fit: Fit
) -> tuple[FloatArray, FloatArray]:
    """Give coordinates, [R, P], and objective, [R], of each resample's optimum under weights, [R, n]."""
    delta, resamples = fit.objective.delta, len(weights)
    first = _polish_in_chunks(surface, np.repeat(best[None], resamples, axis=0), weights, delta)
    coords, values = first.coords, first.values

    def retry(at: IntArray, starts: FloatArray) -> None:
        again = _polish_in_chunks(surface, starts, weights[at], delta)
        improved = again.values < values[at]
        coords[at[improved]] = again.coords[improved]
        values[at[improved]] = again.values[improved]

    if resamples and len(pool) and surface.num_rows <= FEW_ROWS:
        rank = np.argsort(_scores(surface, pool, weights, delta), axis=1)
        for start in rank[:, :FEW_ROWS_STARTS].T:
            retry(np.arange(resamples), pool[start])
    for round_ in range(ROUNDS if resamples else 0):
        candidates = coords[:WITNESSES] if round_ else np.concatenate([coords[:WITNESSES], pool])
        scores = _scores(surface, candidates, weights, delta)
        choice = np.argmin(scores, axis=1)
        better = np.flatnonzero(scores[np.arange(resamples), choice] < values * (1 - 1e-9))
        if not better.size:
            break
        retry(better, candidates[choice[better]])
    return coords, values


def _scores(surface: Surface, candidates: FloatArray, weights: FloatArray, delta: float) -> FloatArray:
    """Give the objective of every candidate, [G, P], on every resample, [R, G]: one matrix product."""
    losses = huber(surface.residuals(candidates), delta)
    return np.asarray(weights @ np.where(np.isfinite(losses), losses, HOPELESS).T)


def num_workers() -> int:
    """Give the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _polish_in_chunks(surface: Surface, starts: FloatArray, weights: FloatArray, delta: float) -> Polished:
    """Polish many lanes in batches that fit the cache, on every core: numpy lets go of the interpreter lock.

    A batch lasts as long as its slowest lane, so the slow lanes of all batches are set aside and finished together.
    """
    result = _run_chunks(surface, starts, weights, delta, FIRST_ITERATIONS)
    slow = np.flatnonzero(~result.settled)
    if slow.size:
        rest = _run_chunks(surface, result.coords[slow], weights[slow], delta, MAX_ITERATIONS)
        result.coords[slow], result.values[slow] = rest.coords, rest.values
        result.iterations[slow] += rest.iterations
        result.settled[slow] = rest.settled
    return result


def _run_chunks(
    surface: Surface, starts: FloatArray, weights: FloatArray, delta: float, max_iterations: int
) -> Polished:
    size = max(1, CHUNK_ELEMENTS // surface.num_rows)
    slices = [slice(begin, begin + size) for begin in range(0, len(starts), size)]

    def run(at: slice) -> Polished:
        return polish(surface, starts[at], weights[at], delta, tolerance=TOLERANCE, max_iterations=max_iterations)

    if not slices:
        empty = np.empty(0)
        return Polished(starts, empty, empty.astype(np.int64), empty.astype(np.bool_))
    with ThreadPoolExecutor(max_workers=num_workers()) as pool:
        parts = list(pool.map(run, slices))
    return Polished(
        np.concatenate([part.coords for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.iterations for part in parts]),
        np.concatenate([part.settled for part in parts]),
    )
