"""Parameter-only TFDS builds: written and read without TensorFlow, with what was left out beside them."""

import json
import pathlib
import sys

import numpy as np
import pytest

from hoijax.data.real import DATASETS, read_all
from hoijax.data.real.builder import check, tfds_builder
from hoijax.errors import InputError


@pytest.mark.parametrize("name", ["behave", "intercap"])
def test_round_trip(name, request, tmp_path):
    root = request.getfixturevalue(name)
    root = root[0] if isinstance(root, tuple) else root
    builder = tfds_builder(name, root=root, data_dir=tmp_path / "tfds")
    builder.download_and_prepare()
    assert "tensorflow" not in sys.modules
    index = DATASETS[name].scan(root)
    want = {sample.key: sample for _, sample in read_all(DATASETS[name], index)}
    got = [e for split in ("train", "test") for e in builder.as_data_source(split=split)]
    assert len(got) == len(want)
    for example in got:
        frame = want[example["key"].decode()]
        np.testing.assert_array_equal(example["obj_rot"], frame.obj_rot)
        for key, value in frame.body.items():
            np.testing.assert_array_equal(example["body"][key], value)
    problems = json.loads((pathlib.Path(builder.data_dir) / "problems.json").read_text())
    assert [p["where"] for p in problems] == [p.where for p in index.problems]


def test_check_counts_usable_samples(behave):
    fit = behave / "sequences/Date03_Sub03_boxlarge/t0003.000/person/fit02/person_fit.pkl"
    fit.write_bytes(b"not a pickle")
    _, counts, problems = check(DATASETS["behave"], behave)
    assert counts == {"train": 2}
    assert len(problems) == 3
    assert check(DATASETS["behave"], behave, read=False)[1] == {"train": 2, "test": 1}


def test_unknown_names_and_empty_roots_are_refused(tmp_path):
    with pytest.raises(InputError, match="no dataset is called 'coco'"):
        tfds_builder("coco", root=tmp_path, data_dir=tmp_path)
    (tmp_path / "sequences").mkdir()
    with pytest.raises(InputError, match="nothing usable"):
        tfds_builder("behave", root=tmp_path, data_dir=tmp_path / "tfds").download_and_prepare()
