"""Jobs on Apache Beam's local runner: the same results as in this process, retries, kills, strangers' files."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hoijax.errors import InputError
from hoijax.jobs.engine import run_job
from hoijax.jobs.runners import executor


def results(out):
    return {p.parent.name: p.read_text() for p in out.glob("*/square.txt")}


def on_beam(toy, out, count, redo=False, **options):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    prepare = functools.partial(toy.make_job, out, count, **options)
    return run_job(prepare(), out, redo=redo, execute=executor("direct", ["direct_num_workers=1"], prepare, out))


@pytest.mark.slow
def test_beam_writes_what_this_process_writes(toy, tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    run_job(toy.make_job(here, 15), here)
    capsys.readouterr()
    outcome = on_beam(toy, there, 15)
    told = capsys.readouterr().out
    assert "15 numbers in 8 batches on Beam" in told and "14 of 15 written" in told
    assert results(there) == results(here) and len(outcome.finished) == 14
    assert outcome.failures == {"13": "13 is unlucky"}
    # The same items together, so that padded programs and their sums are the same too.
    assert sorted(toy.batches_of(there)) == sorted(toy.batches_of(here))
    records = [{p.parent.name: json.loads(p.read_text()) for p in out.glob("*/metrics.json")} for out in (here, there)]
    assert records[0] == records[1]
    assert sorted(p.name for p in there.iterdir()) == sorted(map(str, sorted(set(range(15)) - {13}, key=str)))
    # And it goes on where something is missing.
    (there / "4" / "square.txt").unlink()
    # A killed run's notes are not this one's.
    (there / ".beam").mkdir()
    (there / ".beam" / "0.json").write_text(json.dumps({"name": "4", "message": "killed"}))
    again = on_beam(toy, there, 15)
    assert again.fresh == {"4"} and again.failures == outcome.failures and not (there / ".beam").exists()
    assert sorted(toy.batches_of(there)[-2:]) == [(4,), (13,)]
    assert on_beam(toy, there, 3, redo=True).fresh == set("012") and len(toy.batches_of(there)) == 12


@pytest.mark.slow
def test_workers_that_write_elsewhere_are_found_out(toy, tmp_path):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    out = tmp_path / "out"
    prepare = functools.partial(toy.make_job, tmp_path / "else", 2)
    job = toy.make_job(out, 2)
    with pytest.raises(InputError, match="the workers wrote no results of 2 numbers, the first 0: do they see"):
        run_job(job, out, execute=executor("direct", [], prepare, out))
    assert not any(out.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_killed_pipeline_loses_nothing(toy, tmp_path):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    out = tmp_path / "out"
    command = [sys.executable, toy.__file__, str(out), "6", "direct", "1.0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(results(out)) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = [item for item in toy.make_job(out, 6).items if item.is_finished()]
    assert 1 <= len(done) < 6
    before = {item.name: (item.folder / "metrics.json").stat().st_mtime_ns for item in done}
    outcome = on_beam(toy, out, 6)
    assert len(outcome.finished) == 6 and outcome.fresh == {str(i) for i in range(6)} - before.keys()
    assert results(out) == {str(i): str(i * i) for i in range(6)}
    for name, stamp in before.items():
        assert (out / name / "metrics.json").stat().st_mtime_ns == stamp, name
    assert not (out / ".beam").exists()


@pytest.mark.slow
def test_a_batch_that_is_tried_again_keeps_what_it_had_written(toy, tmp_path):
    """What a worker does whose predecessor died between two items of a batch: the same element, once more."""
    pytest.importorskip("apache_beam", reason="extra [beam]")
    import pickle

    from hoijax.jobs.beam import Work, _FinishBatch

    out = tmp_path / "out"
    job = toy.make_job(out, 4)
    (tmp_path / "notes").mkdir()
    worker = _FinishBatch(pickle.dumps(functools.partial(toy.make_job, out, 4)), str(tmp_path / "notes"))
    worker.setup()
    work = Work((("0", "1:0"), ("2", "1:2")), 2, False)
    next(iter(worker.process(work)))  # dies after the first
    assert [item.is_finished() for item in job.items] == [True, False, False, False]
    stamp = (out / "0" / "metrics.json").stat().st_mtime_ns
    assert list(worker.process(work)) == ["2"] and list(worker.process(work)) == []
    assert (out / "0" / "metrics.json").stat().st_mtime_ns == stamp and toy.batches_of(out) == [(0, 2)] * 2
    with pytest.raises(InputError, match="0 is something else on this worker"):
        list(worker.process(Work((("0", "2:0"),), 1, False)))
    with pytest.raises(InputError, match="finds no 7"):
        list(worker.process(Work((("7", "1:7"),), 1, False)))


def test_what_is_asked_for_again_is_computed_again_and_every_failure_has_its_note(toy, tmp_path):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    import pickle

    from hoijax.jobs.beam import Work, _FinishBatch

    out, notes = tmp_path / "out", tmp_path / "notes"
    notes.mkdir()
    prepare = pickle.dumps(functools.partial(toy.make_job, out, 27))
    worker, other = _FinishBatch(prepare, str(notes)), _FinishBatch(prepare, str(notes))
    for each in (worker, other):
        each.setup()
    assert worker._job is other._job  # threads share what is large
    assert list(worker.process(Work((("3", "1:3"), ("13", "1:13")), 3, False))) == ["3", "13"]
    assert list(other.process(Work((("26", "1:26"),), 1, False))) == ["26"]
    assert list(worker.process(Work((("3", "1:3"),), 1, False))) == []
    assert list(worker.process(Work((("3", "1:3"),), 1, True))) == ["3"]
    assert toy.batches_of(out) == [(3, 13, 13), (26,), (3,)] and results(out) == {"3": "9"}
    told = sorted(tuple(json.loads(path.read_text()).values()) for path in notes.iterdir())
    assert told == [("13", "13 is unlucky"), ("26", "26 is unlucky")]


def test_the_pipeline_is_told_the_runner_and_its_options(toy, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    from apache_beam.runners import create_runner

    from hoijax.jobs import beam

    for name in beam.RUNNERS.values():
        assert type(create_runner(name)).__name__ == name.rpartition(".")[2]
    given = []

    def read(flags):
        given.append(flags)
        raise InputError("no cluster")

    monkeypatch.setattr(beam, "PipelineOptions", read)
    prepare = functools.partial(toy.make_job, tmp_path, 1)
    for runner in ("flink", "SomeRunner"):
        with pytest.raises(InputError, match="no cluster"):
            run_job(prepare(), tmp_path, execute=executor(runner, ["a=1=2", "--b=3", "c"], prepare, tmp_path))
        assert not any(tmp_path.iterdir())
    assert given == [[f"--runner={name}", "--a=1=2", "--b=3", "--c"] for name in ("FlinkRunner", "SomeRunner")]


def test_what_cannot_be_run_is_refused(toy, tmp_path, monkeypatch):
    prepare = functools.partial(toy.make_job, tmp_path / "out", 1)
    with pytest.raises(InputError, match="are for --runner direct"):
        executor("local", ["a=1"], prepare, tmp_path)
    from hoijax.jobs import beam

    if beam.beam is not None:
        with pytest.raises(InputError, match="wanted name=value"):
            executor("direct", ["a b=1"], prepare, tmp_path)
    monkeypatch.setattr(beam, "beam", None)
    with pytest.raises(InputError, match=r"pip install 'hoijax\[beam\]'"):
        executor("flink", [], prepare, tmp_path)
