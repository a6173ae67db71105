"""The door to safetensors files: against the library's own reader and writer, and shut to what is damaged."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from hoijax.errors import InputError
from hoijax.nets.weights import Tensors, open_tensors, read_facts, write_tensors
from hoijax.nets.weights.files import DTYPES, table_of


def arrays(seed=0):
    """One of every type, in an order that is not the file's."""
    rng = np.random.default_rng(seed)
    drawn = {
        f"{chr(122 - i)}.{name}": (3 * rng.normal(size=(2, i + 1))).astype(dtype)
        for i, (name, dtype) in enumerate(DTYPES.items())
    }
    return drawn | {"scalar": np.array(3.5, np.float32), "none": np.zeros((0, 4), np.int8)}


def test_bytes_are_those_of_the_library(tmp_path):
    # One type alone: the library's order of types is its own matter.
    for dtype in (np.float16, np.float32):
        given = {name: np.full((2, 3), i, dtype) for i, name in enumerate(("b", "a.x", "ä"))}
        write_tensors(tmp_path / "a.safetensors", given, {"facts": '{"x": 1}'})
        assert (tmp_path / "a.safetensors").read_bytes() == safetensors.numpy.save(given, {"facts": '{"x": 1}'})


def test_what_the_library_reads_of_ours_and_we_of_the_librarys(tmp_path):
    given = arrays()
    write_tensors(tmp_path / "a.safetensors", given, {"facts": "{}"})
    theirs = safetensors.numpy.load_file(tmp_path / "a.safetensors")
    safetensors.numpy.save_file(given, tmp_path / "b.safetensors", {"facts": "{}"})
    ours = open_tensors(tmp_path / "b.safetensors")
    assert theirs.keys() == ours.keys() == given.keys() and ours.facts() == {}
    for name, array in given.items():
        for got in (theirs[name], ours[name]):
            assert got.dtype == np.asarray(array).dtype and ours.table[name].shape == np.shape(array)
            np.testing.assert_array_equal(got, array)


def test_floating_point_numbers_are_cast_as_they_are_read_and_no_others(tmp_path):
    given = arrays()
    write_tensors(tmp_path / "a.safetensors", given)
    got = open_tensors(tmp_path / "a.safetensors", dtype=ml_dtypes.bfloat16)
    for name, array in given.items():
        floating = np.asarray(array).dtype.kind == "f" or np.asarray(array).dtype == ml_dtypes.bfloat16
        want = ml_dtypes.bfloat16 if floating else np.asarray(array).dtype
        assert got.table[name].dtype == got[name].dtype == want
        np.testing.assert_array_equal(got[name], np.asarray(array).astype(want))


def test_arrays_are_made_one_at_a_time_when_they_are_written(tmp_path):
    given, read = arrays(), []
    lazy = Tensors(table_of(given), lambda name: read.append(name) or given[name])
    assert lazy.select({"new": "scalar"})["new"] == 3.5
    read.clear()
    write_tensors(tmp_path / "a.safetensors", lazy)
    assert sorted(read) == sorted(given)
    with pytest.raises(KeyError):
        lazy["absent"]
    wrong = Tensors(table_of({"x": given["scalar"]}), lambda name: np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="announced as"):
        write_tensors(tmp_path / "b.safetensors", wrong)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def shards(folder, given, names=("one", "two")):
    """Arrays over several files, with an index."""
    keys, table = list(given), {}
    for i, name in enumerate(names):
        part = {key: given[key] for key in keys[i :: len(names)]}
        write_tensors(folder / f"{name}.safetensors", part)
        table |= dict.fromkeys(part, f"{name}.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": table})
    )
    return table


def test_several_files_with_an_index_are_one(tmp_path):
    given = arrays()
    table = shards(tmp_path, given)
    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        got = open_tensors(path, dtype=np.float64)
        assert got.keys() == given.keys()
        for name, array in given.items():
            np.testing.assert_array_equal(got[name], np.asarray(array).astype(got.table[name].dtype))
    assert len(set(table.values())) == 2


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "wanted a JSON object"),
        ("null", "wanted a JSON object"),
        ("{}", "weight_map"),
        ('{"weight_map": {"a": 3}}', "weight_map"),
        ('{"weight_map": {"scalar": "../one.safetensors"}}', "wanted .safetensors files beside it"),
        ('{"weight_map": {"scalar": "/etc/passwd"}}', "wanted .safetensors files beside it"),
        ('{"weight_map": {"scalar": "gone.safetensors"}}', "there is no file of weights"),
        ('{"weight_map": {"absent": "one.safetensors"}}', "absent is in one.safetensors, which lacks it"),
    ],
)
def test_a_false_index_is_refused(tmp_path, index, message):
    shards(tmp_path, arrays())
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=message):
        open_tensors(tmp_path)


def test_a_folder_holds_one_file_or_one_index(tmp_path):
    with pytest.raises(InputError, match="found none"):
        open_tensors(tmp_path)
    for name in ("a", "b"):
        write_tensors(tmp_path / f"{name}.safetensors", arrays())
    with pytest.raises(InputError, match=r"found a.safetensors, b.safetensors"):
        open_tensors(tmp_path)


def raw(head, data=b""):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(2,), end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [0, end]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read"),
        (b"\xff" * 8, "cannot read"),
        (b"\xff" * 64, "cannot read"),
        (raw(b"null"), "cannot read"),
        (raw(b"[1]"), "cannot read"),
        (raw(b"{"), "cannot read"),
        (raw(b'{"a"' * 50_000), "cannot read"),
        (raw({"__metadata__": [1]}), "cannot read"),
        (raw({"__metadata__": {"facts": {"x": 1}}}), "cannot read"),
        (raw({"x": entry()}, b"\0" * 7), "cannot read"),
        (raw({"x": entry()}, b"\0" * 9), "cannot read"),
        (raw({"x": entry(shape=(3,))}, b"\0" * 8), "cannot read"),
        (raw({"x": entry(shape=(-2,))}, b"\0" * 8), "cannot read"),
        (raw({"x": entry(shape=(1 << 62, 1 << 62))}, b"\0" * 8), "cannot read"),
        (raw({"x": entry("F8_E4M3", (8,))}, b"\0" * 8), "type F8_E4M3; save them as one of F64"),
        (raw({"x": entry("C64", (1,))}, b"\0" * 8), "type C64"),
        (raw({"x": entry(), "y": entry()}, b"\0" * 8), "cannot read"),
        (b"PK\x03\x04" + b"\0" * 60, "cannot read"),
        (b"<!doctype html>" + b" " * 60, "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ({}, "does not say what they are of"),
        ({"facts": "{"}, "is no JSON, wanted a JSON object"),
        ({"facts": "null"}, "wanted a JSON object"),
        ({"facts": "[1]"}, "is a list, wanted a JSON object"),
        ({"facts": "3"}, "is a int, wanted a JSON object"),
        ({"facts": "[" * 100_000}, "is no JSON"),
    ],
)
def test_false_facts_are_refused(tmp_path, notes, message):
    write_tensors(tmp_path / "a.safetensors", arrays(), notes)
    with pytest.raises(InputError, match=message):
        read_facts(tmp_path / "a.safetensors")


def test_notes_of_others_are_facts_too(tmp_path):
    write_tensors(tmp_path / "a.safetensors", arrays(), {"format": "pt", "config": "[1]", "facts": '{"x": null}'})
    assert read_facts(tmp_path / "a.safetensors") == {"format": "pt", "config": [1], "x": None}


def test_a_file_that_shrinks_after_it_was_opened_is_an_error_of_input(tmp_path):
    write_tensors(tmp_path / "a.safetensors", arrays())
    got = open_tensors(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="cannot read"):
        got["scalar"]


def test_strange_types_are_not_written(tmp_path):
    with pytest.raises(InputError, match="x is of the type complex128"):
        write_tensors(tmp_path / "a.safetensors", {"x": np.zeros(2, complex)})
    assert not list(tmp_path.iterdir())
