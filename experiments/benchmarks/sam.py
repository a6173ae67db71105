"""Seconds of SAM for a view, beside `transformers` with equal sizes, turn by turn in one run; and what a cache saves.

    python -m hoijax.experiments.benchmarks.sam --size h --rounds 1

Wants `transformers` and PyTorch (extra [parity]) and memory for both networks, 6 GB at ViT-H in float32; `--layers 4`
takes the matrices of a size, but four blocks of them, the last looking everywhere. Random weights: speed does not
depend on them. The encoder sees one picture of 1024 x 1024 pixels, the decoder its embedding and one box; "cached" is
`hoijax.systems.interactvlm.cached_embedding` on a body's views the second time, beside encoding them. Compilation
stands apart. Prints a line of JSON.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hoijax.body_models import free_body
from hoijax.nets import sam
from hoijax.systems.interactvlm import body_views, cached_embedding


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="h", choices=("b", "l", "h"))
    parser.add_argument("--layers", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def filled(config: sam.Config) -> tuple[Any, Any]:
    """Graph and random weights of a SAM."""
    graph, shapes = nnx.split(nnx.eval_shape(lambda: sam.Model(config, nnx.Rngs(0))))
    draw = np.random.default_rng(0)
    return graph, jax.tree.map(lambda x: jnp.asarray(0.02 * draw.standard_normal(x.shape, np.float32)), shapes)


def rival(config: sam.Config) -> Any:
    """`transformers`' SAM of the same sizes."""
    import transformers

    vision = {
        "hidden_size": config.width, "num_hidden_layers": config.layers, "num_attention_heads": config.heads,
        "mlp_dim": config.hidden, "global_attn_indexes": list(config.everywhere),
    }  # fmt: skip
    return transformers.SamModel(transformers.SamConfig(vision_config=vision)).eval()


def seconds_of(side: Callable[[], Any]) -> float:
    """Of one call."""
    began = time.perf_counter()
    side()
    return time.perf_counter() - began


def main() -> None:
    """Times both sides in turn."""
    import torch
    import transformers

    asked = options()
    config = sam.Config.of_size(asked.size)
    if asked.layers:
        config = dataclasses.replace(config, layers=asked.layers, everywhere=(asked.layers - 1,))
    graph, weights = filled(config)
    picture = np.random.default_rng(1).random((1, config.image, config.image, 3), np.float32)
    box = np.array([[200.0, 300.0, 600.0, 900.0]], np.float32)
    began = time.perf_counter()
    encode = jax.jit(lambda w, x: nnx.merge(graph, w).image_encoder(x)).lower(weights, picture).compile()
    seen = encode(weights, picture)
    decode = jax.jit(lambda w, x: nnx.merge(graph, w)(x, boxes=box).logits).lower(weights, seen).compile()
    compiling = time.perf_counter() - began
    theirs, their_picture = rival(config), torch.tensor(picture).permute(0, 3, 1, 2)
    with torch.no_grad():
        known = theirs.vision_encoder(their_picture).last_hidden_state
        sides = {
            "encoder": (
                lambda: encode(weights, picture).block_until_ready(),
                lambda: theirs.vision_encoder(their_picture),
            ),
            "decoder": (
                lambda: decode(weights, seen).block_until_ready(),
                lambda: theirs(image_embeddings=known, input_boxes=torch.tensor(box)[None], multimask_output=True),
            ),
        }
        row: dict[str, Any] = {}
        for name, (ours, other) in sides.items():
            times = [(seconds_of(ours), seconds_of(other)) for _ in range(asked.rounds + 1)][min(asked.rounds, 1) :]
            own, of_other = (statistics.median(column) for column in zip(*times))
            row[name] = {"hoijax, s": round(own, 3), "transformers, s": round(of_other, 3),
                         "times as fast": round(statistics.median(b / a for a, b in times), 2)}  # fmt: skip
    row["cached"] = cached_row(functools.partial(encode, weights), config)
    print(json.dumps({
        "size": asked.size, "layers": config.layers, "rounds": asked.rounds, **row, "compiling, s": round(compiling, 1),
        "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "jax": jax.__version__,
        "torch": torch.__version__, "transformers": transformers.__version__,
    }))  # fmt: skip


def cached_row(encode: Callable[[Any], jax.Array], config: sam.Config) -> dict[str, float]:
    """Seconds of a body's views without and with what was kept."""
    views = body_views(free_body("light"), size=config.image)
    with tempfile.TemporaryDirectory() as folder:
        make = functools.partial(
            cached_embedding, lambda image: encode(image[None])[0], views, "benchmark", pathlib.Path(folder)
        )
        first, second = seconds_of(make), statistics.median(seconds_of(make) for _ in range(3))
    return {"views": len(views.images), "encoded, s": round(first, 3), "kept, s": round(second, 4),
            "times as fast": round(first / second)}  # fmt: skip


if __name__ == "__main__":
    main()
