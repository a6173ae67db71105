"""The files of a run: where they lie, what comes back, what is refused."""

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.systems import hoi3dgen as h
from hoijax.viz.scene import NamedMesh

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def test_names_of_the_stages(tmp_path):
    run = h.RunFolder(tmp_path)
    assert h.picture_index(2, 1) == 7
    assert [run.path(stage, 7).relative_to(tmp_path).as_posix() for stage in h.STAGES] == [
        "images/0007.png", "depth/0007.png", "retex/0007.png", "white_bg/0007.png", "mesh/0007.glb", "render/0007",
        "masks/0007", "smpl/0007.npz", "seg/0007",
    ]  # fmt: skip
    assert not list(tmp_path.iterdir()) and run.indices("mesh") == ()
    run.place("mesh", 11).with_suffix(".obj").write_text("v 0 0 0")
    run.place("seg", 3)
    assert run.path("mesh", 11).suffix == ".obj" and run.indices("mesh") == (11,) and run.indices("seg") == (3,)
    with pytest.raises(ValueError, match="stages are"):
        run.path("pictures", 0)


def test_a_stage_whose_file_is_there_is_not_made_again(tmp_path):
    made = []
    path = tmp_path / "x.txt"

    def make():
        made.append(1)
        path.write_text("made")
        return "made"

    assert [h.once(path, make, lambda p: p.read_text()) for _ in range(3)] == ["made"] * 3 and made == [1]
    path.write_text("another program's")
    assert h.once(path, make, lambda p: p.read_text()) == "another program's"


def test_pictures_masks_and_depth_come_back(tmp_path):
    rng = np.random.default_rng(0)
    for channels in (3, 4):
        image = rng.integers(0, 256, (5, 7, channels)).astype(np.uint8)
        h.write_picture(tmp_path / "a.png", image)
        np.testing.assert_array_equal(h.read_picture(tmp_path / "a.png"), image)
    mask = rng.random((5, 7)) > 0.5
    h.write_mask(tmp_path / "m.png", mask)
    np.testing.assert_array_equal(h.read_mask(tmp_path / "m.png"), mask)
    # Other programs' masks: of 0 and 1, or with soft borders.
    h.write_picture(tmp_path / "ones.png", np.dstack([mask.astype(np.uint8)] * 3))
    np.testing.assert_array_equal(h.read_mask(tmp_path / "ones.png"), mask)
    h.write_picture(tmp_path / "soft.png", np.dstack([np.where(mask, np.uint8(128), np.uint8(127))] * 3))
    np.testing.assert_array_equal(h.read_mask(tmp_path / "soft.png"), mask)
    reach = (1.134, 2.866)
    depth = rng.uniform(*reach, (64, 64)).astype(np.float32)
    depth[0, :5], depth[1, :2] = np.inf, reach
    h.write_depth(tmp_path / "d.png", depth, reach)
    back = h.read_depth(tmp_path / "d.png", reach)
    np.testing.assert_array_equal(np.isfinite(back), np.isfinite(depth))
    seen = np.isfinite(depth)
    assert np.abs(back[seen] - depth[seen]).max() < 2.7e-5 * (reach[1] - reach[0])


def test_masks_of_views_may_be_missing(tmp_path):
    masks = np.random.default_rng(1).random((2, 3, 4, 6)) > 0.5
    h.write_masks(tmp_path, masks)
    (tmp_path / "001_human.png").unlink()
    back, given = h.read_masks(tmp_path, 3, (4, 6))
    np.testing.assert_array_equal(given, [[True, False, True], [True, True, True]])
    np.testing.assert_array_equal(back[given], masks[given])
    assert not back[0, 1].any()
    with pytest.raises(InputError, match="its view"):
        h.read_masks(tmp_path, 3, (6, 4))
    with pytest.raises(InputError, match="no masks"):
        h.read_masks(tmp_path / "nowhere", 3, (4, 6))


def test_surfaces_with_and_without_colours(tmp_path):
    colors = np.random.default_rng(2).random((4, 3)).astype(np.float32)
    h.write_surface(tmp_path / "a.glb", NamedMesh("surface", CORNERS, FACES, colors))
    back = h.read_surface(tmp_path / "a.glb")
    np.testing.assert_allclose(back.vertices, CORNERS)
    np.testing.assert_array_equal(back.faces, FACES)
    np.testing.assert_allclose(back.colors, colors, atol=0.005)
    lines = [f"v {x} {y} {z}" for x, y, z in CORNERS] + ["f {} {} {}".format(*(face + 1)) for face in FACES]
    (tmp_path / "b.obj").write_text("\n".join(lines))
    assert h.read_surface(tmp_path / "b.obj").colors.shape == (4, 3)
    data = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "c.glb").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"c\.glb"):
        h.read_surface(tmp_path / "c.glb")


def test_labels_and_prompts(tmp_path):
    labels = np.array([0, 1, 1, 0])
    h.write_labels(tmp_path / "labels.npz", CORNERS, FACES, labels)
    back = h.read_labels(tmp_path / "labels.npz")
    np.testing.assert_array_equal(back["labels"], labels)
    np.testing.assert_array_equal(back["faces"], FACES)
    np.savez(tmp_path / "bad.npz", vertices=CORNERS, faces=FACES, labels=labels[:3])
    with pytest.raises(InputError, match="a label for each vertex"):
        h.read_labels(tmp_path / "bad.npz")
    prompts = (h.Prompt('A man, "old", holds a box', "box", "bothHands"), h.Prompt("A woman sits"))
    h.write_prompts(tmp_path / "prompts.csv", prompts)
    assert h.read_prompts(tmp_path / "prompts.csv") == prompts
    (tmp_path / "bad.csv").write_text("Text\nA man\n")
    with pytest.raises(InputError, match="Description"):
        h.read_prompts(tmp_path / "bad.csv")
    (tmp_path / "empty.csv").write_text("Description,Object Type\n,box\n")
    with pytest.raises(InputError, match="row 1"):
        h.read_prompts(tmp_path / "empty.csv")


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(InputError, match=r"a\.png"):
        h.read_picture(tmp_path / "a.png")
    h.write_mask(tmp_path / "m.png", np.ones((3, 3), bool))
    with pytest.raises(InputError, match="16 bits"):
        h.read_depth(tmp_path / "m.png", (1.0, 2.0))
    with pytest.raises(InputError, match="no mask"):
        h.read_mask(tmp_path / "none.png")
