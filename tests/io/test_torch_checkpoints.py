"""PyTorch's files against PyTorch's own writer; nothing in them runs."""

import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.io.torch_checkpoints import read_state_dict, read_torch

torch = pytest.importorskip("torch", reason="extra [parity]")


def test_tensors_of_every_kind(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "plain": base, "transposed": base.T, "slice": base[1:, ::2], "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "half": base.half(), "bfloat": base.bfloat16(), "double": base.double(), "long": base.long(), "bool": base > 3,
        "parameter": torch.nn.Parameter(base), "expanded": torch.ones(1, 3).expand(4, 3),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "a.pth")
    got = read_state_dict(tmp_path / "a.pth")
    assert got.keys() == tensors.keys()
    for name, tensor in tensors.items():
        want = tensor.detach()
        want = want.float().numpy() if want.dtype == torch.bfloat16 else want.numpy()
        np.testing.assert_array_equal(np.asarray(got[name], want.dtype), want)


def test_training_checkpoints_carry_more_than_parameters(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimiser = torch.optim.Adam(net.parameters())
    content = {"epoch": 3, "model_state_dict": net.state_dict(), "optim_state_dict": optimiser.state_dict()}
    torch.save(content, tmp_path / "a.pth.tar")
    got = read_state_dict(tmp_path / "a.pth.tar")
    assert list(got) == list(net.state_dict())
    np.testing.assert_array_equal(got["0.weight"], net[0].weight.detach())
    with pytest.raises(InputError, match="no entry 'ema'; there are epoch, model_state_dict"):
        read_state_dict(tmp_path / "a.pth.tar", key="ema")


class Payload:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_payloads_do_not_run(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(2)}, "extra": Payload(tmp_path / "executed")}, tmp_path / "a.pth")
    np.testing.assert_array_equal(read_state_dict(tmp_path / "a.pth")["w"], [1, 1])
    assert not (tmp_path / "executed").exists()
    torch.save({"w": Payload(tmp_path / "executed")}, tmp_path / "b.pth")
    with pytest.raises(InputError, match="no table of tensors"):
        read_state_dict(tmp_path / "b.pth")
    assert not (tmp_path / "executed").exists()


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    torch.save({"w": torch.arange(100.0)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as old, zipfile.ZipFile(tmp_path / "b.pth", "w") as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, content[:40] if "/data/" in member else content)
    with pytest.raises(InputError, match=r"b\.pth: storage 0 has 40 bytes, wanted 100 of float32"):
        read_torch(tmp_path / "b.pth")


def test_other_files_are_named(tmp_path):
    (tmp_path / "text.pth").write_bytes(b"no checkpoint at all")
    with pytest.raises(InputError, match=r"text\.pth: no PyTorch checkpoint"):
        read_torch(tmp_path / "text.pth")
    with zipfile.ZipFile(tmp_path / "z.pth", "w") as archive:
        archive.writestr("hello", "x")
    with pytest.raises(InputError, match=r"no data\.pkl in it"):
        read_torch(tmp_path / "z.pth")
    with pytest.raises(InputError, match="cannot read"):
        read_torch(tmp_path / "nothing.pth")


def test_tensors_as_views_of_the_file_are_the_same_and_take_no_memory(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "plain": base, "transposed": base.T, "slice": base[1:, ::2], "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3), "bfloat": base.bfloat16(), "long": base.long(), "tied": base[:2],
        "large": torch.ones(1 << 20),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "a.pth")
    tracemalloc.start()
    mapped = read_state_dict(tmp_path / "a.pth", mapped=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    whole = read_state_dict(tmp_path / "a.pth")
    assert mapped.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(mapped[name], array)
        assert mapped[name].dtype == array.dtype
    with pytest.raises(ValueError, match="read-only"):
        mapped["plain"][0, 0] = 1.0


def test_a_compressed_tensor_is_not_mapped(tmp_path):
    torch.save({"a": torch.ones(1000)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as old, zipfile.ZipFile(tmp_path / "b.pth", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert read_state_dict(tmp_path / "b.pth")["a"].sum() == 1000
    with pytest.raises(InputError, match="is compressed"):
        read_state_dict(tmp_path / "b.pth", mapped=True)
