"""What a small SANA learns: eight pictures by heart, views by their tags, new scenes without forgetting the others.

    python -m hoijax.experiments.hoi3dgen.checks --out docs/results --picture docs/images/hoi3dgen_sana.png

Under a minute of one core. A classifier of views, least squares on pixels, is trained on renders in colours
that the networks did not see; it judges pictures that are drawn from texts with colours of their own.
"""

import dataclasses
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int, UInt8
from PIL import Image

from hoijax.experiments.command import run_command
from hoijax.experiments.common.pages import bullets, page, table, write_page
from hoijax.experiments.common.trainer import Variables, take_steps
from hoijax.experiments.hoi3dgen import autoencoder, pictures, small_sana, train
from hoijax.io import write_bytes
from hoijax.nets import sana
from hoijax.systems.hoi3dgen.text_to_image import TextToImage, load_text_to_image


@dataclasses.dataclass(frozen=True)
class Config:
    """What is checked."""

    weights: pathlib.Path | None = None
    """A file of small networks; None: those that come with hoijax."""
    out: pathlib.Path = pathlib.Path("runs/results")
    """Folder of the page."""
    picture: pathlib.Path | None = None
    """Where a sheet of pictures goes."""
    texts: int = 3
    """Drawn texts of each scene."""
    steps: int = 200
    """Of the fine-tuning on two of the scenes."""
    heart: int = 600
    """Of a training from random weights on eight pictures."""
    seed: int = 1000
    """Of texts and colours, which no training has."""


def fit_views(
    shown: UInt8[np.ndarray, "N S S 3"], views: Int[np.ndarray, "N"], ridge: float = 30.0
) -> Float[np.ndarray, "D K"]:
    """Weights that tell a picture's view: least squares towards 1 for the view and 0 for others."""
    x, aim = _rows(shown), np.eye(len(sana.VIEWS))[views]
    return x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), aim)


def tell_views(weights: Float[np.ndarray, "D K"], shown: UInt8[np.ndarray, "N S S 3"]) -> Int[np.ndarray, "N"]:
    """The view of each picture, by its place in `VIEWS`."""
    return np.argmax(_rows(shown) @ weights, axis=1)


def _rows(shown: np.ndarray) -> np.ndarray:
    darkness = 1 - shown.reshape(len(shown), -1).astype(np.float64) / 255
    return np.concatenate([darkness, np.ones((len(shown), 1))], axis=1)


def flow_loss(
    network: sana.Sana, samples: list[dict[str, np.ndarray]], null: sana.TextFeatures, repeats: int = 4
) -> float:
    """The training's loss on samples, always with the same times and noise."""
    settings = small_sana.training(pathlib.Path("nowhere"), dropout=0.0)
    graph, state = nnx.split(network)
    batch = batch_of(samples)
    task = train.FineTuning(null, graph, network.config, settings)
    parameters = nnx.state(nnx.merge(graph, state), nnx.Param)
    loss = jax.jit(lambda p, key: task.loss(Variables(p), batch, key, None)[0])
    return float(np.mean([loss(parameters, jax.random.key(i)) for i in range(repeats)]))


def batch_of(samples: list[dict[str, np.ndarray]]) -> train.PictureSample:
    """Samples as one batch."""
    return train.PictureSample(**{name: np.stack([sample[name] for sample in samples]) for name in samples[0]})


def check(config: Config) -> dict[str, Any]:
    """All numbers, and the page."""
    networks = load_text_to_image(config.weights)
    scenes = pictures.every_scene(0)
    layers = pictures.draw_layers(scenes, networks.config.size)
    teach, test, held = (small_sana.make_examples(layers, scenes, n, config.seed + i)
                         for i, n in enumerate((20, 5, config.texts)))  # fmt: skip
    views = lambda examples: np.array([example.view for example in examples])  # noqa: E731
    classifier = fit_views(small_sana.pictures_of(teach), views(teach))
    renders = float(np.mean(tell_views(classifier, small_sana.pictures_of(test)) == views(test)))
    drawn = np.concatenate([networks.draw([e.text for e in held[i : i + 3]], seed=i) for i in range(0, len(held), 3)])
    told = float(np.mean(tell_views(classifier, drawn) == views(held)))
    truth = small_sana.pictures_of(held)
    off = np.abs(drawn.astype(float) - truth).mean()
    white = np.abs(255.0 - truth).mean()
    record = {
        "pictures": len(held), "renders_told": renders, "drawn_told": told, "difference": off,
        "difference_of_white": white, **_by_heart(networks, layers, scenes, config),
        **_forgetting(networks, layers, scenes, config),
    }  # fmt: skip
    if config.picture is not None:
        _sheet(config.picture, len(scenes), held, truth, drawn)
    write_page(config.out, "hoi3dgen_sana", record, render_page(record, config.picture))
    return record


def _samples(
    networks: TextToImage, layers: np.ndarray, scenes: list[pictures.Scene], count: int, seed: int
) -> list[dict[str, np.ndarray]]:
    """Latents and features of scenes in drawn colours."""
    examples = small_sana.make_examples(layers, scenes, count, seed)
    latents = autoencoder.encode(networks.autoencoder, small_sana.pictures_of(examples))
    told = small_sana.encode(networks.text_encoder, networks.tokenizer, [e.text for e in examples])
    return small_sana.samples_of(latents, told)


def _learn(
    networks: TextToImage, samples: list[dict[str, np.ndarray]], settings: train.Config, start: sana.Sana | None
) -> sana.Sana:
    """The transformer after a training in memory; without a start from random weights."""
    null = small_sana.encode(networks.text_encoder, networks.tokenizer, [""])
    sizes, rng = networks.transformer.config, np.random.default_rng(settings.seed)
    trainer = train.make_trainer(settings, sizes, null, start)

    def batches() -> Iterator[train.PictureSample]:
        while True:
            yield batch_of([samples[i] for i in rng.permutation(len(samples))[: settings.batch]])

    return train.finished(take_steps(trainer, batches(), settings.steps)[0], sizes, settings)


def _by_heart(networks: TextToImage, layers: np.ndarray, scenes: list, config: Config) -> dict[str, float]:
    """The loss on eight pictures before and after a network has learnt nothing else."""
    samples = _samples(networks, layers[:3], scenes[:3], 1, config.seed)[:8]
    null = small_sana.encode(networks.text_encoder, networks.tokenizer, [""])
    settings = small_sana.training(
        pathlib.Path("nowhere"), batch=8, rate=4e-3, steps=config.heart, dropout=0.0, average=0.98
    )
    loss = lambda steps: flow_loss(  # noqa: E731
        _learn(networks, samples, dataclasses.replace(settings, steps=steps), None), samples, null, 32
    )
    return {"heart_before": loss(1), "heart_after": loss(config.heart)}


def _forgetting(networks: TextToImage, layers: np.ndarray, scenes: list, config: Config) -> dict[str, float]:
    """Losses on unseen texts of all scenes and of two, before and after low-rank products learnt the two."""
    null = small_sana.encode(networks.text_encoder, networks.tokenizer, [""])
    general, special = (
        _samples(networks, layers[chosen], scenes[chosen], count, config.seed + more)
        for chosen, count, more in ((slice(2, None), 4, 7), (slice(0, 2), 8, 8))
    )
    before = [flow_loss(networks.transformer, s, null) for s in (general, special)]
    settings = small_sana.training(
        pathlib.Path("nowhere"), mode="lora", rank=8, alpha=8.0, rate=1e-3, steps=config.steps, warmup=10, average=0.0
    )
    tuned = _learn(networks, special, settings, networks.transformer)
    after = [flow_loss(tuned, s, null) for s in (general, special)]
    return {"general_before": before[0], "general_after": after[0], "special_before": before[1],
            "special_after": after[1]}  # fmt: skip


def _sheet(path: pathlib.Path, scenes: int, held: list, truth: np.ndarray, drawn: np.ndarray) -> None:
    """Renders beside what was drawn from their texts, the first text of each scene."""
    rows = []
    for first in range(0, len(held), len(held) // scenes):
        three = slice(first, first + 3)
        rows.append(np.concatenate([np.concatenate(list(x[three]), axis=1) for x in (truth, drawn)], axis=1))
    sheet = Image.fromarray(np.concatenate(rows, axis=0))
    data = io.BytesIO()
    sheet.resize((sheet.width * 4, sheet.height * 4), Image.Resampling.NEAREST).save(data, "PNG", optimize=True)
    write_bytes(path, data.getvalue())


def render_page(record: dict[str, Any], picture: pathlib.Path | None = None) -> str:
    """The page of a record."""
    kept, count = record["general_after"] / record["general_before"] - 1, record["pictures"]
    rows = [
        ("loss on eight pictures, from random weights and after learning nothing else",
         f"{record['heart_before']:.3f}, {record['heart_after']:.3f} "
         f"({record['heart_before'] / record['heart_after']:.1f} times less)"),
        ("renders whose view the classifier tells", f"{100 * record['renders_told']:.1f} %"),
        (f"{count} drawn pictures whose view it tells as their tag", f"{100 * record['drawn_told']:.1f} %"),
        ("mean difference of a drawn picture from the render of its text, of 255", f"{record['difference']:.1f}"),
        ("the same for a white picture", f"{record['difference_of_white']:.1f}"),
        ("loss on unseen texts of the other scenes, before and after fine-tuning on two",
         f"{record['general_before']:.4f}, {record['general_after']:.4f} ({100 * kept:+.1f} %)"),
        ("loss on the two scenes, before and after", f"{record['special_before']:.4f}, {record['special_after']:.4f}"),
    ]  # fmt: skip
    text = (
        "The small SANA that comes with hoijax, on SynthHOI's scripted scenes on white: the training's seven "
        "scenes, in texts and colours drawn anew. The classifier is least squares on the pixels of renders."
    )
    shown = "" if picture is None else f"![left: renders; right: drawn from their texts](../images/{picture.name})"
    made = bullets({"made by": "`python -m hoijax.experiments.hoi3dgen.checks`"})
    return page("The small SANA", text, table(("", ""), rows), shown, made)


if __name__ == "__main__":
    run_command(check, Config)
