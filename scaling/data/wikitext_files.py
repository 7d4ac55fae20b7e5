"""WikiText as its authors zip it: wiki.train.raw or wiki.train.tokens and so on, in one folder."""

from collections.abc import Iterator
from pathlib import Path

from scaling.data.config import DataError

NAMES = {"train": "train", "validation": "valid", "test": "test"}
FORMS = ("wiki.{}.raw", "wiki.{}.tokens", "{}.txt")  # the last as in pytorch/examples


def wikitext_files(folder: Path) -> dict[str, Path]:
    """The file of each split; empty where the folder, and those in it, hold none.

    Raises DataError where there are several WikiTexts.
    """
    found = []
    for place in (folder, *sorted(each for each in folder.iterdir() if each.is_dir())):
        for form in FORMS:
            files = {split: place / form.format(name) for split, name in NAMES.items()}
            files = {split: file for split, file in files.items() if file.is_file()}
            if "train" in files and len(files) > 1:
                found.append(files)
    if len(found) > 1:
        names = ", ".join(str(files["train"]) for files in found)
        raise DataError(f"data.source.path={str(folder)!r} holds {names}: name the folder of one of them alone.")
    return found[0] if found else {}


def lines_of(files: dict[str, Path], split: str) -> Iterator[str]:
    """The lines of a split. Raises DataError where there is no file of it."""
    if split not in files:
        raise DataError(
            f"There is no file of the split {split!r} beside {files['train']}: unpack all of the archive, or name "
            "another split."
        )
    with files[split].open(encoding="utf-8", errors="replace", newline="\n") as file:
        yield from file
