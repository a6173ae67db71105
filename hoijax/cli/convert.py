"""Converts a published PyTorch checkpoint to a safetensors file that hoijax loads, without executing it.

NAME says which network, or which part of one, the checkpoint holds; a wrong name lists those there are. Every missing,
unexpected and mis-shaped parameter is named, and nothing is written unless all of them fit. docs/weights.md shows how
to run what comes out.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import tyro

MAPPED = 2 << 30
"""Bytes of a PyTorch checkpoint above which it is read as it is used, and no longer compared with its checksums."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax convert`."""

    name: Annotated[str, tyro.conf.Positional]
    """The network: scorehoi_contactformer, scorehoi_denoiser, ..."""
    checkpoint: Annotated[pathlib.Path, tyro.conf.Positional]
    """PyTorch checkpoint (.pth, .pt, .tar, .bin) of PyTorch 1.6 or later, .safetensors, or the index of several; or the
    folder of one, whose config.json says the sizes of a language model."""
    out: pathlib.Path
    """File to write, .safetensors."""
    key: str | None = None
    """Entry of the checkpoint that holds the parameters; without it the usual ones are tried."""
    prefix: str = ""
    """Keep only parameters whose name starts so, and drop the prefix: "contactformer." and the like."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type in which parameters are kept; half of the size in two of them."""
    base_data: pathlib.Path | None = None
    """ScoreHOI: the authors' folder base_data, whose resampling matrices go into the regressor's file and whose range
    of betas goes into the denoiser's."""
    pointnext: pathlib.Path | None = None
    """ScoreHOI's regressor: openpoints' checkpoint of PointNeXt-S, which goes into the same file."""


def run(options: Options) -> int:
    """Reads, checks, writes.

    Args:
      options: see `Options`.

    Returns:
      0.

    Raises:
      InputError: the name is unknown, the checkpoint cannot be read, or it does not fit.
    """
    import json

    from hoijax.errors import InputError
    from hoijax.io import check_output_file
    from hoijax.nets.weights import files, registry

    if options.out.suffix != ".safetensors":
        raise InputError(f"--out is {options.out}, wanted a name that ends in .safetensors")
    entry = registry.find_checkpoint(options.name)
    check_output_file(options.out)
    if files.same_file(options.checkpoint, options.out):
        raise InputError(f"--out {options.out} is the checkpoint itself; name another file")
    beside = {name: getattr(options, name) for name in ("base_data", "pointnext")}
    if entry.companions is None and any(beside.values()):
        raise InputError(
            f"--base-data and --pointnext are of scorehoi_regressor and scorehoi_denoiser, not {options.name}"
        )
    facts_beside, more = ({}, {}) if entry.companions is None else entry.companions(**beside)
    config = _config(options.checkpoint) if entry.describe is not None else None
    arrays = registry.convert_published(options.name, _state_dict(options), dtype=options.dtype, config=config)
    facts = arrays.facts() | facts_beside
    table = arrays.table | files.table_of(more)
    whole = files.Tensors(table, lambda name: more[name] if name in more else arrays[name],
                          pieces=lambda name: [more[name]] if name in more else arrays.pieces(name))  # fmt: skip
    files.write_tensors(options.out, whole, {"facts": json.dumps(facts)})
    print(f"wrote {options.out}: {', '.join(f'{k} {v}' for k, v in facts.items() if k != 'betas_range')}")
    return 0


def _config(checkpoint: pathlib.Path) -> dict[str, Any] | None:
    """What the `config.json` in a checkpoint's folder says; None where there is none."""
    from hoijax.io.reading import read_json

    path = (checkpoint if checkpoint.is_dir() else checkpoint.parent) / "config.json"
    return read_json(path, limit=16 << 20) if path.is_file() else None


def _state_dict(options: Options) -> Mapping[str, Any]:
    """The checkpoint's parameters by name, read when they are asked for where the format allows it."""
    from hoijax.errors import InputError
    from hoijax.io.torch_checkpoints import read_state_dict
    from hoijax.nets.weights.files import indexed_files, open_tensors

    source, start = options.checkpoint, options.prefix
    if source.is_dir() and not any(source.glob("*.safetensors*")):
        indices = sorted(source.glob("*.bin.index.json"))
        source = indices[0] if len(indices) == 1 else source
    if source.is_dir() or source.name.endswith((".safetensors", ".safetensors.index.json")):
        tensors = open_tensors(source, what="the checkpoint")
        selected = tensors.select({name.removeprefix(start): name for name in tensors if name.startswith(start)})
    else:
        files = [source]
        if source.name.endswith(".bin.index.json"):
            files = list(dict.fromkeys(indexed_files(source, ".bin").values()))
        mapped = sum(file.stat().st_size for file in files if file.is_file()) > MAPPED
        tables = [read_state_dict(file, key=options.key, mapped=mapped) for file in files]
        whole = {name: value for table in tables for name, value in table.items()}
        selected = {name.removeprefix(start): value for name, value in whole.items() if name.startswith(start)}
    if not len(selected):
        raise InputError(f"{source.name}: no parameter's name starts with {start!r}")
    return selected
