"""`python -m scaling.fit source=... out=...`: anyone's losses in, laws and a report out, and every mistake told."""

import csv
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir

from scaling import fit
from scaling.analysis.config import TableOptions
from scaling.analysis.holdout import hold_out
from scaling.analysis.table_report import report_on_table
from scaling.config import table_options
from scaling.config_folder import config_folder
from scaling.exits import EXIT_NO_ANSWER
from scaling.tables.account import TableError
from scaling.tables.read import Table, read_table

TRUTH = {"E": 1.7, "A": 400.0, "B": 1200.0, "alpha": 0.34, "beta": 0.29}
SIZES = np.geomspace(1e7, 3e9, 6)
RATIOS = (5.0, 20.0, 80.0, 200.0)
EPOCH = Path(__file__).parents[3] / "shared/data/epoch_chinchilla.csv"
QUICK = ("bootstrap=0", "figures=false")

Row = dict[str, Any]


def planted(noise: float = 0.0) -> list[Row]:
    """Losses of the known law on a grid of sizes and tokens per parameter, with relative noise."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for size in SIZES:
        for ratio in RATIOS:
            params, tokens = float(size), float(size * ratio)
            loss = TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"] + TRUTH["B"] / tokens ** TRUTH["beta"]
            rows.append({"params": params, "tokens": tokens, "loss": float(loss * np.exp(noise * rng.normal()))})
    return rows


def write_csv(path: Path, rows: list[Row]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "fits.json").read_text())
    return content


def command(*arguments: object) -> int:
    """The command as it is typed, in this process; gives its exit code."""
    with pytest.raises(SystemExit) as stop:
        fit.main([str(argument) for argument in arguments])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def options(*overrides: str) -> TableOptions:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return table_options(compose("fit", ["out=unused", *overrides]))


def table_of(*overrides: str) -> Table:
    found = options(*overrides)
    return read_table(found.source, found)


@pytest.fixture(scope="module")
def laws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one command writes, figures and all, with a fifth of the rows held out."""
    folder = tmp_path_factory.mktemp("laws")
    source = write_csv(folder / "points.csv", planted(noise=0.002))
    assert command(f"source={source}", f"out={folder / 'laws'}", "bootstrap=100", "holdout=0.2") == 0
    return folder / "laws"


@pytest.fixture
def points(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "points.csv", planted(noise=0.002))


def test_a_planted_law_is_recovered_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "laws"
    assert command(f"source={write_csv(tmp_path / 'a.csv', planted())}", f"out={out}", "json=true", *QUICK) == 0
    assert json.loads(capsys.readouterr().out) == read(out)
    first = read(out)["fits"][0]
    assert first["law"] == "chinchilla"
    assert first["status"] == "converged"
    assert first["objective"]["weights"] == "none"
    for name, value in TRUTH.items():
        # Without noise the optimum is the truth; 17 digits of the losses leave this much.
        assert first["parameters"][name] == pytest.approx(value, rel=1e-6)


def test_every_kind_of_file_gives_the_same_rows(points: Path, tmp_path: Path) -> None:
    rows = planted(noise=0.002)
    (tmp_path / "points.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "points.parquet")
    found = [table_of(f"source={tmp_path / f'points.{kind}'}") for kind in ("csv", "jsonl", "parquet")]
    first = found[0].observations
    assert len(first) == len(rows)
    for other in (table.observations for table in found[1:]):
        # Bit for bit, the ids of resampling too: the fits are a function of these.
        for column in ("params", "tokens", "loss", "flops", "trajectory", "weights"):
            assert np.array_equal(getattr(first, column), getattr(other, column))
    assert [table.lines[0] for table in found] == [2, 1, 1]


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    """Semicolons and tabs, a byte order mark, other alphabets, thousands separators, compression: the same numbers."""
    rows = planted(noise=0.002)

    def text(delimiter: str, number: Callable[[float], str]) -> str:
        lines = [delimiter.join(("größe N", "tokens", "loss"))]
        lines += [delimiter.join((number(r["params"]), repr(r["tokens"]), repr(r["loss"]))) for r in rows]
        return "\n".join(lines) + "\n"

    (tmp_path / "a.csv").write_text(text(",", lambda n: f'"{n:,.17g}"'), encoding="utf-8-sig")
    (tmp_path / "b.csv").write_text(text(";", repr))
    (tmp_path / "c.tsv").write_text(text("\t", repr))
    with gzip.open(tmp_path / "d.csv.gz", "wt") as file:
        file.write(text(",", repr))
    for name in ("a.csv", "b.csv", "c.tsv", "d.csv.gz"):
        found = table_of(f"source={tmp_path / name}", "columns.params='größe N'").observations
        assert found.params == pytest.approx([row["params"] for row in rows], rel=1e-15)
        assert np.array_equal(found.loss, [row["loss"] for row in rows])


def test_a_comma_in_a_loss_is_no_thousands_separator(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("params;tokens;loss\n1e8;1e9;2,345\n1,000,000;2e9;2.3456\n")
    table = table_of(f"source={tmp_path / 'a.csv'}")
    assert table.observations.params.tolist() == [1e8, 1e6]
    assert table.observations.loss.tolist() == [2.345, 2.3456]
    assert [(note.text.split(" (")[0], note.lines) for note in table.reading.notes] == [
        ("column 'params': digits grouped by a comma", "3"),
        ("column 'loss': decimals after a comma", "2"),
    ]


def test_training_curves_feed_approach_1_alone(points: Path, tmp_path: Path) -> None:
    curves = [
        row | {"tokens": row["tokens"] * share, "loss": row["loss"] * share**-0.05, "run": f"run of {row['params']}"}
        for row in planted()
        if row["tokens"] == 200 * row["params"]
        for share in np.geomspace(0.01, 1, 20)
    ]
    path = write_csv(tmp_path / "curves.csv", curves)
    report = report_on_table(options(f"source={points}", "bootstrap=0", f"curves={path}"), "command")
    plain = report_on_table(options(f"source={points}", "bootstrap=0"), "command")
    assert report.surface.fit.parameters == plain.surface.fit.parameters
    names = [answer.source for answer in report.estimators]
    assert names[:3] == [answer.source for answer in plain.estimators]
    assert names[2:] == [
        "approach 1 (finished runs of equal N)",
        "approach 1 (training curves of curves.csv, undecayed)",
    ]
    nameless = write_csv(tmp_path / "nameless.csv", planted())
    with pytest.raises(TableError, match="name no training run"):
        report_on_table(options(f"source={points}", f"curves={nameless}"), "command")


def test_another_kind_of_file_and_another_run_change_nothing(points: Path, tmp_path: Path) -> None:
    rows = planted(noise=0.002)
    (tmp_path / "points.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    contents, pages = [], []
    for kind in ("csv", "jsonl"):
        out = tmp_path / kind
        assert command(f"source={tmp_path / f'points.{kind}'}", f"out={out}", "bootstrap=50", "figures=false") == 0
        contents.append({key: read(out)[key] for key in ("fits", "selected", "forecasts")})
        page = (out / "report/index.html").read_text().replace(kind, "KIND")
        # But for the account of the file's own lines.
        page = re.sub(r"(?s)&quot;reading&quot;: \{.*?\n \}", "", page)
        page = re.sub(r"(?s)&quot;influence&quot;: \[.*?\n \]", "", page)
        page = re.sub(r"(?s)Rows that move the answer most.*?</table>", "", page)
        page = re.sub("[0-9,]+ characters, too long", "", page)
        pages.append(re.sub("<p>(CSV|JSON lines), .* left out.</p>", "", page))
    assert contents[0] == contents[1]
    assert pages[0] == pages[1]
    assert "<svg" not in pages[0]
    assert not list(tmp_path.rglob("*.png"))


def test_the_report_stands_alone(laws: Path) -> None:
    page = (laws / "report/index.html").read_text()
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # plotly's source has addresses
    assert "://" not in own
    assert not re.search(r"<(link|iframe)\b|<script[^>]*\bsrc=", own)
    assert own.count("<svg ") == own.count('class="live"') == 12
    text = (laws / "report.md").read_text()
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 12
    assert all((laws / picture).is_file() for picture in pictures)
    assert "](fits.json)" in text
    assert (laws / "report/report.md").is_file()


def test_a_share_is_held_out_by_compute(laws: Path) -> None:
    content = read(laws)
    assert content["observations"]["num_heldout"] == 5
    assert content["observations"]["num_used"] == content["fits"][0]["num_points"] == 19
    assert content["fits"][0]["heldout"]["num_points"] == 5
    # Noise is 0.2% a row; a law that is right forecasts within a few times that.
    assert content["selected"]["heldout"]["mean_abs_rel_error"] < 0.01
    # By default the largest budget that was fitted and ten times that.
    beyond = [forecast["log10_extrapolation"] for forecast in content["forecasts"]]
    assert beyond == pytest.approx([0.0, 1.0], abs=1e-12)


@pytest.mark.parametrize(
    ("condition", "keeps"),
    [
        ("flops>1e20", lambda row: 6 * row["params"] * row["tokens"] <= 1e20),
        ("width<300", lambda row: row["width"] >= 300),
    ],
)
def test_a_condition_holds_out(tmp_path: Path, condition: str, keeps: Callable[[Row], bool]) -> None:
    rows = [row | {"width": row["params"] ** 0.33} for row in planted(noise=0.002)]
    source, out = write_csv(tmp_path / "points.csv", rows), tmp_path / "laws"
    assert command(f"source={source}", f"out={out}", f"holdout={condition}", *QUICK) == 0
    assert read(out)["observations"]["num_used"] == sum(map(keeps, rows))
    assert condition in (out / "report.md").read_text().replace("\\", "")


@pytest.mark.parametrize("sign", [">", ">=", "<", "<="])
def test_each_sign_means_what_it_says(points: Path, sign: str) -> None:
    table = table_of(f"source={points}")
    limit = float(table.observations.tokens[5])
    expected = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[sign]
    assert np.array_equal(hold_out(table, f"tokens {sign} {limit!r}").held, expected(table.observations.tokens, limit))


def test_bad_rows_are_listed_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = write_csv(tmp_path / "good.csv", planted(noise=0.002)).read_text().splitlines()
    bad = {4: "-1,1e9,3.0", 6: "1e8,1e9,nan", 9: "1e8,much,3.0", 10: lines[1], 12: "1e8,,3", 14: "1e8,1e9,3,4"}
    for number, line in bad.items():
        lines.insert(number - 1, line)
    lines.insert(10, "")  # no row, but a line
    bad = {number + (number > 10): line for number, line in bad.items()}
    source, out = tmp_path / "points.csv", tmp_path / "laws"
    source.write_text("\n".join(lines) + "\n\n")
    assert command(f"source={source}", f"out={out}", *QUICK) == 0
    seen = read(out)["observations"]
    reasons = {entry["row"]: entry["reason"] for entry in seen["excluded"]}
    assert sorted(reasons) == sorted(bad)
    assert seen["num_used"] == len(planted())
    assert seen["num_rows"] == len(planted()) + len(bad)
    words = ("not positive", "not finite", "not a number", "duplicate of row 2", "missing", "4 cells")
    for line, word in zip(sorted(bad), words, strict=True):
        assert word in reasons[line]
    assert "6 left out" in capsys.readouterr().out
    assert "duplicate of row 2" in (out / "report.md").read_text()


def test_columns_are_mapped_and_conventions_compared(tmp_path: Path) -> None:
    rows = [
        {"N (all)": r["params"], "D": r["tokens"], "L": r["loss"], "N_noembed": r["params"] - 5e6}
        for r in planted(noise=0.002)
    ]
    source, out = write_csv(tmp_path / "my points.csv", rows), tmp_path / "laws"
    columns = ("columns.params=N (all)", "columns.tokens=D", "columns.loss=L")
    assert command(f"source={source}", f"out={out}", *columns, "conventions=[N_noembed]", *QUICK) == 0
    first, second = read(out)["conventions"]
    assert second["source"] == "N_noembed"
    assert first["ratio"] == 1.0
    assert second["params"] != first["params"]


def test_a_law_that_rows_cannot_tell_gives_no_number(tmp_path: Path) -> None:
    rows = [row for row in planted(noise=0.002) if row["tokens"] == 20 * row["params"]]
    out = tmp_path / "laws"
    assert command(f"source={write_csv(tmp_path / 'a.csv', rows)}", f"out={out}", *QUICK) == 0
    found = read(out)
    assert found["fits"][0]["status"] in ("refused", "unidentified")
    assert found["fits"][0]["parameters"] is None
    assert found["forecasts"] == []
    assert {name: one["answered"] for name, one in found["answers"].items()} == {
        "loss": True,
        "floor": True,
        "best_params": False,
    }
    assert "L(C) at D/N = 20" in (out / "report.md").read_text()
    few = f"source={write_csv(tmp_path / 'few.csv', rows[:4])}"
    assert command(few, f"out={tmp_path / 'few'}", *QUICK) == EXIT_NO_ANSWER
    assert "No law" in (tmp_path / "few/report.md").read_text()


def test_a_point_is_asked_for_when_fitting_and_of_the_saved_laws(
    points: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "targets.points=[[7e9,3.9e11],[1e8,2e9]]"
    write_csv(points, planted(noise=0.01))
    assert command(f"source={points}", f"out={tmp_path / 'laws'}", *QUICK, "targets=[1e23]", asked) == 0
    fitted = read(tmp_path / "laws")
    said = capsys.readouterr().out
    assert "N 7.00B, D 390B" in said
    far, near = fitted["points"]
    assert (far["params"], far["tokens"], far["flops"]) == (7e9, 3.9e11, 6 * 7e9 * 3.9e11)
    assert far["log10_extrapolation"] > 0 > near["log10_extrapolation"]
    truth = TRUTH["E"] + TRUTH["A"] / 1e8 ** TRUTH["alpha"] + TRUTH["B"] / 2e9 ** TRUTH["beta"]
    interval, mean = near["intervals"]["loss"], near["intervals"]["mean_loss"]
    assert interval["low"] < mean["low"] < truth < mean["high"] < interval["high"]
    page = (tmp_path / "laws/report/index.html").read_text()
    assert "Loss at the points asked for" in page

    saved = f"source={tmp_path / 'laws/fits.json'}"
    assert command(saved, "targets=[1e23]", asked, "json=true") == 0
    answer = json.loads(capsys.readouterr().out)
    assert json.dumps(answer["points"]) == json.dumps(fitted["points"])
    (best,), (before,) = answer["forecasts"], fitted["forecasts"]
    assert {key: before[key] for key in best} == best
    for arguments, words in (
        ((), "nothing is asked of them"),
        (("bootstrap=9", asked), "bootstrap says how a table is read or fitted"),
        (("targets=some",), "it must be a list or mapping of flops, points"),
    ):
        assert command(saved, *arguments) == 2
        assert words in capsys.readouterr().err
    assert command(saved, "targets.points=[[1e15,1e16]]") == EXIT_NO_ANSWER


def test_a_target_too_far_away_gets_no_number(points: Path, tmp_path: Path) -> None:
    out = tmp_path / "laws"
    asked = (f"source={points}", f"out={out}", "targets=[1e22,1e27]", *QUICK)
    assert command(*asked) == EXIT_NO_ANSWER
    text = (out / "report.md").read_text()
    assert "Refused: extrapolation" in text
    assert "10²⁷" not in text.split("## Tables")[0]
    assert command(*asked, "force=[extrapolation]") == 0


MISTAKES = {
    "no file": (None, "absent.csv", (), "no file"),
    "unknown kind": ("x", "points.png", (), "must end in .csv, .tsv, .txt"),
    "an old workbook": ("x", "points.xls", (), "save it as CSV"),
    "no workbook": ("x", "points.xlsx", (), "is no workbook"),
    "empty": ("", "a.csv", (), "no rows"),
    "header only": ("params,tokens,loss\n", "a.csv", (), "no rows"),
    "no usable row": ("params,tokens,loss\n1,2,x\n-1,2,3\n", "a.csv", (), "none of the 2 rows"),
    "no column": ("width,depth,loss\n1,2,3\n", "a.csv", (), "columns.params=NAME columns.tokens=NAME"),
    "twice a column": ("params,tokens,loss,loss\n1,2,3,4\n", "a.csv", (), "two columns named 'loss'"),
    "no JSON": ("params\ntokens\n", "a.jsonl", (), "line 1: not JSON"),
    "no Parquet": ("params\n", "a.parquet", (), "no Parquet file"),
    "no text": (b"params,tokens,loss\n\xff,\0,2\n", "a.csv", (), "is no text"),
    "mapped to nothing": (None, "points.csv", ("columns.run=job",), "no column 'job'"),
    "no condition": (None, "points.csv", ("holdout=most",), "neither a share nor a condition"),
    "share": (None, "points.csv", ("holdout=1.2",), "between 0 and 1"),
    "holds out nothing": (None, "points.csv", ("holdout=flops>1e40",), "no row of 24"),
    "holds out all": (None, "points.csv", ("holdout=loss>0",), "every row of 24"),
    "unknown column": (None, "points.csv", ("holdout=depth>3",), "no column 'depth'"),
    "level": (None, "points.csv", ("level=95",), "above 0 and below 1"),
    "bootstrap": (None, "points.csv", ("bootstrap=-1",), "at least 0"),
    "target": (None, "points.csv", ("targets=[0]",), "at least 1"),
    "unknown key": (None, "points.csv", ("hold_out=0.2",), "hold_out"),
    "convention": (None, "points.csv", ("conventions=[N2]",), "no column 'N2'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_in_one_paragraph_and_writes_nothing(
    points: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, name, arguments, words = MISTAKES[case]
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = sorted(tmp_path.rglob("*"))
    assert command(f"source={tmp_path / name}", f"out={tmp_path / 'laws'}", *QUICK, *arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert words in said.err
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_study_is_not_overwritten(points: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    assert command(f"source={points}", f"out={tmp_path}", *QUICK) == 2
    assert not (tmp_path / "fits.json").exists()


def test_a_study_folder_is_read_with_its_own_hold_out(tmp_path: Path) -> None:
    rows = [
        {
            "run_id": f"r{i}", "held_out": i >= 20, "nominal_flops": "", "params": row["params"],
            "tokens": row["tokens"], "flops": 6.1 * row["params"] * row["tokens"],
            "final_loss_nats": "" if i == 0 else row["loss"], "loss_sem_nats": 0.001, "unique_tokens": row["tokens"],
        }
        for i, row in enumerate(planted(noise=0.002))
    ]  # fmt: skip
    study = tmp_path / "study"
    study.mkdir()
    write_csv(study / "points.csv", rows)
    out = tmp_path / "laws"
    assert command(f"source={study}", f"out={out}", *QUICK) == 0
    seen = read(out)["observations"]
    assert (seen["num_used"], seen["num_heldout"]) == (19, 4)
    assert seen["excluded"] == [{"row": 2, "reason": "loss is missing"}]
    assert "all parameters" in seen["conventions"]


@pytest.mark.skipif(not EPOCH.exists(), reason="the public Chinchilla points are not beside this checkout")
def test_the_public_chinchilla_points_reach_their_known_optimum(tmp_path: Path) -> None:
    with EPOCH.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["epoch_excluded"] == "0"]
    out = tmp_path / "laws"
    columns = ("columns.params=N_params", "columns.tokens=D_tokens", "columns.flops=C_flops")
    assert command(f"source={write_csv(tmp_path / 'epoch.csv', rows)}", f"out={out}", *columns, *QUICK) == 0
    first = read(out)["fits"][0]
    assert first["num_points"] == 240
    assert first["objective"]["value"] == pytest.approx(0.00101827, rel=1e-5)
    known = {"E": 1.8172, "A": 477.8, "B": 2143.0, "alpha": 0.3473, "beta": 0.3672}
    for name, value in known.items():
        # To the digits that are published.
        assert first["parameters"][name] == pytest.approx(value, rel=2e-4)
