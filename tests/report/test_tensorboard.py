"""TensorBoard reads what was written: every point once, with its real numbers, and no run that never was."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from scaling.report.figures.plate import Figures
from scaling.report.tensorboard import HPARAMS, METRICS, write_analysis_events
from scaling.results import StudyReport


@pytest.fixture(scope="module")
def study_folder(report: StudyReport, figures: Figures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_analysis_events(report, folder, figures)
    return folder


def runs(folder: Path) -> EventMultiplexer:
    return EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()


def hparams(events: EventAccumulator, tag: str) -> plugin_data_pb2.HParamsPluginData:
    metadata = events.SummaryMetadata(f"_hparams_/{tag}")
    return plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)


def test_every_point_is_one_session_with_the_same_keys_and_its_own_numbers(
    report: StudyReport, study_folder: Path
) -> None:
    found = runs(study_folder)
    expected = {f"analysis/{r.run_id}/budget-{r.budget_tokens}": r for r in report.records}
    assert set(found.Runs()) == {"analysis", *expected}
    for name, record in expected.items():
        events = found.GetAccumulator(name)
        start = hparams(events, "session_start_info").session_start_info
        assert set(start.hparams) == set(HPARAMS)
        assert start.hparams["params"].number_value == record.params.total
        assert start.hparams["tokens"].number_value == record.tokens
        assert start.hparams["size"].string_value == record.size
        status = hparams(events, "session_end_info").session_end_info.status
        assert status == (api_pb2.STATUS_SUCCESS if record.status == "done" else api_pb2.STATUS_FAILURE)
        values = {tag: found.Tensors(name, tag) for tag in METRICS if tag in events.Tags()["tensors"]}
        losses = values.get("final/loss_nats")
        assert (losses is None) == (record.final_loss_nats is None)
        if losses is not None:
            assert len(losses) == 1
            # TensorBoard's scalars are float32: seven digits.
            assert losses[0].tensor_proto.float_val[0] == pytest.approx(record.final_loss_nats, rel=1e-6)


def test_the_experiment_declares_what_the_sessions_hold(study_folder: Path) -> None:
    experiment = hparams(runs(study_folder).GetAccumulator("analysis"), "experiment").experiment
    assert [info.name for info in experiment.hparam_infos] == list(HPARAMS)
    assert [info.name.tag for info in experiment.metric_infos] == list(METRICS)


def test_the_analysis_run_has_the_figures_and_the_words(
    report: StudyReport, figures: Figures, study_folder: Path
) -> None:
    found = runs(study_folder)
    tags = found.GetAccumulator("analysis").Tags()["tensors"]
    assert {tag.split("/")[-1] for tag in tags} >= set(figures.pictures) | {"report"}
    (image,) = found.Tensors("analysis", "contours/contours")
    assert image.tensor_proto.string_val[2] == figures.pictures["contours"].png
    (text,) = found.Tensors("analysis", "report")
    words = text.tensor_proto.string_val[0].decode()
    assert report.question in words
    assert "held-out" in words


def test_writing_again_adds_nothing_and_a_smaller_study_leaves_no_phantom(
    report: StudyReport, figures: Figures, tmp_path: Path
) -> None:
    def files() -> dict[str, bytes]:
        shown = (tmp_path / "analysis").rglob("*")
        return {str(path.relative_to(tmp_path)): path.read_bytes() for path in shown if path.is_file()}

    write_analysis_events(report, tmp_path, figures)
    first = files()
    write_analysis_events(report, tmp_path, figures)
    assert files() == first
    assert len(first) == 1 + len(report.records)
    write_analysis_events(replace(report, records=report.records[:5]), tmp_path, figures)
    assert len(runs(tmp_path).Runs()) == 6
    assert len(list((tmp_path / "analysis").iterdir())) == 1 + len({r.run_id for r in report.records[:5]})


def test_final_losses_stand_by_size_and_by_budget(report: StudyReport, study_folder: Path) -> None:
    found = runs(study_folder)
    tags = found.GetAccumulator("analysis").Tags()["tensors"]
    for size in {record.size for record in report.records}:
        assert f"loss_by_size/{size}" in tags
        by_tokens: dict[int, list[float]] = {}
        for record in report.records:
            if record.size == size and record.final_loss_nats is not None:
                by_tokens.setdefault(record.tokens, []).append(record.final_loss_nats)
        events = found.Tensors("analysis", f"loss_by_size/{size}")
        assert [event.step for event in events] == sorted(by_tokens)
        for event in events:
            mean = sum(by_tokens[event.step]) / len(by_tokens[event.step])
            assert event.tensor_proto.float_val[0] == pytest.approx(mean, rel=1e-6)


def test_the_layout_finds_the_tags_that_there_are(study_folder: Path) -> None:
    found = runs(study_folder)
    (event,) = found.Tensors("analysis", "custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    tags = found.GetAccumulator("analysis").Tags()["tensors"]
    finals = layout.category[0].chart
    for chart, prefix in zip(finals, ("loss_by_size/", "loss_by_budget/"), strict=True):
        (pattern,) = chart.multiline.tag
        assert [tag for tag in tags if re.match(pattern, tag)] == [tag for tag in tags if tag.startswith(prefix)] != []


def test_the_plan_and_the_findings_are_pages_of_text(report: StudyReport, study_folder: Path) -> None:
    found = runs(study_folder)

    def words(tag: str) -> str:
        (text,) = found.Tensors("analysis", tag)
        return str(text.tensor_proto.string_val[0].decode())

    assert all(record.run_id in words("plan") for record in report.records)
    assert all(finding.name in words("findings") for finding in report.findings)
