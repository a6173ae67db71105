"""Where a training's arrays lie: batches divided over all devices, parameters copied to each or divided too.

The step is written for the whole batch; with arrays placed like this, XLA divides the work and sums the gradients
(data parallelism), and gathers divided parameters where they are used (as ZeRO 3 and FSDP do). One device or a
thousand, the numbers are the same but for the order of sums.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hoijax.errors import InputError

ROWS, COLUMNS = "rows", "columns"
"""Axes of the mesh: parameters are divided along columns and copied along rows; batches are divided along both."""
SMALL = 2**14
"""Arrays of fewer numbers are copied to every device: gathering them would cost more than it saves."""


@dataclasses.dataclass(frozen=True)
class Devices:
    """What a run is spread over. Nothing here changes what is learned."""

    use: int | None = None
    """How many devices; None: all of them, in one process the most that divide the batch."""
    divide: int = 1
    """Among how many devices every large parameter, its mean and its optimiser state are divided; 1: each device has
    all of them."""
    coordinator: str | None = None
    """"HOST:PORT" of process 0 for a run of several processes, or "auto" where the cluster says (Slurm, TPU pods)."""
    processes: int | None = None
    """How many processes take part, with a coordinator."""
    process: int | None = None
    """Which of them this one is, from 0."""
    patience: int = 100
    """Seconds after which a process that no longer answers ends the others, which go on from the last checkpoint when
    they are started again."""

    def __post_init__(self):
        if self.divide < 1 or (self.use is not None and self.use < 1) or self.patience < 1:
            raise InputError("devices.use, devices.divide and devices.patience must be at least 1")
        named = self.coordinator not in (None, "auto")
        if named and (self.processes is None or self.process is None):
            raise InputError("--devices.coordinator HOST:PORT needs --devices.processes and --devices.process")


def join_processes(devices: Devices) -> None:
    """Joins the other processes of a run, if there are any; call it before anything is computed.

    Raises:
      InputError: the coordinator does not answer.
    """
    if devices.coordinator is None or jax.distributed.is_initialized():
        return
    settings: dict[str, Any] = {"heartbeat_timeout_seconds": devices.patience}
    if devices.coordinator != "auto":
        settings |= {"coordinator_address": devices.coordinator, "num_processes": devices.processes}
        settings |= {"process_id": devices.process}
    try:
        jax.distributed.initialize(**settings)
    except RuntimeError as error:
        raise InputError(f"no run of several processes at {devices.coordinator}: {error}") from error


def is_first_process() -> bool:
    """Whether this process writes logs and weights."""
    return jax.process_index() == 0


def make_mesh(devices: Devices, batch: int) -> Mesh:
    """The devices of a run, (rows, columns); those of one process lie together, so that its batch stays with it.

    Args:
      devices: the wish.
      batch: samples per step, of all processes.

    Raises:
      InputError: the batch or the parameters cannot be divided among the devices.
    """
    available = jax.devices()
    count = devices.use or len(available)
    if devices.use is None and jax.process_count() == 1:
        count = max(n for n in range(1, count + 1) if batch % n == 0 and (n % devices.divide == 0 or n == 1))
    if count > len(available):
        raise InputError(f"wanted {count} devices, there are {len(available)}")
    if batch % count or count % devices.divide:
        raise InputError(
            f"a batch of {batch} on {count} devices, parameters divided among {devices.divide}: the batch must be a "
            "multiple of the devices and these of --devices.divide"
        )
    if jax.process_count() > 1 and count < len(available):
        raise InputError("a run of several processes uses all of their devices; leave --devices.use out")
    return Mesh(np.asarray(available[:count]).reshape(-1, devices.divide), (ROWS, COLUMNS))


def batch_sharding(mesh: Mesh, array: Any) -> NamedSharding:
    """Samples, the leading axis, divided over all devices; numbers without axes are copied."""
    return NamedSharding(mesh, PartitionSpec((ROWS, COLUMNS)) if np.ndim(array) else PartitionSpec())


def state_sharding(mesh: Mesh, array: Any) -> NamedSharding:
    """Of a parameter, mean or moment: the longest axis that `divide` divides, where the array is large."""
    columns = mesh.shape[COLUMNS]
    fits = [n if n % columns == 0 else 0 for n in np.shape(array)]
    if columns == 1 or np.size(array) < SMALL or not any(fits):
        return NamedSharding(mesh, PartitionSpec())
    axis = int(np.argmax(fits))
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, COLUMNS))


def constrain(tree: Any, mesh: Mesh, rule: Any) -> Any:
    """Inside a jitted function: a tree whose arrays lie as `batch_sharding` or `state_sharding` says."""
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, rule(mesh, x)), tree)


def place_batch(batch: Any, mesh: Mesh) -> Any:
    """This process's samples of a batch as part of the global batch on the devices."""
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(batch_sharding(mesh, x), np.asarray(x)), batch)


def place_state(tree: Any, mesh: Mesh) -> Any:
    """Arrays that every process has, on the devices; copies, so that they may be donated."""

    def place(x: Any) -> jax.Array:
        host = np.array(x)
        return jax.make_array_from_callback(host.shape, state_sharding(mesh, host), lambda index: host[index])

    return jax.tree.map(place, tree)


def place_constants(tree: Any, mesh: Mesh) -> Any:
    """Arrays that every process has, copied to every device; what is no array stays as it is."""

    def place(x: Any) -> Any:
        if not isinstance(x, jax.Array | np.ndarray):
            return x
        host = np.asarray(x)
        everywhere = NamedSharding(mesh, PartitionSpec())
        return jax.make_array_from_callback(host.shape, everywhere, lambda index: host[index])

    return jax.tree.map(place, tree)


def gather(tree: Any) -> Any:
    """The whole arrays on the host, in every process: to be written to a file."""

    def whole(x: Any) -> np.ndarray:
        if isinstance(x, jax.Array) and not x.is_fully_addressable and not x.is_fully_replicated:
            return np.asarray(multihost_utils.process_allgather(x, tiled=True))
        return np.asarray(x)

    return jax.tree.map(whole, tree)


def wait_for_all(name: str) -> None:
    """Waits until every process of the run is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
