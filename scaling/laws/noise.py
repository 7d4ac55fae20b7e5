"""The noise of a fit and what it does to the coordinates, to first order; no single row can make it large."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.distributions import NORMAL_QUARTILE, normal_density, normal_tail, t_two_sided
from scaling.laws.observations import BoolArray, FloatArray, IntArray
from scaling.laws.surface import Surface

ODD_ROWS = 0.005  # probability that clean rows of normal noise have any that is called odd
SWEEPS = 5  # of naming odd rows and measuring the scale without them
TREND_ROWS = 12  # from which the trend of the noise with compute is estimated at all
TREND_FLOOR = 0.05  # of the scale: a residual below tells no more of it than one there
TREND_CAP = 6.0  # times the median size: a residual above tells no more
TREND_STEPS = 50
TREND_DOUBT = 4.0  # squared errors of a trend that are taken off its square
LAPLACE_ERROR = float(np.sqrt(np.pi / 2 - 1))  # of the log of a mean absolute value, of one normal deviate
CLEAR = 3.0  # standard errors of what the rows of a size share, beyond which they are taken for rows of one run
EXACT = 1e-7  # relative: no loss is known better, and a difference below is rounding


@dataclass(frozen=True)
class Linearised:
    """A fit to first order.

    Attributes:
        covariance: of the coordinates, [P, P].
        noise: standard deviation of the log residuals without odd rows, degrees of freedom taken off.
        freedom: degrees of freedom, n - P.
        condition: of the information matrix with its diagonal scaled to one; beyond 1e12 it has no inverse.
    """

    covariance: FloatArray
    noise: float
    freedom: int
    condition: float


def huber_moments(noise: float, delta: float) -> tuple[float, float]:
    """Give E psi' and E psi^2 of the Huber loss for Gaussian residuals of this scale (Huber 1964, Eq. 25)."""
    if noise <= 0:
        return 1.0, 0.0
    k = delta / noise
    inside = 1 - 2 * normal_tail(k)
    second = inside - 2 * k * normal_density(k) + 2 * k * k * normal_tail(k)
    return inside, float(noise**2 * second)


def shared_correlation(residuals: FloatArray, clusters: IntArray) -> float:
    """Give the correlation of two residuals, [n], of one cluster, [n]; from 0 to 1, and 0 where clusters are
    single."""
    sums = np.bincount(clusters, weights=residuals)
    squares = float(np.sum(residuals**2))
    sizes = np.bincount(clusters)
    pairs = float(np.sum(sizes * (sizes - 1)))
    if pairs == 0 or squares == 0:
        return 0.0
    between = (float(np.sum(sums**2)) - squares) / pairs
    return float(np.clip(between / (squares / len(residuals)), 0.0, 1.0))


def robust_scale(residuals: FloatArray, num_params: int) -> float:
    """Give the median size of residuals, [n], as the standard deviation of a normal; the `num_params` smallest are left
    out, which a fit by absolute values makes zero."""
    sizes = np.sort(np.abs(residuals))[min(num_params, len(residuals) - 1) :]
    return max(float(np.median(sizes)) / NORMAL_QUARTILE, EXACT)


def odd_rows(residuals: FloatArray, num_params: int) -> BoolArray:
    """Name the rows, [n], whose residual no normal noise of the other rows' scale makes: broken runs, wrong entries.

    Rows are left out of the scale while they are named (Rousseeuw & Leroy 1987, section 1.3). The bound is that of the
    largest of n deviates under Student's t (Bonferroni), so that one clean table in two hundred has any.
    """
    n, sizes = len(residuals), np.abs(residuals)
    scale, odd = robust_scale(residuals, num_params), np.zeros(n, dtype=np.bool_)
    for _ in range(SWEEPS):
        freedom = n - int(odd.sum()) - num_params
        found = np.asarray(sizes > t_two_sided(1 - ODD_ROWS / n, max(freedom, 1)) * scale)
        if np.array_equal(found, odd) or 2 * found.sum() > n - num_params:
            break
        odd = found
        scale = spread(residuals[~odd], num_params)
    return odd


def spread(residuals: FloatArray, num_params: int) -> float:
    """Give the standard deviation of residuals, [n], around a fit with so many parameters."""
    return max(float(np.sqrt(np.sum(residuals**2) / max(len(residuals) - num_params, 1))), EXACT)


def noise_trend(residuals: FloatArray, flops: FloatArray, num_params: int) -> float:
    """Give the power of compute, [n], with which the size of residuals, [n], changes; 0 where that is not seen.

    By maximum likelihood of Laplace's distribution with such a scale (Harvey 1976 for a normal one, which single rows
    would decide), shrunk towards zero by what its own error explains (James & Stein 1961).
    """
    x = np.log(flops) - np.log(flops).mean()
    squares = float(x @ x)
    if len(x) < TREND_ROWS or squares <= 0:
        return 0.0
    sizes = np.maximum(np.abs(residuals), TREND_FLOOR * robust_scale(residuals, num_params))
    slope = 0.0
    for _ in range(TREND_STEPS):  # Fisher's scoring of the slope, the scale being its own best at each
        relative = sizes * np.exp(-slope * x)
        relative = np.minimum(relative, TREND_CAP * np.median(relative))
        step = float(x @ (relative / relative.mean())) / squares
        slope += step
        if abs(step) < 1e-6:
            break
    error = LAPLACE_ERROR / np.sqrt(squares)
    return slope * max(0.0, 1.0 - TREND_DOUBT * error**2 / slope**2) if slope else 0.0


@dataclass(frozen=True)
class RowNoise:
    """The noise of each row around a fit.

    Attributes:
        scale: standard deviation of the log loss at the geometric mean of compute.
        trend: power of compute with which it changes.
        odd: rows that no such noise explains, [n].
        sd: standard deviation of each row, [n].
        centre: geometric mean of compute, FLOPs.
        largest: the largest compute of a row; the trend is not followed beyond it.
    """

    scale: float
    trend: float
    odd: BoolArray
    sd: FloatArray
    centre: float
    largest: float

    def at(self, flops: FloatArray) -> FloatArray:
        """Give the standard deviation of a new row of so much compute, [m]."""
        return np.asarray(self.scale * (np.minimum(flops, self.largest) / self.centre) ** self.trend)


def row_noise(residuals: FloatArray, flops: FloatArray, num_params: int) -> RowNoise:
    """Describe the noise of residuals, [n], of rows of so much compute, [n], around a fit."""
    trend, centre = noise_trend(residuals, flops, num_params), float(np.exp(np.log(flops).mean()))
    relative = (flops / centre) ** trend
    even = residuals / relative
    odd = odd_rows(even, num_params)
    scale = max(spread(even[~odd], num_params), robust_scale(even, num_params) / 2)
    return RowNoise(scale, trend, odd, np.asarray(scale * relative), centre, float(flops.max()))


@dataclass(frozen=True)
class SharedNoise:
    """What the rows of one run have in common.

    Attributes:
        share: variance that they share, over that of a row's own.
        freedom: degrees of freedom from which it is known.
    """

    share: float
    freedom: float


NOTHING_SHARED = SharedNoise(0.0, 1.0)


def shared_noise(even: FloatArray, own: FloatArray, clusters: IntArray, sure: bool) -> SharedNoise:
    """Measure it by moments: sums of squares over rows and over clusters, less what the fit has taken from both.

    Without the second part few clusters seem to share nothing, as the law bends to each of them (Searle, Casella &
    McCulloch 1992, section 5.2, method III of Henderson).

    Args:
        even: residuals over the standard deviation of each row, [n].
        own: the law's derivatives over the same, [n, P].
        clusters: number of each row's run, [n].
        sure: that rows of one cluster are of one run. Where they merely might be, it must be clear.
    """
    sizes = np.bincount(clusters)
    if int(sizes.max()) < 2 or len(sizes) <= own.shape[1] // 2 + 1:
        return NOTHING_SHARED
    basis = np.linalg.qr(own / np.maximum(np.linalg.norm(own, axis=0), 1e-300))[0]
    sums = np.stack([np.bincount(clusters, weights=column) for column in basis.T], axis=1)
    # Of diag(sizes) - sums sums', [clusters, clusters], which is never made: its trace, and that of its square.
    lengths, counts = np.sum(sums**2, axis=1), sizes.astype(np.float64)
    once = float(np.sum(counts - lengths))
    twice = float(np.sum(counts**2 - 2 * counts * lengths) + np.sum((sums.T @ sums) ** 2))
    rows = float(len(even) - basis.shape[1])
    by_row, by_cluster = float(even @ even), float(np.sum(np.bincount(clusters, weights=even) ** 2))
    denominator = rows * twice - once**2
    if rows <= 0 or denominator <= 0:
        return NOTHING_SHARED
    shared = (rows * by_cluster - once * by_row) / denominator
    single = (by_row - once * shared) / rows
    error = by_row / rows * np.sqrt(2 * rows / denominator)
    if shared <= 0 or single <= 0 or not (sure or shared > CLEAR * error):
        return NOTHING_SHARED
    return SharedNoise(shared / single, max(once**2 / twice, 1.0))


def without_shared(columns: FloatArray, clusters: IntArray, share: float) -> FloatArray:
    """Give columns, [n, k], whose rows have independent noise again where those of one cluster shared some: a part of
    each cluster's mean taken off (Fuller & Battese 1973)."""
    if not share:
        return columns
    sizes = np.bincount(clusters).astype(np.float64)
    means = np.stack([np.bincount(clusters, weights=column) / sizes for column in columns.T], axis=1)
    part = 1 - 1 / np.sqrt(1 + sizes * share)
    return np.asarray(columns - (part[:, None] * means)[clusters])


def linearise(
    surface: Surface, coords: FloatArray, weights: FloatArray, delta: float, clusters: IntArray | None = None
) -> Linearised:
    """Give the covariance of the coordinates, [P], of a fit under weights, [n].

    An M-estimator's covariance is E psi^2 / (E psi')^2 times the inverse of sum w g g' (Huber 1981, section 7.6). The
    moments are taken from the scale of the residuals under a Gaussian, not from the few rows within delta: those
    estimate a density at one point. Odd rows pull with a bounded force and tell nothing: they are left out of both
    sums, or one broken run would hide what the others say. Rows of one cluster, [n], share part of their noise
    (Moulton 1986).
    """
    w, P = weights / weights.mean(), len(coords)
    if not np.isfinite(coords).all():  # a parameter ran away beyond float64, and nothing is known of any
        return Linearised(np.full((P, P), np.nan), np.nan, max(len(w) - P, 1), np.inf)
    expansion = surface.expand(coords[None])
    kept = ~odd_rows(np.sqrt(w) * expansion.residuals[0], P)
    jacobian, residuals, w = expansion.jacobian[0][:, kept], expansion.residuals[0][kept], w[kept]
    freedom = max(int(kept.sum()) - P, 1)
    squares = float(np.sum(w * residuals**2))
    noise = float(np.sqrt(squares / freedom))
    inside, second = huber_moments(noise, delta)
    if second > 0:
        # P (variance factor - 1) is what the squares of a robust fit exceed those of least squares by, in noise^2.
        excess = P * (second / inside**2 / noise**2 - 1)
        noise = float(np.sqrt(squares / (freedom + excess)))
        inside, second = huber_moments(noise, delta)
    pull = jacobian * w
    information, spread_of_pull = pull @ jacobian.T, pull @ pull.T
    if clusters is not None:
        shared = shared_correlation(residuals, clusters[kept])
        together = np.stack([np.bincount(clusters[kept], weights=row) for row in pull])
        spread_of_pull = spread_of_pull + shared * (together @ together.T - spread_of_pull)
    scale = 1 / np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information * np.outer(scale, scale)
    eigenvalues = np.linalg.eigvalsh(scaled)
    condition = float(eigenvalues[-1] / max(eigenvalues[0], 1e-300))
    inverse = np.linalg.pinv(scaled, hermitian=True, rcond=1e-14) * np.outer(scale, scale)
    return Linearised(second / inside**2 * inverse @ spread_of_pull @ inverse, noise, freedom, condition)
