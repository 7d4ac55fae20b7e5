"""The ledger: predict the held-out points before they are trained, score them after."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from scaling.analysis.observations import Convention, points_at
from scaling.laws.intervals import Prediction, predict_interval
from scaling.records import RunRecord
from scaling.results import FittedLaw
from scaling.specs import Plan
from scaling.store import Forecast, data_hash


def predict(
    surface: FittedLaw,
    plan: Plan,
    cells: Sequence[tuple[str, int]],
    convention: Convention,
    level: float,
) -> Prediction | None:
    """Losses of (run id, tokens) cells with the interval of a new measurement; None where the fit may not be used."""
    if not surface.fit.usable or not cells:
        return None
    at = points_at(plan, cells, convention)
    return predict_interval(surface.fit, surface.observations, at, surface.bootstrap, level=level)


def new_forecasts(
    prediction: Prediction | None,
    plan: Plan,
    cells: Sequence[tuple[str, int]],
    fitted_records: Sequence[RunRecord],
    law: str,
) -> list[Forecast]:
    """Ledger entries for the predicted cells, with the hash of the rows that they come from."""
    if prediction is None:
        return []
    source = data_hash((r.run_id, r.tokens, r.final_loss_nats or 0.0) for r in fitted_records)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return [
        Forecast(
            run_id=run_id,
            size=plan.by_id[run_id].size,
            tokens=tokens,
            law=law,
            predicted=float(prediction.loss[i]),
            low=float(prediction.low[i]),
            high=float(prediction.high[i]),
            level=prediction.level,
            method=prediction.method,
            data_hash=source,
            made_at=made_at,
        )
        for i, (run_id, tokens) in enumerate(cells)
    ]


def score(forecasts: Sequence[Forecast], records: Sequence[RunRecord]) -> list[Forecast]:
    """Write each measured loss beside its prediction."""
    losses = {(r.run_id, r.budget_tokens): r.final_loss_nats for r in records}
    return [replace(f, measured=losses.get((f.run_id, f.tokens), f.measured)) for f in forecasts]
