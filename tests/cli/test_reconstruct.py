"""`hoijax reconstruct` with tiny random networks: what is written, what pictures may be, what is refused."""

import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.body_models import BodyParams, free_body, pose_body
from hoijax.cli import main
from hoijax.cli.reconstruct import Options, guidance
from hoijax.errors import InputError
from hoijax.jobs import objects, reconstruction
from hoijax.jobs.overlays import SIZE, draw_crop, mask_agreement, write_overlay
from hoijax.jobs.photograph_files import MaskFiles, look_at_photographs
from hoijax.jobs.photographs import read_photograph
from hoijax.nets.scorehoi import ScoreHOIRegressor, make_denoiser
from hoijax.nets.weights import save_network
from hoijax.systems.scorehoi import GuidedConfig
from hoijax.systems.scorehoi.networks import SIZES

HEIGHT, WIDTH = 90, 120


@pytest.fixture(scope="module")
def weights(tmp_path_factory, random_module):
    """Files of both networks."""
    folder, sizes = tmp_path_factory.mktemp("weights"), SIZES["tiny"]()
    facts = {"size": "tiny", "level": "test", "vertices": 48}
    regressor = random_module(lambda rngs: ScoreHOIRegressor(sizes[0], rngs))
    # What a trained network says first: a person five metres away in the middle of the crop.
    head = regressor.hand4whole.body_rotation_net.cam_out[0]
    head.kernel[...], head.bias[...] = jnp.zeros_like(head.kernel[...]), jnp.asarray([0.0, 0.0, -1.0], jnp.float32)
    save_network(folder / "regressor.safetensors", regressor, facts | {"stage": 1})
    denoiser = random_module(lambda rngs: make_denoiser(sizes[1], rngs))
    save_network(folder / "denoiser.safetensors", denoiser, facts | {"stage": 2})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, masks and a box."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    human, object = np.zeros((2, HEIGHT, WIDTH), bool)
    human[10:80, 40:70], object[50:75, 60:90] = True, True
    masks = {"human": human, "object": object, "empty": 0 * human, "full": ~(0 * human), "pixel": 0 * human}
    masks["pixel"][5, 5] = True
    for name, mask in masks.items():
        Image.fromarray(255 * mask.astype(np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(image).save(folder / "a.png")
    Image.fromarray(np.dstack([image, 255 * (human | object).astype(np.uint8)])).save(folder / "alpha.png")
    Image.fromarray((human + 2 * (object & ~human)).astype(np.uint8)).save(folder / "ids.png")
    Image.fromarray((0 * human + 7).astype(np.uint8)).save(folder / "other_ids.png")
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(folder / "nan.tiff")
    (folder / "text.png").write_text("no picture")
    trimesh.creation.box((0.4, 0.3, 0.3)).export(folder / "box.obj")
    return folder


@pytest.fixture(scope="module")
def shared():
    """One set of loaded networks, hence one compilation, for the module."""
    loaded = {}
    load = reconstruction.make_reconstructor

    def remembered(*key):
        if key not in loaded:
            loaded[key] = load(*key)
        return loaded[key]

    return remembered


@pytest.fixture
def run(weights, folder, shared, tmp_path, monkeypatch, capsys):
    """Runs the command; returns exit code, stdout, stderr."""
    monkeypatch.setattr(reconstruction, "make_reconstructor", shared)
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 24)

    def call(*options, image="a.png", human="human.png", object="object.png", out=tmp_path / "out"):
        given = [f"--{name}={folder / path}" for name, path in (("human-mask", human), ("object-mask", object)) if path]
        code = main([
            "reconstruct", "--method=scorehoi", f"--image={folder / image}",
            f"--object={folder / 'box.obj'}", f"--out={out}", *given,
            f"--regressor={weights / 'regressor.safetensors'}", f"--denoiser={weights / 'denoiser.safetensors'}",
            "--setting=paper", "--iterations=1", "--step=25", "--batch-size=1", *options,
        ])  # fmt: skip
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.slow
def test_one_picture_becomes_meshes_parameters_and_a_page(run, folder, tmp_path):
    code, told, _ = run()
    out = tmp_path / "out"
    assert code == 0 and "overlap with the masks" in told
    record = json.loads((out / "metrics.json").read_text())
    assert record["shown"] == "guided" and set(record["stages"]) == {"estimate", "guided", "refined"}
    arrays = load(out / "reconstruction.npz")
    assert all(np.isfinite(v).all() for v in arrays.values())
    # The GLB is what the parameters say, turned upright.
    model = free_body("test")
    keys = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
    body = pose_body(model, BodyParams.from_axis_angle(model, **{k: arrays[k] for k in keys}))
    scene = trimesh.load(out / "interaction.glb", process=False)
    np.testing.assert_allclose(scene.geometry["body"].vertices * [1, -1, -1], body.vertices, atol=2e-3)
    # Its camera sees the person where the crop is.
    place = arrays["intrinsics"] @ np.asarray(body.joints[0], np.float64)
    place = place[:2] / place[2]
    low, side = read_photograph(folder / "a.png", folder / "human.png", folder / "object.png", None).box()
    assert np.all((place > low - side) & (place < low + 2 * side))
    assert Image.open(out / "overlay.png").size == (WIDTH, HEIGHT)
    assert "over the picture" in (out / "report.html").read_text()
    # A second time there is nothing to do; with other weights or settings there would be.
    before = (out / "metrics.json").stat().st_mtime_ns
    code, told, _ = run()
    assert code == 0 and "0 to reconstruct" in told and (out / "metrics.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_stage_that_is_asked_for_is_shown(run, tmp_path):
    """The mesh refiner's surface is what the GLB holds then; the parameters stay those of the guided stage."""
    assert run()[0] == 0 and run("--show=refined", out=tmp_path / "refined")[0] == 0
    guided, refined = (load(tmp_path / name / "reconstruction.npz") for name in ("out", "refined"))
    for name in ("transl", "obj_trans", "refined_vertices"):
        np.testing.assert_allclose(refined[name], guided[name], atol=1e-4)
    assert json.loads((tmp_path / "refined" / "metrics.json").read_text())["shown"] == "refined"
    scene = trimesh.load(tmp_path / "refined" / "interaction.glb", process=False)
    np.testing.assert_allclose(scene.geometry["body"].vertices * [1, -1, -1], refined["refined_vertices"], atol=2e-3)
    other = trimesh.load(tmp_path / "out" / "interaction.glb", process=False)
    assert np.abs(other.geometry["body"].vertices - scene.geometry["body"].vertices).max() > 0.01


@pytest.mark.slow
def test_a_folder_names_what_it_cannot_use_and_odd_masks_give_finite_answers(run, folder, tmp_path):
    pictures, masks, objects = (tmp_path / name for name in ("pictures", "masks", "objects"))
    for place in (pictures, masks, objects):
        place.mkdir()
    given = {
        "plain": ("human", "object"), "all": ("full", "full"), "hidden": ("human", "empty"),
        "speck": ("human", "pixel"), "nobody": ("empty", "object"), "alone": (None, None),
    }  # fmt: skip
    for name, (human, object) in given.items():
        (pictures / f"{name}.png").write_bytes((folder / "a.png").read_bytes())
        if human is not None:
            (masks / f"{name}.png").write_bytes((folder / f"{human}.png").read_bytes())
            (objects / f"{name}.png").write_bytes((folder / f"{object}.png").read_bytes())
    code, told, _ = run(image=pictures, human=masks, object=objects)
    assert code == 1
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert sorted(summary["items"]) == ["all", "hidden", "plain", "speck"]
    assert "is empty" in summary["failed"]["nobody"] and "no mask of alone.png" in summary["failed"]["alone"]
    assert "not used: alone" in told
    for name in summary["items"]:
        assert all(np.isfinite(v).all() for v in load(tmp_path / "out" / name / "reconstruction.npz").values())
    notes = {name: " ".join(record["notes"]) for name, record in summary["items"].items()}
    assert "covers the whole picture" in notes["all"] and "mask of the object is empty" in notes["hidden"]


def test_refusals_come_before_anything_is_written(run, folder, weights, tmp_path):
    def told(*options, **changes):
        code, _, error = run(*options, **changes)
        assert code == 2 and not (tmp_path / "out").exists()
        return error

    assert "masks of person and object are needed and neither was given" in told(human=None, object=None)
    assert "only one was given" in told(object=None)
    assert "is empty; wanted a person" in told(human="empty.png")
    assert "covers 1 pixels" in told(human="pixel.png")
    assert "not finite" in told(image="nan.tiff")
    assert "no picture that can be read" in told(image="text.png")
    assert "there is no file" in told(image="missing.png")
    assert "no pixel of number 1" in told(f"--instances={folder / 'other_ids.png'}", human=None, object=None)
    assert "give one or the other" in told(f"--instances={folder / 'ids.png'}")
    assert "wanted at most 50" in told("--step=60")
    assert "not of stage 2" in told(f"--denoiser={weights / 'regressor.safetensors'}")
    assert "120 x 90 pixels, its picture 4 x 4" in _wrong_size(run, folder, tmp_path)


def _wrong_size(run, folder, tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "small.png")
    code, _, error = run(image="small.png")
    assert code == 2 and not (tmp_path / "out").exists()
    return error


def test_one_network_without_the_other_is_refused_and_without_both_the_shipped_ones_are_taken(folder, tmp_path, capsys):
    options = Options(image=folder / "a.png", object=folder / "box.obj", out=tmp_path / "o")
    assert [
        reconstruction.weights_path(options.regressor, options.denoiser, name).is_file()
        for name in reconstruction.WEIGHTS
    ] == [True, True]
    code = main([
        "reconstruct", "--method=scorehoi", f"--image={folder / 'a.png'}", f"--out={tmp_path / 'o'}",
        f"--human-mask={folder / 'human.png'}",
        f"--object-mask={folder / 'object.png'}", f"--object={folder / 'box.obj'}", "--regressor=mine.safetensors",
    ])  # fmt: skip
    told = capsys.readouterr().err
    assert code == 2 and "--denoiser is missing" in told and "--stage 2" in told and not (tmp_path / "o").exists()


def test_settings_by_name(folder, tmp_path):
    options = Options(image=folder / "a.png", object=folder / "box.obj", out=tmp_path)
    assert guidance(options) == GuidedConfig.denoising()
    paper = dataclasses.replace(options, setting="paper")
    assert guidance(paper) == GuidedConfig()
    assert guidance(dataclasses.replace(paper, iterations=3, step=5)) == GuidedConfig(iterations=3, step=5)


def test_masks_from_alpha_and_from_numbers_are_those_of_files(folder):
    human, object = folder / "human.png", folder / "object.png"
    files = read_photograph(folder / "a.png", human, object, None)
    ids = read_photograph(folder / "a.png", None, None, folder / "ids.png")
    np.testing.assert_array_equal(ids.human, files.human)
    np.testing.assert_array_equal(ids.object, files.object & ~files.human)
    rest = read_photograph(folder / "alpha.png", human, None, None)
    np.testing.assert_array_equal(rest.human, files.human)
    np.testing.assert_array_equal(rest.object, files.object & ~files.human)
    alone = read_photograph(folder / "alpha.png", None, None, None)
    np.testing.assert_array_equal(alone.human, files.human | files.object)
    assert "alpha does not tell" in alone.notes[0]
    with pytest.raises(InputError, match="must be one too"):
        look_at_photographs(folder, MaskFiles(human, object), len)


@pytest.mark.slow
def test_an_answer_that_is_not_finite_is_refused(run, shared, weights, tmp_path, monkeypatch):
    """A picture cannot make it so, broken weights can."""
    real = shared

    def broken(*args):
        made = real(*args)
        spoilt = lambda x: x * jnp.asarray(np.nan, x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x  # noqa: E731
        return dataclasses.replace(made, run=lambda *a: jax.tree.map(spoilt, made.run(*a)))

    monkeypatch.setattr(reconstruction, "make_reconstructor", broken)
    code, _, error = run()
    assert code == 2 and "not finite" in error and not (tmp_path / "out" / "metrics.json").exists()


def test_what_is_drawn_lies_where_the_camera_sees_it():
    """A plate half a metre wide at five metres, in the middle of the crop, and one behind the camera."""
    corners = np.array([[-0.25, -0.25, 5], [0.25, -0.25, 5], [0.25, 0.25, 5], [-0.25, 0.25, 5]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    label, drawn = draw_crop((corners, faces), (-corners, faces), 2500.0)
    side = 2500 / 256 * 0.5 / 5 * SIZE
    assert abs((label == 0).sum() - side**2) < 6 * side and not (label == 1).any()
    rows, columns = np.nonzero(label == 0)
    np.testing.assert_allclose([rows.mean() + 0.5, columns.mean() + 0.5], SIZE / 2, atol=1)
    np.testing.assert_array_equal(drawn[..., 3] > 0, label == 0)
    agreement = mask_agreement(label, label == 0, np.zeros_like(label, bool))
    assert agreement == {"body": 1.0, "object": None}


def test_overlays_put_the_crop_back_into_the_picture(tmp_path):
    drawn = np.zeros((SIZE, SIZE, 4), np.uint8)
    drawn[: SIZE // 2] = [255, 0, 0, 255]
    write_overlay(tmp_path / "o.png", np.zeros((100, 200, 3), np.uint8), drawn, np.array([50.0, 20.0]), 40.0)
    red = np.asarray(Image.open(io.BytesIO((tmp_path / "o.png").read_bytes())))[..., 0] > 127
    rows, columns = np.nonzero(red)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 50, 89)
