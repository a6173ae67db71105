"""`hoijax refine --pairs` with nothing taken out: seats of boxes under the named pose "sit", as people give them."""

import json

import numpy as np
import pytest
import trimesh

from hoijax.body_models import named_pose
from hoijax.cli import main

SEATS = {
    "chair": ("chair.obj", "buttocks,back", ""),
    "lying": ("chair_zup.obj", "buttocks,back", "z"),
    "bench": ("bench.obj", "buttocks,back", ""),
    "alone": ("bench.obj", "buttocks,left_thigh", ""),
}
"""Name to object, what is asked, and what is up in its file."""


def box(low, high):
    return trimesh.creation.box(np.subtract(high, low)).apply_translation(np.add(low, high) / 2)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seats")
    legs = [box((x - 0.02, 0, z - 0.02), (x + 0.02, 0.42, z + 0.02)) for x in (-0.2, 0.2) for z in (-0.2, 0.2)]
    seat, back = box((-0.22, 0.42, -0.22), (0.22, 0.45, 0.22)), box((-0.22, 0.45, -0.25), (0.22, 0.95, -0.22))
    chair = trimesh.util.concatenate([seat, back, *legs])
    chair.export(folder / "chair.obj")
    chair.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])).export(
        folder / "chair_zup.obj"
    )
    feet = [box((x - 0.03, 0, z - 0.03), (x + 0.03, 0.4, z + 0.03)) for x in (-0.45, 0.45) for z in (-0.14, 0.14)]
    trimesh.util.concatenate([box((-0.5, 0.4, -0.18), (0.5, 0.46, 0.18)), *feet]).export(folder / "bench.obj")
    np.savez(folder / "sit.npz", **named_pose("sit"), betas=np.zeros(10))
    rows = [f'sit.npz,{mesh},{name},"{contact}",{up},0' for name, (mesh, contact, up) in SEATS.items()]
    (folder / "pairs.csv").write_text("\n".join(["body,object,name,contact,object_up,floor", *rows]))
    options = ["--lod=test", "--pictures=0", "--batch-size=4"]
    assert main(["refine", f"--pairs={folder / 'pairs.csv'}", f"--out={folder / 'out'}", *options]) == 0
    return {name: json.loads((folder / "out" / name / "metrics.json").read_text()) for name in SEATS}


@pytest.mark.long
def test_a_chair_is_sat_on_whichever_way_its_file_is_turned(records):
    for name in ("chair", "lying"):
        record = records[name]
        assert record["before"]["max_penetration"] > 0.025
        assert record["after"]["max_penetration"] < 0.6 * record["before"]["max_penetration"], name
        assert max(record["after"]["contact"].values()) < 0.02, name
        assert record["moved"]["tilt"] < 5 and abs(record["after"]["floor_distance"]) < 0.01, name
    assert not any("looks as if" in note for note in records["chair"]["notes"])
    assert any("its +z points up" in note for note in records["lying"]["notes"])


@pytest.mark.long
def test_a_back_that_a_bench_does_not_have_is_said_and_tears_nothing(records):
    bench, alone = records["bench"], records["alone"]
    assert bench["verdict"] == ["missed: back"]
    assert bench["after"]["contact"]["buttocks"] < 0.02 and bench["after"]["max_penetration"] < 0.01
    assert bench["moved"]["tilt"] < 10
    assert alone["verdict"] == ["reached"]
