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


def on_beam(toy, out, count, **options):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    prepare = functools.partial(toy.make_job, out, count, **options)
    return run_job(prepare(), out, execute=executor("direct", ["direct_num_workers=1"], prepare, out))


@pytest.mark.slow
def test_beam_writes_what_this_process_writes(toy, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    run_job(toy.make_job(here, 15), here)
    outcome = on_beam(toy, there, 15)
    assert results(there) == results(here) and len(outcome.finished) == 14
    assert outcome.failures == {"13": "13 is unlucky"}
    # The same items together, so that padded programs and their sums are the same too.
    assert sorted(toy.batches_of(there)) == sorted(toy.batches_of(here))
    records = [{p.parent.name: json.loads(p.read_text()) for p in out.glob("*/metrics.json")} for out in (here, there)]
    assert records[0] == records[1]
    assert sorted(p.name for p in there.iterdir()) == sorted(map(str, sorted(set(range(15)) - {13}, key=str)))
    # And it goes on where something is missing.
    (there / "4" / "square.txt").unlink()
    assert on_beam(toy, there, 15).fresh == {"4"} and toy.batches_of(there)[-1] in {(4,), (13,)}


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
