"""The border of the command line: what cannot be is refused at once, with one message, and leaves nothing."""

import errno
import os

import numpy as np
import pytest
import trimesh

from hoijax.cli import _system_error, main
from hoijax.data.evaluation import EvaluateConfig
from hoijax.data.synth import SynthConfig
from hoijax.data.synth.building import build
from hoijax.errors import InputError

EVALUATE = ("evaluate", "--predictions", "{}/body.npz", "--dataset", "files", "--root", "{}", "--out", "{}/o")


@pytest.fixture
def files(tmp_path):
    trimesh.creation.box((0.3, 0.3, 0.3)).export(tmp_path / "box.glb")
    np.savez(tmp_path / "body.npz", body_pose=np.zeros(63), global_orient=np.zeros(3))
    return tmp_path


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["render", "{}/box.glb", "--out", "{}/a.png", "--azimuth", "nan"], "--azimuth must be a finite number"),
        (["render", "{}/box.glb", "--out", "{}/a.png", "--floor", "inf"], "--floor must be a finite number"),
        (["render", "{}/box.glb", "--out", "{}/none/a.png"], "is not there"),
        (["render", "{}/box.glb", "--out", "{}/dir.png"], "it is a folder"),
        (["render", "{}/box.glb\0x", "--out", "{}/a.png"], "NUL"),
        (["render", "{}/box.glb", "--out", "{}/" + "x" * 300 + ".png"], "too long"),
        (["refine", "--body", "{}/body.npz", "--object", "{}/box.glb", "--out", "/proc/x"], "cannot write"),
        (["refine", "--body", "{}/body.npz", "--object", "{}/box.glb", "--out", "{}/link"], "link that leads nowhere"),
        (["refine", "--body", "{}/a\0b", "--object", "{}/box.glb", "--out", "{}/o"], "NUL"),
        (["demo", "--out", "{}/a\0b"], "NUL"),
        (["view", "{}/box.glb", "--port", "99999"], "--port must be from 1 to 65535"),
        ([*EVALUATE, "--seed", "-1"], "seed"),
        ([*EVALUATE, "--probability", "nan"],
         "probability"),
        (["data", "build", "synth_hoi", "--root", "{}/o", "--set", "seed=-1"], "seed must be from 0"),
        (["data", "build", "synth_hoi", "--root", "{}/o", "--set", "actions=zzz"], "no action 'zzz'"),
        (["data", "build", "synth_hoi", "--root", "{}/o", "--set", "lod=zzz"], "no level of detail 'zzz'"),
        (["data", "build", "synth_hoi", "--root", "{}/o", "--set", "image_size=1000000"], "image_size must be at most"),
        (["data", "build", "synth_hoi", "--root", "{}/o", "--set", f"train={10**23}"], "train must be at most"),
        (["data", "show", "synth_hoi", "--root", "{}", "--out", "{}/s.png", "--cell", "1000000"], "too large"),
        (["data", "check", "synth_hoi", "--root", "{}/a\0b"], "NUL"),
        (["refine", "--body", "{}/body.npz", "--object", "{}/box.glb", "--out", "{}/o", "--steps", f"{10**11}"],
         "--steps 100000000000: wanted at most"),
    ],
)  # fmt: skip
def test_refused_at_once(files, capsys, args, message):
    (files / "dir.png").mkdir()
    (files / "link").symlink_to(files / "nowhere")
    before = sorted(os.listdir(files))
    assert main([arg.format(files) for arg in args]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
    assert sorted(os.listdir(files)) == before


@pytest.mark.parametrize(
    "options",
    [dict(probability=7.0), dict(contact_thresholds=()), dict(contact_thresholds=(float("nan"),)), dict(seed=-1),
     dict(resamples=10**11), dict(level=float("nan")), dict(chamfer_samples=10**12)],
)  # fmt: skip
def test_settings_of_evaluate_that_mean_nothing(options):
    with pytest.raises(InputError):
        EvaluateConfig(**options)


def test_a_build_of_no_known_action_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="no action 'zzz'"):
        build(SynthConfig(actions=("sit", "zzz")), tmp_path / "o", progress=False)
    assert not os.listdir(tmp_path)


def test_a_full_disk_below_any_writer_is_one_message(files, capsys, monkeypatch):
    """Libraries wrap the system's error in their own; it is found and told, other faults are not hidden."""
    from hoijax.cli import render

    def full(options):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/a")
        except OSError as error:
            raise RuntimeError("checkpoint failed") from error

    monkeypatch.setattr(render, "run", full)
    assert main(["render", str(files / "box.glb"), "--out", str(files / "a.png")]) == 2
    assert "No space left on device /disk/a; what was finished is whole" in capsys.readouterr().err
    monkeypatch.setattr(render, "run", lambda options: [][0])
    with pytest.raises(IndexError):
        main(["render", str(files / "box.glb"), "--out", str(files / "a.png")])
    assert _system_error(ValueError("x")) is None
