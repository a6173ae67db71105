"""Where VPoser's weights lie in its two published files."""

import dataclasses
import pathlib
from typing import Any

from hoijax.nets.vposer.model import Config, Model
from hoijax.nets.weights import Entry, Rule, StateDict
from hoijax.nets.weights import load as load_entry

_SECOND = {"encoder.norm_in": "encoder_net.1", "encoder.first": "encoder_net.2", "encoder.norm": "encoder_net.4",
           "encoder.second": "encoder_net.6", "encoder.third": "encoder_net.7", "encoder.mu": "encoder_net.8.mu",
           "encoder.logvar": "encoder_net.8.logvar", "decoder.first": "decoder_net.0",
           "decoder.second": "decoder_net.3", "decoder.out": "decoder_net.5"}  # fmt: skip
_FIRST = {"encoder.norm_in": "enc_bn1", "encoder.first": "enc_fc1", "encoder.norm": "enc_bn2",
          "encoder.second": "enc_fc2", "encoder.mu": "enc_mu", "encoder.logvar": "enc_logvar",
          "decoder.first": "dec_fc1", "decoder.second": "dec_fc2", "decoder.out": "dec_out"}  # fmt: skip
PREFIX = "vp_model."
"""Of the network's keys in a checkpoint of version 2's training, which holds a body model too."""


def _rules(names: dict[str, str], prefix: str = "") -> tuple[Rule, ...]:
    return tuple(Rule(rf"{ours.replace('.', chr(92) + '.')}\.(\w+)", rf"{prefix}{theirs}.\1")
                 for ours, theirs in names.items())  # fmt: skip


def prepare(state: StateDict) -> StateDict:
    """The network's own keys, where a file holds others beside them."""
    if not any(key.startswith(PREFIX) for key in state):
        return state
    return {key.removeprefix(PREFIX): state[key] for key in state if key.startswith(PREFIX)}


WEIGHTS = {
    f"vposer_v{version}": Entry(
        f"VPoser, version {version}", lambda facts, rngs: Model(Config(**facts["config"]), rngs),
        {"config": dataclasses.asdict(Config(version=version))}, rules=rules, prepare=prepare,
    )
    for version, rules in ((1, _rules(_FIRST, "bodyprior_")), (2, _rules(_SECOND)))
}  # fmt: skip


def load(path: pathlib.Path, **how: Any) -> Model:
    """The network of a file that `hoijax convert` wrote.

    Args:
      path: the `.safetensors` file.
      **how: `dtype` and `place` of `hoijax.nets.weights.fill`.

    Raises:
      InputError: no such file, or not VPoser's weights.
    """
    return load_entry("vposer_v2", path, **how)[0]
