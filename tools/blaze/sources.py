"""Where the published weights come from: npm packages of MediaPipe (Apache-2.0), every file with its digest.

`npm pack` fetches a package; nothing of it is run.
"""

import dataclasses
import hashlib
import pathlib
import subprocess
import tarfile


@dataclasses.dataclass(frozen=True)
class PackagedFile:
    """One network's file inside a package."""

    package: str
    """Name and version, as npm takes them."""

    path: str
    """File inside the package."""

    sha256: str
    """Digest of the network's bytes."""

    span: tuple[int, int] | None = None
    """Bytes of the file that are the network, where it is packed with others."""


POSE = "@mediapipe/pose@0.5.1675469404"
HANDS = "@mediapipe/hands@0.4.1675469240"
OBJECTRON = "@mediapipe/objectron@0.4.1675468480"

SOURCES = {
    "detector": PackagedFile(
        POSE,
        "pose_solution_packed_assets.data",
        "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
        span=(0, 2962288),
    ),
    "landmarks": PackagedFile(
        POSE, "pose_landmark_full.tflite", "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
    ),
    "hand": PackagedFile(
        HANDS, "hand_landmark_full.tflite", "8c026882c9ec059ce0f8e75266bee5a9a23c341a40e0000df755374d3d1b9b68"
    ),
    "chair": PackagedFile(
        OBJECTRON,
        "object_detection_3d_chair.tflite",
        "190e4ea49ba891ed242ddc73703e03d70164c27f3da07492d7010379e24f2a6b",
    ),
    "cup": PackagedFile(
        OBJECTRON, "object_detection_3d_cup.tflite", "c4f4ea8def16bd191d11279f754e6f3f2a9d94839a956b975e5697e943157ac7"
    ),
}


def fetch(name: str, folder: pathlib.Path) -> bytes:
    """The network's tflite bytes; the package is fetched into `folder` unless it lies there.

    Raises:
      ValueError: the bytes are not those of `SOURCES`.
    """
    source = SOURCES[name]
    folder.mkdir(parents=True, exist_ok=True)
    stem = source.package.removeprefix("@").replace("/", "-").replace("@", "-")
    archive = folder / f"{stem}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", source.package, "--pack-destination", str(folder)], check=True)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/{source.path}")
        if member is None:
            raise ValueError(f"{archive} holds no {source.path}")
        data = member.read()
    if source.span is not None:
        data = data[slice(*source.span)]
    digest = hashlib.sha256(data).hexdigest()
    if digest != source.sha256:
        raise ValueError(f"{name}: SHA-256 {digest}, expected {source.sha256}")
    return data
