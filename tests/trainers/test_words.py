"""What a trainer's words mean: arithmetic in braces, places of numbers, private copies of files."""

import json
from pathlib import Path

import pytest

from scaling.trainers.expressions import ExpressionError, fill, names_in
from scaling.trainers.files import FileMismatch, content_of
from scaling.trainers.names import environment
from scaling.trainers.places import PlaceError, Reading, check_place, clean_lines, number, read_place
from scaling.trainers.program import FileOptions

NAMES = {"size": {"depth": 4}, "recipe": {"rate": 0.5}, "steps": 100, "tokens": 4096, "peak_lr": 0.25}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("--n={12 * size.depth**2}", "--n=192"),
        ("{steps // 3} {tokens / 2} {peak_lr / 10}", "33 2048.0 0.025"),
        ('{{"a": {max(1, steps // 5)}}}', '{"a": 20}'),
        ("{recipe.rate if steps > 50 else 1}", "0.5"),
        ("no braces", "no braces"),
    ],
)
def test_arithmetic_prints_as_python_does(template: str, filled: str) -> None:
    assert fill(template, NAMES) == filled


@pytest.mark.parametrize(
    "template",
    [
        *(
            "{__import__('os').getcwd()}",
            "{size.__class__}",
            "{().__class__}",
            "{open('x')}",
            "{[1][0]}",
            "{lambda: 1}",
        ),
        *("{9**9**9}", "{'a' * 10**9}", "{1 / 0}", "{steps", "steps}", "{nobody}", "{size.width}", "{}", "{size}"),
    ],
)
def test_nothing_else_is_reachable(template: str) -> None:
    with pytest.raises(ExpressionError):
        fill(template, NAMES)


def test_names_of_a_template_are_known_before_it_is_filled() -> None:
    assert names_in("--a={size.depth * 2} {{b}} {max(steps, 1)}") == {"size.depth", "steps"}


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [
        ("1,234,567", 1234567, 0), ("3.2780", 3.278, 5e-5), ("10.65M", 10.65e6, 5e3), ("2.5e-3", 2.5e-3, 5e-5),
        ("3.123456789012", 3.123456789012, 0), ("7", 7, 0), ("-1.5", -1.5, 0.05),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, value: float, half: float) -> None:
    read = number(text)
    assert read is not None
    assert read == pytest.approx((value, half))


@pytest.mark.parametrize("text", ["1,23", "x", "", "1.2.3", None, True])
def test_what_is_no_number(text: object) -> None:
    assert number(text) is None


def test_output_is_cleaned_before_it_is_read() -> None:
    output = "\x1b[31m[rank0]:[titan] step: 1\x1b[0m\r50%|##\rstep 2 | val 3.5FAIL\nFAIL\n"
    assert clean_lines(output)[:4] == ["[titan] step: 1", "50%|##", "step 2 | val 3.5FAIL", "FAIL"]


def test_a_place_gives_every_reading_and_the_step_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"deep": {"loss": 3.5}}')
    (tmp_path / "b.jsonl").write_text('{"step": 1, "loss": 4.0}\n{"step": 2, "loss": 3.0}\n{"step": 3, "lo')
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1/c.csv").write_text("step,val\n10,3.25\n20,\n")
    names = {"out": str(tmp_path)}
    assert read_place("loss", "json:{out}/a.json#deep.loss", [], names) == {"loss": [Reading(3.5)]}
    assert read_place("loss", "jsonl:{out}/b.jsonl#loss@step", [], names)["loss"] == [Reading(4.0, 1), Reading(3.0, 2)]
    assert read_place("loss", "csv:{out}/*/c.csv#val@step", [], names) == {"loss": [Reading(3.25, 10, 0.005)]}
    assert read_place("loss", "json:{out}/none.json#loss", [], names) == {}
    for wrong in ("loss", "output: (", "json:{out}/a.json", "output: (a)(b)", "{1 +}"):
        with pytest.raises(PlaceError):
            check_place("loss", wrong)


@pytest.mark.parametrize(
    ("name", "text", "options", "found"),
    [
        ("a.json", '{"a": 1, "b": {"c": 2}}', {"b.c": "{steps}"}, '"c": 100'),
        ("a.yaml", "a: 1\nb: {c: 2}\n", {"b.c": "{steps}"}, "c: 100"),
        ("a.toml", "a = 1\n[b]\nc = 2\n", {"b.c": "{steps}"}, "a = 1\n[b]\nc = 100\n"),
        ("a.py", "# é\nA = 'é'; B = [\n 1]  # b\nC = 2\n", {"B": "{steps}"}, "# é\nA = 'é'; B = 100  # b\nC = 2\n"),
    ],
)  # fmt: skip
def test_values_are_set_in_a_copy(name: str, text: str, options: dict[str, str], found: str, tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_text(text)
    assert found in content_of(name, FileOptions(str(source), dict(options)), NAMES)
    with pytest.raises(FileMismatch):
        content_of(name, FileOptions(str(source), {"nowhere": 1}), NAMES)
    assert source.read_text() == text


def test_a_new_file_is_made_of_its_keys() -> None:
    made = content_of("model/config.json", FileOptions(set={"a": ("x",), "width": "{size.depth * 64}"}), NAMES)
    assert json.loads(made) == {"a": ["x"], "width": 256}


def test_the_program_gets_none_of_our_ranks() -> None:
    ours = {"RANK": "0", "LOCAL_RANK": "0", "SLURM_JOB_ID": "1", "MASTER_PORT": "2", "HOME": "/h", "PYTHONPATH": "/p"}
    mine = environment(ours, {"MINE": "1"}, Path("/ours"))
    assert mine == {"HOME": "/h", "MINE": "1", "PYTHONPATH": "/ours:/p"}
