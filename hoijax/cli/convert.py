"""Converts a published PyTorch checkpoint to a safetensors file that hoijax loads, without executing it.

NAME says which network, or which part of one, the checkpoint holds; a wrong name lists those there are. Every missing,
unexpected and mis-shaped parameter is named, and nothing is written unless all of them fit.
"""

import dataclasses
import pathlib
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax convert`."""

    name: Annotated[str, tyro.conf.Positional]
    """The network: scorehoi_contactformer, scorehoi_denoiser, ..."""
    checkpoint: Annotated[pathlib.Path, tyro.conf.Positional]
    """PyTorch checkpoint (.pth, .pt, .tar, .bin), PyTorch 1.6 or later, or .safetensors."""
    out: pathlib.Path
    """File to write, .safetensors."""
    key: str | None = None
    """Entry of the checkpoint that holds the parameters; without it the usual ones are tried."""
    prefix: str = ""
    """Keep only parameters whose name starts so, and drop the prefix: "contactformer." and the like."""


def run(options: Options) -> int:
    """Reads, checks, writes.

    Args:
      options: see `Options`.

    Returns:
      0.

    Raises:
      InputError: the name is unknown, the checkpoint cannot be read, or it does not fit.
    """
    import safetensors.numpy

    from hoijax.errors import InputError
    from hoijax.io import write_bytes
    from hoijax.io.torch_checkpoints import read_state_dict
    from hoijax.nets import convert

    if options.out.suffix != ".safetensors":
        raise InputError(f"--out is {options.out}, wanted a name that ends in .safetensors")
    convert.find_checkpoint(options.name)
    if options.checkpoint.suffix == ".safetensors":
        state_dict = safetensors.numpy.load_file(options.checkpoint)
    else:
        state_dict = read_state_dict(options.checkpoint, key=options.key)
    start = options.prefix
    state_dict = {k.removeprefix(start): v for k, v in state_dict.items() if k.startswith(start)}
    if not state_dict:
        raise InputError(f"{options.checkpoint.name}: no parameter's name starts with {start!r}")
    module = convert.from_torch(options.name, state_dict)
    write_bytes(options.out, safetensors.numpy.save(convert.to_flat(module), {"checkpoint": options.name}))
    print(f"wrote {options.out}")
    return 0
