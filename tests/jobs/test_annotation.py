"""`annotate` from a folder to records and page: bad samples, resume, processes and Beam, a server, a transcript."""

import functools
import json

import numpy as np
import pytest
from PIL import Image

from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.jobs import annotation, annotation_views
from hoijax.jobs.annotation import annotate, prepare_job, read_records, read_transcripts
from hoijax.jobs.annotation_request import AnnotationRequest
from hoijax.jobs.annotation_views import picture_name
from hoijax.jobs.engine import run_job
from hoijax.jobs.runners import executor
from hoijax.language import ServerModel
from hoijax.systems.hoi3dgen.annotation import FilterConfig, annotators


@pytest.fixture(scope="module")
def root(tmp_path_factory, ball_dataset):
    return ball_dataset.make_dataset(tmp_path_factory.mktemp("balls"))


@pytest.fixture(autouse=True)
def quick_views(monkeypatch):
    """Pictures without a renderer."""

    def render(sample, rig, shown=("person", "object"), colors=None):
        tint = np.round(255 * np.asarray((colors or {}).get("object", (0, 0, 0)))).astype(np.uint8)
        return [np.broadcast_to(tint, (32, 32, 3)) for _ in rig.names]

    for module in (annotators, annotation_views):
        monkeypatch.setattr(module, "render_sample", render)


def shards(out):
    return {p.name: p.read_text() for p in sorted((out / "shards").glob("*.jsonl"))}


def test_from_a_folder_to_records_pictures_and_a_page(root, tmp_path, ball_dataset, capsys):
    out = tmp_path / "out"
    command = [
        "annotate",
        "--dataset",
        "synth_hoi",
        "--root",
        str(root),
        "--out",
        str(out),
        "--shard",
        "3",
        "--views",
        "64",
    ]
    assert main(command) == 1  # one sample cannot be used
    told = capsys.readouterr().out
    assert "not used: val-000007: damaged: " in told and "7 records, 4 taken, 1 samples" in told
    records = {r["id"]: r for r in read_records(out / "records.jsonl")}
    assert {k: r["flags"] for k, r in records.items()} == {
        "val-000000": [], "val-000001": [], "val-000002": [], "val-000003": [], "val-000004": ["no contact"],
        "val-000005": ["mismatch"], "val-000006": ["duplicate"],
    }  # fmt: skip
    want = ["right_hand", "left_hand", "right_leg", "back", "no_contact", "left_hand", "right_hand"]
    assert [r["contact"]["config"] for r in records.values()] == want
    taken = list(read_records(out / "selected.jsonl"))
    assert [r["contact"]["config"] for r in taken] == ["right_hand", "left_hand", "back", "right_leg"]
    for view, angle in zip(taken[0]["views"], (0.0, -45.0, 45.0), strict=True):
        picture = np.asarray(Image.open(out / view["image"]))
        assert view["azimuth_deg"] == angle and picture[0, 0].tolist() == [50, 90, 190]  # the blue of its words
    assert [v["tag"] for v in taken[0]["views"]] == ["front", "left diagonal", "right diagonal"]
    summary = json.loads((out / "metrics.json").read_text())
    assert summary["dropped"]["duplicate"] == summary["dropped"]["mismatch"] == summary["dropped"]["no contact"] == 1
    assert summary["configurations"]["left_hand"] == {"records": 2, "dropped": {"mismatch": 1}, "taken": 1}
    assert list(summary["failures"]) == ["val-000007"] and summary["options"]["shard"] == 3 and summary["versions"]
    page = (out / "report.html").read_text()
    assert page.count("<img src=") == 4 and "<td>right hand</td><td>2</td>" in page and "val-000007: damaged" in page
    assert "<td>left hand</td><td>2</td><td>0</td><td>1</td><td>0</td><td>0</td><td>1</td>" in page
    # Again: everything is there.
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*/*.*")}
    assert main(command) == 1 and stamps == {p: p.stat().st_mtime_ns for p in out.glob("*/*.*")}
    assert "3 of 3 are finished already" in capsys.readouterr().out


def test_stopped_and_gone_on_is_the_same_as_never_stopped(root, tmp_path, monkeypatch):
    whole, stopped = (
        AnnotationRequest("synth_hoi", root, tmp_path / name, shard=2, views=0) for name in ("whole", "stopped")
    )
    annotate(whole)
    real, count = annotation.annotate_sample, []

    def interrupted(*args):
        count.append(1)
        if len(count) == 4:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(annotation, "annotate_sample", interrupted)
    with pytest.raises(KeyboardInterrupt):
        annotate(stopped)
    assert list(shards(stopped.out)) == ["00000.jsonl"]
    annotate(stopped)
    assert len(count) == 4 + 5 and shards(stopped.out) == shards(whole.out)  # 2 to 6; the damaged one has no record
    for name in ("records.jsonl", "selected.jsonl", "report.html"):
        assert (stopped.out / name).read_text() == (whole.out / name).read_text()
    # Another rule is another annotation; the same choice of fewer is not.
    jobs = [prepare_job(r) for r in (stopped, AnnotationRequest("synth_hoi", root, stopped.out, shard=2, rule="paper"))]
    assert all(i.is_finished() for i in jobs[0].items) and not any(i.is_finished() for i in jobs[1].items)


@pytest.mark.slow
def test_beam_and_processes_make_the_records_of_the_plain_loop(root, tmp_path):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    made = {}
    for name, runner, workers in (("here", "local", 1), ("beam", "direct", 1), ("two", "local", 2)):
        request = AnnotationRequest("synth_hoi", root, tmp_path / name, shard=3, views=0)

        def execute(prepare, request=request, runner=runner, workers=workers):
            return executor(runner, (), prepare, request.out, workers)

        assert not annotate(request, execute=execute)
        made[name] = [(request.out / f).read_text() for f in ("records.jsonl", "selected.jsonl", "report.html")]
    assert made["beam"] == made["here"] == made["two"]


def say(body):
    """A model that knows its answers."""
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    for mark, said in (
        ("Describe the person", {"top": "red coat", "bottom": None, "hair": None, "shoes": None}),
        ("Describe the object", {"category": "ball", "colour": "blue", "material": None, "shape": None}),
        ("Choose one of", {"action": "hold", "confidence": 1}),
    ):
        if mark in text:
            return json.dumps(said)
    touching = text.split("touches the object, and of no other: ")[1].split(". Answer")[0]
    return json.dumps({"text": f"Somebody in a red coat holds a blue ball with the {touching}."})


def test_a_server_that_goes_away_leaves_its_shard_for_the_next_run_and_a_transcript_needs_none(
    root, tmp_path, chat_server
):
    request = functools.partial(AnnotationRequest, "synth_hoi", root, shard=2, views=0, limit=4)
    out, left = tmp_path / "asked", [8]  # questions of the first shard

    def goes_away(body):
        left[0] -= 1
        return say(body) if left[0] >= 0 else 500

    with (
        chat_server(goes_away) as (url, _),
        pytest.raises(InputError, match="1 of 2 shards are not finished, .*-00001"),
    ):
        annotate(request(out, model=ServerModel("eyes", url, retries=0)))
    assert list(shards(out)) == ["00000.jsonl"]
    with chat_server(say) as (url, requests):
        annotate(request(out, model=ServerModel("eyes", url, retries=0)))
    assert len(requests) == 4 * (len(shards(out)["00001.jsonl"].splitlines()))
    texts = [r["text"] for r in read_records(out / "records.jsonl")]
    assert len(texts) == 3 and all(t.startswith("Somebody in a red coat") for t in texts)
    again = tmp_path / "again"
    annotate(request(again, transcript=out / "shards"))
    assert shards(again) == shards(out)
    # A transcript that lacks a sample costs that sample.
    next((out / "shards").glob("00000.transcript.json")).unlink()
    assert not annotate(request(tmp_path / "less", transcript=out / "shards"))
    failures = json.loads((tmp_path / "less/metrics.json").read_text())["failures"]
    assert len(failures) == 2 and "record it again" in failures["val-000003"]
    with pytest.raises(InputError, match="holds no transcript"):
        read_transcripts(again)


def test_limits_and_names(root, tmp_path):
    out = tmp_path / "out"
    few = AnnotationRequest("synth_hoi", root, out, limit=2, views=0, config=FilterConfig(per_configuration=1))
    assert [i.inputs for i in prepare_job(few).items] == [("val-000002", "val-000006")]
    assert picture_name("Date01_Sub01/t0003.000", "left diagonal") == "Date01_Sub01_t0003.000_left_diagonal.png"
    outcome = run_job(prepare_job(few), out)
    assert not outcome.failures and outcome.records()["shard-00000"]["records"] == 2
    (out / "shards/00000.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=r"00000.jsonl, line 1 is no record of an annotation: it lacks id"):
        list(read_records(out / "shards/00000.jsonl"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--annotator", "openai"], "needs --llm"), (["--llm", "eyes"], "--llm needs it"),
        (["--llm-url", "http://localhost:1"], "name it with"), (["--annotator", "transcript"], "needs --transcript"),
        (["--transcript", "t.json"], "--transcript needs it"), (["--votes", "3"], "always says the same"),
        (["--shard", "0"], "at least one sample a shard"), (["--limit", "0"], "got 50, 1, 0"),
        (["--views", "8"], "wanted 32 to 4096"), (["--split", "scenes_dev"], "have the splits"),
        (["--workers", "0"], "wanted 1 to 256"), (["--runner", "beam", "--workers", "2"], "say it in --beam-options"),
        (["--per-category", "0"], "at least one record"), (["--body-model", "x"], "leave --body-model out"),
        (["--annotator", "transcript", "--transcript", "missing.json"], "missing.json: cannot be read"),
    ],
)  # fmt: skip
def test_bad_options_are_told_before_anything_is_written(root, tmp_path, options, message, capsys):
    out = tmp_path / "out"
    command = ["annotate", "--dataset", "synth_hoi", "--root", str(root), "--out", str(out)]
    assert main(command + options) == 2
    assert message in capsys.readouterr().err and not out.exists()
    assert main(["annotate", "--dataset", "coco", "--root", ".", "--out", str(out)]) == 2
