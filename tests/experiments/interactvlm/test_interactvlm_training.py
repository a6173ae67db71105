"""InteractVLM's training: losses of perfect answers, what learns, mixing, resuming, precision."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from interactvlm_toy import CUBE, settings

from hoijax.body_models import free_body, part_labels, part_names
from hoijax.errors import InputError
from hoijax.experiments.common.parameters import named_leaves
from hoijax.experiments.interactvlm import task, train
from hoijax.experiments.interactvlm.memory import memory
from hoijax.experiments.interactvlm.settings import LossWeights
from hoijax.experiments.interactvlm.surfaces import filled, points_lift, true_masks
from hoijax.experiments.interactvlm.variants import flat_logits, flat_loss
from hoijax.interaction import affordance_loss
from hoijax.nets import interactvlm as nets
from hoijax.nets.interactvlm import IGNORED
from hoijax.render import lift_points
from hoijax.systems.interactvlm import apply_lift

FAST = {"xla_backend_optimization_level": 0}


def names(state):
    return {name: np.asarray(leaf) for name, leaf in named_leaves(state)}


def test_true_masks_are_those_of_the_vertices_rule(tiny):
    canvas = tiny.surfaces.object(tiny.examples["object"][0])
    contact = np.float32([1, 1, 0, 0, 1, 1, 0, 0, 0, 0])
    for least in (2, 3):
        own = [contact[face].sum() >= least for face in np.asarray(canvas.faces)]
        want = np.where(canvas.face_id >= 0, np.array(own)[canvas.face_id], False)
        got = np.asarray(true_masks(canvas, contact, min_vertices=least))
        np.testing.assert_array_equal(got, want)
    assert 0 < want.sum() < (canvas.face_id >= 0).sum() / 2
    cloud = tiny.surfaces.object(tiny.examples["affordance"][0])
    heat = np.arange(12, dtype=np.float32) / 12
    want = np.where(cloud.face_id >= 0, heat[cloud.face_id], 0)
    np.testing.assert_allclose(true_masks(cloud, heat, soft=True), want, atol=1e-6)


def test_clouds_are_lifted_by_their_own_pixels():
    rng = np.random.default_rng(0)
    ids = rng.integers(-1, 5, (3, 6, 6)).astype(np.int32)
    ids[1][ids[1] == 2] = -1
    ids[ids == 4] = -1  # never seen
    values = rng.random((3, 6, 6)).astype(np.float32)
    operator = points_lift(ids, 5)
    want = lift_points(values, ids, 5)
    for one in (operator, filled(operator, 128)):
        got = apply_lift(one, values)
        np.testing.assert_allclose(got.scores, want.scores, atol=1e-6)
        np.testing.assert_array_equal(got.visible, want.visible)
    with pytest.raises(InputError, match="there is room for 3"):
        filled(operator, 3)


@pytest.mark.parametrize("name", ["human", "object", "affordance"])
def test_perfect_masks_cost_nothing_and_a_touched_label_does(tiny, name):
    config = settings(loss_at="pixels")
    examples = [tiny.examples[name][0]]
    batch = tiny.encoder(config).batch(name, examples)
    canvas = tiny.surfaces.body if name == "human" else jax.tree.map(lambda x: x[0], batch.canvas)
    contact = np.asarray(batch.contact[0])
    if name == "object":
        contact = np.float32([1, 1, 0, 0, 1, 1, 0, 0, 0, 0])  # a whole side
    if name == "affordance":
        contact = (contact > 0.5).astype(np.float32)
    truth = true_masks(canvas, contact, soft=name == "affordance")

    @jax.jit
    def terms(logits, contact):
        given = tiny.surfaces.body if name == "human" else batch.canvas
        return task.mask_terms(config, logits, given, contact, jnp.ones(1), name)

    logits = 40.0 * (np.asarray(truth)[None] - 0.5)
    perfect = {k: float(v) for k, v in terms(jnp.asarray(logits), jnp.asarray(contact)[None]).items()}
    assert set(perfect) == {"focal", "dice", "surface"} | ({"heat"} if name == "affordance" else set())
    for term in set(perfect) - {"surface"}:
        assert perfect[term] < 1e-3, term
    other = np.array(contact)
    seen = np.flatnonzero(np.asarray(canvas.surface.lift.visible))
    other[seen[: len(seen) // 2]] = 1 - other[seen[: len(seen) // 2]]
    touched = terms(jnp.asarray(logits), jnp.asarray(other)[None])
    for term, value in touched.items():
        assert float(value) > perfect[term] + 0.02, term

    if name == "affordance":  # the lift first, the truth second
        lifted = apply_lift(canvas.surface.lift, jax.nn.sigmoid(jnp.asarray(logits)[0])).scores
        want = affordance_loss(lifted, jnp.asarray(other), canvas.surface.lift.visible)
        assert float(touched["surface"]) == pytest.approx(float(want), rel=1e-4)

    # The loss on the surface reaches the pixels, by itself.
    def surface(logits):
        return terms(logits, jnp.asarray(other)[None])["surface"]

    gradient = np.asarray(jax.grad(surface)(jnp.asarray(logits) / 20))
    assert np.abs(gradient).max() > 1e-6 and np.isfinite(gradient).all()
    assert np.abs(gradient[0][np.asarray(canvas.face_id) < 0]).max() == 0  # background has no vertices


def test_means_over_blocks_count_the_surface_alone():
    masks = jnp.arange(16, dtype=jnp.float32).reshape(1, 1, 4, 4) / 16
    shown = jnp.asarray([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], bool)[None, None]
    mean, valid = task._averaged(masks, shown, 2)
    np.testing.assert_allclose(mean[0, 0], [[(0 + 4 + 5) / 48, 0], [0, (10 + 11 + 14 + 15) / 64]], atol=1e-6)
    np.testing.assert_array_equal(valid[0, 0], [[True, False], [False, True]])
    heat = task._heat_loss(jnp.zeros((2, 1, 2)), jnp.asarray([[[0.5, 1.0]], [[0.0, 0.0]]]),
                           jnp.asarray([[[True, True]], [[True, False]]]))  # fmt: skip
    assert float(heat) == pytest.approx((0.125 + 0.25) / 2)


def test_questions_and_answers_of_every_task(tiny):
    body = free_body("test")
    contact = (part_labels(body, "15") == part_names("15").index("left_hand")).astype(np.float32)
    example = dataclasses.replace(tiny.examples["human"][0], contact=contact, label="Cup")
    rng = lambda: [np.random.default_rng(1)]  # noqa: E731

    def said(config, name, one, rngs=None):
        prompts = tiny.encoder(config, body).prompts(name, [one], rngs)
        labels = np.asarray(prompts.labels[0])
        return tiny.words.decode(prompts.ids[0][: prompts.lengths[0]].clip(0).tolist()), labels[labels != IGNORED]

    text, labels = said(settings(parts="fine", part_dropout=0.0), "human", example, rng())
    assert "left hand" in text and "cup" in text and tiny.sizes.contact in labels and labels[-1] == 2
    text, labels = said(settings(parts="fine", part_dropout=1.0), "human", example, rng())
    assert "left" not in text and tiny.sizes.contact in labels
    text, labels = said(settings(parts="fine", part_dropout=0.0), "human", example)
    assert not len(labels) and "left" not in text and tiny.sizes.contact not in labels  # nothing of the answer
    assert "cup" not in said(settings(label=False), "human", example, rng())[0]
    hips = (part_labels(body, "15") == part_names("15").index("hips")).astype(np.float32)
    seated = dataclasses.replace(example, contact=hips)
    assert "hips" in said(settings(parts="fine", part_dropout=0.0), "human", seated, rng())[0]
    assert "hips" not in said(settings(parts="coarse", part_dropout=0.0), "human", seated, rng())[0]
    text, labels = said(settings(), "affordance", tiny.examples["affordance"][0], rng())
    assert "sit" in tiny.words.decode(labels.tolist()) and tiny.sizes.contact in labels
    assert "sit" not in said(settings(affordances=False), "affordance", tiny.examples["affordance"][0], rng())[0]
    text, labels = said(settings(), "vqa", tiny.examples["vqa"][0])
    assert tiny.words.decode(labels.tolist()) == "red the cup" and (labels == 2).sum() == 2
    assert "what is touched here" in said(settings(without="question"), "human", example, rng())[0]
    with pytest.raises(InputError, match="given|no labels|1499 labels, the body has 642"):
        tiny.encoder(settings(), body).batch("human", [example], rng())
    both = dataclasses.replace(tiny.sizes, human=3, object=4)
    other = tiny.encoder(settings())
    other.network = both
    with pytest.raises(InputError, match="calls no contact token"):
        other._token("object")


def test_a_run_of_every_task_goes_on_bit_for_bit_and_what_stays_stays(tiny, tmp_path):
    def go(out, mixture, **more):
        config = settings(out=tmp_path / out, batch=2, steps=3, rank=2, **more)
        return train.train(config, tiny.network, mixture, tiny.encoder(config), compiler_options=FAST), config

    mixture = tiny.mixture("human", "vqa")
    mixture.seed = next(s for s in range(99) if [_group(mixture, s, k) for k in range(3)] == ["human", "vqa", "human"])
    whole, config = go("whole", mixture)
    go("parts", mixture, until=1)
    parts, _ = go("parts", mixture)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts)):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="holds a run with another rate"):
        go("whole", mixture, rate=1.0)

    first = names(train.make_trainer(config, tiny.network, tiny.surfaces.body)[0].start().variables.parameters)
    moved = {
        name for name, value in names(whole.variables.parameters).items() if not np.array_equal(value, first[name])
    }
    assert all(not name.startswith(("vision", "mm_projector", "segmenter.image_encoder", "segmenter.prompt"))
               for name in moved)  # fmt: skip
    base = [name for name in moved if ".layers." in name and "lora" not in name and name.startswith("language")]
    assert not base and any(name.endswith("query.lora_B") for name in moved)
    for start in ("language.lm_head", "language.embed_tokens", "text_hidden_fcs", "segmenter.mask_decoder",
                  "cam_pose_encoder"):  # fmt: skip
        assert any(name.startswith(start) for name in moved), start

    # The products end in the matrices, and the file is read by the network's own loader.
    learnt = train.finished(whole, tiny.sizes, config)
    path = tmp_path / "x.safetensors"
    train.save(path, learnt, {"training": "test"})
    loaded = nets.load(path)
    assert loaded.config == tiny.sizes
    parameters = names(whole.variables.parameters)
    stem = "language.layers.block.attention.query"
    product = parameters[f"{stem}.lora_B"][0] @ parameters[f"{stem}.lora_A"][0]
    kernel = parameters[f"{stem}.base.kernel"][0] + 8.0 * product.T
    np.testing.assert_allclose(loaded.language.layers.block.attention.query.kernel[...][0], kernel, atol=1e-6)

    other = nnx.clone(tiny.network)
    other.segmenter.image_encoder.pos_embed[...] += 1.0
    with pytest.raises(InputError, match="embedded by another image encoder"):
        train.train(config, other, mixture, tiny.encoder(config))


def _group(mixture, seed, step):
    mixture.seed = seed
    return mixture.group(step).task


def test_arithmetic_in_half_and_dropout_change_the_loss_a_little(tiny):
    def loss(name="human", **changes):
        config = settings(**changes)
        made, config = train.make_trainer(config, tiny.network, tiny.surfaces.body)
        examples = list(tiny.examples[name])[:2] * (1 if name != "vqa" else 2)
        rngs = [np.random.default_rng(i) for i in range(len(examples))]
        batch = tiny.encoder(config).batch(name, examples, rngs)
        variables = made.start().variables
        run = jax.jit(made.task.loss, static_argnums=3, compiler_options=FAST)
        return run(variables, batch, jax.random.key(0), name), variables.parameters

    (plain, (terms, _)), _ = loss()
    weights = dataclasses.asdict(LossWeights())
    assert float(plain) == pytest.approx(sum(weights[k] * float(v) for k, v in terms.items()), rel=1e-5)
    with jax.numpy_dtype_promotion("standard"):  # Flax's normalisation adds its own float32
        (half, _), parameters = loss(compute="bfloat16", remat=True)
    assert float(half) == pytest.approx(float(plain), rel=0.03) and float(half) != float(plain)
    kinds = {name: leaf.dtype for name, leaf in named_leaves(parameters)}
    assert kinds["vision.layers.block.attention.query.kernel"] == jnp.bfloat16
    assert kinds["language.lm_head.kernel"] == jnp.float32
    (_, (other, _)), _ = loss(valid=False)
    assert float(other["focal"]) != float(terms["focal"]) and float(other["text"]) == float(terms["text"])
    (_, (flat, _)), _ = loss(without="views")
    assert set(flat) == {"text", "surface"}
    heavy = LossWeights(flat=2.0)
    (total, (dense, _)), parameters = loss(weights=heavy)
    assert set(dense) == set(terms) | {"flat"} and any(name.startswith("flat.") for name, _ in named_leaves(parameters))
    weights = dataclasses.asdict(heavy)
    assert float(total) == pytest.approx(sum(weights[k] * float(v) for k, v in dense.items()), rel=1e-5)
    (_, (alone, _)), _ = loss(weights=heavy, without="views")
    assert set(alone) == {"text", "surface", "flat"}
    (_, (blind, _)), _ = loss(without="language")
    assert float(blind["text"]) == 0 and float(blind["focal"]) > 0
    (_, (talk, _)), _ = loss("vqa")
    assert set(talk) == {"text"} and float(talk["text"]) > 1
    (_, (cube, _)), _ = loss("object")
    (_, (heat, _)), _ = loss("affordance")
    assert set(cube) == {"text", "focal", "dice", "surface"} and set(heat) == set(cube) | {"heat"}


def test_the_target_straight_from_the_token(tiny):
    """A right answer costs nothing, a touched label does; the perceptron reads the token and is dropped at the end."""
    target = np.float32([[1, 0, 0, 1], [0, 0, 0, 0]])
    right = np.asarray(flat_loss(jnp.asarray(60 * target - 30), jnp.asarray(target)))
    np.testing.assert_allclose(right, 0, atol=1e-4)
    wrong = np.asarray(flat_loss(jnp.asarray(60 * target - 30), jnp.asarray(np.roll(target, 1, axis=1))))
    assert wrong[0] > 1 and wrong[1] < 1e-4
    half = np.asarray(flat_loss(jnp.zeros((1, 4)), jnp.asarray(target[:1])))
    assert half[0] == pytest.approx(np.log(2) + 1 - 3 / 5, abs=1e-5)
    config = settings(weights=LossWeights(flat=1.0))
    with pytest.raises(InputError, match="wants a body"):
        train.make_trainer(config, tiny.network, None)
    made, config = train.make_trainer(config, tiny.network, tiny.surfaces.body)
    count = len(tiny.surfaces.body.surface.lift.visible)
    network = train.finished(made.start(), tiny.network.config, config, count)
    assert type(network) is nets.Model and not hasattr(network, "flat")
    kept = train.finished(made.start(), tiny.network.config, dataclasses.replace(config, without="views"), count)
    contact = nets.Contact(jnp.ones((1, 16)), jnp.ones(1, bool), jnp.zeros(1, jnp.int32))
    want = kept.flat(kept.text_hidden_fcs(contact.state))
    np.testing.assert_allclose(flat_logits(kept, contact), want, atol=1e-6)
    assert want.shape == (1, count)


def test_dropout_reaches_the_products(tiny):
    made, _ = train.make_trainer(settings(dropout=0.9), tiny.network, None)
    parameters = made.start().variables.parameters
    parameters = jax.tree_util.tree_map_with_path(
        lambda path, x: x + 1.0 if "lora_B" in jax.tree_util.keystr(path) else x, parameters
    )

    @jax.jit
    def states(key, words):
        return made.task.network(parameters, key).language(words)

    words = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 16)), jnp.float32)
    a, b, again = (np.asarray(states(jax.random.key(k), words)) for k in (0, 1, 0))
    assert np.abs(a - b).max() > 1e-3
    np.testing.assert_array_equal(a, again)


def test_the_rate_rises_and_falls_and_gradients_are_clipped(tiny):
    def moves(**changes):
        made, _ = train.make_trainer(settings(steps=6, rate=0.1, warmup=2, **changes), tiny.network, None)
        optimiser, weight, out = made.task.optimiser(), jnp.ones(3), []
        state = optimiser.init(weight)
        for _ in range(6):
            with jax.numpy_dtype_promotion("standard"):
                update, state = optimiser.update(jnp.full(3, 100.0), state, weight)
            out.append(float(-update[0]))
        return out

    np.testing.assert_allclose(moves(), [0.0, 0.05, 0.1, 0.075, 0.05, 0.025], rtol=1e-4, atol=1e-6)
    assert moves(clip=1e-9)[2] < 0.01


def test_memory_of_a_step_is_the_sum_of_what_is_kept():
    config = settings(batch=1, compute="bfloat16", remat=True, loss_at="masks")
    sizes = nets.Config.of_size("7b")
    found = memory(sizes, config, trained=288_000_000, kept=7_050_000_000, tokens=767)
    assert found["kept"] == 2 * 7.05e9 and found["trained"] == 20 * 2.88e8
    assert found["between"] == 32 * 767 * 4096 * 2
    assert found["inside"] == 2 * 32 * 767 * 767 * 4 + 767 * (3 * 11008 + 8 * 4096) * 2
    assert found["logits"] == 2 * 767 * 32003 * 4
    assert found["sum"] == pytest.approx(sum(v for k, v in found.items() if k != "sum"))
    whole = memory(sizes, dataclasses.replace(config, remat=False), 288_000_000, 7_050_000_000, 767)
    assert whole["inside"] == 32 * found["inside"] and whole["between"] == 0
    pixels = memory(sizes, dataclasses.replace(config, loss_at="pixels"), 0, 0, 767)
    assert pixels["masks"] - found["masks"] == 4 * 4 * 1024**2 * 8


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="part_dropout is a share"):
        settings(part_dropout=1.5)
    with pytest.raises(InputError, match="without must be one of views, language, question"):
        settings(without="camera")


def test_labels_must_be_those_of_the_object(tiny):
    example = dataclasses.replace(tiny.examples["object"][0], contact=np.zeros(9, np.float32), surface="other")
    with pytest.raises(InputError, match="o0: 9 labels for 8 vertices"):
        tiny.encoder(settings()).batch("object", [example], [np.random.default_rng(0)])
    large = dataclasses.replace(example, mesh=CUBE.replace(faces=np.concatenate([CUBE.faces] * 2)), surface="")
    with pytest.raises(InputError, match="does not fit into 10 and 14"):
        tiny.surfaces.object(large)
