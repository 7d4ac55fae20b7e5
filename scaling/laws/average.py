"""The average over candidates: losses, and the best N and D of a budget, with what is not known of each.

To first order each quantity of each candidate is a sum over the rows' log losses. So the average has one variance from
the noise of the rows, which its candidates share, and a second from the forms: their spread beyond what that same
noise makes of it (Burnham & Anderson 2002, section 4.3, without counting the noise twice). All that is kept of the rows
is the covariance of the candidates' parameters, so that an average can be stored and asked again.

Legend: K members, Q parameters of them all, m points.
"""

from dataclasses import dataclass, replace

import numpy as np

from scaling.laws.candidates import Way, relative_sizes
from scaling.laws.distributions import t_two_sided
from scaling.laws.misfit import Misfit
from scaling.laws.observations import FloatArray, Observations, Points, points

GRID = 1201  # values of N among which the best is looked for
EXPONENT_STEP = 0.1  # of log C, on either side
BESIDE = 1e-2  # in log N: for slopes and curvatures along a budget
TAILS, NARROWER = 3.0, 0.7  # of a form's error: chosen on public tables, as docs/laws.md tells
BEND_SHARE = 0.5  # of what the fitted bend does to N*, that counts as one standard deviation
BAND_REACH = 3.0  # e-folds of N on either side of the best
WIDE = 6.0  # e-folds beyond the sizes, grown with the budget, within which the best N is looked for


@dataclass(frozen=True)
class Member:
    """A candidate of the average.

    Attributes:
        way: form and weighting of the rows.
        theta: parameters in raw units, [P].
        weight: in the average.
        inner_errors: mean absolute relative error on the rows above each cut, of the fit to those below.
    """

    way: Way
    theta: FloatArray
    weight: float
    inner_errors: tuple[float, ...]

    def log_loss(self, at: Points | Observations) -> FloatArray:
        """Give the log of the loss, [m]."""
        with np.errstate(all="ignore"):
            return np.asarray(np.log(self.way.law.predict(self.theta, at)))

    def slopes(self, at: Points | Observations) -> FloatArray:
        """Give the derivative of the log loss by each parameter over its own size, [m, P]."""
        with np.errstate(all="ignore"):
            gradient = self.way.law.gradient(self.theta, at) * relative_sizes(self.theta)[:, None]
            return np.nan_to_num((gradient / self.way.law.predict(self.theta, at)).T, posinf=0.0, neginf=0.0)


@dataclass(frozen=True)
class Reach:
    """What the rows reach: N from `params_low` to `params_high`, noise and 6 N D up to `flops`."""

    params_low: float
    params_high: float
    flops: float


@dataclass(frozen=True)
class NewRun:
    """The noise of a run not yet made.

    Attributes:
        relative_sd: standard deviation of its log loss at the geometric mean of the rows' compute.
        trend: power of compute with which it changes, up to the largest compute of a row.
        centre: that geometric mean, FLOPs.
        largest: that largest compute, FLOPs.
    """

    relative_sd: float
    trend: float
    centre: float
    largest: float

    def at(self, flops: FloatArray) -> FloatArray:
        """Give the standard deviation at so much compute, [m]."""
        return np.asarray(self.relative_sd * (np.minimum(flops, self.largest) / self.centre) ** self.trend)


@dataclass(frozen=True)
class Moments:
    """A quantity at m points, each [m].

    Attributes:
        mean: of the members.
        noise: variance by each row's own noise.
        shared: variance by the noise that rows of one run share.
        forms: variance between the forms.
    """

    mean: FloatArray
    noise: FloatArray
    shared: FloatArray
    forms: FloatArray

    @property
    def variance(self) -> FloatArray:
        """Of the quantity, [m]."""
        return self.noise + self.shared + self.forms


@dataclass(frozen=True)
class Average:
    """Candidates with weights.

    Attributes:
        members: heaviest first.
        cuts: names of the cuts on whose later rows the members were scored.
        misfit: what the residuals say of Chinchilla's form.
        own: covariance of the members' parameters, each over its own size, by each row's own noise, [Q, Q].
        shared: the same by the noise that rows of one run share, [Q, Q].
        share: variance that rows of one run share, over that of a row's own.
        freedom: degrees of freedom of the noise.
        shared_freedom: those of what is shared.
        new_run: the noise of a run not yet made.
        reach: of the rows.
    """

    members: tuple[Member, ...]
    cuts: tuple[str, ...]
    misfit: Misfit
    own: FloatArray
    shared: FloatArray
    share: float
    freedom: float
    shared_freedom: float
    new_run: NewRun
    reach: Reach

    @property
    def weights(self) -> FloatArray:
        """Of each member, [K], adding up to one."""
        return np.array([member.weight for member in self.members])

    def half_width(self, moments: Moments, level: float) -> FloatArray:
        """Give half of an interval of this level, [m], of a quantity that is to be widened by nothing else.

        Where the form errs, so does what is known of its error: the more it is believed to, the heavier are the tails,
        down to those of `TAILS` degrees of freedom.
        """
        belief = self.misfit.belief
        quantile = np.array([t_two_sided(level, min(TAILS / belief, one)) for one in self._freedom_of(moments)])
        return np.asarray(quantile * (1 - belief + NARROWER * belief) * np.sqrt(moments.variance))

    def _freedom_of(self, moments: Moments) -> FloatArray:
        """The degrees of freedom of a variance that is partly known from few runs, [m] (Satterthwaite 1946)."""
        total, shared = moments.variance, moments.shared
        with np.errstate(invalid="ignore", divide="ignore"):
            found = total**2 / (shared**2 / self.shared_freedom + (total - shared) ** 2 / self.freedom)
        return np.where(np.isfinite(found), np.minimum(found, self.freedom), self.freedom)

    def log_losses(self, at: Points | Observations) -> FloatArray:
        """Give the log of each member's loss, [K, m]."""
        return np.array([member.log_loss(at) for member in self.members])

    def predict(self, at: Points | Observations) -> FloatArray:
        """Give the loss, [m]: the weighted geometric mean over the members."""
        return np.asarray(np.exp(self.weights @ self.log_losses(at)))

    def log_loss(self, at: Points | Observations, new_run: bool = False) -> Moments:
        """Give the log loss at m points: the mean of many new runs there, or one of them."""
        found = self._moments(self.log_losses(at), [member.slopes(at) for member in self.members])
        if not new_run:
            return found
        return replace(found, noise=found.noise + self.new_run.at(6 * at.params * at.tokens) ** 2)

    def covariance(self, at: Points | Observations) -> FloatArray:
        """Give the covariance of the mean log losses at m points, [m, m]; what the forms differ by is taken as shared
        by all."""
        slopes = [weight * member.slopes(at) for weight, member in zip(self.weights, self.members, strict=True)]
        together = np.concatenate(slopes, axis=1)
        forms = np.sqrt(self.log_loss(at).forms)
        return np.asarray(together @ (self.own + self.shared) @ together.T + np.outer(forms, forms))

    def _moments(self, values: FloatArray, slopes: list[FloatArray]) -> Moments:
        """Combine values, [K, m], whose derivatives by their own member's parameters are slopes, K of [m, P]."""
        w = self.weights
        mean = w @ values
        together = np.concatenate([weight * one for weight, one in zip(w, slopes, strict=True)], axis=1)
        matrices = (self.own, self.shared) if self.share else (self.own,)
        parts = [together @ matrix for matrix in matrices]
        noise, *rest = [np.maximum(_row_products(part, together), 0.0) for part in parts]
        shared = rest[0] if rest else np.zeros(len(together))
        apart, at = [], 0
        for one in slopes:  # the variance of a member less the mean, of which most is the same for all
            own = slice(at, at + one.shape[1])
            its = [_row_products(one @ matrix[own, own], one) for matrix in matrices]
            crossed = [_row_products(part[:, own], one) for part in parts]
            apart.append(np.maximum(noise + shared + np.sum(its, axis=0) - 2 * np.sum(crossed, axis=0), 0.0))
            at += one.shape[1]
        forms = np.maximum(w @ ((values - mean) ** 2 - (1 - self.misfit.belief) * np.array(apart)), 0.0)
        return Moments(mean, noise, shared, forms)

    def best_params(self, flops: float) -> Moments | None:
        """Give log N* for a budget (6 N D = flops), one point; None where the loss has no minimum along it.

        N* is where the average is lowest. A member draws it towards its own by its slope there over the curvature of
        the average, so that a member which hardly knows its best N moves it little. Where the residuals bend, what
        the bend would do to N*, continued to this budget, counts among the differences between forms.
        """
        found = self._best(flops)
        if found is None:
            return None
        return self._with_bend(self._moments(found.members[:, None], found.slopes), found.bend)

    def exponent(self, flops: float) -> Moments | None:
        """Give the power of C with which N* grows at a budget, one point; None where it has none."""
        below, above = (self._best(flops * float(np.exp(step))) for step in (-EXPONENT_STEP, EXPONENT_STEP))
        if below is None or above is None:
            return None
        width = 2 * EXPONENT_STEP
        slopes = [(after - before) / width for before, after in zip(below.slopes, above.slopes, strict=True)]
        found = self._moments((above.members - below.members)[:, None] / width, slopes)
        return self._with_bend(found, (above.bend - below.bend) / width)

    def _with_bend(self, found: Moments, bend: float) -> Moments:
        return replace(found, forms=found.forms + (BEND_SHARE * self.misfit.belief * bend) ** 2)

    def _best(self, flops: float) -> "_BestParams | None":
        log_n = self.lowest(flops)
        if log_n is None:
            return None
        beside = log_n + BESIDE * np.array([-1.0, 0.0, 1.0])
        at = points(np.exp(beside), flops / 6 / np.exp(beside))
        values = self.log_losses(at)
        curvature = float(self.weights @ (values[:, 0] - 2 * values[:, 1] + values[:, 2])) / BESIDE**2
        if not curvature > 0:
            return None

        def moved(three: FloatArray) -> FloatArray:
            return np.asarray((three[..., 0] - three[..., 2]) / (2 * BESIDE) / curvature)

        return _BestParams(
            members=log_n + moved(values),
            slopes=[moved(member.slopes(at).T)[None] for member in self.members],
            bend=float(moved(self.misfit.bend(at))),
        )

    def band(self, flops: float, share: float) -> tuple[float, float] | None:
        """Give the least and the largest N whose loss at a budget is that of the best N at (1 - share) times it."""
        best, allowed = self.lowest(flops), self.lowest(flops * (1 - share))
        if best is None or allowed is None:
            return None
        at = best + np.linspace(-BAND_REACH, BAND_REACH, GRID)
        losses = self.predict(points(np.exp(at), flops / 6 / np.exp(at)))
        limit = self.predict(points(np.exp(allowed), flops * (1 - share) / 6 / np.exp(allowed)))[0]
        middle = int(np.argmin(losses))
        inside = losses <= limit
        outside_below, outside_above = np.flatnonzero(~inside[:middle]), np.flatnonzero(~inside[middle:])
        low = int(outside_below[-1]) + 1 if len(outside_below) else 0
        high = middle + int(outside_above[0]) - 1 if len(outside_above) else GRID - 1
        return float(np.exp(at[low])), float(np.exp(at[high]))

    def by_form(self, flops: float) -> dict[str, float]:
        """Give N* by each form alone, its ways weighted as they are; forms without a minimum are left out."""
        found = {}
        for law in dict.fromkeys(member.way.law for member in self.members):
            weights = np.array([m.weight if m.way.law is law else 0.0 for m in self.members])
            log_n = self.lowest(flops, weights / weights.sum())
            if log_n is not None:
                found[law.name] = float(np.exp(log_n))
        return found

    def lowest(self, flops: float, members: FloatArray | None = None) -> float | None:
        """Give the log N at which the average, or one of other weights, [K], is lowest along a budget, or None."""
        growth = max(float(np.log(flops / self.reach.flops)), 0.0)
        log_n = np.linspace(np.log(self.reach.params_low) - WIDE, np.log(self.reach.params_high) + WIDE + growth, GRID)
        along = points(np.exp(log_n), flops / 6 / np.exp(log_n))
        loss = (self.weights if members is None else members) @ self.log_losses(along)
        loss = np.where(np.isfinite(loss), loss, np.inf)
        at = int(np.argmin(loss))
        if not 0 < at < GRID - 1 or not np.isfinite(loss[at - 1 : at + 2]).all():
            return None
        left, middle, right = loss[at - 1 : at + 2]
        bend = left - 2 * middle + right
        return float(log_n[at] + (0.5 * (left - right) / bend if bend > 0 else 0.0) * (log_n[1] - log_n[0]))


def _row_products(first: FloatArray, second: FloatArray) -> FloatArray:
    """Give the scalar product of each row of one with the same of the other, [m]."""
    return np.asarray(np.einsum("mq,mq->m", first, second))


@dataclass(frozen=True)
class _BestParams:
    """Log N* of each member, [K], its slopes by that member's parameters, K of [1, P], and what the bend adds to it."""

    members: FloatArray
    slopes: list[FloatArray]
    bend: float
