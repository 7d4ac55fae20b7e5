"""The ledger: predict the held-out points before they are trained, score them after."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from scaling.laws.intervals import Prediction
from scaling.records import RunRecord
from scaling.specs import Plan
from scaling.store import Forecast, data_hash


def new_forecasts(
    prediction: Prediction,
    plan: Plan,
    cells: Sequence[tuple[str, int]],
    fitted_records: Sequence[RunRecord],
    law: str,
) -> list[Forecast]:
    """Ledger entries for the predicted (run id, tokens) cells, with the hash of the rows that they come from."""
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
