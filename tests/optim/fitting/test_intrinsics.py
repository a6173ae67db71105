"""Where focal lengths come from: given, EXIF written by Pillow, estimated."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from hoijax.errors import InputError
from hoijax.optim.fitting import choose_intrinsics, estimated_intrinsics, exif_intrinsics, given_intrinsics

TAGS = ExifTags.Base


@pytest.fixture
def photo(tmp_path):
    def make(entries, size=(400, 300), orientation=None):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif).update(entries)
        if orientation:
            exif[TAGS.Orientation] = orientation
        path = tmp_path / "photo.jpg"
        Image.new("RGB", size).save(path, exif=exif)
        return path

    return make


def test_thirty_five_millimetre_film_is_43_on_the_diagonal(photo):
    found = exif_intrinsics(photo({TAGS.FocalLengthIn35mmFilm: 26}))
    assert found.source == "exif"
    np.testing.assert_allclose(found.matrix[0, 0], 26 / 43.2666 * 500, rtol=1e-5)
    np.testing.assert_allclose(found.matrix[:2, 2], [200, 150])
    assert 0 < found.focal_std < 0.1


def test_a_lens_and_the_resolution_of_its_sensor(photo):
    # 10 mm, 1000 pixels per centimetre: 1000 pixels on a sensor of 800, so 500 on this picture of 400.
    entries = {TAGS.FocalLength: 10.0, TAGS.FocalPlaneXResolution: 1000.0, TAGS.FocalPlaneResolutionUnit: 3,
               TAGS.ExifImageWidth: 800, TAGS.ExifImageHeight: 600}  # fmt: skip
    np.testing.assert_allclose(exif_intrinsics(photo(entries)).matrix[0, 0], 500.0, rtol=1e-5)
    inches = entries | {TAGS.FocalPlaneResolutionUnit: 2, TAGS.FocalPlaneXResolution: 2540.0}
    np.testing.assert_allclose(exif_intrinsics(photo(inches)).matrix[0, 0], 500.0, rtol=1e-5)


def test_a_picture_on_its_side_has_the_axes_that_are_seen(photo):
    found = exif_intrinsics(photo({TAGS.FocalLengthIn35mmFilm: 26}, orientation=6))
    np.testing.assert_allclose(found.matrix[:2, 2], [150, 200])


@pytest.mark.parametrize("entries", [{}, {TAGS.FocalLengthIn35mmFilm: 0}, {TAGS.FocalLength: 4.2},
                                     {TAGS.FocalLengthIn35mmFilm: 60000}])  # fmt: skip
def test_no_focal_length_in_the_entries(photo, entries):
    assert exif_intrinsics(photo(entries)) is None


def test_the_order_is_given_then_exif_then_estimated(photo):
    path = photo({TAGS.FocalLengthIn35mmFilm: 26})
    given = choose_intrinsics((300, 400), focal=700.0, path=path)
    assert (given.source, given.matrix[0, 0], given.focal_std) == ("given", 700.0, 0.0)
    assert choose_intrinsics((300, 400), path=path).source == "exif"
    estimated = choose_intrinsics((300, 400), path=photo({}))
    assert (estimated.source, estimated.matrix[1, 1]) == ("estimated", 500.0) and estimated.focal_std > 0.2
    assert choose_intrinsics((300, 400)).source == "estimated"


def test_a_smaller_copy_of_the_picture_and_a_cropped_one(photo):
    path = photo({TAGS.FocalLengthIn35mmFilm: 26})
    half = choose_intrinsics((150, 200), path=path)
    np.testing.assert_allclose(half.matrix[0, 0], 26 / 43.2666 * 250, rtol=1e-5)
    assert choose_intrinsics((300, 300), path=path).source == "estimated"


def test_a_whole_matrix_is_kept():
    matrix = np.array([[600.0, 0, 190], [0, 610, 160], [0, 0, 1]])
    np.testing.assert_array_equal(given_intrinsics(matrix, (300, 400)).matrix, matrix.astype(np.float32))


@pytest.mark.parametrize(
    "call",
    [
        lambda path: given_intrinsics(0.0, (300, 400)),
        lambda path: given_intrinsics(float("nan"), (300, 400)),
        lambda path: given_intrinsics(np.eye(2), (300, 400)),
        lambda path: given_intrinsics(np.full((3, 3), 9.0), (300, 400)),
        lambda path: estimated_intrinsics((0, 400)),
        lambda path: exif_intrinsics(path / "absent.jpg"),
        lambda path: exif_intrinsics(path / "text.jpg"),
    ],
)
def test_what_is_no_camera_is_refused(call, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(InputError, match="focal length|intrinsics|picture"):
        call(tmp_path)
