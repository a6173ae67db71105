"""Batches for training from any random-access source: index-deterministic, sharded by process, resumable.

The order of the samples is a function of the seed alone: sample `position` of the endless stream is the same on every
machine, for every number of processes and reader threads. Step s of the stream is positions s * batch_size to
(s + 1) * batch_size - 1; the first process reads the first of them, the next one those that follow, in the order in
which `jax.make_array_from_process_local_data` puts them together. So the whole state of a training run's input is one
small integer, and a run that goes on with another number of processes sees the same global batches.

Grain (google/grain, without TensorFlow) shuffles by index in constant memory, reads ahead in threads and keeps the
place; here are the settings, the stacking of samples, and the check that a saved state belongs to this stream.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import grain
import jax
import numpy as np

from hoijax.errors import InputError

POSITION = "position"
"""Field that every batch gets: each sample's place in the stream; `jax.random.fold_in` of it is the sample's key."""


@runtime_checkable
class Source(Protocol):
    """Samples by index: a list, `builder.as_data_source(...)` of TFDS, an array_record, SynthHOI's `open_split`."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int) -> Any:
        """One sample: a mapping of names to arrays, nested or not."""
        ...


@dataclasses.dataclass(frozen=True)
class LoaderConfig:
    """What decides the batches, and how they are read."""

    batch_size: int
    """Samples per step, of all processes together."""
    seed: int = 0
    """Of the order; each epoch has its own."""
    shuffle: bool = True
    """False: the source's order in every epoch."""
    epochs: int | None = None
    """Passes over the source; None: without end. Batches run on across epochs; a rest at the very end is dropped."""
    process_index: int | None = None
    """Which share of each batch this process reads; None: JAX's."""
    process_count: int | None = None
    """Among how many processes a batch is divided; None: JAX's."""
    threads: int = 4
    """Reader threads; 0 reads in the caller's thread."""
    prefetch: int = 16
    """Samples that are read ahead."""


class Loader:
    """The stream of batches of one process: `loader[step]` is a batch, `loader.batches(step)` iterates from there.

    Args:
      source: samples by index.
      config: see `LoaderConfig`.
      transform: sample to sample, applied in the reader threads: decoding, cropping, choosing fields. Must not depend
        on anything but the sample; randomness belongs on the device, with keys from the field `position`.

    Raises:
      InputError: an empty source, or numbers that do not fit each other.
    """

    def __init__(self, source: Source, config: LoaderConfig, *, transform: Callable[[Any], Any] | None = None):
        self.config, self.size = config, len(source)
        self.process_index = jax.process_index() if config.process_index is None else config.process_index
        self.process_count = jax.process_count() if config.process_count is None else config.process_count
        self._check()
        samples = grain.MapDataset.source(source)
        samples = samples.shuffle(seed=config.seed) if config.shuffle else samples
        samples = samples.repeat(config.epochs)  # Grain shuffles each repetition anew
        samples = samples.map_with_index(lambda position, sample: (position, sample))
        if config.epochs is not None:  # whole batches only, or the processes would not agree on the last one
            samples = samples[: len(self) * config.batch_size]
        if transform is not None:
            samples = samples.map(lambda pair: (pair[0], transform(pair[1])))
        per_process = config.batch_size // self.process_count
        shares = samples.batch(per_process, drop_remainder=True, batch_fn=_batch)
        self._batches = shares[self.process_index :: self.process_count]

    def __len__(self) -> int:
        """Number of steps.

        Raises:
          TypeError: the stream has no end.
        """
        if self.config.epochs is None:
            raise TypeError("this loader has no end; give LoaderConfig.epochs")
        return self.size * self.config.epochs // self.config.batch_size

    def __getitem__(self, step: int) -> Any:
        """This process's part of the batch of one step."""
        if step < 0 or (self.config.epochs is not None and step >= len(self)):
            raise IndexError(step)
        return self._batches[step]

    def batches(self, start: "int | Mapping[str, int]" = 0) -> "Batches":
        """Batches from a step on, read ahead in threads.

        Args:
          start: the first step, or a state that `Batches.state` gave.

        Raises:
          InputError: the state is of another stream.
        """
        if isinstance(start, Mapping):
            start = self._step_of(start)
        return Batches(self, start)

    def state(self, step: int) -> dict[str, int]:
        """What a checkpoint keeps: JSON, the next step and what the stream was made from."""
        return {"step": step, **self._identity()}

    def _identity(self) -> dict[str, int]:
        config = self.config
        return {
            "size": self.size, "batch_size": config.batch_size, "seed": config.seed, "shuffle": int(config.shuffle),
        }  # fmt: skip

    def _step_of(self, state: Mapping[str, int]) -> int:
        mine = self._identity()
        other = [f"{k} {state.get(k)}, here {v}" for k, v in mine.items() if state.get(k) != v]
        if other or "step" not in state:
            raise InputError(f"the saved input state is of another stream: {'; '.join(other) or 'it has no step'}")
        return int(state["step"])

    def _check(self) -> None:
        config = self.config
        if not self.size:
            raise InputError("the source holds no samples")
        if not 0 <= self.process_index < self.process_count:
            raise InputError(f"process {self.process_index} of {self.process_count}")
        if config.batch_size < 1 or config.batch_size % self.process_count:
            raise InputError(f"a batch of {config.batch_size} cannot be divided among {self.process_count} processes")
        if config.epochs is not None and self.size * config.epochs < config.batch_size:
            raise InputError(f"{config.epochs} epochs of {self.size} samples make no batch of {config.batch_size}")


class Batches(Iterator):
    """Iterates over a loader's batches, with its place as a small JSON dictionary."""

    def __init__(self, loader: Loader, start: int):
        self._loader = loader
        self._step = start
        options = grain.ReadOptions(num_threads=loader.config.threads, prefetch_buffer_size=_read_ahead(loader))
        self._iterator = iter(loader._batches.to_iter_dataset(options))
        self._iterator.set_state({"next_index": start})

    def __next__(self) -> Any:
        """The next batch of this process."""
        batch = next(self._iterator)
        self._step += 1
        return batch

    @property
    def step(self) -> int:
        """The step that comes next."""
        return self._step

    def state(self) -> dict[str, int]:
        """What `Loader.batches` goes on from: the batches handed out so far, not those read ahead."""
        return self._loader.state(self._step)


def device_batches(batches: Iterator[Any], sharding: Any = None, *, ahead: int = 2) -> Iterator[Any]:
    """Puts batches on the device before they are asked for; array leaves only, so drop texts before.

    The place of `batches` runs ahead by that many; checkpoint `Loader.state` of the step trained on instead.

    Args:
      batches: of one process.
      sharding: of the global batch over all processes' devices; None: the default device.
      ahead: batches under way.

    Yields:
      The batches as JAX arrays; with a sharding, global arrays.
    """

    def put(batch: Any) -> Any:
        if sharding is None:
            return jax.device_put(batch)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)

    waiting = [put(batch) for batch in itertools.islice(batches, ahead)]
    while waiting:
        yield waiting.pop(0)
        waiting += [put(batch) for batch in itertools.islice(batches, 1)]


def stack(samples: Sequence[Any], where: str = "sample") -> Any:
    """Samples as one: arrays get a leading axis, mappings go field by field, texts become arrays of texts.

    Args:
      samples: of one structure.
      where: what messages call the field.

    Raises:
      InputError: samples differ in fields or shapes; the field is named.
    """
    first = samples[0]
    if isinstance(first, Mapping):
        odd = next((s for s in samples if not isinstance(s, Mapping) or s.keys() != first.keys()), None)
        if odd is not None:
            raise InputError(f"{where}: samples of one batch have different fields")
        return {key: stack([s[key] for s in samples], f"{where}.{key}") for key in first}
    arrays = [np.asarray(s) for s in samples]
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        raise InputError(
            f"{where}: shapes {', '.join(map(str, sorted(shapes)))} cannot be stacked; pad, crop or drop the field in "
            "the loader's transform"
        )
    return np.stack(arrays)


def _batch(pairs: Sequence[tuple[int, Any]]) -> Any:
    positions, samples = zip(*pairs)
    batch = stack(samples)
    if not isinstance(batch, dict):
        batch = {"sample": batch}
    if POSITION in batch:
        raise InputError(f"samples have a field {POSITION!r} of their own; rename it in the loader's transform")
    return {**batch, POSITION: np.asarray(positions, np.int64)}


def _read_ahead(loader: Loader) -> int:
    """Batches that Grain reads ahead; it counts in the elements it yields, which are batches here."""
    per_process = loader.config.batch_size // loader.process_count
    return max(loader.config.threads, -(-loader.config.prefetch // per_process))
