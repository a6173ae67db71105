"""Pickles are read as data: everything the field writes comes out, and nothing in them runs."""

import collections
import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from hoijax.errors import InputError
from hoijax.io.pickles import loads, read_object_npz, read_pickle


@pytest.fixture
def chumpy(monkeypatch):
    """Modules with chumpy's names, so that pickles carry the bytes that chumpy's own objects write."""
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    ch = type("Ch", (), {"__module__": "chumpy.ch"})
    select = type("Select", (), {"__module__": "chumpy.reordering"})
    modules["chumpy.ch"].Ch, modules["chumpy.reordering"].Select = ch, select
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def make(cls, **state):
        value = cls()
        value.__dict__.update(state)
        return value

    return types.SimpleNamespace(ch=lambda **s: make(ch, **s), select=lambda **s: make(select, **s))


VALUES = {
    "float": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "integers": np.arange(4, dtype=np.uint32),
    "strings": np.array(["a", "bc"]),
    "empty": np.zeros((0, 3)),
    "nested": {"list": [1, 2.5, "x", None], "tuple": (np.float32(3), True), "bytes": b"\x00\xff"},
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_plain_data_comes_out_unchanged(protocol):
    got = loads(pickle.dumps(collections.OrderedDict(VALUES), protocol))
    for name in ("float", "fortran", "integers", "strings", "empty"):
        np.testing.assert_array_equal(got[name], VALUES[name])
        assert got[name].dtype == VALUES[name].dtype
    assert got["nested"] == VALUES["nested"]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("make", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, scipy.sparse.coo_matrix])
def test_sparse_matrices_become_dense(make, protocol):
    dense = np.random.default_rng(0).uniform(size=(5, 7)) * (np.arange(7) % 3 == 0)
    np.testing.assert_array_equal(loads(pickle.dumps({"J": make(dense)}, protocol))["J"], dense)


@pytest.mark.parametrize("protocol", [0, 2])
def test_chumpy_arrays_without_chumpy(chumpy, monkeypatch, protocol):
    array = np.random.default_rng(0).normal(size=(4, 3))
    base = chumpy.ch(x=array, _cache={}, _dirty_vars=set())
    picked = chumpy.select(a=base, idxs=np.array([0, 1, 2, 9, 10, 11]), preferred_shape=(2, 3))
    data = pickle.dumps({"shapedirs": base, "some": picked}, protocol)
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.delitem(sys.modules, name)
    got = loads(data)
    np.testing.assert_array_equal(got["shapedirs"], array)
    np.testing.assert_array_equal(got["some"], array[[0, 3]])
    assert "chumpy" not in sys.modules


def test_an_unreadable_chumpy_expression_is_named(chumpy):
    with pytest.raises(InputError, match=r"holds a chumpy\.Ch whose value cannot be read"):
        loads(pickle.dumps({"v": chumpy.ch(operands=[1])}, 2))


class Payload:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (os.system, ("touch {path}",), "system"),
        (eval, ("open('{path}', 'w')",), "eval"),
        (exec, ("open('{path}', 'w')",), "exec"),
        (open, ("{path}", "w"), "open"),
        (getattr, ("text", "format"), "getattr"),
        (np.load, ("{path}",), "load"),
    ],
)
def test_payloads_are_refused_and_not_executed(tmp_path, function, args, name):
    target = tmp_path / "executed"
    args = tuple(
        a.format(path=target) if isinstance(a, str) else a for a in args if not isinstance(a, types.ModuleType)
    )
    for value in (Payload(function, *args), {"pose": np.zeros(3), "x": [Payload(function, *args)]}):
        path = tmp_path / "body.pkl"
        path.write_bytes(pickle.dumps(value, 2))
        with pytest.raises(InputError, match=rf"body\.pkl: the pickle asks for .*{name}.*refused"):
            read_pickle(path)
    assert not target.exists()


def test_object_arrays_cannot_smuggle_a_payload(tmp_path):
    array = np.empty(1, object)
    array[0] = Payload(os.system, f"touch {tmp_path / 'executed'}")
    np.savez(tmp_path / "data.npz", good=np.arange(3), bad=array)
    with pytest.raises(InputError, match=r"data\.npz/bad: .*refused"):
        read_object_npz(tmp_path / "data.npz")
    assert not (tmp_path / "executed").exists()


def test_object_npz(tmp_path):
    array = np.empty(2, object)
    array[:] = [{"chair": [1, 2]}, None]
    np.savez(tmp_path / "data.npz", names=np.array(["a", "b"]), table=array, matrix=np.eye(2))
    got = read_object_npz(tmp_path / "data.npz")
    assert got["table"].tolist() == array.tolist()
    np.testing.assert_array_equal(got["names"], ["a", "b"])
    np.testing.assert_array_equal(got["matrix"], np.eye(2))


class Call:
    """Pickles as the call of `function(*args)` followed by `state`, whatever the function makes of it."""

    def __init__(self, function, args, state):
        self.parts = (function, args, state)

    def __reduce__(self):
        return self.parts


RECONSTRUCT = np.zeros(0).__reduce__()[0]
POINTER = Call(np.dtype, ("V8",), (3, "|", None, ("a",), {"a": (np.dtype(object), 0)}, 8, 1, 0))


@pytest.mark.parametrize(
    ("dtype", "shape", "content", "message"),
    [
        (POINTER, (1,), b"\x41" * 8, "records of objects"),  # numpy would take the bytes for the address of an object
        (np.dtype(object), (1,), b"\x41" * 8, "objects whose contents and shape disagree"),
        (np.dtype(object), (3,), [1], "objects whose contents and shape disagree"),
        (np.dtype("f8"), (1 << 40,), b"\x00" * 8, "8 bytes for the shape"),
        (np.dtype("f8"), (-1,), b"\x00" * 8, "8 bytes for the shape"),
        (np.dtype("f8"), (1,), [1.0], "objects where bytes are expected"),
        (Call(np.dtype, ("M8[s]",), None), (1,), b"\x00" * 8, "which is not read"),
    ],
)
def test_false_arrays_are_refused_before_numpy_sees_them(dtype, shape, content, message):
    data = pickle.dumps(Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, content)), 2)
    with pytest.raises(InputError, match=message):
        loads(data)


def test_a_pickle_cannot_change_the_reader():
    tamper = b"c_codecs\nencode\n(N}X\x04\x00\x00\x00kindX\x01\x00\x00\x00xstb."  # BUILD on the class itself
    with pytest.raises(InputError, match="tries to change"):
        loads(tamper)
    np.testing.assert_array_equal(loads(pickle.dumps(np.arange(3.0))), np.arange(3.0))


def test_records_and_byte_order():
    records = np.array([(1, 2.5, b"ab"), (3, 4.5, b"c")], dtype=[("i", "<i4"), ("x", ">f8"), ("s", "S4")])
    got = loads(pickle.dumps(records, 2))
    assert got.dtype == records.dtype
    np.testing.assert_array_equal(got, records)


def test_sparse_indices_out_of_range_are_refused():
    matrix = scipy.sparse.csc_matrix(np.eye(4))
    matrix.indices[2] = 1 << 20
    with pytest.raises(InputError, match="damaged"):
        loads(pickle.dumps(matrix, 2))


def test_only_the_wanted_keys_of_an_npz_are_read(tmp_path):
    bad = np.empty(1, object)
    bad[0] = Payload(os.system, "true")
    np.savez(tmp_path / "data.npz", good=np.arange(3), bad=bad)
    assert list(read_object_npz(tmp_path / "data.npz", keys=("good", "absent"))) == ["good"]


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps(VALUES)[:60]])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "fit.pkl").write_bytes(content)
    (tmp_path / "fit.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"fit\.pkl: damaged or no pickle"):
        read_pickle(tmp_path / "fit.pkl")
    with pytest.raises(InputError, match=r"fit\.npz: damaged or no \.npz"):
        read_object_npz(tmp_path / "fit.npz")


def test_missing_files_are_named(tmp_path):
    for read in (read_pickle, read_object_npz):
        with pytest.raises(InputError, match="cannot read .*nothing"):
            read(tmp_path / "nothing")
