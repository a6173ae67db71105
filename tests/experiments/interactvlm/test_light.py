"""Training of the light contact network: pairs, their mirror images, what a camera sees of them, losses, scores."""

import dataclasses
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interactvlm_toy import standing
from scipy.spatial.transform import Rotation

from hoijax.body_models import contact_regions, free_body
from hoijax.data.objects import make_object
from hoijax.data.synth import SynthConfig
from hoijax.data.synth.sampling import draw
from hoijax.data.synth.start import Placed
from hoijax.errors import InputError
from hoijax.experiments.interactvlm import light, light_data, light_scores
from hoijax.experiments.interactvlm.light_views import Example, ViewConfig, draw_view, draw_views
from hoijax.metrics import signed_distance_host
from hoijax.nets.pair_contact import Answer, load_pair_contact
from hoijax.systems.interactvlm.pairs import JOINTS, MARGIN, make_pair, surface_points_asked

EXACT = ViewConfig(pixel=0, across=0, exchanged=0, crop=0, no_picture=0, no_joints=0, no_mask=0, no_points=0, no_word=0)


@pytest.fixture(scope="module")
def rows():
    """A few pairs, sitting and holding among them."""
    synth = SynthConfig(seed=7, instances=64)
    made = [light_data.make_row(draw(synth, "train", i, 0), np.random.default_rng(i)) for i in range(8)]
    return [row for row in made if row is not None]


def test_pairs_touch_where_they_were_asked_to(rows):
    assert len(rows) >= 6
    model = free_body(light_data.LEVEL)
    for i, row in enumerate(rows):
        assert 0.002 < row["touches"].mean() < 0.4 and row["cameras"].shape == (light_data.CAMERAS, 13)
        # Labelled vertices are near the object's points, others are not inside of it by much.
        gap = np.linalg.norm(row["body"][:, None].astype(float) - row["cloud"][None].astype(float), axis=-1).min(axis=1)
        assert np.median(gap[row["touches"]]) < 0.5 * np.median(gap[~row["touches"]]), i
        assert row["body"].shape == (model.num_vertices, 3) and 0 < row["word"] <= len(light_data.WORDS)
    first = draw(SynthConfig(seed=7, instances=64), "train", 0, 0)
    assert light_data.WORDS[rows[0]["word"] - 1] == first.category


def fitted_sample(category="ball"):
    """A sample with contact anywhere."""
    contact = np.random.default_rng(0).random(free_body().num_vertices) < 0.1
    return standing([0.4, 1.2, 0.3], category) | {"body_contact": contact}


def test_pairs_of_samples_have_their_contact(monkeypatch, tmp_path):
    """The labels are the sample's, body and object stand where it says, and every pair has its mirror image."""
    model, probe = free_body(), fitted_sample()
    vertices, _, placed = light_data.stands(probe)
    hand = contact_regions(model)["left_hand"]
    # The hand lies on the ball, so that points of both kinds are labelled.
    radius = np.linalg.norm(placed.vertices() - placed.translation, axis=1).max()
    probe["obj_trans"] = vertices[hand].mean(axis=0) - [0, radius, 0]
    unseen = fitted_sample(sorted(light_data.UNSEEN)[0])
    monkeypatch.setattr(light_data, "open_split", lambda root, split: [probe, unseen])
    config = light_data.Config(out=tmp_path / "pairs.npz", synth=tmp_path, seed=3)
    assert light_data.save_pairs(config)["pairs"] == 4
    pairs = light.read_pairs((config.out,))
    few = free_body(light_data.LEVEL).num_vertices
    np.testing.assert_array_equal(pairs["touches"][0], probe["body_contact"][:few])
    np.testing.assert_array_equal(
        pairs["touches"][1], probe["body_contact"][:few][light_data.mirrored_vertices(light_data.LEVEL)]
    )
    np.testing.assert_array_equal(pairs["word"], [light_data.WORDS.index("ball") + 1] * 2 + [0] * 2)
    world = pairs["asked"][0] @ Rotation.from_rotvec([0.3, 0, 0]).as_matrix().T + probe["obj_trans"]
    gap = np.linalg.norm(world[:, None] - vertices[None], axis=-1).min(axis=1)
    clear = np.abs(gap - 0.02) > 1e-4  # SynthHOI's own rule for points
    np.testing.assert_array_equal(pairs["asked_touches"][0][clear], (gap < 0.02)[clear])
    assert 0 < pairs["asked_touches"][0].mean() < 0.5
    np.testing.assert_allclose(pairs["body"][0], vertices[:few], atol=2e-3)
    np.testing.assert_allclose(pairs["cloud"][0].astype(float).mean(axis=0), probe["obj_trans"], atol=0.02)
    left = JOINTS.index("left_wrist"), JOINTS.index("right_wrist")
    np.testing.assert_allclose(pairs["joints"][1][left[1]], pairs["joints"][0][left[0]] * [-1, 1, 1], atol=1e-5)


def test_distances_to_an_object_are_those_to_its_triangles():
    obj = make_object("box", width=0.4, height=0.3, depth=0.3)
    placed = Placed(obj, np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]), np.array([0.3, 1.0, -0.2]))
    points = placed.translation + np.random.default_rng(0).uniform(-0.26, 0.26, (600, 3))
    got = light_data.signed_to_cloud(points, placed, np.asarray(obj.mesh.vertices), np.asarray(obj.mesh.faces))
    want = signed_distance_host((points - placed.translation) @ placed.rotation, obj.mesh)
    near = np.abs(want) < 0.035
    assert near.sum() > 60 and np.abs(got - want)[near].max() < 0.012
    assert np.median(np.abs(got - want)[near]) < 0.002
    assert (got[want > 0.07] == light_data._NEAR).all()


def test_parts_that_were_asked_to_touch_are_brought_to_the_object():
    regions = contact_regions(free_body(light_data.LEVEL))
    hand = regions["left_hand"]
    distance = np.full(free_body(light_data.LEVEL).num_vertices, 0.06)
    distance[hand] = 0.02 + np.linspace(0, 0.03, len(hand))
    assert not light_data.touching_vertices(distance, ()).any()
    touches = light_data.touching_vertices(distance, ("left_hand",))
    lowest = np.sort(distance[hand])[: max(3, int(0.03 * len(hand)))].mean()
    np.testing.assert_array_equal(np.flatnonzero(touches), np.sort(hand[distance[hand] < lowest + 0.01]))
    distance[:3] = (-0.01, 0.005, 0.015)
    np.testing.assert_array_equal(light_data.touching_vertices(distance, ())[:3], [True, True, False])


def test_a_mirror_image_is_seen_as_one(rows):
    row = rows[0]
    mirrored = light_data.mirrored_vertices(light_data.LEVEL)
    image = light_data.mirror_row(row, mirrored)
    swap = [JOINTS.index(n.replace("left", "*").replace("right", "left").replace("*", "right")) for n in JOINTS]
    one, other = (seen_by(r, 0) for r in (row, image))
    np.testing.assert_allclose(other.places, (one.places * [-1, 1])[swap], atol=1e-4)
    np.testing.assert_allclose(other.metric, (one.metric * [-1, 1, 1])[swap], atol=1e-4)
    assert (other.mask == one.mask[:, ::-1]).mean() > 0.995 and one.mask.sum() > 3
    assert np.abs(other.points - one.points * [-1, 1, 1]).max() == 0
    assert image["touches"].sum() > 0 and image["touches"][mirrored[mirrored]].sum() == image["touches"].sum()
    left = contact_regions(free_body(light_data.LEVEL))["left_hand"]
    right = contact_regions(free_body(light_data.LEVEL))["right_hand"]
    assert abs(row["touches"][left].sum() - image["touches"][right].sum()) <= 3
    back = light_data.mirror_row(image, mirrored)
    for name in ("joints", "asked", "cameras", "cloud", "joint_gap"):
        np.testing.assert_array_equal(back[name], row[name])


@functools.lru_cache
def _compiled(config):
    return jax.jit(lambda row, key: draw_view(row, key, config, 32))


def seen_by(row, seed, config=EXACT):
    given = {name: jnp.asarray(values) for name, values in row.items()}
    return jax.tree.map(np.asarray, _compiled(config)(given, jax.random.key(seed)))


def test_a_view_is_what_the_command_would_be_told(rows):
    """By hand: the camera's projection, and the square and the cells of `make_pair` on a mask of points."""
    row = rows[1] | {"cameras": rows[1]["cameras"][:1]}
    view = seen_by(row, 3)
    focal, transform = row["cameras"][0, 0], row["cameras"][0, 1:].reshape(3, 4)

    def project(points):
        local = points.astype(float) @ transform[:, :3].T + transform[:, 3]
        return focal * local[:, :2] / local[:, 2:], local

    joints, local = project(row["joints"])
    cloud, _ = project(row["cloud"])
    inside = (np.abs(cloud) < 1).all(axis=1)
    size = 500  # a picture of 2 x 2 as pixels
    mask = np.zeros((2 * size, 2 * size), bool)
    column, row_number = np.floor((cloud[inside] + 1) * size).astype(int).T
    mask[row_number, column] = True
    landmarks = np.zeros((33, 3))
    from hoijax.systems.interactvlm.pairs import COLUMNS

    landmarks[list(COLUMNS), :2] = (joints + 1) * size
    want = make_pair(landmarks, np.zeros((33, 3)), np.zeros(33), mask, 0, None, 32)
    np.testing.assert_allclose(view.places, want.places[0], atol=0.01)
    hips = local[[JOINTS.index("left_hip"), JOINTS.index("right_hip")]].mean(axis=0)
    np.testing.assert_allclose(view.metric, local - hips, atol=1e-4)
    assert view.mask[want.mask[0] == 0].mean() < 0.1
    assert view.mask[want.mask[0] > 0].mean() > 0.3  # the person hides the rest
    assert np.abs(view.places).max() <= 1 - 2 * MARGIN + 0.01 and view.known.tolist() == [1, 1, 1]
    assert int(view.word) == row["word"]


def test_the_person_hides_the_object(rows):
    """An object moved far behind the person along the line of sight is hidden where the person is."""
    row = rows[0] | {"cameras": rows[0]["cameras"][:1]}
    transform = row["cameras"][0, 1:].reshape(3, 4).astype(float)
    body = row["body"].astype(float) @ transform[:, :3].T + transform[:, 3]

    def moved(factor):
        local = body[:1024] * factor
        return row | {"cloud": np.float16((local - transform[:, 3]) @ transform[:, :3])}

    assert seen_by(moved(1.3), 0).mask.sum() < 0.1 * seen_by(moved(0.7), 0).mask.sum()
    assert seen_by(moved(0.7), 0).visible.mean() < seen_by(moved(1.3), 0).visible.mean() - 0.2


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"no_picture": 1.0}, lambda a, b: b.known.tolist() == [0, 0, 1]),
        ({"no_joints": 1.0}, lambda a, b: b.known.tolist() == [0, 1, 1]),
        ({"no_mask": 1.0}, lambda a, b: b.known.tolist() == [1, 0, 1]),
        ({"no_points": 1.0}, lambda a, b: b.known.tolist() == [1, 1, 0]),
        ({"no_word": 1.0}, lambda a, b: a.word > 0 == b.word),
        ({"exchanged": 1.0}, lambda a, b: np.allclose(a.places[JOINTS.index("left_knee")],
                                                      b.places[JOINTS.index("right_knee")])),
        ({"pixel": 0.02}, lambda a, b: 0.005 < np.abs(a.places - b.places).mean() < 0.06),
        ({"across": 0.03}, lambda a, b: 0.02 < np.abs(a.metric - b.metric)[:, 2].mean() < 0.09),
        ({"crop": 0.1}, lambda a, b: np.abs((a.places - b.places) - (a.places - b.places).mean(0)).max() > 1e-4
                                     and np.corrcoef(a.places[:, 0], b.places[:, 0])[0, 1] > 0.9999),
    ],
)  # fmt: skip
def test_every_error_of_a_view_is_seen_in_it(rows, change, check):
    one, other = seen_by(rows[0], 5), seen_by(rows[0], 5, dataclasses.replace(EXACT, **change))
    assert check(one, other)


def perfect(examples):
    sure = lambda truth: jnp.where(truth, 30.0, -30.0).astype(jnp.float32)  # noqa: E731
    return Answer(sure(examples.touches), sure(examples.asked_touches),
                  jnp.minimum(examples.joint_gap / 0.1, 3.0), jnp.minimum(examples.point_gap / 0.1, 3.0))  # fmt: skip


def test_a_perfect_answer_costs_nothing_and_every_fault_its_own_term(rows):
    view = seen_by(rows[0], 0)
    pair = jax.tree.map(lambda x: x[None], view)
    truth = [jnp.asarray(rows[0][n])[None] for n in ("touches", "asked_touches", "joint_gap", "point_gap")]
    examples = Example(pair, None, None, *truth)
    answer = perfect(examples)
    assert all(float(value) < 1e-4 for value in light.light_loss(answer, examples).values())
    for name, term in (("body", "contact"), ("object", "contact"), ("body", "dice"), ("object", "dice"),
                       ("joint_distance", "distances"), ("point_distance", "distances")):  # fmt: skip
        values = getattr(answer, name)
        wrong = answer.replace(**{name: values + 1.0 if "distance" in name else -values})
        terms = light.light_loss(wrong, examples)
        assert float(terms[term]) > 0.3, name
        # What nobody could know is not asked for.
        blind = examples.replace(pair=pair.replace(known=np.float32([[1, 1, 0]])))
        asked = name in ("body", "joint_distance")
        assert (float(light.light_loss(wrong, blind)[term]) > 0.3) == asked


def test_near_tokens_are_those_of_the_command():
    rng = np.random.default_rng(0)
    places, tokens = rng.normal(size=(2, 9, 3)), rng.normal(size=(2, 5, 3))
    got = light.near_tokens(jnp.asarray(places), jnp.asarray(tokens), 0.3)
    for i in range(2):
        want = surface_points_asked(places[i], places[i], tokens[i], 0.3, np.zeros(9, int)).near[0]
        np.testing.assert_allclose(got[i], want, atol=1e-5)


def test_batches_are_functions_of_the_step(rows):
    arrays = {"word": np.arange(10), "x": np.arange(10) * 2}
    config = light.Config(out=pathlib.Path("x"), pairs=(pathlib.Path("p"),), batch=4)
    stream = light.batches(arrays, config, 0)
    every = [next(stream) for _ in range(5)]
    assert sorted(np.concatenate([b["word"] for b in every])) == sorted([*range(10)] * 2)
    np.testing.assert_array_equal(next(light.batches(arrays, config, 3))["word"], every[3]["word"])
    assert all((b["x"] == 2 * b["word"]).all() for b in every)


def test_a_run_learns_goes_on_and_ends_in_a_file(rows, tmp_path):
    np.savez(tmp_path / "pairs.npz", **{name: np.stack([row[name] for row in rows]) for name in rows[0]})
    config = light.Config(
        out=tmp_path / "run", pairs=(tmp_path / "pairs.npz",), steps=40, batch=4, asked=48, width=16, layers=1,
        rate=1e-2, save_every=20, log_every=1, until=20, views=EXACT, average=0.5,
    )  # fmt: skip
    light.train(config)
    path = light.train(dataclasses.replace(config, until=None))
    log = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [*range(1, 41)]
    assert np.mean([r["total"] for r in log[-5:]]) < 0.75 * np.mean([r["total"] for r in log[:5]])
    network, facts = load_pair_contact(path)
    assert network.config.width == 16 and facts["steps"] == 40 and network.config.words == light_data.WORDS
    with pytest.raises(InputError, match="another batch"):
        light.train(dataclasses.replace(config, batch=2))


def test_bad_settings_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match="--pairs"):
        light.Config(out=tmp_path)
    np.savez(tmp_path / "odd.npz", x=np.ones(3))
    with pytest.raises(InputError, match="no file of pairs"):
        light.read_pairs((tmp_path / "odd.npz",))
    with pytest.raises(InputError, match="no file of pairs"):
        light.read_pairs((tmp_path / "missing.npz",))
    with pytest.raises(InputError, match="count"):
        light_data.Config(out=tmp_path / "x.npz", count=0)
    config = light_scores.Config(out=tmp_path / "s", synth=tmp_path, weights=tmp_path, pairs=(), split="test")
    with pytest.raises(InputError, match="score --split val first"):
        light_scores.score(config)


def test_scores_by_hand():
    scores, truth = np.array([0.9, 0.6, 0.4, 0.1]), np.array([True, False, True, False])
    assert light_scores.f1(scores, truth, 0.5) == pytest.approx(0.5)
    assert light_scores.f1(scores, truth, 0.3) == pytest.approx(0.8)
    assert light_scores.f1(scores, truth, 0.95) == 0
    mean, low, high = light_scores.interval(np.random.default_rng(0).normal(3, 1, 400), 2000)
    assert mean == pytest.approx(3, abs=0.15) and high - low == pytest.approx(4 * 0.98 / 20, rel=0.15)


def test_mean_maps_by_hand(rows, tmp_path):
    np.savez(tmp_path / "p.npz", **{name: np.stack([row[name] for row in rows]) for name in rows[0]})
    pairs = light.read_pairs((tmp_path / "p.npz", tmp_path / "p.npz"))
    assert len(pairs["word"]) == 2 * len(rows)
    body, obj = light.mean_maps(pairs, len(light_data.WORDS))
    assert body.shape == (len(light_data.WORDS) + 1, 1499) and obj.shape == (len(light_data.WORDS) + 1, 216)
    word, count = int(pairs["word"][0]), int((pairs["word"] == pairs["word"][0]).sum())
    whole = (pairs["touches"].sum(0) + pairs["touches"].mean()) / (len(pairs["word"]) + 1)
    np.testing.assert_allclose(body[0], whole)
    mine = pairs["touches"][pairs["word"] == word].sum(axis=0)
    np.testing.assert_allclose(body[word], (mine + whole) / (count + 1))
    absent = next(w for w in range(1, len(light_data.WORDS) + 1) if w not in pairs["word"])
    np.testing.assert_allclose(body[absent], body[0])
    # Where a surface is always touched its map is high, where never low.
    flat = pairs | {"asked_touches": pairs["asked_cell"] // 6 % 6 == 5}
    high = light.mean_maps(flat, len(light_data.WORDS))[1][0].reshape(6, 6, 6)
    there = np.bincount(pairs["asked_cell"].ravel(), minlength=216).reshape(6, 6, 6) > 20
    assert high[:, 5][there[:, 5]].min() > 0.8 and high[:, :5][there[:, :5]].max() < 0.2
    half = np.abs(pairs["asked"][0]).max(axis=0)
    assert (pairs["asked_cell"][0] == light.box_cells(pairs["asked"][0], half, 6)).all()


def test_the_shipped_network_reads_what_it_is_told(tmp_path):
    """On starts of val, which it has not seen: body F1 far above what it says without landmarks and mask."""
    network, facts = load_pair_contact()
    sizes = network.config
    synth, made = SynthConfig(seed=11, real=0.4), []
    for i in range(30):
        row = light_data.make_row(draw(synth, "val", i, 0), np.random.default_rng(i))
        made += [] if row is None else [row]
    np.savez(tmp_path / "pairs.npz", **{name: np.stack([row[name] for row in made]) for name in made[0]})
    batch = light.read_pairs((tmp_path / "pairs.npz",))
    body = light.body_points(free_body(light_data.LEVEL), sizes.reach)
    near = functools.partial(light.near_tokens, reach=sizes.reach)
    told = ViewConfig(no_picture=0, no_joints=0, no_mask=0, no_points=0, no_word=0, exchanged=0)

    @jax.jit
    def answers(batch, key):
        seen = draw_views(batch, body, jnp.arange(body.places.shape[1]), key, told, sizes.mask, near)
        blind = dataclasses.replace(seen.pair, known=seen.pair.known * jnp.asarray([[0.0, 0.0, 1.0]], jnp.float32))
        return [network(pair, seen.body, seen.object).body for pair in (seen.pair, blind)]

    logits = answers({name: jnp.asarray(values) for name, values in batch.items()}, jax.random.key(0))
    share = [1 / (1 + np.exp(-np.asarray(one))) for one in logits]
    told_f1, blind_f1 = (
        np.mean([light_scores.f1(s, t, facts["threshold"][0]) for s, t in zip(one, batch["touches"])]) for one in share
    )
    assert told_f1 > 0.4 and told_f1 > blind_f1 + 0.08
