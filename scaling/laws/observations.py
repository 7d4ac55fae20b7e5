"""What a law is fitted to: equal-length columns under one named convention.

Everywhere in this room N is params, D is tokens, C is flops, L is the loss in nats per token, and n is the
number of rows.
"""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
TextArray = NDArray[np.str_]

DEFAULT_CONVENTION = "params and tokens as given, flops as given or 6 * params * tokens"


class ByValue:
    """Equality and hash of a frozen dataclass that holds arrays: by the values of its fields, not number by number."""

    def _values(self) -> tuple[Any, ...]:
        found: list[Any] = [type(self)]
        for one in fields(self):  # type: ignore[arg-type]  # which the dataclasses below it are
            value = getattr(self, one.name)
            if not one.compare:
                continue
            if isinstance(value, np.ndarray):
                value = (value.shape, value.dtype.str, value.tobytes())
            found.append(tuple(value.items()) if isinstance(value, dict) else value)
        return tuple(found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ByValue):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())


class Exclusion(NamedTuple):
    """A row that is not fitted: where it stood in its source, and why it was left out."""

    row: int
    reason: str


def _empty() -> FloatArray:
    return np.empty(0)


def _no_text() -> TextArray:
    return np.empty(0, dtype=np.str_)


@dataclass(frozen=True, eq=False)
class Points(ByValue):
    """Where a law is evaluated; no loss is known there.

    Attributes:
        params: N, [n].
        tokens: D, [n].
        flops: C, [n].
        unique_tokens: tokens of distinct text seen, [n]; None means that nothing is repeated.
    """

    params: FloatArray
    tokens: FloatArray
    flops: FloatArray
    unique_tokens: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.params)


def points(
    params: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    flops: ArrayLike | None = None,
    unique_tokens: ArrayLike | None = None,
) -> Points:
    """Build `Points` from scalars or arrays; flops is 6 * params * tokens where both are given and flops is
    not.

    A column that is not given is NaN: a law that needs it then answers NaN, never a number out of thin air.

    Raises:
        ValueError: no column is given, or a value is not positive.
    """
    given = {"params": params, "tokens": tokens, "flops": flops, "unique_tokens": unique_tokens}
    arrays = {
        name: np.atleast_1d(np.asarray(column, dtype=np.float64))
        for name, column in given.items()
        if column is not None
    }
    if not arrays:
        raise ValueError("no column given: pass at least one of params, tokens, flops")
    for name, column in arrays.items():
        if np.any(column <= 0):
            raise ValueError(f"{name} holds {column.min():g}: every value must be positive; correct the input")
    shape = np.broadcast_shapes(*(column.shape for column in arrays.values()))
    full = {name: np.broadcast_to(column, shape) for name, column in arrays.items()}
    missing = np.full(shape, np.nan)
    N, D = full.get("params", missing), full.get("tokens", missing)
    return Points(params=N, tokens=D, flops=full.get("flops", 6.0 * N * D), unique_tokens=full.get("unique_tokens"))


@dataclass(frozen=True, eq=False)
class Observations(ByValue):
    """Measured losses: one row is one point of one training trajectory.

    Attributes:
        params: N, [n], in parameters, under `convention`.
        tokens: D, [n], tokens trained on.
        loss: L, [n], nats per token.
        flops: C, [n], under `convention`; 6 * N * D when left out.
        weights: [n], factor of each row's term in the objective; ones when left out.
        trajectory: [n], id of the training run that a row belongs to, the unit of resampling; all different
            when left out.
        convention: how N and C were counted.
        excluded: rows of the source that are not here, each with its reason.
        unique_tokens: [n], tokens of distinct text, or None when nothing is repeated.
        loss_sem: [n], standard error of `loss`, or None.
        budget: [n], nominal compute that a row was planned for, in FLOPs, or None.

    Raises:
        ValueError: columns differ in length, or a value is not finite or not positive.
    """

    params: FloatArray
    tokens: FloatArray
    loss: FloatArray
    flops: FloatArray = field(default_factory=_empty)
    weights: FloatArray = field(default_factory=_empty)
    trajectory: TextArray = field(default_factory=_no_text)
    convention: str = DEFAULT_CONVENTION
    excluded: tuple[Exclusion, ...] = ()
    unique_tokens: FloatArray | None = None
    loss_sem: FloatArray | None = None
    budget: FloatArray | None = None

    def __post_init__(self) -> None:
        """Coerce to float64, fill the defaults, and check every value once."""
        self._set("params", np.asarray(self.params, dtype=np.float64))
        num_rows = self.params.size
        for name in ("tokens", "loss"):
            self._set(name, np.asarray(getattr(self, name), dtype=np.float64))
        # float64 before the product: 6 N D overflows int64 for real studies.
        fallback = {"flops": 6.0 * self.params * self.tokens if self.params.shape == self.tokens.shape else None}
        for name in ("flops", "weights"):
            column = np.asarray(getattr(self, name), dtype=np.float64)
            if column.size == 0 and num_rows:
                column = np.ones(num_rows) if name == "weights" else np.asarray(fallback["flops"])
            self._set(name, column)
        trajectory = np.asarray(self.trajectory, dtype=np.str_)
        self._set("trajectory", trajectory if trajectory.size else np.arange(num_rows).astype(np.str_))
        for name in ("unique_tokens", "loss_sem", "budget"):
            column_or_none = getattr(self, name)
            if column_or_none is not None:
                self._set(name, np.asarray(column_or_none, dtype=np.float64))
        self._check(num_rows)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check(self, num_rows: int) -> None:
        if len(self.trajectory) != num_rows:
            raise ValueError(
                f"trajectory has {len(self.trajectory)} rows and params {num_rows}: give every column one value a row"
            )
        for name in ("params", "tokens", "flops", "loss", "weights", "unique_tokens", "loss_sem", "budget"):
            column: FloatArray | None = getattr(self, name)
            if column is None:
                continue
            if column.shape != (num_rows,):
                raise ValueError(
                    f"{name} has shape {column.shape} and params ({num_rows},): give every column one value a row"
                )
            good = np.isfinite(column) & (column > 0)
            if name in ("weights", "loss_sem"):
                good = np.isfinite(column) & (column >= 0)
            if not good.all():
                row = int(np.argmin(good))
                raise ValueError(
                    f"{name} of row {row} is {column[row]}: it must be finite and "
                    f"{'not negative' if name in ('weights', 'loss_sem') else 'positive'}; "
                    "read tables with `observations_from_rows`, which excludes such rows and says so"
                )

    def __len__(self) -> int:
        return len(self.params)

    def __repr__(self) -> str:
        spans = [
            f"{name} {column.min():.3g} to {column.max():.3g}"
            for name, column in (("params", self.params), ("tokens", self.tokens), ("loss", self.loss))
            if column.size
        ]
        return f"<Observations: {', '.join([f'{len(self):,} rows', *spans])}; {len(self.excluded):,} excluded>"

    def take(self, index: ArrayLike) -> "Observations":
        """Give the rows at `index` (integers or a mask), in that order; the exclusions stay listed."""
        at = np.asarray(index)
        at = np.flatnonzero(at) if at.dtype == np.bool_ else at.astype(np.int64)

        def cut(column: FloatArray | None) -> FloatArray | None:
            return None if column is None else column[at]

        return Observations(
            params=self.params[at],
            tokens=self.tokens[at],
            loss=self.loss[at],
            flops=self.flops[at],
            weights=self.weights[at],
            trajectory=self.trajectory[at],
            convention=self.convention,
            excluded=self.excluded,
            unique_tokens=cut(self.unique_tokens),
            loss_sem=cut(self.loss_sem),
            budget=cut(self.budget),
        )

    def with_weights(self, weights: ArrayLike) -> "Observations":
        """Give the same rows under other weights, [n]."""
        return replace(self, weights=np.asarray(weights, dtype=np.float64))

    def trajectory_index(self) -> IntArray:
        """Give for each row the number of its trajectory, 0 to (number of trajectories - 1), [n]."""
        return self._runs

    @cached_property
    def _runs(self) -> IntArray:
        return np.asarray(np.unique(self.trajectory, return_inverse=True)[1], dtype=np.int64)


def row_groups(index: IntArray) -> list[IntArray]:
    """Give the rows of each group, ascending, from the number of each row's group, 0 to (number of groups - 1), [n]."""
    order = np.argsort(index, kind="stable")
    return [np.asarray(rows) for rows in np.split(order, np.cumsum(np.bincount(index))[:-1])] if len(order) else []


def value_groups(column: FloatArray, within: float = 0.02) -> list[IntArray]:
    """Give the rows of about equal value, [n], by increasing value: sizes and budgets are rounded.

    A group ends where a value exceeds its smallest by more than `within`, relative.
    """
    order = np.argsort(column, kind="stable")
    ordered = column[order]
    groups, begin = [], 0
    while begin < len(order):
        end = int(np.searchsorted(ordered, ordered[begin] * (1 + within), side="right"))
        groups.append(np.asarray(order[begin:end], dtype=np.int64))
        begin = end
    return groups


def frontier(observations: Observations, along: str = "flops") -> IntArray:
    """Give the rows on the lower envelope of loss against compute (or params, or tokens), by increasing compute.

    A row is on it when no other reaches its loss, or a lower one, with its compute or less; of rows equal in both,
    the first is.

    Raises:
        ValueError: along is no column that a law reads.
    """
    if along not in ("params", "tokens", "flops"):
        raise ValueError(f"along is {along!r}: it must be params, tokens or flops")
    order = np.lexsort((observations.loss, getattr(observations, along)))
    best = np.minimum.accumulate(observations.loss[order])
    before = np.concatenate([[np.inf], best[:-1]])
    return np.asarray(order[observations.loss[order] < before], dtype=np.int64)
