"""Atlases and what is painted on them: texels show their place, charts stay apart, clothes cover what they should."""

import numpy as np
import pytest
import trimesh

from hoijax.body_models import free_body
from hoijax.systems.hoi3dgen.compose import choose_shape, dress, make_atlas, paint_object, rasterize_atlas, read_prompt
from hoijax.systems.hoi3dgen.compose.dressing import _skin
from hoijax.systems.hoi3dgen.compose.palette import COLORS

SIZE = 256


def surface(name):
    if name == "box":
        mesh = trimesh.creation.box((0.4, 0.3, 0.5))
    else:
        mesh = trimesh.creation.icosphere(3, 0.2)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces), np.zeros(len(mesh.faces), int)


@pytest.mark.parametrize("name", ["box", "sphere", "body"])
def test_every_texel_shows_the_place_that_its_coordinates_say(name):
    if name == "body":
        model = free_body("test")
        vertices, faces, atlas = np.asarray(model.v_template, float), np.asarray(model.faces), _skin("test", SIZE).atlas
    else:
        vertices, faces, groups = surface(name)
        atlas = make_atlas(vertices, faces, groups, SIZE)
    assert np.array_equal(atlas.source[atlas.faces], faces)
    assert atlas.uv.min() >= 0 and atlas.uv.max() <= 1
    texels = rasterize_atlas(atlas)
    assert np.all(texels.weights[texels.covered] > -1e-5)
    # The coordinates interpolated with a texel's weights are the texel's own middle, row 0 on top.
    uv = np.einsum("hwk,hwkc->hwc", texels.weights, atlas.uv[atlas.faces][texels.face])
    row, column = np.nonzero(texels.covered)
    middle = np.stack([(column + 0.5) / SIZE, 1 - (row + 0.5) / SIZE], axis=1)
    np.testing.assert_allclose(uv[texels.covered], middle, atol=1e-4)
    # Seen from outside, faces keep their sense of turning.
    a, b, c = np.moveaxis(atlas.uv[atlas.faces].astype(float), 1, 0)
    turn = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    size = np.linalg.norm(
        np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]), axis=1
    )
    assert (turn[size > 1e-7] > 0).mean() > 0.985
    # Each chart covers as many texels as its faces have area: nothing lies on anything else.
    covered = texels.covered.sum() / SIZE**2
    np.testing.assert_allclose(covered, abs(turn).sum() / 2, rtol=0.03)


def test_a_box_has_six_charts_of_its_faces_sizes_and_groups_part_them():
    vertices, faces, groups = surface("box")
    atlas = make_atlas(vertices, faces, groups, SIZE)
    assert len(np.unique(atlas.charts)) == 6 and len(atlas.source) == 24
    length = np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=1)
    drawn = np.linalg.norm(np.diff(atlas.uv[atlas.faces[:, :2]], axis=1)[:, 0], axis=1)
    np.testing.assert_allclose(drawn / length, (drawn / length)[0], rtol=1e-4)
    assert len(np.unique(make_atlas(vertices, faces, np.arange(12), SIZE).charts)) == 12
    assert np.array_equal(make_atlas(vertices, faces, groups, SIZE).uv, atlas.uv)
    with pytest.raises(ValueError, match="without faces"):
        make_atlas(vertices, faces[:0], groups[:0])
    with pytest.raises(ValueError, match="larger texture"):
        make_atlas(vertices, faces, groups, 8)


@pytest.fixture(scope="module")
def skin():
    return _skin("test", SIZE)


def clothes(skin, text):
    model = free_body("test")
    dressed = dress(model, read_prompt(text).person, "test", 0, SIZE)

    def at(x, y, front=True):
        """Colour nearest to a place of the rest pose, in front or behind."""
        goal = np.array([x, y, 0.1 if front else -0.1])
        gap = np.linalg.norm(skin.points - goal, axis=-1) + 10.0 * ~skin.texels.covered
        return dressed.texture[np.unravel_index(gap.argmin(), gap.shape)] / 255.0

    return dressed, at


def near(color, wanted, tolerance=0.12):
    return np.abs(np.asarray(color) - wanted).max() < tolerance


def test_clothes_reach_as_far_as_their_cut(skin):
    dressed, at = clothes(skin, "A pale woman in a red jacket, a blue skirt and white boots holds a cup")
    tone = at(0.0, 0.66)
    assert near(at(0.55, 0.47), COLORS["red"]) and near(at(0.1, 0.3), COLORS["red"])
    assert near(at(0.78, 0.47), tone, 0.2) and near(at(0.13, -0.5), tone, 0.2)
    assert near(at(0.13, -0.2), COLORS["blue"]) and near(at(0.13, -0.75, False), COLORS["white"])
    assert {"skin", "hair", "jacket", "skirt", "boots"} <= {m.name for m in dressed.materials}
    names = [dressed.materials[k].name for k in np.unique(dressed.face_materials)]
    assert {"skin", "jacket", "skirt", "boots", "hair"} <= set(names)
    _, short = clothes(skin, "A pale man in a green t-shirt and black shorts holds a cup")
    assert near(short(0.25, 0.47), COLORS["green"]) and near(short(0.5, 0.47), tone, 0.25)
    assert near(short(0.13, -0.1), COLORS["black"]) and near(short(0.13, -0.35), tone, 0.25)
    _, hat = clothes(skin, "A man in a yellow hat and red gloves holds a cup")
    assert near(hat(0.0, 0.79), COLORS["yellow"]) and near(hat(0.75, 0.47), COLORS["red"])
    _, odd = clothes(skin, "A man in a red sarong holds a cup")
    assert near(odd(0.1, 0.3), COLORS["red"])


def test_what_is_not_said_is_drawn_and_hair_and_patterns_are_painted(skin):
    plain, _ = clothes(skin, "A person holds a cup")
    assert {"t-shirt", "trousers", "shoes"} <= {m.name for m in plain.materials}
    again, _ = clothes(skin, "A person holds a cup")
    assert np.array_equal(plain.texture, again.texture)
    _, blond = clothes(skin, "A person with green hair and a black striped shirt holds a cup")
    assert near(blond(0.0, 0.79, False), COLORS["green"])
    column = [blond(0.08, y).mean() > 0.5 for y in np.arange(0.1, 0.4, 0.01)]
    assert 0.3 < np.mean(column) < 0.7 and np.abs(np.diff(column)).sum() >= 6


def test_objects_are_painted_by_part_and_material():
    def paint(text, seed=0):
        words = read_prompt(text).thing
        shape = choose_shape(words, seed)
        painted = paint_object(shape, words, 128)
        face = rasterize_atlas(painted.atlas).face
        return (
            shape,
            painted,
            lambda part: painted.texture[np.asarray(shape.labels)[face] == shape.parts.index(part)] / 255,
        )

    shape, case, colors = paint("A person pulls a red suitcase")
    assert near(np.median(colors("case"), axis=0), COLORS["red"], 0.05)
    assert np.median(colors("wheel")) < 0.2 and {m.name for m in case.materials} == {"plastic", "rubber", "metal"}
    labels = np.asarray(shape.labels)
    assert {case.materials[k].name for k in case.face_materials[labels == shape.parts.index("wheel")]} == {"rubber"}
    _, box, _ = paint("A person carries a blue metal box")
    assert [(m.name, m.metallic) for m in box.materials] == [("metal", 1.0)]
    _, wood, colors = paint("A person sits on a wooden stool")
    assert colors("seat").std(axis=0).max() > 0.02 and wood.materials[0].name == "wood"
