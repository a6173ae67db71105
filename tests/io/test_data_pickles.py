"""Pickles of estimators: joblib's own bytes in every codec, PyTorch's tensors, and files made to do harm."""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import pickle
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.io.data_pickles import read_data_pickle
from hoijax.io.sources import read_estimate
from hoijax.io.sources.containers import read_tree

#: What joblib 1.6 wrote for `WANT`, base 85.
FILES = json.loads((pathlib.Path(__file__).parent / "joblib_files.json").read_text())["files"]
WANT = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3), "f": np.arange(6).reshape(2, 3), "e": np.zeros((0, 3)),
    "z": np.array(5),
}  # fmt: skip


def same(one, two):
    assert type(one) is type(two) and one.dtype == two.dtype and one.shape == two.shape
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", FILES)
def test_joblibs_own_files(tmp_path, name):
    path = tmp_path / "a.pkl"
    path.write_bytes(base64.b85decode(FILES[name]))
    found = read_data_pickle(path)
    assert set(found) == {*WANT, "o", 7}
    for key, array in WANT.items():
        same(found[key], array)
    assert found["f"].flags.f_contiguous and not found["f"].flags.c_contiguous
    same(found["o"][0]["q"], np.ones(2))
    assert found["o"][1] is None and found[7][1] == "x"
    same(found[7][0], np.ones(2, bool))
    assert list(read_tree(path)) == list(found)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_named(tmp_path, name):
    data = base64.b85decode(FILES[name])
    path = tmp_path / "cut.pkl"
    for size in range(0, len(data) - 1, max(1, len(data) // 40)):
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match=r"cut\.pkl"):
            read_data_pickle(path)


BOMBS = {
    "zlib": lambda b: zlib.compress(b, 9), "gzip": lambda b: gzip.compress(b, 9), "bz2": lambda b: bz2.compress(b, 9),
    "xz": lambda b: lzma.compress(b), "lzma": lambda b: lzma.compress(b, lzma.FORMAT_ALONE),
}  # fmt: skip


@pytest.mark.parametrize("codec", BOMBS)
def test_what_unfolds_to_much_is_refused(tmp_path, codec):
    (tmp_path / "bomb.pkl").write_bytes(BOMBS[codec](b"\x80\x04" + bytes(24 << 20)))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"bomb\.pkl.*unfolds to more than 1 MiB"):
        read_data_pickle(tmp_path / "bomb.pkl", limit=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20  # and is not unfolded first


@pytest.mark.parametrize(("start", "name"), [(b"\x04\x22\x4d\x18", "lz4"), (b"\x28\xb5\x2f\xfd", "zstd")])
def test_other_codecs_are_named(tmp_path, start, name):
    (tmp_path / "a.pkl").write_bytes(start + bytes(60))
    with pytest.raises(InputError, match=f"compressed with {name}"):
        read_data_pickle(tmp_path / "a.pkl")


class Payload:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("kind", ["pkl", "joblib", "npy", "npz", "legacy", "storage"])
def test_payloads_do_not_run(tmp_path, kind):
    bad = Payload(tmp_path / "executed")
    path = tmp_path / f"a.{'pkl' if kind in ('legacy', 'storage', 'joblib') else kind}"
    if kind == "npz":
        np.savez(path, pose=np.array(bad, dtype=object))
    elif kind == "npy":
        np.save(path, np.array({"pose": bad}, dtype=object), allow_pickle=True)
    elif kind in ("legacy", "storage"):
        torch = pytest.importorskip("torch")
        buffer = io.BytesIO()
        torch.save({"w": torch.ones(2), "x": bad}, buffer, _use_new_zipfile_serialization=False)
        data = buffer.getvalue()
        path.write_bytes(data if kind == "legacy" else pickle.dumps(FromBytes(data)))
    else:
        path.write_bytes(
            zlib.compress(pickle.dumps({"pose": bad})) if kind == "joblib" else pickle.dumps({"pose": bad})
        )
    with pytest.raises(InputError):
        read_estimate(path)
    assert not (tmp_path / "executed").exists()


class FromBytes:
    """Pickles as a tensor's numbers do, with bytes of one's choice."""

    def __init__(self, data):
        self.data = data

    def __reduce__(self):
        import torch.storage

        return torch.storage._load_from_bytes, (self.data,)


def test_tensors_inside_pickles(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(4, 6)
    tree = {"t": base.T, "s": base[1:, ::2], "b": base.bfloat16(), "l": base.long(), "e": torch.zeros(0, 3),
            "p": torch.nn.Parameter(base), "size": base.shape, "n": [base[0], {"x": base[:, 0]}]}  # fmt: skip
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(tree))
    np.save(tmp_path / "a.npy", np.array(tree, dtype=object), allow_pickle=True)
    torch.save(tree, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(tree, tmp_path / "new.pt")
    for name in ("a.pkl", "a.npy", "old.pt", "new.pt"):
        found = read_tree(tmp_path / name)
        for key in "tslep":
            np.testing.assert_array_equal(found[key], tree[key].detach().numpy())
            assert found[key].shape == tuple(tree[key].shape)
        np.testing.assert_array_equal(found["b"].astype(np.float32), base.numpy())
        np.testing.assert_array_equal(found["n"][1]["x"], base[:, 0])
        if name.startswith("a."):
            assert found["size"] == (4, 6)


def test_false_sizes_of_the_old_format_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save({"w": torch.arange(100.0)}, buffer, _use_new_zipfile_serialization=False)
    data, path = buffer.getvalue(), tmp_path / "a.pt"
    count = struct.pack("<Q", 100)
    at = data.rindex(count)
    for size in (99, 1 << 40):
        path.write_bytes(data[:at] + struct.pack("<Q", size) + data[at + 8 :])
        with pytest.raises(InputError, match="length of a storage"):
            read_tree(path)
    path.write_bytes(data[:-50])
    with pytest.raises(InputError, match="cut short"):
        read_tree(path)


def test_text_and_arrays_that_are_none(tmp_path):
    for name, content in (("a.txt", "1 2\n3\n"), ("b.txt", "hello"), ("c.txt", ""), ("d.json", "{"), ("e.xyz", "1")):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError):
            read_tree(tmp_path / name)
    np.save(tmp_path / "f.npy", np.zeros((4, 4)))
    whole = (tmp_path / "f.npy").read_bytes()
    (tmp_path / "f.npy").write_bytes(whole[:-8])
    with pytest.raises(InputError, match="damaged"):
        read_tree(tmp_path / "f.npy")
    (tmp_path / "g.txt").write_text("[[1, 0, 0, 0.5], \n [0, 1, 0, 0],\n[0,0,1,2],\n[0,0,0,1]]")
    assert read_tree(tmp_path / "g.txt")["(matrix)"].shape == (4, 4)
