"""The hub without the hub: absent, silent, cached, and as a folder on disk."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scaling.data import hub, hub_access
from scaling.data.config import DataConfig, DataError, SourceConfig, TokenizerConfig, ValidationSet
from scaling.data.corpus import Corpus
from scaling.data.prepare import prepare

REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
CONFIGURATION = "wikitext-2-raw-v1"

PROGRAM = f"""
import sys
from pathlib import Path
from scaling.data.config import DataConfig, DataError, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare

source = SourceConfig("hub", "Salesforce/wikitext", "{CONFIGURATION}", "{REVISION}",
validation_split="validation",
                      document_unit="wikitext_article")
try:
    print(prepare(DataConfig("wikitext2", source, TokenizerConfig(), "", ""), Path(sys.argv[1])))
except DataError as error:
    sys.exit(str(error))
"""


def article(title: str) -> list[str]:
    return [
        "",
        f" = {title} = \n",
        "",
        f" {title} is an article about {title} . \n",
        "",
        " = = More = = \n",
        "",
        " end \n",
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder laid out as Salesforce/wikitext is: a README that lists configurations, and parquet files."""
    folder = tmp_path / "wikitext"
    configurations = []
    for name in (CONFIGURATION, "wikitext-103-raw-v1"):
        (folder / name).mkdir(parents=True)
        files = []
        for split, titles in (("train", "ABCDEF"), ("validation", "XYZ"), ("test", "T")):
            rows = [row for title in titles for row in article(f"{title} of {name}")]
            pq.write_table(pa.table({"text": rows}), folder / name / f"{split}-00000-of-00001.parquet")
            files.append({"split": split, "path": f"{name}/{split}-*"})
        configurations.append({"config_name": name, "data_files": files})
    (folder / "README.md").write_text(f"---\n{json.dumps({'configs': configurations})}\n---\n")
    return folder


@pytest.mark.parametrize("name", ["wikitext2", "wikitext103"])
def test_a_folder_laid_out_like_the_repository_serves(
    name: str, repository: Path, tmp_path: Path, shipped: Callable[[str], DataConfig]
) -> None:
    config = shipped(name)
    config = replace(config, source=replace(config.source, path=str(repository)), tokenizer=TokenizerConfig())
    manifest = Corpus.open(prepare(config, tmp_path / "cache")).manifest
    assert (manifest.train.documents, manifest.validation.documents) == (6, 3)
    assert manifest.source_version == "local folder"
    with_test = replace(config, validation_sets=(ValidationSet("test", split="test"),))
    (test_split,) = Corpus.open(prepare(with_test, tmp_path / "cache")).manifest.validation_sets
    assert test_split.counts.documents == 1
    other_name = replace(config.source, name="wikitext-9")
    with pytest.raises(DataError, match="wikitext-9"):
        prepare(replace(config, source=other_name), tmp_path / "cache")
    other_split = replace(config.source, validation_split="dev")
    with pytest.raises(DataError, match="dev"):
        prepare(replace(config, source=other_split), tmp_path / "cache")


def check_stops_with_one_line(result: Any) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for part in ("Salesforce/wikitext", REVISION, "data=aws_docs", "HF_HOME", "data.source.path=", "data=local"):
        assert part in result.stderr


@pytest.mark.parametrize("endpoint", ["https://hub.invalid", "http://127.0.0.1:9"])
def test_an_absent_hub_is_said_in_one_line(endpoint: str, tmp_path: Path, python: Callable[..., Any]) -> None:
    result = python(PROGRAM, str(tmp_path), HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path))
    check_stops_with_one_line(result)
    assert f"{endpoint} cannot be reached" in result.stderr


def test_a_silent_hub_is_given_up_and_its_own_client_is_not_asked(
    tmp_path: Path, shipped: Callable[[str], DataConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub_access._ANSWER_SECONDS + 1 < 10  # the client, which tries again and again, takes half a minute

    def ask_the_client(*arguments: object, **options: object) -> None:
        raise AssertionError("the client was asked")

    monkeypatch.setattr(hub_access, "_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(hub, "_load", ask_the_client)
    monkeypatch.setattr(hub, "_cached", lambda config: None)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and never answers
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(DataError, match=r"127\.0\.0\.1.*no cached copy"):
            prepare(shipped("wikitext2"), tmp_path / "cache")


def test_offline_mode_does_not_ask_the_hub(tmp_path: Path, python: Callable[..., Any]) -> None:
    result = python(PROGRAM, str(tmp_path), HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    check_stops_with_one_line(result)
    assert "HF_HUB_OFFLINE is set" in result.stderr


def test_a_copy_in_the_hub_cache_serves(repository: Path, tmp_path: Path, python: Callable[..., Any]) -> None:
    snapshot = tmp_path / "hub" / "datasets--Salesforce--wikitext" / "snapshots" / REVISION
    shutil.copytree(repository, snapshot)
    shutil.rmtree(snapshot / "wikitext-103-raw-v1")  # only one configuration was ever asked for
    result = python(PROGRAM, str(tmp_path / "cache"), HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    manifest = Corpus.open(Path(result.stdout.strip())).manifest
    assert manifest.source_version == f"Salesforce/wikitext@{REVISION}"
    assert (manifest.train.documents, manifest.validation.documents) == (6, 3)


def test_the_hub_serves_and_then_its_copy_in_the_cache(
    repository: Path, tmp_path: Path, python: Callable[..., Any]
) -> None:
    command = [sys.executable, str(Path(__file__).parent / "pretend_hub.py"), str(repository), REVISION]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
        online = python(PROGRAM, str(tmp_path / "online"), **environment)
        absent = python(PROGRAM.replace("Salesforce/", "Nobody/"), str(tmp_path / "absent"), **environment)
    finally:
        server.terminate()
        server.communicate()
    assert (online.returncode, online.stderr) == (0, "")
    manifest = Corpus.open(Path(online.stdout.strip())).manifest
    assert manifest.source_version == f"Salesforce/wikitext@{REVISION}"
    assert (manifest.train.documents, manifest.validation.documents) == (6, 3)
    assert absent.returncode == 1
    assert absent.stderr.startswith("Nobody/wikitext wikitext-2-raw-v1 [train] cannot be read (")
    assert "Traceback" not in absent.stderr

    offline = python(PROGRAM, str(tmp_path / "offline"), **environment)  # nobody answers any more
    assert (offline.returncode, offline.stderr) == (0, "")
    assert Corpus.open(Path(offline.stdout.strip())).manifest == manifest

    other_revision = python(PROGRAM.replace(REVISION, "f" * 40), str(tmp_path / "other"), **environment)
    assert "there is no cached copy of revision ffff" in other_revision.stderr


def test_a_damaged_file_is_named(repository: Path, tmp_path: Path, shipped: Callable[[str], DataConfig]) -> None:
    file = repository / CONFIGURATION / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-50])
    config = shipped("wikitext2")
    config = replace(config, source=replace(config.source, path=str(repository)))
    with pytest.raises(DataError, match="cannot be read"):
        prepare(config, tmp_path / "cache")


def test_a_folder_of_plain_text_is_no_wikitext_and_the_way_to_read_it_is_named(tmp_path: Path) -> None:
    """In one error, with the whole remedy."""
    (tmp_path / "mine.txt").write_text("some text")
    config = SourceConfig(kind="hub", path=str(tmp_path), name="wikitext-2-raw-v1", revision="local")
    with pytest.raises(
        DataError, match=r"holds mine\.txt, and neither WikiText .* take data=local data\.source\.path="
    ):
        hub.open_dataset(config)
