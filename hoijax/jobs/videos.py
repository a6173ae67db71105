"""Videos read and written one frame at a time, by the ffmpeg of the extra [video]."""

import itertools
import pathlib
import subprocess
from collections.abc import Iterable

import numpy as np

from hoijax.errors import InputError

VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
"""Endings of files that are taken for videos."""


def is_video(path: pathlib.Path) -> bool:
    """Whether a path names a video."""
    return path.suffix.lower() in VIDEOS and not path.is_dir()


class Video:
    """A video file; frames are decoded as they are asked for, and none is kept."""

    def __init__(self, path: pathlib.Path):
        """Opens a file and counts its frames.

        Raises:
          InputError: no such file, no video, or ffmpeg is not installed.
        """
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        try:
            import imageio_ffmpeg
        except ImportError as error:
            raise InputError("videos need ffmpeg; pip install 'hoijax[video]'") from error
        self.path = path
        self._next, self._decoder = 0, None
        head = [*self._command(), "-frames:v", "1", "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", "-"]
        done = subprocess.run(head, capture_output=True, check=False)
        # YUV4MPEG2 W64 H48 F25:2 ...
        words = {word[:1]: word[1:] for word in done.stdout.partition(b"\n")[0].decode("latin-1").split()[1:]}
        if done.returncode or not {"W", "H", "F"} <= set(words):
            told = done.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(f"{path} is no video that can be read: {told[-1] if told else 'it shows nothing'}")
        self.width, self.height = int(words["W"]), int(words["H"])
        above, _, below = words["F"].partition(":")
        self.fps = float(above) / max(float(below or 1), 1.0) or 30.0
        self.frames = int(imageio_ffmpeg.count_frames_and_secs(str(path))[0])
        if self.frames < 1:
            raise InputError(f"{path} has no frames")

    def read(self, number: int) -> np.ndarray:
        """One frame (H, W, 3) uint8; going forward costs least.

        Raises:
          InputError: the file ends before it.
        """
        if self._decoder is None or number < self._next:
            self._start()
        while True:
            data = self._frame()
            if data is None:
                self.close()
                raise InputError(f"{self.path} ends before frame {number}")
            self._next += 1
            if self._next == number + 1:
                return np.frombuffer(data, np.uint8).reshape(self.height, self.width, 3)

    def close(self) -> None:
        """Ends the decoder; a frame that is asked for later starts it again."""
        if self._decoder is not None:
            self._decoder.stdout.close()
            self._decoder.kill()
            self._decoder.wait()
        self._next, self._decoder = 0, None

    def _command(self) -> list[str]:
        import imageio_ffmpeg

        return [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-nostdin", "-i", str(self.path)]

    def _start(self) -> None:
        # Not through imageio's reader, which forks: JAX has threads, and a forked child may hang on their locks.
        self.close()
        command = [*self._command(), "-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm", "-"]
        self._decoder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _frame(self) -> bytes | None:
        """The next frame's bytes, None at the end; a PPM is three lines and the pixels."""
        head = [self._decoder.stdout.readline() for _ in range(3)]
        if head[0] != b"P6\n" or head[1].split() != [str(self.width).encode(), str(self.height).encode()]:
            return None
        data = self._decoder.stdout.read(3 * self.width * self.height)
        return data if len(data) == 3 * self.width * self.height else None


def write_film(path: pathlib.Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Writes an H.264 film that browsers play; frames are taken one at a time.

    Args:
      path: of the film.
      frames: (H, W, 3) uint8 of one size with even sides; one at least.
      fps: frames a second.

    Raises:
      InputError: ffmpeg failed; its words are in the message.
    """
    import imageio_ffmpeg

    frames = iter(frames)
    first = next(frames)
    partial = path.with_name(f".{path.name}.part.mp4")
    size = f"{first.shape[1]}x{first.shape[0]}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", size, "-r", f"{fps:g}", "-i", "-", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20"]
    command += ["-movflags", "+faststart", str(partial)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            for frame in itertools.chain([first], frames):
                process.stdin.write(frame.tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # its words say why
        words = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        partial.unlink(missing_ok=True)
        raise InputError(f"ffmpeg could not write {path}: {words}")
    partial.replace(path)
