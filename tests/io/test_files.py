import json
import os
import stat

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.io import (
    atomic_file,
    check_output_directory,
    check_output_file,
    file_digest,
    output_directory,
    remove_partial_files,
    value_digest,
    write_bytes,
    write_json,
    write_npz,
    write_text,
)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_stopped_writer_leaves_what_was_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "result.bin"
    write_bytes(path, b"old")
    with pytest.raises(error), atomic_file(path) as file:
        file.write(b"half of the ne")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "result.bin"
    with atomic_file(path) as file:
        file.write(b"whole")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"whole"


def test_files_have_the_mode_of_any_other_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_text(tmp_path / "ours", "é")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert (tmp_path / "ours").read_text(encoding="utf-8") == "é"


def test_json_takes_numpy_and_writes_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": np.float32(0.5), "n": np.int64(3), "a": np.eye(2), "bad": float("nan"),
                                     "inf": np.array([np.inf, 1.0]), "p": tmp_path, "b": np.bool_(True)})  # fmt: skip
    got = json.loads((tmp_path / "a.json").read_text())
    assert got == {"x": 0.5, "n": 3, "a": [[1, 0], [0, 1]], "bad": None, "inf": [None, 1.0], "p": str(tmp_path),
                   "b": True}  # fmt: skip


def test_npz_round_trip(tmp_path):
    write_npz(tmp_path / "a.npz", {"x": np.arange(3), "name": "sofa"})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as got:
        assert got["x"].tolist() == [0, 1, 2] and str(got["name"]) == "sofa"


def test_output_directory_is_made_with_its_parents(tmp_path):
    assert output_directory(tmp_path / "a" / "b").is_dir()
    assert output_directory(tmp_path / "a" / "b").is_dir()


def test_a_file_in_the_way_of_the_output_directory_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    for check in (check_output_directory, output_directory):
        with pytest.raises(InputError, match="a is a file"):
            check(tmp_path / "a" / "b")


def test_checking_an_output_directory_makes_nothing(tmp_path):
    check_output_directory(tmp_path / "a" / "b")
    assert not os.listdir(tmp_path)


def test_writing_into_a_missing_folder_says_so(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*No such file"):
        write_bytes(tmp_path / "missing" / "a", b"")


def test_partial_files_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / ".metrics.json.abc.part").write_text("{")
    (tmp_path / "metrics.json").write_text("{}")
    remove_partial_files(tmp_path)
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_digests_tell_values_apart_and_nothing_else():
    one = {"a": np.zeros(3, np.float32), "b": [1, "x", None, True]}
    same = {"b": (1, "x", None, True), "a": np.zeros(3, np.float32)}
    assert value_digest(one) == value_digest(same)
    others = [
        one | {"a": np.zeros(3)},
        one | {"a": np.zeros((3, 1), np.float32)},
        one | {"b": [1, "x", None, 1]},
        one | {"b": ["1", "x", None, True]},
        one | {"c": None},
        one | {"b": [[1, "x"], None, True]},
    ]
    assert len({value_digest(v) for v in [one, *others]}) == 1 + len(others)
    with pytest.raises(TypeError, match="set has no digest"):
        value_digest({1, 2})


def test_file_digest_is_that_of_the_contents(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a").startswith("ba7816bf8f01cfea")  # FIPS 180-2's example
    with pytest.raises(InputError, match="cannot read"):
        file_digest(tmp_path / "b")


def test_a_full_disk_is_a_message_and_leaves_the_old_file(tmp_path, monkeypatch):
    """The kernel's own full device, and a rename that fails."""
    write_bytes(tmp_path / "a", b"old")
    with pytest.raises(InputError, match=r"cannot write .*a: No space left on device; what was finished.*same command"):
        with atomic_file(tmp_path / "a"), open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["dangling", "loop", "below a link", "proc", "nul", "long", "very long"])
def test_places_that_cannot_be_written_are_refused_before_work(tmp_path, kind):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    place = {
        "dangling": tmp_path / "dangling", "loop": tmp_path / "loop", "below a link": tmp_path / "dangling" / "x",
        "proc": "/proc/hoijax_results", "nul": str(tmp_path / "a") + "\0b", "long": tmp_path / ("x" * 256),
        "very long": str(tmp_path) + "/ab" * 3000,
    }[kind]  # fmt: skip
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError):
        check_output_directory(place)
    if kind not in ("dangling", "loop"):  # a file takes the place of the link
        with pytest.raises(InputError):
            check_output_file(place if kind != "proc" else "/proc/hoijax.png")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_file_to_write_needs_a_folder_and_is_none(tmp_path):
    check_output_file(tmp_path / "a.png")
    assert not os.listdir(tmp_path)
    with pytest.raises(InputError, match="it is a folder"):
        check_output_file(tmp_path)
    with pytest.raises(InputError, match="is not there; make it first"):
        check_output_file(tmp_path / "b" / "a.png")
