"""A run small enough to train many times; its corpus is the fixture `corpus_folder`."""

from pathlib import Path

from scaling.model.config import ModelConfig
from scaling.specs import Optimizer, RunSpec, Schedule
from scaling.training.config import Job, Runtime
from scaling.values import write_json

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
BATCH = 128


def make_spec(
    *, steps: tuple[int, ...] = (20, 30, 45), kind: str = "wsd", optimizer: str = "adamw", **model: object
) -> RunSpec:
    options = {"rope_base": 30.0, "qk_norm": True, "mup_base_width": 16, **model}
    return RunSpec(
        size="tiny",
        model=ModelConfig(
            num_layers=1,
            d_model=16,
            num_heads=2,
            vocab_size=256,
            context=32,
            d_ff=32,
            **options,  # type: ignore[arg-type]
        ),
        optimizer=Optimizer(
            kind=optimizer,  # type: ignore[arg-type]
            batch_tokens=BATCH,
            matrix_lr=0.01,
            embedding_lr=0.01,
            vector_lr=0.01,
            beta1=0.9,
            beta2=0.99,
            epsilon=1e-10,
            weight_decay=0.1,
            grad_clip=1.0,
        ),
        schedule=Schedule(kind=kind, warmup_steps=3),  # type: ignore[arg-type]
        corpus="words",
        unique_tokens=None,
        init_seed=0,
        data_seed=0,
        budgets=tuple(BATCH * n for n in steps),
    )


def make_run(root: Path, spec: RunSpec, corpus_folder: Path, **runtime: object) -> tuple[Job, Path]:
    """A run's folder with its job in it."""
    settings = {"device": "cpu", "log_every_steps": 4, "tensorboard": False, **runtime}
    job = Job(spec, Runtime(**settings), str(corpus_folder))  # type: ignore[arg-type]
    folder = root / spec.id
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "job.json", job)
    return job, folder
