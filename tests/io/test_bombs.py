"""Small files that would take a machine's memory or its days: refused at once, with little memory."""

import io
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from hoijax.body_models import load
from hoijax.errors import InputError
from hoijax.io import read_json, read_npz, read_parameters
from hoijax.io.pickles import loads, read_object_npz, read_pickle
from hoijax.io.torch_checkpoints import read_state_dict, read_torch

MEGABYTES = 80


@pytest.fixture(autouse=True)
def bounded():
    """Every test of this file stays below so much memory and half a minute of work."""
    tracemalloc.start()
    began = time.process_time()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEGABYTES << 20
    assert time.process_time() - began < 30


def header(shape, descr="<f8"):
    """The header of a `.npy` that promises an array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def promising(path, name, start, size, *, count=1):
    """An archive whose members are said, by the zip's own directory, to unfold to `size` bytes each."""
    small = start + bytes(1234)
    archive(path, {name.format(i): small for i in range(count)}, zipfile.ZIP_DEFLATED)
    lengths = struct.pack("<I", len(small)), struct.pack("<I", size)
    path.write_bytes(path.read_bytes().replace(*lengths))
    return path


# Pickles as programs. `nest` doubles a list so many times: each level holds the one below twice.
def nest(levels, kind=b"]"):
    """A list in which 2^levels lists lie, in five bytes a level."""
    code = b"]q\x00"
    for i in range(levels):
        get = b"h" + bytes([i])
        code += (b"0](" + get + get + b"e" if kind == b"]" else b"0" + get + get + b"\x86") + b"q" + bytes([i + 1])
    return b"\x80\x02" + code


def test_shared_lists_are_not_walked_to_the_end():
    with pytest.raises(InputError, match="unfolds to more than"):
        loads(nest(40) + b".")


def test_a_small_nest_is_read_and_keeps_its_sharing():
    value = loads(nest(5) + b".")
    assert value == [[[[[[], []]] * 2] * 2] * 2] * 2 and value[0] is value[1]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_keys_that_datasets_use_are_read(protocol):
    value = {("t0003.000", 2): [1], 3: "a", 2.5: {"x", 4}, None: 0, b"k": frozenset({"y"})}
    assert loads(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02}" + nest(60, b"t")[2:] + b"K\x01s.",  # as the key of a dictionary: its hash never ends
        b"\x80\x04\x8f(" + nest(60, b"t")[2:] + b"\x90.",  # in a set
        b"\x80\x04(" + nest(60, b"t")[2:] + b"\x91.",  # in a frozen set
        b"\x80\x02c__builtin__\nset\n(" + nest(60, b"t")[2:] + b"t\x85R.",  # in a set made by a call
        b"\x80\x02ccollections\nOrderedDict\n((" + nest(60, b"t")[2:] + b"K\x01tt\x85R.",
        b"(" + nest(60, b"t")[2:] + b"I1\nd.",
    ],
)
def test_keys_that_hash_for_ever_are_refused(code):
    with pytest.raises(InputError, match="key of a kind"):
        loads(code)


@pytest.mark.parametrize(
    "code",
    [
        b"]q\x00h\x00a.",  # a list in itself
        b"}q\x00U\x01ah\x00s.",  # a dictionary in itself
        b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",  # deep
        b"\x80\x02N" + b"\x85" * 100_000 + b".",  # deeper than Python's stack
    ],
)
def test_what_holds_itself_or_is_deep_is_refused(code):
    with pytest.raises(InputError, match="nested deeper"):
        loads(code)


def test_one_text_many_times_does_not_grow():
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    encode = b"c_codecs\nencode\nq\x01"
    with pytest.raises(InputError, match="unfolds to more than 64 MiB"):  # each call makes bytes of its own
        loads(b"\x80\x02" + encode + text + b"0(" + b"h\x01h\x00\x85R" * 200 + b"l.", limit=64 << 20)
    with pytest.raises(InputError, match="unfolds to more than 64 MiB"):  # who stacks the list makes the copies
        loads(b"\x80\x02" + text + b"0(" + b"h\x00" * 200 + b"l.", limit=64 << 20)


def test_one_buffer_in_many_arrays_does_not_grow():
    array = np.zeros(1 << 17)
    one = pickle.dumps(array, 2)[:-1]
    many = b"\x80\x02(" + one[2:] + b"".join(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\nX\x01\x00\x00\x00bX\x06\x00\x00\x00latin1\x86R\x87R"
        b"(K\x01J\x00\x00\x02\x00\x85h\x0bNtb" for _ in range(3)
    ) + b"l."  # fmt: skip
    with pytest.raises(InputError):
        loads(many)
    shared = pickle.dumps([array] * 300, 2)
    assert len(shared) < 1.1 * array.nbytes
    with pytest.raises(InputError, match="unfolds to more than 64 MiB"):
        loads(shared, limit=64 << 20)


def test_promises_of_length_reserve_nothing():
    for code in (b"\x96", b"\x8e", b"\x8d"):  # bytearray8, binbytes8, binunicode8
        with pytest.raises(InputError, match="damaged"):
            loads(b"\x80\x05" + code + struct.pack("<Q", 1 << 40) + b"x.")


def test_a_sparse_matrix_is_not_made_dense_without_measure(tmp_path):
    import scipy.sparse

    (tmp_path / "model.pkl").write_bytes(
        pickle.dumps({"J_regressor": scipy.sparse.csc_matrix((200_000, 200_000)), "v_template": np.zeros((5, 3))}, 2)
    )
    with pytest.raises(InputError, match="too large for a dense array"):
        load(tmp_path / "model.pkl")


@pytest.mark.parametrize("shape", [(1 << 60,), (-1,), (1 << 31, 1 << 31), (10**18, 0), (10**30,)])
def test_shapes_that_cannot_be_are_refused(tmp_path, shape):
    path = archive(tmp_path / "a.npz", {"body_pose.npy": header(shape) + bytes(64)})
    for read in (read_parameters, read_npz, read_object_npz):
        with pytest.raises(InputError, match="a.npz"):
            read(path)


def test_a_zip_that_unfolds_is_refused_by_what_it_declares(tmp_path):
    start = header((6 << 20,))
    path = promising(tmp_path / "a.npz", "extra{}.npy", start, len(start) + (48 << 20), count=24)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("body_pose.npy", header((63,)) + bytes(504))
    with pytest.raises(InputError, match="cannot be read as an array"):  # what was declared does not come
        read_npz(path, keys=("extra0",), limit=1 << 30)
    for read in (read_npz, read_parameters, read_object_npz):
        with pytest.raises(InputError, match="a.npz"):
            read(path)
    with pytest.raises(InputError, match="unfolds to more than 50 MiB"):
        read_npz(path, limit=50 << 20)
    assert read_npz(path, keys=("body_pose",), limit=1 << 20)["body_pose"].shape == (63,)


def test_zeros_that_unfold_are_refused_before_they_are_made(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(4 << 20), b=np.zeros(4 << 20, np.uint8))
    assert path.stat().st_size < 100_000
    tracemalloc.reset_peak()
    with pytest.raises(InputError, match="unfolds to more than 16 MiB"):
        read_npz(path, limit=16 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    assert not read_npz(path, keys=("b",), limit=16 << 20)["b"].any()


def test_a_body_that_unfolds_is_refused(tmp_path):
    start = header((1 << 20, 63))
    path = promising(tmp_path / "a.npz", "body_pose.npy", start, len(start) + (504 << 20))
    with pytest.raises(InputError, match="66,060,288 numbers of parameters, wanted at most 50,000,000"):
        read_parameters(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_whose_pieces_cannot_be_bounded_are_refused(tmp_path, method):
    path = archive(tmp_path / "a.npz", {"body_pose.npy": header((63,)) + bytes(504)}, method)
    tracemalloc.reset_peak()
    with pytest.raises(InputError, match="compressed in a way that .npz files are not"):
        read_parameters(path)


def test_a_checkpoint_that_unfolds_is_refused(tmp_path):
    path = promising(tmp_path / "a.pth", "archive/data/{}", b"", 100 << 20)
    storage = b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ\x00\x00\x90\x01tQ"
    tensor = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((" + storage
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/data.pkl", tensor + b"K\x00J\x00\x00\x90\x01\x85K\x01\x85\x89NtRs.")
    with pytest.raises(InputError, match="unfolds to more than"):
        read_torch(path)


def test_tensors_larger_than_their_storage_are_bounded(tmp_path):
    torch = pytest.importorskip("torch", reason="extra [parity]")
    weights = {"a": torch.zeros(1).expand(1 << 15, 1 << 15)}  # four gigabytes, of one number
    torch.save(weights, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 4096
    with pytest.raises(InputError, match="unfolds to more than 64 MiB"):
        read_state_dict(tmp_path / "a.pth")
    torch.save({"a": torch.ones(3, 1).expand(3, 4)}, tmp_path / "b.pth")
    np.testing.assert_array_equal(read_state_dict(tmp_path / "b.pth")["a"], np.ones((3, 4)))


def test_nested_json_is_an_error_like_any_other(tmp_path):
    for text, message in (
        (b"[" * 100_000, "RecursionError|no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (b"[]", "wanted a JSON"),
    ):
        (tmp_path / "a.json").write_bytes(text)
        with pytest.raises(InputError, match=message):
            read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="more than the 4 bytes"):
        read_json(tmp_path / "a.json", limit=4)


def test_a_pickle_of_nothing_but_text_is_no_memory(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(InputError, match="git lfs pull"):
        read_pickle(tmp_path / "a.pkl")
