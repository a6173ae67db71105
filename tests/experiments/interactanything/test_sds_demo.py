"""The demonstration of score distillation: its small networks learn, its scenes lie in one frame, its page is true."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from flax import nnx

from hoijax.camera import project
from hoijax.diffusion import q_sample
from hoijax.errors import InputError
from hoijax.experiments.interactanything import sds_demo
from hoijax.experiments.interactanything.sds_networks import (
    SCHEDULE,
    Finder,
    Painter,
    fold,
    landmark_loss,
    picture_loss,
    tokens,
    train,
    unfold,
)
from hoijax.experiments.interactanything.sds_scenes import (
    LANDMARKS,
    PROMPTS,
    THING,
    draw,
    draw_scene,
    embed,
    on_floor,
    setting,
)
from hoijax.geometry import Mesh
from hoijax.nets.stable_diffusion import UNetConfig
from hoijax.nets.weights import read_facts
from hoijax.systems.interactanything.distil import ring

DOCS = pathlib.Path(__file__).parents[3] / "docs"
TINY = UNetConfig(inputs=12, outputs=12, channels=(8,), depth=1, transformers=(1,), middle=1, heads=(2,), context=8,
                  groups=4, camera=16)  # fmt: skip
DOTS = UNetConfig(inputs=3, outputs=len(LANDMARKS), channels=(8,), depth=1, transformers=(0,), middle=1, heads=(2,),
                  context=8, groups=4)  # fmt: skip


@pytest.fixture
def mixed():
    """Networks and optax mix ranks and types, as they may outside the tests."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), jax.enable_x64(False):
        yield


def test_a_painter_paints_what_the_text_says(tmp_path, mixed):
    sit, kick = (tokens(text) for text in ("A person sits on the chair", "A person kicks the ball"))
    cameras = np.zeros((8, 16), np.float32)

    def batch_of(k):
        rng = np.random.default_rng(k)
        bright = np.repeat(rng.random(2) < 0.5, 4)
        pictures = np.where(bright, 0.9, -0.9)[:, None, None, None] * np.ones((8, 4, 4, 3))
        text = np.where(bright[:, None], sit, kick)
        return pictures.astype(np.float32), text, cameras, np.repeat(rng.integers(985, 1000, 2), 4)

    path = tmp_path / "painter.safetensors"
    made = train(Painter(nnx.Rngs(0), TINY), picture_loss, batch_of, 110, "painter", path)
    facts = read_facts(path)
    assert facts["steps"] == 110 and facts["loss"] < 0.6 * facts["loss_first"]
    noise = jax.random.normal(jax.random.key(5), (4, 4, 4, 3), jnp.float32)
    times = np.full(4, 995)
    grey = jax.vmap(lambda x, t, n: q_sample(SCHEDULE, x, t, n))(jnp.zeros_like(noise), times, noise)
    clean = [np.asarray(made.clean(grey, times, np.stack([text] * 4), cameras[:4])) for text in (sit, kick)]
    assert clean[0].mean() > 0.4 and clean[1].mean() < -0.4
    signal, sigma = (float(x) for x in SCHEDULE.coefficients(995, jnp.float32))
    noise = np.asarray(made(grey, times, np.stack([sit] * 4), cameras[:4]))
    np.testing.assert_allclose(signal * clean[0] + sigma * noise, grey, atol=1e-5)


def test_blocks_of_pixels_become_channels_and_pixels_again():
    x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    np.testing.assert_array_equal(fold(x)[1, 0, 2].reshape(2, 2, 3), x[1, :2, 4:])
    np.testing.assert_array_equal(unfold(fold(x)), x)


def test_the_loss_is_the_error_of_what_the_unet_says(mixed):
    """Karras et al. 2022, eq. 8: an answer that is off by the unit everywhere costs one at any time."""
    pictures = np.random.default_rng(0).uniform(-1, 1, (3, 4, 4, 3)).astype(np.float32)
    times = np.array([5, 400, 990])
    signal, sigma = (np.asarray(x) for x in SCHEDULE.coefficients(times, jnp.float32))
    unit = 0.5 * sigma / np.sqrt(0.25 * signal**2 + sigma**2)

    class Off:
        def clean(self, x, t, text, camera):
            return pictures + unit[:, None, None, None]

    assert float(picture_loss(Off(), (pictures, None, None, times), jax.random.key(0))) == pytest.approx(1.0, abs=1e-5)


def test_the_first_answer_knows_the_text(mixed):
    network, rng = Painter(nnx.Rngs(3), TINY), np.random.default_rng(0)
    x, cameras = rng.normal(size=(4, 4, 4, 3)).astype(np.float32), rng.normal(size=(4, 16)).astype(np.float32)
    prompt = "A person kicks the ball"
    known, unknown = sds_demo.denoiser(network, prompt)(jnp.asarray(x), jnp.int32(700), jnp.asarray(cameras))
    for said, text in ((known, prompt), (unknown, "")):
        alone = network(x, np.full(4, 700), np.stack([tokens(text)] * 4), cameras)
        np.testing.assert_allclose(said, alone, atol=1e-4)
    assert np.abs(known - unknown).max() > 1e-3
    other = network(x, np.full(4, 700), np.stack([tokens("the ball kicks a person")] * 4), cameras)
    assert np.abs(known - other).max() > 1e-5  # the same words in another order


def test_what_has_hardly_any_noise_comes_back(mixed):
    network, rng = Painter(nnx.Rngs(3), TINY), np.random.default_rng(0)
    x = rng.uniform(-1, 1, (4, 4, 4, 3)).astype(np.float32)
    clean = network.clean(x, np.zeros(4, int), np.stack([tokens("")] * 4), np.zeros((4, 16), np.float32))
    np.testing.assert_allclose(clean, x, atol=0.15)


def test_strips_and_dots_lie_where_they_are_said_to():
    pictures = np.zeros((2, 4, 4, 3))
    pictures[1, 0, 3] = 1.0
    row = sds_demo.strip(pictures, 8)
    assert row.shape == (8, 16, 3) and (row[:2, 14:] == 255).all() and row.sum() == 4 * 3 * 255
    pixels = np.full((2, len(LANDMARKS), 2), 3.0)
    pixels[1, LANDMARKS.index("left_knee")] = [1.0, 2.0]
    marked = sds_demo.dotted(np.ones((2, 4, 4, 3)), pixels, 40)
    assert marked[20, 50, 0] > 200 and marked[20, 50, 1] < 60 and (marked[20, 10] == 255).all()


def test_a_finder_finds_dots(tmp_path, mixed):
    def batch_of(k):
        rng = np.random.default_rng(k)
        x, y = rng.integers(8, size=(2, 16))
        pictures = np.ones((16, 8, 8, 3), np.float32)
        pictures[np.arange(16), y, x] = 0.0
        dots = np.stack([x, y], axis=-1) + np.float32(0.5)
        return pictures, np.repeat(dots[:, None], len(LANDMARKS), axis=1).astype(np.float32)

    path = tmp_path / "finder.safetensors"
    made = train(Finder(nnx.Rngs(0), DOTS), landmark_loss, batch_of, 120, "finder", path)
    pictures, truth = batch_of(10_000)
    found, sharp = made(pictures)
    assert np.abs(np.asarray(found) - truth).mean() < 0.7  # the picture's middle is 2 off
    assert np.median(np.asarray(sharp)) > 0.5 and np.asarray(sharp).max() <= 1.0
    assert read_facts(path)["loss"] < 0.5 * read_facts(path)["loss_first"]


def test_a_scene_is_in_its_things_frame():
    both, alone = draw_scene("sit", "chair", (3, 0, 1))
    points = dict(zip(LANDMARKS, np.asarray(alone.landmarks)))
    for side in ("left", "right"):  # a sitter looks along the chair's front
        assert points[f"{side}_knee"][2] > points[f"{side}_hip"][2] + 0.2
    assert points["left_hip"][0] > points["right_hip"][0] + 0.1
    used = np.unique(both.faces)
    chair = both.vertices[used[np.all(both.colors[used] == THING, axis=1)]]
    middle = (chair.min(axis=0) + chair.max(axis=0)) / 2
    np.testing.assert_allclose(middle[[0, 2]], 0.0, atol=1e-4)
    assert chair[:, 1].min() == pytest.approx(0.0, abs=0.01)
    camera = ring(np.array([0.0, 90.0]), 15.0, 3.0, 40.0, setting(size=16))
    drawn = jax.jit(lambda scene: draw(scene, camera))
    person, all_of_it = drawn(alone), drawn(both)
    seen = np.isfinite(np.asarray(person.depth))
    assert 0.03 < seen.mean() < 0.3 and np.isfinite(np.asarray(all_of_it.depth)).mean() > seen.mean()
    np.testing.assert_allclose(np.asarray(person.color)[:, 0, 0], 1.0, atol=1e-6)
    pixels = np.asarray(project(camera, np.broadcast_to(alone.landmarks, (2, len(LANDMARKS), 3)))[0])
    wide = np.pad(seen, ((0, 0), (1, 1), (1, 1)))
    for view in range(2):
        for x, y in np.floor(pixels[view]).astype(int):
            assert wide[view, y : y + 3, x : x + 3].any()


def test_an_object_is_embedded_on_the_floor():
    box = trimesh.creation.box((0.4, 0.6, 0.4))
    mesh = on_floor(Mesh(np.asarray(box.vertices, np.float32) + np.float32([5, 2, 1]), np.asarray(box.faces)))
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [-0.2, 0.0, -0.2], atol=1e-6)
    points = np.float32([[[0, 0.3, 0], [0, 0.7, 0]], [[0.15, 0.1, 0.15], [0.3, 0.3, 0]]])
    thing = embed(mesh)
    np.testing.assert_array_equal(thing.inside(points), [[True, False], [True, False]])
    camera = ring(np.array([0.0]), 0.0, 3.0, 40.0, setting(size=16))
    depth = np.asarray(thing.draw(camera).depth)[0]
    assert np.nanmin(depth) == pytest.approx(2.8, abs=0.01) and np.isinf(depth[0]).all() and np.isfinite(depth[12, 8])


def test_distances_are_to_the_nearest_person():
    people = np.random.default_rng(0).normal(size=(3, len(LANDMARKS), 3))
    points = people[1] + [0.3, 0.0, 0.4]
    assert sds_demo.gap(points, people) == pytest.approx(0.5)
    assert sds_demo.gap(points, people, True) == pytest.approx(0.0, abs=1e-9)
    points[0] = np.nan
    assert sds_demo.gap(points, people) == pytest.approx(0.5)


def test_other_words_are_refused(tmp_path):
    for text in ("A person eats the chair", "the chair " * 5):
        with pytest.raises(InputError, match="sits on the chair"):
            tokens(text)
    with pytest.raises(InputError, match="wanted one of A person"):
        sds_demo.Config(work=tmp_path, prompt="A person sits")
    texts = np.stack([tokens(text) for text in PROMPTS])
    assert len(np.unique(texts, axis=0)) == len(PROMPTS) and (texts[:, 0] > 0).all() and not tokens("").any()
    kicks = tokens("a person kicks the ball")
    assert np.count_nonzero(kicks) == 5 and not np.array_equal(kicks, tokens("the ball kicks a person"))
