"""The reference of keys is the schema's own, whole, and the page is as it is made."""

from pathlib import Path

import pytest

from scaling.command import help_on
from scaling.config import StudyConfig
from scaling.keys import key_paths
from scaling.meanings import MEANINGS
from scaling.reference import GROUPS, keys_of, page

ROOT = Path(__file__).parents[1]


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    found = [key for group in GROUPS for key in keys_of(group)]
    assert all(key.meaning for key in found), [key.path for key in found if not key.meaning]
    assert {key.path for key in found} == set(MEANINGS)
    listed = {key.path.replace("[]", "") for key in found}
    leaves = {path for path in key_paths(StudyConfig) if path.partition(".")[0] in GROUPS}
    inner = {path for path in leaves if any(other.startswith(f"{path}.") for other in leaves)}
    assert {path for path in leaves - inner if "validation_sets.source" not in path} <= listed


def test_the_page_is_what_the_schema_says() -> None:
    assert (ROOT / "docs/keys.md").read_text() == page(), "make it again: python -m scaling.reference > docs/keys.md"


@pytest.mark.parametrize("group", GROUPS)
def test_help_on_a_group_lists_its_keys_with_defaults(group: str) -> None:
    text = help_on(group)
    assert all(f"  {key.path} = {key.default}\n" in text for key in keys_of(group))


def test_help_on_what_is_no_group_names_the_nearest() -> None:
    assert "did you mean grid?" in help_on("gird")
