"""Frames to films, in memory."""

import io
import pathlib
import subprocess
import tempfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

__all__ = ["gif", "mp4"]


def gif(images: list[np.ndarray], fps: int) -> bytes:
    """An endless GIF whose frames share one palette, so that nothing flickers.

    Args:
      images: frames `(H, W, 3)` uint8.
      fps: frames per second.
    """
    step = max(len(images) // 8, 1)
    sample = Image.fromarray(np.concatenate(images[::step][:8], axis=1))
    # Median cut spends the palette on the background's greys: small things lose their colour, highlights are dotted.
    palette = sample.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
    pictures = [Image.fromarray(i).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for i in images]
    data = io.BytesIO()
    duration = round(1000 / fps)
    pictures[0].save(data, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=False)
    return data.getvalue()


def mp4(images: Sequence[np.ndarray], fps: int) -> bytes:
    """An H.264 film that browsers play, of frames `(H, W, 3)` uint8 with even sides.

    Args:
      images: the frames.
      fps: frames per second.

    Raises:
      RuntimeError: ffmpeg failed; its words are in the message.
    """
    import imageio_ffmpeg

    height, width = images[0].shape[:2]
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i -".split()
    target = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-movflags", "+faststart"]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "film.mp4"
        # Not through imageio's writer, which forks: JAX has threads, and a forked child may hang on their locks.
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *source, *target, str(path)]
        done = subprocess.run(command, input=b"".join(i.tobytes() for i in images), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()}")
        return path.read_bytes()
