"""SynthHOI's shards as a job, with the solving taken out: what is made, resumed, refused; TFDS finds the build."""

import json

import pytest

from hoijax.data.synth import SynthConfig, building
from hoijax.errors import InputError
from hoijax.jobs.datasets import BuildRequest, build_synth, prepare_job


@pytest.fixture
def request_(tmp_path, monkeypatch):
    """A build of three shards of at most two records, whose records are their own names; and the shards made."""
    made = []

    def shard_records(config, split, shard):
        made.append((split, shard))
        names = [f"{split}/{shard * 2 + i}" for i in range(building.shard_size(config, split, shard))]
        action = {"attempts": len(names) + 1, "accepted": len(names), "rejected": {"depth": 1}}
        return [name.encode() for name in names], {"actions": {"sit": action}, "bytes": sum(map(len, names))}

    monkeypatch.setattr(building, "SHARD", 2)
    monkeypatch.setattr(building, "shard_records", shard_records)
    config = SynthConfig(train=3, val=0, test=1, test_unseen_category=0, scenes=0)
    return BuildRequest(config, tmp_path / "root"), made


def records_of(path):
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path))
    return [bytes(x) for x in reader.read(list(range(reader.num_records())))]


def test_every_shard_is_made_once_and_found_again(request_, tmp_path):
    request, made = request_
    report = build_synth(request)
    assert made == [("train", 0), ("train", 1), ("test", 0)]
    assert report.made == 4 and report.samples["train"] == 3
    assert report.attempts == {"sit": 7} and report.accepted == {"sit": 4} and report.rejected == {"sit": {"depth": 3}}
    folder = tmp_path / "root" / "synth_hoi" / "1.0.0"
    paths = [building.record_path(request.root, request.config, *task) for task in made]
    assert [records_of(p) for p in paths] == [[b"train/0", b"train/1"], [b"train/2"], [b"test/0"]]
    info = json.loads((folder / "dataset_info.json").read_text())
    assert {s["name"]: s["shardLengths"] for s in info["splits"]} == {"train": ["2", "1"], "test": ["1"]}
    statistics = json.loads((folder / "statistics" / "train-00001.json").read_text())
    assert statistics["bytes"] == 7 and statistics["key"] and statistics["versions"]
    assert build_synth(request).made == 0 and len(made) == 3
    paths[1].unlink()
    assert build_synth(request).made == 1 and made[3:] == [("train", 1)]


def test_a_shard_that_cannot_be_made_ends_the_build_and_the_others_stay(request_, monkeypatch):
    request, made = request_
    good = building.shard_records

    def fail(config, split, shard):
        if (split, shard) == ("train", 1):
            raise InputError("no interaction passed")
        return good(config, split, shard)

    monkeypatch.setattr(building, "shard_records", fail)
    with pytest.raises(InputError, match="no interaction passed"):
        build_synth(request)
    monkeypatch.setattr(building, "shard_records", good)
    assert build_synth(request).made == 1 and made == [("train", 0), ("test", 0), ("train", 1)]


def test_a_worker_makes_the_same_items_and_touches_nothing(request_):
    request, _ = request_
    here = prepare_job(request).items
    assert [item.name for item in here] == ["train-00000", "train-00001", "test-00000"]
    assert len({item.key for item in here}) == 3 and not request.root.exists()
    other = BuildRequest(SynthConfig(train=3, val=0, test=1, test_unseen_category=0, scenes=0, seed=7), request.root)
    assert not {item.key for item in prepare_job(other).items} & {item.key for item in here}
    build_synth(request)
    with pytest.raises(InputError, match="another configuration"):
        build_synth(other)
