"""The stream of batches: the same for every process count and thread count, and after every stop."""

import json
import threading
import typing

import jax
import numpy as np
import pytest

from hoijax.data.loading import POSITION, Loader, LoaderConfig, device_batches, stack
from hoijax.errors import InputError

SIZE = 23


class Slow:
    """A source that records which threads read it."""

    threads: typing.ClassVar[set] = set()

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        Slow.threads.add(threading.get_ident())
        return {
            "id": np.asarray(index),
            "nested": {"image": np.full((2, 2), index, np.uint8)},
            "text": f"sample {index}",
        }


def loader(**config):
    return Loader(Slow(), LoaderConfig(**{"batch_size": 4, "seed": 3, **config}))


def ids(batches):
    return np.concatenate([b["id"] for b in batches])


def test_every_epoch_is_a_permutation_of_its_own_and_the_seed_decides():
    stream = ids(loader()[step] for step in range(SIZE))  # four epochs
    epochs = stream.reshape(4, SIZE)
    assert (np.sort(epochs, axis=1) == np.arange(SIZE)).all()
    assert len({tuple(e) for e in epochs}) == 4
    assert not np.array_equal(stream, ids(loader(seed=4)[step] for step in range(SIZE)))
    np.testing.assert_array_equal(ids(loader(shuffle=False)[s] for s in range(SIZE)), np.tile(np.arange(SIZE), 4))


def test_the_order_is_the_one_that_runs_before_this_version_had():
    """A checkpoint's step means something only while Grain keeps its order."""
    assert ids(loader()[s] for s in range(3)).tolist() == PINNED


PINNED = [4, 7, 11, 8, 17, 5, 10, 19, 21, 15, 3, 12]


@pytest.mark.parametrize("threads", [0, 3])
def test_threads_do_not_change_the_batches(threads):
    Slow.threads.clear()
    batches = loader(threads=threads, prefetch=8).batches()
    for step in range(7):
        got, want = next(batches), loader()[step]
        assert jax.tree.all(jax.tree.map(np.array_equal, got, want))
    if threads:
        assert threading.get_ident() in Slow.threads  # from loader()[step]
        assert len(Slow.threads) > 1


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_global_batch(count):
    parts = [loader(process_index=i, process_count=count) for i in range(count)]
    for step in range(8):
        whole = loader()[step]
        dealt = [p[step] for p in parts]
        assert all(len(d["id"]) == 4 // count for d in dealt)
        order = np.argsort(np.concatenate([d[POSITION] for d in dealt]))
        np.testing.assert_array_equal(ids(dealt)[order], whole["id"])


def test_resume_gives_the_same_batches():
    batches = loader().batches()
    for _ in range(5):
        next(batches)
    state = json.loads(json.dumps(batches.state()))
    want = [next(batches) for _ in range(9)]
    again = loader().batches(state)
    assert again.step == 5
    for one in want:
        assert jax.tree.all(jax.tree.map(np.array_equal, next(again), one))
    halves = [loader(process_index=i, process_count=2).batches(state) for i in (0, 1)]
    assert sorted(ids([next(h) for h in halves])) == sorted(want[0]["id"])


def test_a_state_of_another_stream_is_refused():
    with pytest.raises(InputError, match="another stream: seed 3, here 4"):
        loader(seed=4).batches(loader().state(7))
    with pytest.raises(InputError, match="no step"):
        loader().batches({k: v for k, v in loader().state(7).items() if k != "step"})


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_finite_stream_ends_at_the_same_step_everywhere(count):
    finite = [loader(epochs=1, process_index=i, process_count=count) for i in range(count)]
    assert [len(list(f.batches())) for f in finite] == [5] * count
    assert len(finite[0]) == 5
    with pytest.raises(IndexError):
        finite[0][5]
    with pytest.raises(TypeError, match="epochs"):
        len(loader())


def test_transform_and_device():
    small = Loader(Slow(), LoaderConfig(batch_size=4, epochs=1), transform=lambda s: {"id": s["id"] * 10})
    batches = list(device_batches(small.batches()))
    assert len(batches) == 5
    assert all(isinstance(b["id"], jax.Array) for b in batches)
    np.testing.assert_array_equal(batches[2]["id"], small[2]["id"])
    assert (np.asarray(batches[0]["id"]) % 10 == 0).all()
    mesh = jax.make_mesh((1,), ("data",))
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    spread = next(device_batches(small.batches(), sharding))
    assert spread["id"].sharding == sharding


def test_samples_that_do_not_stack_are_named():
    with pytest.raises(InputError, match=r"sample\.a\.b: shapes \(2,\), \(3,\) cannot be stacked"):
        stack([{"a": {"b": np.zeros(2)}}, {"a": {"b": np.zeros(3)}}])
    with pytest.raises(InputError, match="different fields"):
        stack([{"a": 1}, {"b": 1}])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch_size": 5, "process_index": 0, "process_count": 2}, "cannot be divided among 2"),
        ({"batch_size": 24, "epochs": 1}, "make no batch"),
        ({"process_index": 2, "process_count": 2}, "process 2 of 2"),
    ],
)
def test_numbers_that_do_not_fit(config, message):
    with pytest.raises(InputError, match=message):
        loader(**config)
    with pytest.raises(InputError, match="no samples"):
        Loader([], LoaderConfig(batch_size=1))


def test_reads_array_records(tmp_path):
    """A TFDS build's data source, read by index."""
    array_record = pytest.importorskip("array_record.python.array_record_module")
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    path = tmp_path / "x.array_record"
    writer = array_record.ArrayRecordWriter(str(path), "group_size:1")
    for i in range(SIZE):
        writer.write(b"%d" % i)
    writer.close()
    records = Loader(ArrayRecordDataSource(str(path)), LoaderConfig(batch_size=4, seed=3), transform=int)
    np.testing.assert_array_equal(records[2]["sample"], loader()[2]["id"])
