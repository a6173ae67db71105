"""Damaged and hostile safetensors, by every door to them: every failure names the file."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save

from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.nets.graft.checkpoints import load_graft
from hoijax.nets.weights import read_facts
from hoijax.nets.weights.files import open_tensors


def file_of(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


GOOD = save({"w": np.arange(6, dtype=np.float32)}, {"facts": '{"seed": 3}'})
BROKEN = {
    "empty": b"",
    "text": b"hello, this is no safetensors file at all",
    "cut": GOOD[:-3],
    "longer": GOOD + b"12",
    "header longer than the file": struct.pack("<Q", 1 << 40) + b"{}",
    "no json": file_of(b"{" * 20),
    "nested": file_of(b'{"__metadata__":' + b"[" * 5000),
    "float8": file_of({"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
    "unknown kind": file_of({"w": {"dtype": "Q9", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
    "sizes that disagree": file_of({"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, bytes(4)),
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "web page": b"<!DOCTYPE html><html><body>log in</body></html>",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named_by_every_reader(tmp_path, name, capsys):
    path = tmp_path / "w.safetensors"
    path.write_bytes(BROKEN[name])
    for read in (open_tensors, load_graft, read_facts):
        with pytest.raises(InputError, match=r"w\.safetensors"):
            read(path)
    assert main(["convert", "scorehoi_denoiser", str(path), "--out", str(tmp_path / "o.safetensors")]) == 2
    assert "w.safetensors" in capsys.readouterr().err and not (tmp_path / "o.safetensors").exists()


def test_a_missing_file_is_a_message(tmp_path, capsys):
    path = tmp_path / "w.safetensors"
    assert main(["convert", "scorehoi_denoiser", str(path), "--out", str(tmp_path / "o.safetensors")]) == 2
    assert "there is no " in capsys.readouterr().err


@pytest.mark.parametrize("notes", [None, {"facts": "{"}, {"facts": "[" * 99_999}, {"facts": "[]"}, {"facts": "null"}])
def test_notes_that_are_none(tmp_path, notes):
    path = tmp_path / "w.safetensors"
    path.write_bytes(save({"w": np.zeros(3, np.float32)}, notes and notes | {"config": notes["facts"]}))
    for read in (load_graft, read_facts):
        with pytest.raises(InputError, match=r"w\.safetensors"):
            read(path)
    path.write_bytes(save({"w": np.zeros(3, np.float32)}, {"facts": "{}", "config": '{"no_such_size": 3}'}))
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_graft(path)


def test_a_good_file_is_read(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(GOOD)
    np.testing.assert_array_equal(open_tensors(path)["w"], np.arange(6))
    assert read_facts(path) == {"seed": 3}
