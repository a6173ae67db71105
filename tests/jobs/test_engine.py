"""The engine on a job of numbers: batches, padding, resuming, failures, Ctrl-C, records."""

import dataclasses
import importlib.metadata
import json
import os
import signal

import pytest

from hoijax.jobs.engine import Batch, Item, finish_batch, make_batches, run_job


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_batches_hold_one_program_and_the_last_is_filled_up(toy, tmp_path):
    job = toy.make_job(tmp_path / "out", 9, batch_size=3)
    batches = make_batches(job, job.items)
    names = [[int(item.name) for item in batch.items] for batch in batches]
    assert names == [[0, 2, 4], [6, 8], [1, 3, 5], [7]]
    assert [[int(item.name) for item in batch.filled] for batch in batches] == [
        [0, 2, 4], [6, 8, 8], [1, 3, 5], [7, 7, 7],
    ]  # fmt: skip
    # A group of its own, smaller than a batch, is computed at its size.
    assert [batch.size for batch in make_batches(job, job.items[:4])] == [2, 2]


def test_everything_is_computed_once_and_written(toy, tmp_path, capsys):
    out = tmp_path / "out"
    outcome = run_job(toy.make_job(out, 5), out)
    assert [item.name for item in outcome.finished] == list("01234") and outcome.fresh == set("01234")
    assert outcome.failures == {}
    assert toy.batches_of(out) == [(0, 2), (4, 4), (1, 3)]
    assert {p.name: (p / "square.txt").read_text() for p in out.iterdir()} == {str(i): str(i * i) for i in range(5)}
    assert "5 of 5 written" in capsys.readouterr().out


def test_the_record_says_where_a_result_comes_from(toy, tmp_path):
    out = tmp_path / "out"
    outcome = run_job(toy.make_job(out, 2), out)
    record = json.loads((out / "1" / "metrics.json").read_text())
    assert outcome.records()["1"] == record
    assert record["key"] == "1:1" and record["square"] == 1
    for name in ("hoijax", "jax", "numpy"):
        assert record["versions"][name] == importlib.metadata.version(name)
    assert record["device"]


def test_what_is_finished_is_skipped_until_its_key_or_files_change(toy, tmp_path, capsys):
    out = tmp_path / "out"
    run_job(toy.make_job(out, 4), out)
    before = tree(out)
    outcome = run_job(toy.make_job(out, 4), out)
    assert outcome.fresh == set() and len(outcome.finished) == 4 and tree(out) == before
    assert "4 of 4 are finished already" in capsys.readouterr().out
    (out / "3" / "square.txt").unlink()
    (out / "1" / "metrics.json").write_text("[]")
    assert run_job(toy.make_job(out, 4), out).fresh == {"1", "3"}
    assert run_job(toy.make_job(out, 4, version="2"), out).fresh == set("0123")
    assert run_job(toy.make_job(out, 4, version="2"), out, redo=True).fresh == set("0123")
    assert len(toy.batches_of(out)) == 7


def test_what_is_not_finished_is_computed_where_it_is_asked_for(toy, tmp_path):
    """An executor is given the batches of what waits, and its word on who failed is taken."""
    out, given = tmp_path / "out", []
    run_job(toy.make_job(out, 1), out)

    def execute(job, batches):
        given.append([[item.name for item in batch.items] for batch in batches])
        for item in job.items[1:4]:
            item.folder.mkdir(exist_ok=True)
            (item.folder / "square.txt").touch()
            (item.folder / "metrics.json").write_text(json.dumps({"key": item.key}))
        return {"3": "lost"}

    outcome = run_job(toy.make_job(out, 5), out, execute=execute)
    assert given == [[["1", "3"], ["2", "4"]]] and len(toy.batches_of(out)) == 1
    assert outcome.failures == {"3": "lost"} and outcome.fresh == {"1", "2", "4"}
    # What no worker has written is not finished, whatever is said.
    assert [item.name for item in outcome.finished] == ["0", "1", "2"]
    run_job(toy.make_job(out, 3), out, redo=True, execute=execute)
    assert given[1] == [["0", "2"], ["1"]]


def test_a_failure_is_named_and_the_rest_is_done(toy, tmp_path):
    out = tmp_path / "out"
    outcome = run_job(toy.make_job(out, 15), out)
    assert outcome.failures == {"13": "13 is unlucky"} and not (out / "13").exists()
    assert len(outcome.finished) == 14 and "13" not in outcome.fresh
    again = run_job(toy.make_job(out, 15), out)
    assert again.failures == outcome.failures and toy.batches_of(out)[-1] == (13,)


def test_a_result_that_fails_again_is_not_taken_for_the_old_one(toy, tmp_path):
    """Asked for anew, an item whose writing is refused has no record any more."""
    from hoijax.errors import InputError

    out = tmp_path / "out"
    job = toy.make_job(out, 1)
    run_job(job, out)

    def refuse(item, result):
        raise InputError("no room")

    outcome = run_job(dataclasses.replace(job, write=refuse), out, redo=True)
    assert outcome.failures == {"0": "no room"} and outcome.finished == () and not job.items[0].is_finished()


@pytest.mark.parametrize("where", ["compute", "write"])
def test_ctrl_c_loses_the_batch_in_work_alone(toy, tmp_path, capsys, where):
    out = tmp_path / "out"
    job = toy.make_job(out, 6)

    def stopping(function, number):
        calls = []

        def call(*args):
            calls.append(args)
            if len(calls) == number:
                raise KeyboardInterrupt
            return function(*args)

        return call

    stopped = dataclasses.replace(job, **{where: stopping(getattr(job, where), 2 if where == "compute" else 4)})
    with pytest.raises(KeyboardInterrupt):
        run_job(stopped, out)
    kept = 2 if where == "compute" else 3
    assert f"{kept} of 6 numbers are finished and written; the same command goes on" in capsys.readouterr().out
    assert sum(item.is_finished() for item in job.items) == kept
    before = tree(out)
    outcome = run_job(job, out)
    assert len(outcome.fresh) == 6 - kept and len(outcome.finished) == 6
    assert {name: tree(out)[name] for name in before} == before


class Interrupting:
    """Sends a Ctrl-C from where Python drops exceptions."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_python_drops_ends_the_run_after_the_item_in_work(toy, tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        job = toy.make_job(tmp_path, 6)

        def write(item, result):
            Interrupting()
            return job.write(item, result)

        with pytest.raises(KeyboardInterrupt):
            run_job(dataclasses.replace(job, write=write), tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [item.name for item in job.items if item.is_finished()] == ["0"]


def test_what_is_kept_is_not_written_again(toy, tmp_path):
    job = toy.make_job(tmp_path, 4)
    batch = make_batches(job, job.items)[0]
    names = [item.name for item in batch.items]
    got = list(finish_batch(job, batch, lambda share, label: None, keep=names[:1]))
    assert [(item.name, message) for item, message in got] == [(name, None) for name in names[1:]]
    assert not job.items[0].is_finished() and len(names) == 2


def test_half_written_files_of_a_killed_run_are_removed(toy, tmp_path):
    out = tmp_path / "out"
    (out / "0").mkdir(parents=True)
    (out / "0" / ".square.txt.x.part").write_text("half")
    run_job(toy.make_job(out, 1), out)
    assert sorted(p.name for p in (out / "0").iterdir()) == ["metrics.json", "square.txt"]


def test_an_item_is_finished_only_with_all_its_files_and_its_own_key(tmp_path):
    item = Item("a", tmp_path, "k", ("x", "y"), record="a.json")
    for name in ("x", "y"):
        assert not item.is_finished()
        (tmp_path / name).touch()
    (tmp_path / "a.json").write_text('{"key": "other"}')
    assert not item.is_finished()
    (tmp_path / "a.json").write_text('{"key": "k"}')
    assert item.is_finished()
    assert Batch((item,), 3).filled == (item,) * 3
