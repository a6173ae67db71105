"""The shipped body: mesh, joints, labels, shapes, hands and poses, checked without hoijax's own geometry."""

import hashlib
import json
import pathlib

import jax
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import (
    FREE_BODY_LEVELS,
    FREE_BODY_PALETTE,
    JOINT_NAMES,
    NAMED_HAND_POSES,
    NAMED_POSES,
    PARENTS,
    BodyParams,
    free_body,
    free_body_betas,
    free_body_colors,
    free_body_mirror,
    free_body_regions,
    joint_limits,
    named_hand_pose,
    named_pose,
    part_labels,
    part_names,
    pose_body,
    require_vertex_values,
)
from hoijax.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
ASSETS = ROOT / "hoijax" / "assets" / "free_body"
FLIP = np.array([-1.0, 1.0, 1.0])
LONG_FINGERS = ("index", "middle", "ring", "pinky")


def skin(model, axis_angle, betas=None):
    """Linear blend skinning in NumPy, joint by joint: vertices and joints."""
    betas = np.zeros(10) if betas is None else betas
    v = model.v_template.astype(float) + model.shape_dirs.astype(float) @ betas
    rest = model.joint_template.astype(float) + model.joint_shape_dirs.astype(float) @ betas
    world, place = [], []
    for i, parent in enumerate(model.parents):
        local = Rotation.from_rotvec(axis_angle[i]).as_matrix()
        world.append(local if parent < 0 else world[parent] @ local)
        place.append(rest[i] if parent < 0 else place[parent] + world[parent] @ (rest[i] - rest[parent]))
    out = np.zeros_like(v)
    for i in range(len(model.parents)):
        out += model.skin_weights[:, i : i + 1] * ((v - rest[i]) @ world[i].T + place[i])
    return out, np.array(place)


def winding(points, vertices, faces):
    """Winding number of each point: sum of solid angles (Van Oosterom and Strackee 1983), over 2 pi each half."""
    result = []
    for chunk in np.array_split(points, max(1, len(points) // 100)):
        a, b, c = (vertices[faces[:, k]][None] - chunk[:, None] for k in range(3))
        la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
        top = np.sum(a * np.cross(b, c), -1)
        bottom = la * lb * lc + np.sum(a * b, -1) * lc + np.sum(b * c, -1) * la + np.sum(c * a, -1) * lb
        result.append(np.arctan2(top, bottom).sum(1) / (2 * np.pi))
    return np.concatenate(result)


@pytest.fixture(scope="module", params=FREE_BODY_LEVELS)
def lod(request):
    return request.param


def test_surface_is_closed_and_well_shaped(lod):
    model = free_body(lod)
    mesh = trimesh.Trimesh(model.v_template, model.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.euler_number == 2
    assert mesh.body_count == 1
    assert 0.060 < mesh.volume < 0.075
    assert mesh.area_faces.min() > 1e-8
    assert set(np.unique(model.faces)) == set(range(model.num_vertices))
    assert model.num_vertices not in (6890, 10475, 778)
    assert winding(np.array([[0.0, 0.2, 0.0]]), mesh.vertices, mesh.faces)[0] == pytest.approx(1, abs=1e-6)


def test_levels_have_their_sizes_and_share_their_vertices():
    sizes = {"render": 12450, "default": 6900, "light": 3000, "test": 1500}
    finest = free_body("render")
    for lod, size in sizes.items():
        model = free_body(lod)
        assert abs(model.num_vertices - size) <= 1
        np.testing.assert_array_equal(model.v_template, finest.v_template[: model.num_vertices])
        np.testing.assert_array_equal(model.skin_weights, finest.skin_weights[: model.num_vertices])
        np.testing.assert_array_equal(model.joint_template, finest.joint_template)


def test_mesh_weights_and_labels_are_mirror_symmetric(lod):
    model, mirror = free_body(lod), free_body_mirror(lod)
    swap = [model.joint_names.index(_other(name)) for name in model.joint_names]
    np.testing.assert_array_equal(mirror[mirror], np.arange(model.num_vertices))
    np.testing.assert_array_equal(model.v_template[mirror] * FLIP.astype(np.float32), model.v_template)
    np.testing.assert_array_equal(model.shape_dirs[mirror] * FLIP.astype(np.float32)[:, None], model.shape_dirs)
    np.testing.assert_allclose(model.skin_weights[mirror][:, swap], model.skin_weights, atol=1e-6)
    np.testing.assert_allclose(model.joint_template[swap] * FLIP, model.joint_template, atol=1e-7)
    np.testing.assert_array_equal(free_body_regions(lod)[0][mirror], free_body_regions(lod)[0])
    triangles = {tuple(sorted(f)) for f in model.faces.tolist()}
    assert {tuple(sorted(f)) for f in mirror[model.faces].tolist()} == triangles


def _other(name):
    for a, b in (("left", "right"), ("right", "left")):
        if name.startswith(a):
            return b + name[len(a) :]
    return name


def test_interface_is_that_of_smplh():
    model = free_body()
    assert model.kind == "free" and model.pose_dirs is None and model.num_betas == 10
    assert model.joint_names == JOINT_NAMES["smplh"] and model.parents == PARENTS["smplh"]
    np.testing.assert_allclose(model.skin_weights.sum(1), 1, atol=1e-6)
    assert model.skin_weights.min() >= 0 and (model.skin_weights > 0).sum(1).max() <= 8
    assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {np.dtype(np.float32), np.dtype(np.int32)}
    assert free_body() is model
    with pytest.raises(ValueError, match="read-only"):
        model.v_template[0, 0] = 1.0


def test_rest_pose_follows_the_conventions():
    model = free_body()
    at = dict(zip(model.joint_names, model.joint_template, strict=True))
    np.testing.assert_allclose(at["pelvis"], 0, atol=1e-7)
    assert at["left_shoulder"][0] > 0 > at["right_shoulder"][0]
    assert at["head"][1] > at["neck"][1] > at["spine3"][1] > at["spine1"][1] > 0 > at["left_knee"][1]
    arm = at["left_wrist"] - at["left_shoulder"]
    np.testing.assert_allclose(arm / np.linalg.norm(arm), [1, 0, 0], atol=0.01)
    points = dict(model.landmarks)
    nose, big_toe, heel = (model.v_template[points[n]] for n in ("nose", "left_big_toe", "left_heel"))
    assert nose[2] > at["head"][2] + 0.08 and big_toe[2] > heel[2] + 0.2
    thumb, pinky = (model.v_template[points[f"left_{f}"]] for f in ("thumb", "pinky"))
    assert thumb[2] > pinky[2]
    assert 1.65 < np.ptp(model.v_template[:, 1]) < 1.75
    assert model.v_template[points["head_top"], 1] == model.v_template[:, 1].max()


@pytest.mark.parametrize("lod", ["default", "light", "test"])
def test_joints_lie_inside_of_mean_and_random_bodies(lod):
    model, rng = free_body(lod), np.random.default_rng(0)
    for betas in [np.zeros(10), *(1.5 * rng.normal(size=(2, 10)))]:
        v, joints = skin(model, np.zeros((52, 3)), betas)
        np.testing.assert_allclose(winding(joints, v, model.faces), 1, atol=1e-3)


def test_shapes_stay_closed_bodies_and_betas_mean_what_they_say():
    model, rng = free_body("light"), np.random.default_rng(1)
    height = lambda b: np.ptp((model.v_template + model.shape_dirs @ b)[:, 1])  # noqa: E731
    unit = np.eye(10)
    assert height(unit[0]) - height(-unit[0]) > 0.12
    assert 1.5 < height(-2 * unit[0]) < height(2 * unit[0]) < 1.95
    male, female = free_body_betas("male"), free_body_betas("female")
    assert height(male) > height(female) + 0.08
    np.testing.assert_array_equal(free_body_betas("mean"), 0)
    for betas in 1.5 * rng.normal(size=(5, 10)):
        mesh = trimesh.Trimesh(model.v_template + model.shape_dirs @ betas, model.faces, process=False)
        assert mesh.is_volume and 0.03 < mesh.volume < 0.20
    with pytest.raises(InputError, match="no preset shape 'child'"):
        free_body_betas("child")


@pytest.mark.parametrize("scheme,count", [("24", 24), ("15", 15)])
def test_every_part_is_there_and_on_its_side(lod, scheme, count):
    model, mirror = free_body(lod), free_body_mirror(lod)
    labels, names = np.asarray(part_labels(model, scheme)), part_names(scheme)
    assert len(names) == count
    np.testing.assert_array_equal(np.unique(labels), np.arange(count))
    if scheme == "15":
        assert any("hip" in name for name in names)
    middle = mirror == np.arange(model.num_vertices)
    swapped = np.array([names.index(_other(name)) for name in names])
    np.testing.assert_array_equal(swapped[labels[mirror]][~middle], labels[~middle])
    for index, name in enumerate(names):
        if name.startswith("left"):
            assert (model.v_template[labels == index, 0] > 0).all()


def test_posing_matches_numpy_skinning():
    model, rng = free_body("test"), np.random.default_rng(2)
    axis_angle, betas = 0.4 * rng.normal(size=(52, 3)), rng.normal(size=10)
    params = BodyParams.from_axis_angle(
        model,
        global_orient=axis_angle[0],
        body_pose=axis_angle[1:22],
        left_hand_pose=axis_angle[22:37],
        right_hand_pose=axis_angle[37:],
        betas=betas,
    )
    body = jax.jit(pose_body)(model, params)
    vertices, joints = skin(model, axis_angle, betas)
    np.testing.assert_allclose(body.vertices, vertices, atol=5e-6)
    np.testing.assert_allclose(body.joints, joints, atol=5e-6)


def test_colours_dress_the_body(lod):
    model = free_body(lod)
    regions, names = free_body_regions(lod)
    assert set(names) == set(FREE_BODY_PALETTE)
    np.testing.assert_array_equal(np.unique(regions), np.arange(len(names)))
    y = model.v_template[:, 1]
    mean_height = [y[regions == names.index(n)].mean() for n in ("hair", "lips", "shirt", "trousers", "shoes")]
    assert (np.diff(mean_height) < 0).all()
    hands = model.skin_weights[:, 20:].sum(1) > 0.6
    assert (regions[hands] == names.index("skin")).all()
    np.testing.assert_array_equal(model.colors, free_body_colors(lod))
    red = free_body_colors(lod, {"shirt": (1.0, 0.0, 0.0)})
    shirt = regions == names.index("shirt")
    np.testing.assert_array_equal(red[shirt], np.broadcast_to(np.float32([1, 0, 0]), (shirt.sum(), 3)))
    np.testing.assert_array_equal(red[~shirt], model.colors[~shirt])
    with pytest.raises(InputError, match=r"no such region.*hat.*shirt"):
        free_body_colors(lod, {"hat": (0.0, 0.0, 0.0)})


@pytest.mark.parametrize("lod", ["render", "default"])
def test_borders_between_cloth_and_skin_are_crisp(lod):
    model = free_body(lod)
    regions, names = free_body_regions(lod)
    mesh = trimesh.Trimesh(model.v_template, model.faces, process=False)
    a, b = mesh.edges_unique.T
    for pair in (("shirt", "skin"), ("shirt", "trousers"), ("trousers", "shoes")):
        i, j = (names.index(n) for n in pair)
        crossing = ((regions[a] == i) & (regions[b] == j)) | ((regions[a] == j) & (regions[b] == i))
        faces = np.isin(regions[model.faces], (i, j)).all(1) & (np.ptp(regions[model.faces], axis=1) > 0)
        area = mesh.area_faces[faces].sum()
        assert crossing.any() and np.percentile(mesh.edges_unique_length[crossing], 10) < 0.008
        length = mesh.edges_unique_length[(regions[a] == i) & (regions[b] == i)].mean() * crossing.sum() / 2
        assert area / length < 0.008  # mean width of the band that blends two colours


# Hands ---------------------------------------------------------------------------------------------------------------


def hand_of(lod, name):
    """Posed left hand: whole body's vertices, joints, fingertips by name."""
    model = free_body(lod)
    axis_angle = np.zeros((52, 3))
    axis_angle[22:37] = named_hand_pose(name, "left")
    axis_angle[37:] = named_hand_pose(name, "right")
    v, joints = skin(model, axis_angle)
    points = dict(model.landmarks)
    return model, v, joints, {f: v[points[f"left_{f}"]] for f in (*LONG_FINGERS, "thumb")}


def palm_distance(model, v, tip):
    """Distance of a point to the palm's side of the hand."""
    normals = trimesh.Trimesh(v, model.faces, process=False).vertex_normals
    palm = (model.skin_weights[:, 20] > 0.9) & (normals[:, 1] < -0.5) & (v[:, 0] > model.joint_template[20, 0] + 0.03)
    return np.linalg.norm(v[palm] - tip, axis=1).min()


def test_hand_poses_are_mirror_images_with_the_right_shape():
    for name in NAMED_HAND_POSES:
        left, right = named_hand_pose(name), named_hand_pose(name, "right")
        assert left.shape == (15, 3) and left.dtype == np.float32
        np.testing.assert_array_equal(right, left * np.float32([1, -1, -1]))
        _, v, _, _ = hand_of("light", name)
        np.testing.assert_allclose(v[free_body_mirror("light")] * FLIP, v, atol=1e-6)
    np.testing.assert_array_equal(named_hand_pose("flat"), 0)
    with pytest.raises(InputError, match="no hand pose 'claw'"):
        named_hand_pose("claw")
    with pytest.raises(InputError, match="'left' or 'right'"):
        named_hand_pose("fist", "up")


def test_fingers_close_from_flat_over_grasp_to_fist():
    distance, spread, thumb = {}, {}, {}
    for name in ("flat", "relaxed", "grasp", "fist"):
        model, v, _, tips = hand_of("default", name)
        distance[name] = np.array([palm_distance(model, v, tips[f]) for f in LONG_FINGERS])
        spread[name] = np.linalg.norm(np.diff([tips[f] for f in LONG_FINGERS], axis=0), axis=1)
        thumb[name] = np.linalg.norm(tips["thumb"] - tips["index"])
    assert (distance["fist"] < 0.012).all()
    assert (distance["fist"] < distance["grasp"]).all()
    assert (distance["grasp"] < distance["relaxed"]).all() and (distance["relaxed"] < distance["flat"]).all()
    assert (spread["fist"] < 0.028).all()  # neighbours lie side by side, not fanned out
    assert spread["fist"].sum() < 0.75 * spread["flat"].sum()
    assert thumb["grasp"] < 0.04 < thumb["flat"]


def test_fist_converges_and_the_thumb_lies_across_it():
    model, _, joints, tips = hand_of("default", "fist")
    at = dict(zip(model.joint_names, joints, strict=True))
    knuckles = np.linalg.norm(at["left_index1"] - at["left_pinky1"])
    assert np.linalg.norm(tips["index"] - tips["pinky"]) < 1.05 * knuckles
    middle = [0.5 * (at[f"left_{f}2"] + at[f"left_{f}3"]) for f in ("index", "middle")]
    assert min(np.linalg.norm(tips["thumb"] - m) for m in middle) < 0.025
    assert tips["thumb"][1] < min(m[1] for m in middle)  # on the outside of the curled fingers
    assert at["left_pinky1"][2] < tips["thumb"][2] < at["left_index1"][2]
    assert np.linalg.norm(tips["middle"] - at["left_wrist"]) < np.linalg.norm(at["left_middle1"] - at["left_wrist"])


@pytest.mark.parametrize("name,bound", [("flat", 0.0), ("relaxed", 0.0), ("grasp", 0.0005), ("fist", 0.0055)])
def test_fingers_do_not_pass_through_the_hand(name, bound):
    model, v, _, _ = hand_of("light", name)
    mesh = trimesh.Trimesh(v, model.faces, process=False)
    fingers = np.stack([model.skin_weights[:, 22 + 3 * k : 25 + 3 * k].sum(1) for k in range(5)], axis=1)
    group = np.where(fingers.max(1) > 0.5, fingers.argmax(1), 5)
    hand = np.flatnonzero((model.skin_weights[:, 20] + fingers.sum(1) > 0.5) & (v[:, 0] > 0.68))
    near = np.flatnonzero(v[model.faces][:, :, 0].max(1) > 0.5)  # the rest of the body adds nothing but a constant
    inside = hand[winding(v[hand] - 3e-4 * mesh.vertex_normals[hand], v, model.faces[near]) > 1.5]
    owner = np.where(np.ptp(group[model.faces], axis=1) == 0, group[model.faces[:, 0]], -1)
    deepest = 0.0
    for g in np.unique(group[inside]):
        points = v[inside[group[inside] == g]]
        other = trimesh.Trimesh(v, model.faces[near][~np.isin(owner[near], (g, -1))], process=False)
        closest, depth, face = trimesh.proximity.closest_point(other, points)
        behind = np.sum((points - closest) * other.face_normals[face], axis=1) < 0
        deepest = max(deepest, np.max(depth[behind], initial=0.0))
    assert deepest <= bound


def test_grasp_leaves_room_for_its_rod():
    model, v, _, tips = hand_of("default", "grasp")
    hand = (model.skin_weights[:, 20] + model.skin_weights[:, 22:37].sum(1) > 0.5) & (v[:, 0] > 0.70)
    points = v[hand][:, :2]
    grid = np.stack(np.meshgrid(np.linspace(0.68, 0.82, 57), np.linspace(0.34, 0.46, 49)), -1).reshape(-1, 2)
    across = v[hand][:, 2]
    section = points[(across > 0.0) & (across < 0.03)]  # through index and middle finger
    radius = np.linalg.norm(grid[:, None] - section[None], axis=-1).min(1)
    enclosed = (grid[:, 0] > tips["thumb"][0]) & (grid[:, 0] < section[:, 0].max()) & (grid[:, 1] > section[:, 1].min())
    assert 0.018 < radius[enclosed].max() < 0.032


# Whole-body poses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED_POSES)
def test_named_poses_stand_on_the_floor_within_joint_limits(name):
    model = free_body("default")
    pose = named_pose(name)
    vectors = np.concatenate([pose[k].reshape(-1, 3) for k in pose if k != "transl"])
    limits = joint_limits(model)
    assert (vectors >= np.asarray(limits.lower) - 1e-5).all() and (vectors <= np.asarray(limits.upper) + 1e-5).all()
    params = BodyParams.from_axis_angle(model, **pose)
    rotations = np.asarray(params.rotations)
    np.testing.assert_allclose(rotations, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-6)
    v, _ = skin(model, vectors)
    assert abs((v + pose["transl"])[:, 1].min()) < 0.005


def test_named_pose_says_what_it_knows_and_returns_copies():
    with pytest.raises(InputError, match=r"no pose 'fly'.*sit"):
        named_pose("fly")
    named_pose("sit")["body_pose"][:] = 0
    assert np.abs(named_pose("sit")["body_pose"]).max() > 1
    at = dict(zip(free_body().joint_names, skin(free_body("test"), _vectors("sit"))[1], strict=True))
    assert at["left_knee"][2] > at["left_hip"][2] + 0.3 and abs(at["left_knee"][1] - at["left_hip"][1]) < 0.08


def _vectors(name):
    return np.concatenate([x.reshape(-1, 3) for key, x in named_pose(name).items() if key != "transl"])


# Misuse and provenance -----------------------------------------------------------------------------------------------


def test_per_vertex_data_of_other_bodies_is_refused():
    model = free_body()
    require_vertex_values(model, np.zeros(model.num_vertices))
    with pytest.raises(InputError, match=r"contact labels have 6890 rows, the free body has 6900.*SMPL"):
        require_vertex_values(model, np.zeros((6890, 2)), "contact labels")
    with pytest.raises(InputError, match=r"3000 is the vertex count of free_body\(\"light\"\)"):
        require_vertex_values(model, np.zeros(3000))
    with pytest.raises(InputError, match="have 17 rows, the free body has 6900 vertices$"):
        require_vertex_values(model, np.zeros(17))


def test_an_unknown_level_is_refused():
    with pytest.raises(InputError, match="no level of detail 'huge'; choose one of render, default, light, test"):
        free_body("huge")


def test_assets_are_small_and_say_where_they_come_from():
    assert sum(p.stat().st_size for p in ASSETS.iterdir()) < 2.5 * 2**20
    info = json.loads((ASSETS / "free_body.json").read_text())
    manifest_bytes = (ROOT / "tools" / "free_body" / "manifest.json").read_bytes()
    manifest = json.loads(manifest_bytes)
    assert info["licence"] == "CC0-1.0"
    assert info["manifest_sha256"] == hashlib.sha256(manifest_bytes).hexdigest()
    assert info["wheel_sha256"] == manifest["wheel_sha256"]
    assert len(manifest["files"]) == 341
    allowed = ("targets/macrodetails/", "targets/breast/", "rigs/standard/", "mesh_metadata/", "3dobjs/")
    assert all(name.startswith(allowed) and len(h) == 64 for name, h in manifest["files"].items())
    readme = (ASSETS / "README.md").read_text()
    assert "CC0" in readme and manifest["wheel_sha256"] in readme
    for name in ("free_body.npz", "free_body.json"):
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() in readme
    assert "MakeHuman" in (ROOT / "NOTICE").read_text()
