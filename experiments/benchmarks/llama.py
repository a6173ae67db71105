"""Words per second of a LLaMA that writes greedily, beside `transformers` with equal sizes, turn by turn in one run.

    python -m hoijax.experiments.benchmarks.llama --size 1b

Wants `transformers` and PyTorch (extra [parity]) and memory for both networks, 9 GB at 1 B in float32; `--layers 4`
takes the matrices of 1 B, but four layers of them. Random weights: speed does not depend on them. Prints a line of
JSON.
"""

import argparse
import dataclasses
import functools
import json
import os
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hoijax.nets import llama


def main() -> None:
    """Times rounds of one text each."""
    import torch
    import transformers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--words", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    config = llama.Config.of_size(options.size)
    config = dataclasses.replace(config, layers=options.layers or config.layers)
    state = nnx.eval_shape(lambda: llama.Model(config, nnx.Rngs(0)))
    graph, shapes = nnx.split(state)
    draw = np.random.default_rng(0)
    state = jax.tree.map(lambda x: jnp.asarray(0.02 * draw.standard_normal(x.shape, np.float32)), shapes)
    apart, rows = nnx.split(llama.apart(nnx.merge(graph, state)))
    del state
    ids = draw.integers(3, config.vocabulary, (1, options.prompt)).astype(np.int32)

    def write(rows, ids):
        net, length = nnx.merge(apart, rows), jnp.full((1,), options.prompt, jnp.int32)
        return llama.generate(net, net.embed(ids), length, stop=-1, steps=options.words).ids

    ours = functools.partial(jax.jit(write).lower(rows, ids).compile(), rows, ids)
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=config.vocabulary, hidden_size=config.width, intermediate_size=config.hidden,
        num_hidden_layers=config.layers, num_attention_heads=config.heads, num_key_value_heads=config.key_heads,
    )).eval()  # fmt: skip
    asked = torch.tensor(ids, dtype=torch.long)
    how = {"max_new_tokens": options.words, "min_new_tokens": options.words, "do_sample": False}
    sides = {"hoijax": lambda: ours().block_until_ready(), "transformers": lambda: theirs.generate(asked, **how)}
    seconds = {name: [] for name in sides}
    with torch.no_grad():
        for i in range(options.rounds + 1):  # the first warms up
            for name, side in sides.items():
                began = time.perf_counter()
                side()
                if i:
                    seconds[name].append(time.perf_counter() - began)
    ratios = [b / a for a, b in zip(seconds["hoijax"], seconds["transformers"])]
    print(json.dumps({
        "config": dataclasses.asdict(config), "cores": os.cpu_count(), "load": os.getloadavg()[0],
        **{f"{name} words/s": round(options.words / statistics.median(s), 2) for name, s in seconds.items()},
        **{f"{name} best": round(options.words / min(s), 2) for name, s in seconds.items()},
        "times as fast, median": round(statistics.median(ratios), 2), "jax": jax.__version__,
        "torch": torch.__version__, "transformers": transformers.__version__,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
