"""The page of a table whose groups have a law each."""

from collections.abc import Sequence
from pathlib import PurePath

from scaling.report.document import Block, Document, Paragraph, Section, Table
from scaling.report.numbers import MISSING, amount, nats, scientific, significant
from scaling.report.tables import number_columns, text_columns
from scaling.results import GroupLaw


def groups_content(source: str, column: str, flops: float, laws: Sequence[GroupLaw], command: str) -> Document:
    blocks: list[Block] = [Paragraph(comparison_words(column, flops, laws)), groups_table(column, flops, laws)]
    refused = [law for law in laws if law.message]
    if refused:
        rows = tuple((law.value, law.message) for law in refused)
        blocks.append(Table("refused", "Groups without a law", "And why.", text_columns(column, "Why"), rows))
    return Document(
        title=PurePath(source).name,
        question=f"What do its losses say, a law for each {column}?",
        sections=(Section("answer", "Answer", tuple(blocks)), Section("command", "Command", (Paragraph(command),))),
        kicker="Scaling laws of a table of losses",
    )


def comparison_words(column: str, flops: float, laws: Sequence[GroupLaw]) -> str:
    """Which is best, where that can be said at all."""
    ranked = sorted((law.best_bits_per_byte, law.value) for law in laws if law.best_bits_per_byte is not None)
    if len(ranked) < 2:
        return (
            f"Each {column} has a law of its own, in nats for each of its own tokens: losses of different ones are not "
            "compared. With a column bytes_per_token they are, in bits/byte."
        )
    (best, name), (second, other) = ranked[:2]
    return (
        f"At its best N and D for {scientific(flops)} FLOPs (6 N D), the most that all groups were fitted at, "
        f"{column} {name} has {best:.4f} bits/byte, and {other} {second:.4f}. The tables of each group say how sure "
        "that is."
    )


def groups_table(column: str, flops: float, laws: Sequence[GroupLaw]) -> Table:
    return Table(
        "groups",
        f"A law for each {column}",
        "L(N, D) of the rows of each alone, in nats per token of its own. Best: by the law, for "
        f"{scientific(flops)} FLOPs (6 N D). Each has its report in the folder of that name.",
        (
            *text_columns(column, "Folder", "Status"),
            *number_columns("Rows", "E", "α", "β", "Best N", "Best D", "Best loss", "Bytes/token", "Bits/byte"),
        ),
        tuple(_row(law) for law in laws),
    )


def _row(law: GroupLaw) -> tuple[str, ...]:
    numbers: tuple[str, ...] = (MISSING,) * 6
    if law.parameters is not None:
        numbers = (
            nats(law.parameters["E"]), *(significant(law.parameters[n]) for n in ("alpha", "beta")),
            amount(law.best_params), amount(law.best_tokens), nats(law.best_loss),
        )  # fmt: skip
    return (
        law.value, law.folder or MISSING, law.status.replace("_", " "), str(law.num_points), *numbers,
        significant(law.bytes_per_token), nats(law.best_bits_per_byte),
    )  # fmt: skip
