"""How a table is to be read, beyond what it says itself: the keys that `fit`, `recommend` and `compare` share."""

from dataclasses import dataclass, fields
from typing import Literal

from scaling.tables.units import Unit, count_unit, loss_unit

Duplicates = Literal["best", "mean", "refuse"]
UNIT = "_unit"


@dataclass(frozen=True)
class Columns:
    """What a table calls each column, null where its name says it, and the unit of a column whose name does not."""

    params: str | None = None
    tokens: str | None = None
    loss: str | None = None
    flops: str | None = None
    budget: str | None = None
    unique_tokens: str | None = None
    epochs: str | None = None
    loss_sem: str | None = None
    run: str | None = None
    params_unit: str | float | None = None
    tokens_unit: str | float | None = None
    flops_unit: str | float | None = None
    budget_unit: str | float | None = None
    unique_tokens_unit: str | float | None = None

    def __post_init__(self) -> None:
        for field, text in self._units():
            if count_unit(text) is None and _number(text) is None:
                raise ValueError(
                    f"columns.{field}{UNIT} is {text!r}; give what one stands for, such as 1e6, M, B, PFLOPs, log10, "
                    "or 1 for numbers as they are"
                )

    def _units(self) -> list[tuple[str, str]]:
        names = [f.name for f in fields(self) if f.name.endswith(UNIT)]
        return [
            (name.removesuffix(UNIT), str(getattr(self, name))) for name in names if getattr(self, name) is not None
        ]

    @property
    def renamed(self) -> dict[str, str]:
        """The file's name of each field that the user names."""
        return {name: value for name, value in vars(self).items() if value is not None and not name.endswith(UNIT)}

    @property
    def units(self) -> dict[str, Unit]:
        """Of the fields whose unit the user says."""
        found = {}
        for field, text in self._units():
            number = _number(text)
            found[field] = Unit(text, number) if number is not None else count_unit(text) or Unit(text)
        return found


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """
    columns     what the table calls its columns, and their units
    loss_unit   null: as the loss' column says, else nats; or nats, bits, perplexity, or what one of its loss is in nats
    decimal     null: as the cells show; or what stands before decimals, "." or ","
    where       null; or which rows are read, such as "split=val and step>1000" (=, !=, <, <=, >, >=)
    ignore      columns whose meaning is not to be read: a tokenizer, a learning rate, a step, a state ...
    duplicates  null: of rows with equal N and D that differ in their recipe the best, of seeds all; or best, mean,
                refuse for all such rows
    """

    columns: Columns
    loss_unit: str | float | None = None
    decimal: str | None = None
    where: str | None = None
    ignore: tuple[str, ...] = ()
    duplicates: Duplicates | None = None

    def check_reading(self) -> None:
        """Raises ValueError; for the `__post_init__` of those who share these keys."""
        if self.loss_unit is not None and self.loss_factor is None and loss_unit(str(self.loss_unit)) is None:
            raise ValueError(
                f"loss_unit is {self.loss_unit!r}; it must be nats, bits, perplexity, or a number: what one of the "
                "table's loss is in nats, such as 0.25 for losses summed over four steps, or -1 for log-likelihoods"
            )
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"decimal is {self.decimal!r}; it must be '.' or ','")

    @property
    def loss_factor(self) -> float | None:
        """`loss_unit` where it is a number."""
        try:
            return None if self.loss_unit is None else float(self.loss_unit)
        except ValueError:
            return None
