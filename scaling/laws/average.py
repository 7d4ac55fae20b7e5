"""The average over candidates: losses, and the best N and D of a budget, with what is not known of each.

To first order each quantity of each candidate is a sum over the rows' log losses. So the average has one variance from
the noise of the rows, which its candidates share, and a second from the forms: their spread beyond what that same
noise makes of it (Burnham & Anderson 2002, section 4.3, without counting the noise twice).

Legend: K members, n rows, m points.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scaling.laws.candidates import Candidate
from scaling.laws.distributions import t_two_sided
from scaling.laws.misfit import Misfit
from scaling.laws.noise import NOTHING_SHARED, RowNoise, SharedNoise, row_noise, shared_noise
from scaling.laws.observations import BoolArray, FloatArray, IntArray, Observations, Points, points, value_groups

NUM_PARAMS = 5  # that the rows are taken to have spent, of whichever form
GRID = 1201  # values of N among which the best is looked for
EXPONENT_STEP = 0.1  # of log C, on either side
BESIDE = 1e-2  # in log N: for slopes and curvatures along a budget
TAILS, NARROWER = 3.0, 0.7  # of a form's error: chosen on public tables, as docs/laws.md tells
BENT = 0.9  # belief in a misfit from which residuals that sizes share are taken for it
BEND_SHARE = 0.5  # of what the fitted bend does to N*, that counts as one standard deviation
WIDE = 6.0  # e-folds beyond the sizes, grown with the budget, within which the best N is looked for


@dataclass(frozen=True)
class Member:
    """A candidate with its weight in the average and its errors on the rows above each cut."""

    candidate: Candidate
    weight: float
    inner_errors: tuple[float, ...]


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
class _BestParams:
    """Log N* of each member, [K], what each row does to it, [K, all rows], and what the bend adds to it."""

    members: FloatArray
    influences: FloatArray
    bend: float


@dataclass(frozen=True)
class Average:
    """Candidates with weights.

    Attributes:
        members: heaviest first.
        cuts: names of the cuts on whose later rows the members were scored.
        rows: those that were fitted, [n].
        index: where those stand among all rows that the candidates know.
        misfit: what their residuals say of Chinchilla's form.
        everything: all rows that the candidates know, [N].
        odd: which of them no candidate was fitted to, [N].
    """

    members: tuple[Member, ...]
    cuts: tuple[str, ...]
    rows: Observations
    index: IntArray
    misfit: Misfit
    everything: Observations
    odd: BoolArray

    @property
    def weights(self) -> FloatArray:
        """Of each member, [K], adding up to one."""
        return np.array([member.weight for member in self.members])

    @cached_property
    def residuals(self) -> FloatArray:
        """Log of the measured loss minus log of the average, of the fitted rows, [n]."""
        return np.asarray(self.weights @ np.array([m.candidate.residuals[self.index] for m in self.members]))

    @cached_property
    def noise(self) -> RowNoise:
        """Of the fitted rows around the average."""
        return row_noise(self.residuals, self.rows.flops, NUM_PARAMS)

    @cached_property
    def shared(self) -> SharedNoise:
        """What rows of one run, or of one size where no run is named, have in common."""
        kept = ~self.noise.odd
        bends = not self.runs_are_named and self.misfit.belief > BENT  # and that is what rows of a size would share
        if self.misfit.tangent is None or bends:
            return NOTHING_SHARED
        own = self.misfit.tangent.columns(self.rows)[0][kept] / self.noise.sd[kept, None]
        return shared_noise(self.residuals[kept] / self.noise.sd[kept], own, self.clusters[kept], self.runs_are_named)

    @property
    def runs_are_named(self) -> bool:
        """Whether any two rows are said to be of one run."""
        return len(np.unique(self.rows.trajectory)) < len(self.rows)

    @cached_property
    def clusters(self) -> IntArray:
        """Number of each row's run, or of its size, [n]."""
        if self.runs_are_named:
            return self.rows.trajectory_index()
        numbers = np.empty(len(self.rows), dtype=np.int64)
        for number, rows in enumerate(value_groups(self.rows.params)):
            numbers[rows] = number
        return numbers

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the noise."""
        return max(int(np.sum(~self.noise.odd)) - NUM_PARAMS, 1)

    def half_width(self, moments: "Moments", level: float) -> FloatArray:
        """Give half of an interval of this level, [m], of a quantity that is to be widened by nothing else.

        Where the form errs, so does what is known of its error: the more it is believed to, the heavier are the tails,
        down to those of `TAILS` degrees of freedom.
        """
        belief, freedom = self.misfit.belief, self.freedom_of(moments)
        quantile = np.array([t_two_sided(level, min(TAILS / belief, one)) for one in freedom])
        return np.asarray(quantile * (1 - belief + NARROWER * belief) * np.sqrt(moments.variance))

    def freedom_of(self, moments: "Moments") -> FloatArray:
        """Give the degrees of freedom of a variance that is partly known from few runs, [m] (Satterthwaite 1946)."""
        total, shared = moments.variance, moments.shared
        with np.errstate(invalid="ignore", divide="ignore"):
            found = total**2 / (shared**2 / self.shared.freedom + (total - shared) ** 2 / self.freedom)
        return np.where(np.isfinite(found), np.minimum(found, self.freedom), self.freedom)

    def log_losses(self, at: Points | Observations) -> FloatArray:
        """Give the log of each member's loss, [K, m]."""
        return np.array([member.candidate.log_loss(at) for member in self.members])

    def predict(self, at: Points | Observations) -> FloatArray:
        """Give the loss, [m]: the weighted geometric mean over the members."""
        return np.asarray(np.exp(self.weights @ self.log_losses(at)))

    def log_loss(self, at: Points | Observations) -> Moments:
        """Give the log of the mean loss at m points: what many new runs there would average."""
        influences = np.array([member.candidate.influence(at) for member in self.members])
        return self._moments(self.log_losses(at), influences)

    def _moments(self, values: FloatArray, influences: FloatArray) -> Moments:
        """Combine values, [K, m], that depend on the rows' log losses by influences, [K, m, all rows]."""
        w = self.weights
        mean = w @ values
        together = np.einsum("k,kmn->mn", w, influences)
        noise, shared = self._variance(together)
        apart = np.array([sum(self._variance(one - together)) for one in influences])
        forms = np.maximum(w @ ((values - mean) ** 2 - (1 - self.misfit.belief) * apart), 0.0)
        return Moments(mean, noise, shared, forms)

    def _variance(self, influence: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Of a sum over rows, [m, all rows]: by the noise of each, and by what those of one run share, each [m]."""
        pulled = influence[:, self.index] * self.noise.sd
        by_rows = np.sum(pulled**2, axis=1)
        if not self.shared.share:
            return by_rows / (1 + self.shared.share), np.zeros(len(pulled))
        sums = np.stack([np.bincount(self.clusters, weights=one) for one in pulled])
        own = 1 / (1 + self.shared.share)
        return own * by_rows, (1 - own) * np.sum(sums**2, axis=1)

    def best_params(self, flops: float) -> Moments | None:
        """Give log N* for a budget (6 N D = flops), one point; None where the loss has no minimum along it.

        N* is where the average is lowest. A member draws it towards its own by its slope there over the curvature of
        the average, so that a member which hardly knows its best N moves it little. Where the residuals bend, what
        the bend would do to N*, continued to this budget, counts among the differences between forms.
        """
        found = self._best(flops)
        if found is None:
            return None
        return self._with_bend(self._moments(found.members[:, None], found.influences[:, None]), found.bend)

    def exponent(self, flops: float) -> Moments | None:
        """Give the power of C with which N* grows at a budget, one point; None where it has none."""
        below, above = (self._best(flops * np.exp(step)) for step in (-EXPONENT_STEP, EXPONENT_STEP))
        if below is None or above is None:
            return None
        width = 2 * EXPONENT_STEP
        members = (above.members - below.members) / width
        influences = (above.influences - below.influences) / width
        found = self._moments(members[:, None], influences[:, None])
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

        def moved(slopes: FloatArray) -> FloatArray:
            return np.asarray((slopes[..., 0] - slopes[..., 2]) / (2 * BESIDE) / curvature)

        influences = np.array([member.candidate.influence(at) for member in self.members])
        return _BestParams(
            members=log_n + moved(values),
            influences=moved(np.moveaxis(influences, 1, -1)),
            bend=float(moved(self.misfit.bend(at))),
        )

    def by_form(self, flops: float) -> dict[str, float]:
        """Give N* by each form alone, its ways weighted as they are; forms without a minimum are left out."""
        found = {}
        for law in dict.fromkeys(member.candidate.way.law for member in self.members):
            weights = np.array([m.weight if m.candidate.way.law is law else 0.0 for m in self.members])
            log_n = self.lowest(flops, weights / weights.sum())
            if log_n is not None:
                found[law.name] = float(np.exp(log_n))
        return found

    def lowest(self, flops: float, members: FloatArray | None = None) -> float | None:
        """Give the log N at which the average, or one of other weights, [K], is lowest along a budget, or None."""
        N = self.rows.params
        growth = max(float(np.log(flops / np.max(6 * N * self.rows.tokens))), 0.0)
        log_n = np.linspace(np.log(N.min()) - WIDE, np.log(N.max()) + WIDE + growth, GRID)
        along = points(np.exp(log_n), flops / 6 / np.exp(log_n))
        loss = (self.weights if members is None else members) @ self.log_losses(along)
        loss = np.where(np.isfinite(loss), loss, np.inf)
        at = int(np.argmin(loss))
        if not 0 < at < GRID - 1 or not np.isfinite(loss[at - 1 : at + 2]).all():
            return None
        left, middle, right = loss[at - 1 : at + 2]
        bend = left - 2 * middle + right
        return float(log_n[at] + (0.5 * (left - right) / bend if bend > 0 else 0.0) * (log_n[1] - log_n[0]))
