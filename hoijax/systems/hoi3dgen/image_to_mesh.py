"""From a picture to a mesh: what others do better, behind one method; and what needs nobody else.

    backend.lift(pictures, cameras, seed=0) -> NamedMesh      # pictures (N, H, W, 4) uint8, y up

`HunyuanServer` asks a server that speaks as Hunyuan3D-2's `api_server.py` does, `MeshFolder` takes meshes that lie in a
folder already, `VisualHull` carves the surface out of silhouettes (`hoijax.systems.hoi3dgen.hull`).
"""

import base64
import dataclasses
import json
import pathlib
import struct
import tempfile
import time
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import UInt8

from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.io import MESH_FORMATS, output_directory, value_digest, write_bytes
from hoijax.io.reading import PathLike, shown
from hoijax.language.messages import encode_image
from hoijax.systems.hoi3dgen.hull import visual_hull
from hoijax.systems.hoi3dgen.layout import read_surface
from hoijax.viz.scene import NamedMesh

Pictures = np.ndarray
"""(N, H, W, 4) uint8, or what `checked_pictures` makes one of."""


class LiftError(InputError):
    """A mesh that did not come: the server cannot be reached, refuses, is too slow, or sends what is no mesh."""


@runtime_checkable
class ImageToMesh(Protocol):
    """Anything that makes one surface of pictures of a thing."""

    def lift(self, pictures: Pictures, cameras: Camera | None = None, *, seed: int = 0) -> NamedMesh:
        """A surface, y up, with a colour for each vertex.

        Args:
          pictures: RGB and what belongs to the thing; the first is the front.
          cameras: of the pictures, where they are known.
          seed: of what is random.

        Raises:
          InputError: there is no mesh for them.
        """
        ...


@dataclasses.dataclass(frozen=True)
class HunyuanServer:
    """A server with Hunyuan3D-2's interface: POST /send, then GET /status/UID until it is done.

    Through the packages `httpx` and `tenacity` (extra `[mesh]`). Only a connection that cannot be made or breaks is
    tried again: a job that failed on the server would fail again, and one that hangs, as the release's do after a crash
    (they stay "processing"), ends with the time-out. Its defaults are for the small turbo model; the ones here are for
    the full one.
    """

    base_url: str = "http://127.0.0.1:8081"
    """Of the server; http or https."""
    steps: int = 50
    """Of its sampler; 5 for turbo models."""
    octree_resolution: int = 384
    guidance_scale: float = 5.0
    texture: bool = False
    """Whether the mesh is painted, for servers that were started with that."""
    face_count: int = 20_000
    """Most faces."""
    timeout: float = 900.0
    """Seconds that a mesh may take in all."""
    request_timeout: float = 60.0
    """Seconds that one request may take."""
    poll: float = 2.0
    """Seconds between questions whether it is done."""
    retries: int = 3
    """Tries after the first of a connection that fails."""
    largest: int = 256 << 20
    """Bytes of a GLB that are taken."""
    cache: pathlib.Path | None = None
    """Folder that keeps meshes by the contents of picture and settings."""

    def __post_init__(self):
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"the mesh server is {self.base_url!r}; wanted such as http://127.0.0.1:8081")
        for name in ("timeout", "request_timeout", "poll", "largest", "steps", "face_count", "octree_resolution"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} of the mesh server must be above 0, got {getattr(self, name)}")

    def lift(self, pictures: Pictures, cameras: Camera | None = None, *, seed: int = 0) -> NamedMesh:
        """See `ImageToMesh.lift`; the first picture alone is sent, over white where it has an alpha channel.

        Raises:
          InputError: a package is missing, or the pictures are none.
          LiftError: see there.
        """
        settings = {
            "seed": int(seed), "octree_resolution": self.octree_resolution, "num_inference_steps": self.steps,
            "guidance_scale": self.guidance_scale, "texture": self.texture, "face_count": self.face_count,
            "type": "glb",
        }  # fmt: skip
        image = np.asarray(checked_pictures(pictures)[0])
        kept = None
        if self.cache is not None:
            kept = output_directory(self.cache) / f"{value_digest([image, settings, self.base_url])[:32]}.glb"
            if kept.is_file():
                return read_surface(kept)
        data = self._ask({"image": base64.b64encode(encode_image(over_white(image))).decode(), **settings})
        surface = self._surface(data)
        if kept is not None:
            write_bytes(kept, data)
        return surface

    def _ask(self, body: dict[str, Any]) -> bytes:
        """The GLB that the server makes."""
        httpx, tenacity = _packages()
        end = time.monotonic() + self.timeout
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)),
            stop=tenacity.stop_after_attempt(self.retries + 1) | tenacity.stop_after_delay(self.timeout),
            wait=tenacity.wait_exponential(multiplier=min(0.5, self.poll), max=10),
            reraise=True,
        )
        where = f"the mesh server {self.base_url}"
        try:
            with httpx.Client(base_url=self.base_url, timeout=min(self.request_timeout, self.timeout)) as client:
                job = retry(self._json, client, "POST", "/send", body).get("uid")
                if not isinstance(job, str) or not job.replace("-", "").isalnum():
                    raise LiftError(f"{where} gave no job number: {str(job)[:60]!r}")
                while True:
                    answer = retry(self._json, client, "GET", f"/status/{job}", None)
                    if answer.get("status") == "completed":
                        return self._decoded(answer.get("model_base64"))
                    if answer.get("status") not in ("processing", "queued", "pending", "texturing"):
                        said = answer.get("message") or answer.get("text") or answer.get("status")
                        raise LiftError(f"{where} failed: {' '.join(str(said).split())[:200]}")
                    if time.monotonic() + self.poll > end:
                        raise LiftError(
                            f"{where} still says {answer['status']!r} after {self.timeout:g} s; a job that crashed "
                            "says so for ever: look at the server's log, or allow more time (timeout)"
                        )
                    time.sleep(self.poll)
        except httpx.TimeoutException as error:
            raise LiftError(f"{where} did not answer within {self.request_timeout:g} s") from error
        except httpx.HTTPError as error:
            raise LiftError(
                f"{where} cannot be reached, tried {self.retries + 1} times: {' '.join(str(error).split())[:200]}"
            ) from error

    def _json(self, client: Any, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """One request, its answer read up to the limit."""
        where = f"the mesh server {self.base_url}{path.split('/status')[0]}"
        limit = self.largest * 4 // 3 + 4096
        with client.stream(method, path, json=body) as reply:
            data = bytearray()
            for piece in reply.iter_bytes():
                data += piece
                if len(data) > limit:
                    raise LiftError(f"{where} sends more than the {self.largest >> 20} MiB that are taken of a mesh")
        try:
            answer = json.loads(bytes(data))
        except ValueError:
            answer = None
        if reply.status_code != 200:
            said = (answer.get("text") or answer.get("detail")) if isinstance(answer, dict) else bytes(data[:200])
            raise LiftError(f"{where} answered with status {reply.status_code}: {' '.join(str(said).split())[:200]}")
        if not isinstance(answer, dict):
            raise LiftError(f"{where} sent what is no JSON object")
        return answer

    def _decoded(self, text: Any) -> bytes:
        try:
            data = base64.b64decode(text, validate=True)
        except (ValueError, TypeError) as error:
            raise LiftError(f"the mesh server {self.base_url} sent a mesh that is not base64") from error
        if len(data) > self.largest:
            raise LiftError(f"the mesh of {len(data) >> 20} MiB is larger than the {self.largest >> 20} that are taken")
        return data

    def _surface(self, data: bytes) -> NamedMesh:
        """The mesh of a GLB, after its own length was compared with what came."""
        where = f"the mesh server {self.base_url}"
        if len(data) < 20 or data[:4] != b"glTF":
            raise LiftError(f"{where} sent {len(data)} bytes that are no GLB")
        promised = struct.unpack("<I", data[8:12])[0]
        if promised != len(data):
            raise LiftError(f"{where} sent a GLB that is cut short: {len(data):,} of {promised:,} bytes")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "mesh.glb"
            path.write_bytes(data)
            try:
                return read_surface(path)
            except InputError as error:
                raise LiftError(f"{where} sent a mesh that cannot be used: {error}") from error


@dataclasses.dataclass
class MeshFolder:
    """Meshes that were made before, one after the other by name, or one by name."""

    folder: PathLike
    """Holds the mesh files."""
    name: str | None = None
    """Without its suffix; None: the seed counts through all, in the order of their names."""

    def lift(self, pictures: Pictures | None = None, cameras: Camera | None = None, *, seed: int = 0) -> NamedMesh:
        """See `ImageToMesh.lift`; the pictures do not count.

        Raises:
          InputError: no such mesh.
        """
        folder = pathlib.Path(self.folder)
        files = sorted(p for p in folder.iterdir() if p.suffix.lower().lstrip(".") in MESH_FORMATS) \
            if folder.is_dir() else []  # fmt: skip
        if self.name is not None:
            files = [path for path in files if path.stem == self.name]
        if not files or (self.name is None and not 0 <= seed < len(files)):
            wanted = f"a mesh called {self.name}" if self.name is not None else f"mesh number {seed}"
            raise InputError(f"the folder {shown(folder)} has no {wanted}; it holds {len(files)} meshes")
        return read_surface(files[0 if self.name is not None else seed])


@dataclasses.dataclass(frozen=True)
class VisualHull:
    """The surface carved out of silhouettes, coloured by the pictures; needs cameras, and no network."""

    resolution: int = 96
    """Samples along the longest side of the grid."""

    def lift(self, pictures: Pictures, cameras: Camera | None = None, *, seed: int = 0) -> NamedMesh:
        """See `ImageToMesh.lift`.

        Raises:
          InputError: no cameras, or silhouettes that have nothing in common.
        """
        pictures = checked_pictures(pictures)
        if cameras is None:
            raise InputError("a visual hull needs the pictures' cameras")
        return visual_hull(pictures[..., 3] > 127, cameras, pictures[..., :3], resolution=self.resolution)


def checked_pictures(pictures: Any) -> np.ndarray:
    """Pictures with an alpha channel (N, H, W, 4); without one, what is not white is the thing.

    Raises:
      InputError: another shape or kind.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim == 3:
        pictures = pictures[None]
    if pictures.ndim != 4 or pictures.shape[-1] not in (3, 4) or pictures.dtype != np.uint8 or not pictures.size:
        raise InputError(f"pictures are (N, H, W, 4) uint8, got {pictures.shape} {pictures.dtype}")
    if pictures.shape[-1] == 3:
        thing = (pictures < 245).any(axis=-1, keepdims=True)
        pictures = np.concatenate([pictures, np.where(thing, np.uint8(255), np.uint8(0))], axis=-1)
    return pictures


def over_white(image: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 3"]:
    """A picture over white."""
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.round(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _packages() -> tuple[Any, Any]:
    try:
        import httpx
        import tenacity
    except ImportError as error:
        raise InputError(
            "mesh servers are asked through the packages httpx and tenacity, which are not installed; "
            "pip install 'hoijax[mesh]'"
        ) from error
    return httpx, tenacity
