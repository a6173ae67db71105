"""Which pictures a command means: one file, a folder, or the frames of a video; each is read when its turn comes."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TypeVar

from hoijax.errors import InputError
from hoijax.jobs.photographs import SUFFIXES, Photograph, Spot, describe_picture, read_photograph
from hoijax.jobs.videos import Video

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class MaskFiles:
    """What says where person and object are; files, or folders of files with the pictures' names."""

    human: pathlib.Path | None = None
    """Mask of the person."""
    object: pathlib.Path | None = None
    """Mask of the object."""
    instances: pathlib.Path | None = None
    """Picture of numbers, person 1 and object 2."""
    spot: Spot | None = None
    """Where the object's mask is grown from."""

    def items(self) -> dict[str, pathlib.Path | None]:
        """Option to file or folder."""
        return {"--human-mask": self.human, "--object-mask": self.object, "--instances": self.instances}

    def of(self, picture: pathlib.Path) -> "MaskFiles":
        """Those of one picture of a folder.

        Raises:
          InputError: a mask is missing.
        """
        files = (None if folder is None else _mask_of(folder, picture) for folder in self.items().values())
        return MaskFiles(*files, self.spot)


@dataclasses.dataclass(frozen=True)
class PhotographFile:
    """A picture that is read, with its masks, whenever it is asked for."""

    name: str
    """What messages and folders call it."""
    path: pathlib.Path
    """The picture, or the video."""
    masks: MaskFiles
    """Of this picture."""
    find_person: bool = False
    """Whether the person is found where no mask says who is meant."""
    find_object: bool = False
    """Likewise the object."""
    video: Video | None = None
    """What the frame is read from."""
    frame: int = 0
    """Its number."""

    def read(self) -> Photograph:
        """The picture.

        Raises:
          InputError: it cannot be used.
        """
        masks, found = self.masks, {"find_person": self.find_person, "find_object": self.find_object}
        files = (masks.human, masks.object, masks.instances)
        if self.video is None:
            return read_photograph(self.path, *files, spot=masks.spot, **found)
        image = self.video.read(self.frame)
        return describe_picture(self.name, self.path, image, None, *files, spot=masks.spot, **found)


def look_at_photographs(
    image: pathlib.Path,
    masks: MaskFiles,
    look: Callable[[Photograph], T],
    *,
    find_person: bool = False,
    find_object: bool = False,
) -> tuple[list[tuple[PhotographFile, T]], dict[str, str]]:
    """Reads one picture, or all of a folder one after the other, and keeps what `look` says of each.

    Args:
      image: a file or a folder.
      masks: of the picture; of a folder, folders with files of the same names.
      look: called with each picture that can be used; the picture itself is not kept.
      find_person: whether pictures without a mask of the person can be used, since the person will be found.
      find_object: likewise of the object.

    Returns:
      The pictures in the order of their names with what `look` answered, and name to message for those of a folder that
      cannot be used.

    Raises:
      InputError: nothing can be used.
    """
    check_masks(masks)
    if not image.is_dir():
        file = PhotographFile(image.stem, image, masks, find_person, find_object)
        return [(file, look(file.read()))], {}
    for option, folder in masks.items().items():
        if folder is not None and not folder.is_dir():
            raise InputError(
                f"--image is a folder, so {option} must be one too, with masks of the same names: {folder}"
            )
    paths = sorted(p for p in image.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"the folder {image} holds no pictures; wanted files ending in {', '.join(SUFFIXES)}")
    twice = {p.stem for p in paths if sum(q.stem == p.stem for q in paths) > 1}
    if twice:
        raise InputError(f"{image} has several pictures called {', '.join(sorted(twice))}; names must differ")
    found, failures = [], {}
    for path in paths:
        try:
            file = PhotographFile(path.stem, path, masks.of(path), find_person, find_object)
            found.append((file, look(file.read())))
        except InputError as error:
            failures[path.stem] = str(error)
    if not found:
        raise InputError(f"none of {len(paths)} pictures can be used; the first: {next(iter(failures.values()))}")
    return found, failures


def check_masks(masks: MaskFiles) -> None:
    """Refuses masks that contradict each other.

    Raises:
      InputError: two of them say the same.
    """
    if masks.instances is not None and (masks.human is not None or masks.object is not None):
        raise InputError("--instances says both what --human-mask and --object-mask say; give one or the other")
    if masks.spot is not None and (masks.object is not None or masks.instances is not None):
        raise InputError("--object-box and --object-click grow the object's mask; give either them or the mask")


def list_frames(video: Video, masks: MaskFiles, every: int, find_object: bool) -> list[PhotographFile]:
    """The frames of a video that are to be fitted; what says where the object is belongs to the first.

    Args:
      video: opened.
      masks: files of the first frame, or folders with a file per frame, named as the frames are: `000000.png`.
      every: distance of frames.
      find_object: whether nothing needs to say where the object is.

    Raises:
      InputError: the masks cannot be used.
    """
    check_masks(masks)
    files = []
    for frame in range(0, video.frames, every):
        name = f"{frame:06d}"
        parts = {
            option: path if path is None or (not path.is_dir() and frame == 0) else
            _mask_of(path, pathlib.Path(name)) if path.is_dir() else None
            for option, path in masks.items().items()
        }  # fmt: skip
        own = MaskFiles(*parts.values(), masks.spot if frame == 0 else None)
        # Where nothing is said of a frame the object is followed from the one before.
        told = own.object is not None or own.instances is not None or own.spot is not None
        files.append(PhotographFile(name, video.path, own, True, find_object or (frame > 0 and not told), video, frame))
    return files


def _mask_of(folder: pathlib.Path, picture: pathlib.Path) -> pathlib.Path:
    for suffix in (".png", *SUFFIXES):
        if (folder / f"{picture.stem}{suffix}").is_file():
            return folder / f"{picture.stem}{suffix}"
    raise InputError(f"no mask of {picture.name} in {folder}; wanted {picture.stem}.png there")
