"""Score distillation end to end on one prompt, with networks of minutes: a demonstration, no method to use.

    python -m hoijax.experiments.interactanything.sds_demo --work FOLDER

A text-conditioned UNet of 32 x 32 pixels that sees four views at once and knows their cameras (MVDream's layout)
learns renders of SynthHOI's scripted people with things, for three prompts; a second, smaller one learns where joints
are in such pictures. Then a radiance field is distilled beside a chair that none of the renders has, the person alone
is rendered from all around, landmarks are found and triangulated, and the free body is fitted. Parts that are finished
are kept in the folder. With `--docs` writes the page, its numbers and the picture; always the body's parameters,
`body.npz`, which `hoijax synthesize --pose-init FILE` takes, and the object, `object.glb`.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body_compiled
from hoijax.camera import Camera, project
from hoijax.data.objects import random_object
from hoijax.diffusion import DistillationConfig
from hoijax.errors import InputError
from hoijax.experiments.common.pages import page, table, write_page
from hoijax.experiments.interactanything.sds_networks import (
    SCHEDULE,
    Finder,
    Painter,
    finder,
    painter,
    tokens,
)
from hoijax.experiments.interactanything.sds_scenes import (
    LANDMARKS,
    PROMPTS,
    VIEWS,
    body_colors,
    body_landmarks,
    draw,
    draw_scene,
    embed,
    on_floor,
    pad,
    renders,
    setting,
)
from hoijax.geometry import Mesh
from hoijax.io import ScenePart, read_npz, write_glb, write_npz
from hoijax.nets.interactanything.radiance import RadianceField
from hoijax.nets.weights import load_network, read_facts, save_network
from hoijax.systems.interactanything.distil import (
    Denoiser,
    DistilConfig,
    Distilled,
    Embedded,
    distil,
    recover_body,
    ring,
    show,
)

NAME = "interactanything_sds"
STAGES = (0.1, 0.3, 0.6, 1.0)
"""Shares of the steps after which the field is kept for the picture."""
SHOWN = (0, 2, 4, 8, 12, 14)
"""Of the sixteen views around, those in the picture."""
HELD_OUT = 50_000
"""Numbers of scenes from here on are of no training."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run."""

    work: pathlib.Path
    """Folder of finished parts."""
    docs: pathlib.Path | None = None
    """Folder of the documents, for the page and the picture."""
    prompt: str = "A person sits on the chair"
    """One of `PROMPTS`."""
    scenes: int = 20
    """Renders are of so many for each prompt."""
    groups: int = 4
    """Of four views, of each scene."""
    train_steps: int = 1000
    find_steps: int = 350
    sds_steps: int = 300
    strength: float = 4.0
    """Of classifier-free guidance."""
    seed: int = 0

    def __post_init__(self):
        if self.prompt not in PROMPTS:
            raise InputError(f'prompt "{self.prompt}": wanted one of {", ".join(PROMPTS)}')


def scene_of(config: Config) -> DistilConfig:
    """How the field is distilled."""
    return setting(
        steps=config.sds_steps, views=VIEWS, high=(0.98, 0.5), low=(0.9, 0.05), opacity=0.2, inside=2.0,
        loss=DistillationConfig(form="x0", views=VIEWS, strength=config.strength),
    )  # fmt: skip


def denoiser(drawing: Painter, prompt: str) -> Denoiser:
    """The painter with and without a prompt, as `distil` wants it."""
    graph, weights = nnx.split(drawing)
    text = np.stack([tokens(prompt)] * VIEWS + [tokens("")] * VIEWS)

    def denoise(x: jax.Array, t: jax.Array, cameras: jax.Array) -> tuple[jax.Array, jax.Array]:
        twice = jnp.concatenate([x, x])
        times = jnp.broadcast_to(t, twice.shape[:1])
        said = nnx.merge(graph, weights)(twice, times, text, jnp.concatenate([cameras, cameras]))
        return said[:VIEWS], said[VIEWS:]

    return denoise


def distilled(config: Config, drawing: Painter, thing: Embedded) -> tuple[RadianceField, np.ndarray]:
    """The field, made if it is not in the folder, and four views of it at each of `STAGES`, (S, 4, H, W, 3)."""
    scene, path, stages = scene_of(config), config.work / "field.safetensors", config.work / "stages.npz"
    if path.is_file() and stages.is_file():
        return load_network(path, lambda rngs: RadianceField(scene.field, rngs)), read_npz(stages)["pictures"]
    denoise = denoiser(drawing, config.prompt)
    views, kept, began = ring(np.array([0.0, 90.0, 180.0, 270.0]), 12.0, 3.0, 40.0, scene), [], time.process_time()
    ends = [max(1, round(share * config.sds_steps)) for share in STAGES]

    def watch(k: int, losses: np.ndarray, field: RadianceField) -> None:
        if k + 1 in ends:
            kept.append(np.asarray(show(field, views, scene, thing).color))
            Image.fromarray(strip(kept[-1])).save(config.work / f"stage_{k + 1}.png")
        if (k + 1) % 50 == 0:
            print(json.dumps({"part": "sds", "step": k + 1, "losses": [round(float(x), 4) for x in losses],
                              "cpu_seconds": round(time.process_time() - began)}), flush=True)  # fmt: skip

    made: Distilled = distil(denoise, SCHEDULE, thing, scene, jax.random.key(config.seed), watch=watch)
    share = max(1, config.sds_steps // 10)
    facts = {"steps": config.sds_steps, "strength": config.strength, "seconds": round(time.process_time() - began),
             "loss_first": made.losses[:share].mean(axis=0).tolist(),
             "loss": made.losses[-share:].mean(axis=0).tolist()}  # fmt: skip
    write_npz(stages, {"pictures": np.stack(kept)})
    save_network(path, made.field, facts)
    return made.field, np.stack(kept)


def detector(finding: Finder) -> Any:
    """The finder as `recover_body` wants it."""
    graph, weights = nnx.split(finding)
    find = jax.jit(lambda pictures: nnx.merge(graph, weights)(pictures))

    def detect(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        middle, sharp = find(np.asarray(pictures, np.float32))
        return np.asarray(middle), np.asarray(sharp)

    return detect


def gap(points: Float[np.ndarray, "J 3"], others: Float[np.ndarray, "N J 3"], about: bool = False) -> float:
    """Mean distance over the landmarks that are numbers to the nearest of others, metres.

    Args:
      points: landmarks, not a number where there is none.
      others: bodies to compare with.
      about: from the middle of the hips of each.
    """
    hips = [LANDMARKS.index("left_hip"), LANDMARKS.index("right_hip")]
    if about:
        points, others = points - points[hips].mean(axis=0), others - others[:, hips].mean(axis=1, keepdims=True)
    apart = np.linalg.norm(others - points, axis=-1)
    return float(np.nanmean(apart, axis=1).min())


def compared(config: Config, around: Camera, detect: Any, found: np.ndarray, own: np.ndarray) -> dict[str, Any]:
    """Landmarks that were found and the fitted body's own, beside scripted people and constants.

    Args:
      config: which prompt.
      around: cameras.
      detect: finds landmarks.
      found: triangulated (J, 3).
      own: of the fitted body (J, 3).

    Returns:
      Metres to the nearest scripted person of the prompt and of the others, in the object's frame and about the hips;
      the same of constants and of persons that no training saw; and what comes back of those persons' renders.
    """
    model, people = free_body("test"), {}
    for k, (text, (action, category)) in enumerate(PROMPTS.items()):
        scenes = [draw_scene(action, category, (config.seed, k, n))[0] for n in range(config.scenes)]
        people[text] = np.stack([scene.landmarks for scene in scenes])
    mine, rest = people[config.prompt], np.concatenate([p for t, p in people.items() if t != config.prompt])
    stand = BodyParams.from_axis_angle(model, **named_pose("stand"))
    stand = body_landmarks(jax.tree.map(lambda x: np.asarray(x, np.float32), stand))
    stand = stand + np.mean(mine, axis=(0, 1)) * [1, 0, 1] - stand.mean(axis=0) * [1, 0, 1]
    k, (action, category) = list(PROMPTS).index(config.prompt), PROMPTS[config.prompt]
    unseen = [draw_scene(action, category, (config.seed, k, HELD_OUT + n))[1] for n in range(4)]
    back, pixel = [], []
    drawn = jax.jit(lambda scene: draw(scene, around).color)
    for scene in unseen:
        got = recover_body(np.asarray(drawn(scene)), around, detect, LANDMARKS, model)
        truth = np.asarray(scene.landmarks)[None]
        seen = np.asarray(project(around, np.broadcast_to(scene.landmarks, (16, len(LANDMARKS), 3)))[0])
        back.append((gap(got.points, truth), gap(body_landmarks(_single(got.params)), truth)))
        pixel.append(np.abs(got.pixels - seen).mean())
    rows = {"landmarks of the field": found, "fitted body": own, "constant: a standing body": stand,
            "constant: the mean of all three prompts' people": np.concatenate([mine, rest]).mean(axis=0)}  # fmt: skip

    def distances(points: np.ndarray) -> np.ndarray:
        return np.array([gap(points, mine), gap(points, mine, True), gap(points, rest, True)])

    measured = {name: distances(points) for name, points in rows.items()}
    measured["scripted people of the prompt that no training saw"] = np.mean(
        [distances(np.asarray(scene.landmarks)) for scene in unseen], axis=0
    )
    landmarks, bodies = np.mean(back, axis=0).tolist()
    measured = {name: dict(zip(("own", "own_about_hips", "others_about_hips"), row.tolist()))
                for name, row in measured.items()}  # fmt: skip
    return {"distances": measured, "renders": {"pixels": float(np.mean(pixel)), "landmarks": landmarks, "body": bodies}}


def _single(params: BodyParams) -> BodyParams:
    return jax.tree.map(lambda x: np.asarray(x, np.float32), params)


def strip(pictures: Float[np.ndarray, "V H W 3"], side: int = 128) -> np.ndarray:
    """Pictures in [0, 1] side by side, each enlarged to a side in pixels."""
    cells = [np.asarray(Image.fromarray(np.round(255 * np.clip(p, 0, 1)).astype(np.uint8)).resize((side, side), 0))
             for p in pictures]  # fmt: skip
    return np.concatenate(cells, axis=1)


def dotted(pictures: np.ndarray, pixels: np.ndarray, side: int = 128) -> np.ndarray:
    """A strip with landmarks as dots: left ones red, right ones green, the nose black."""
    out = Image.fromarray(strip(pictures, side))
    pen, scale = ImageDraw.Draw(out), side / pictures.shape[1]
    for v, row in enumerate(pixels):
        for name, (x, y) in zip(LANDMARKS, row):
            color = {"l": (220, 20, 20), "r": (0, 150, 30)}.get(name[0], (0, 0, 0))
            x, y = v * side + scale * x, scale * y
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
    return np.asarray(out)


def sheet(rows: Mapping[str, np.ndarray]) -> Image.Image:
    """Strips below one another, each under its name."""
    width, line = max(row.shape[1] for row in rows.values()), 20
    out = Image.new("RGB", (width, sum(row.shape[0] + line for row in rows.values())), (255, 255, 255))
    pen, y, font = ImageDraw.Draw(out), 0, ImageFont.load_default(size=13)
    for name, row in rows.items():
        pen.text((4, y + 2), name, fill=(20, 20, 20), font=font)
        out.paste(Image.fromarray(row), (0, y + line))
        y += row.shape[0] + line
    return out


def beside(body: np.ndarray, thing: Mesh) -> np.ndarray:
    """The fitted body with the object, of 128 pixels, from the views of the picture."""
    fine = ring(np.array(SHOWN) * 22.5, 12.0, 3.0, 40.0, setting(size=128))
    person = draw(pad(body, np.asarray(free_body("test").faces), body_colors(), np.zeros((1, 3))), fine)
    other = embed(thing).draw(fine)
    nearer = np.asarray(person.depth <= other.depth)[..., None]
    return np.where(nearer, np.asarray(person.color), np.asarray(other.color))


def markdown(record: Mapping[str, Any]) -> str:
    """The page."""
    networks, distances, back = record["networks"], record["distances"], record["renders"]
    trained = [[name, str(facts["steps"]), f"{facts['loss_first']:.3f}", f"{facts['loss']:.3f}", str(facts["seconds"])]
               for name, facts in networks.items()]  # fmt: skip
    centimetres = [[name, *(f"{100 * row[key]:.0f}" for key in ("own", "own_about_hips", "others_about_hips"))]
                   for name, row in distances.items()]  # fmt: skip
    return page(
        "Score distillation, end to end on one prompt",
        f'`python -m hoijax.experiments.interactanything.sds_demo`: "{record["prompt"]}". A demonstration of the '
        "machinery of stage C with networks that learned for minutes; no method to use.\n\n"
        "![prompt, field, landmarks, body](../images/interactanything_sds.jpg)",
        f"Three prompts ({', '.join(PROMPTS)}), {record['scenes']} scripted people of SynthHOI with things for each, "
        f"{record['groups']} groups of four views of each scene at 32 x 32 pixels. The painter is hoijax's own UNet "
        "with MVDream's attention across views and its camera numbers, a vector for each word, no encoder; the finder "
        "of landmarks is another without text. The chair of the distillation is in no render.",
        table(["", "steps", "loss at first", "loss at last", "CPU seconds"], trained)
        + "\n\nLosses: the painter's squared error of clean pictures in units of what its network says; the finder's "
        "pixels along an axis, plus a "
        "twentieth of how blurred its maps are; the field's score, with guidance of "
        f"{record['strength']:g}, which is of other times and pictures at each step and need not fall.",
        table(
            [
                "mean over landmarks, cm, to the nearest",
                "scripted person of the prompt, in the object's frame",
                "the same about the hips",
                "person of the other prompts, about the hips",
            ],
            centimetres,
        ),
        f"{record['landmarks']} of {len(LANDMARKS)} landmarks were triangulated from sixteen views of the field. The "
        "same finder, triangulation and fit on renders of four scripted people that no training saw: "
        f"{back['pixels']:.1f} pixels along an axis, landmarks {100 * back['landmarks']:.0f} cm and bodies "
        f"{100 * back['body']:.0f} cm from the truth. Silhouettes of the field (opacity above a half) and of the "
        f"fitted body overlap by {100 * record['overlap']:.0f} % (intersection over union). The finder learned "
        "from sharp renders: in a blurred field it takes left for right in some views, and the trunk is twisted.",
    )


def main(config: Config) -> None:
    """Runs what is not finished and writes the picture and the numbers."""
    config.work.mkdir(parents=True, exist_ok=True)
    rows = renders(config.work, config.scenes, config.groups, config.seed)
    drawing = painter(config.work, rows, config.train_steps, config.seed)
    finding = finder(config.work, rows, config.find_steps, config.seed)
    chair = on_floor(random_object(PROMPTS[config.prompt][1], 990_001).mesh)
    thing, scene, model = embed(chair), scene_of(config), free_body("test")
    field, stages = distilled(config, drawing, thing)
    around = ring(np.arange(16) * 22.5, 12.0, 3.0, 40.0, scene)
    alone = jax.jit(lambda camera: show(field, camera, scene))(around)
    opacity, detect = np.asarray(alone.opacity), detector(finding)
    got = recover_body(np.asarray(alone.color), around, detect, LANDMARKS, model)
    params = _single(got.params)
    body, own = np.asarray(pose_body_compiled(model, params).vertices), body_landmarks(params)
    write_npz(config.work / "body.npz", {k: np.asarray(v) for k, v in got.params.to_axis_angle(model).items()})
    write_glb(config.work / "object.glb", [ScenePart("object", chair.vertices, chair.faces)])
    person = draw(pad(body, np.asarray(model.faces), body_colors(), np.zeros((1, 3))), around)
    masks = opacity > 0.5, np.isfinite(np.asarray(person.depth))
    networks = {name: dict(read_facts(config.work / f"{name}.safetensors")) for name in ("painter", "finder", "field")}
    for key in ("loss_first", "loss"):
        networks["field"][key] = networks["field"][key][0]
    record = {
        "prompt": config.prompt, "scenes": config.scenes, "groups": config.groups, "strength": config.strength,
        "networks": networks, "opacity": float(opacity.mean()), "landmarks": int(got.found.sum()),
        "overlap": float((masks[0] & masks[1]).sum() / max(1, (masks[0] | masks[1]).sum())),
        **compared(config, around, detect, got.points, own),
    }  # fmt: skip
    print(json.dumps(record), flush=True)
    chosen = list(SHOWN)
    example = rows["pictures"][rows["text"] == list(PROMPTS).index(config.prompt)][0] / 255.0
    steps = [max(1, round(share * config.sds_steps)) for share in STAGES]
    both = jax.jit(lambda camera: show(field, camera, scene, thing).color)(around)
    picture = sheet({
        f'"{config.prompt}": four views that the painter learned from (SynthHOI)': strip(example),
        f"the field beside another chair after {', '.join(map(str, steps))} steps": strip(stages[:, 1]),
        "all around at the end": strip(np.asarray(both)[chosen]),
        "the field alone, and the landmarks that were found in it": dotted(
            np.asarray(alone.color)[chosen], got.pixels[chosen]
        ),
        "the free body fitted to them": strip(beside(body, chair)),
    })  # fmt: skip
    picture.save(config.work / "sds.png")
    if config.docs is not None:
        picture.save(config.docs / "images" / f"{NAME}.jpg", quality=88)
        write_page(config.docs / "results", NAME, record, markdown(record))


if __name__ == "__main__":
    main(tyro.cli(Config))
