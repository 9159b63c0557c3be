"""Promises of `featreport.images`: any image becomes the right pixels, or one line says why it cannot."""

from __future__ import annotations

import base64
import hashlib
import mmap
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile
from torchvision import transforms

from featreport.errors import ImagesError
from featreport.images import decode as decoding
from featreport.images import pictures
from featreport.images.batches import ImageBatches
from featreport.images.decode import Decoded, ImageUnusable, decode
from featreport.images.transform import make_transform
from featreport.plan.types import ImageRef, TransformSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def packaged(name: str, path: str) -> Path:
    return Path(str(distribution(name).locate_file(path)))


SKIMAGE = packaged("scikit-image", "skimage/data")
PHOTOS = [
    SKIMAGE / "astronaut.png",
    SKIMAGE / "rocket.jpg",
    SKIMAGE / "camera.png",
    packaged("scikit-learn", "sklearn/datasets/images/flower.jpg"),
]


def ref(path: Path) -> ImageRef:
    return ImageRef(path, path.name)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Decoded]:
    def read(content: bytes | Image.Image, color: Any = "RGB", kind: str = "PNG", **options: Any) -> Decoded:
        path = tmp_path / "picture"
        path.write_bytes(content if isinstance(content, bytes) else encoded(content, kind, **options))
        return decode(ref(path), color)

    return read


# decoding: pixels


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_keep_every_pixel(read: Callable[..., Decoded], kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    got = read(Image.fromarray(NOISE), kind=kind, **options)
    assert np.array_equal(np.asarray(got.image), NOISE)
    assert (got.width, got.height, got.note) == (80, 60, None)


def test_the_hash_is_of_the_bytes_that_were_decoded(read: Callable[..., Decoded]) -> None:
    content = encoded(Image.fromarray(NOISE))
    assert read(content).sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_pixels_are_scaled_not_clipped(read: Callable[..., Decoded], kind: str) -> None:
    deep = np.array([[0, 128, 129, 257, 40000, 65535]], np.uint16)
    got = read(Image.fromarray(deep), "L", kind)
    assert np.asarray(got.image).tolist() == [[0, 0, 1, 1, 156, 255]]
    assert got.note is None


FLOATS = {
    "shares of white": ([0.0, 0.5, 1.0], [0, 128, 255], "0 to 1 taken as black to white"),
    "any range": ([-2.0, 0.0, 2.0], [0, 128, 255], "stretched from -2 … 2"),
    "constant": ([7.0, 7.0, 7.0], [0, 0, 0], "stretched from 7 … 7"),
    "not finite": ([0.0, float("nan"), 1.0], [0, 0, 255], "1 pixels are not finite"),
}


@pytest.mark.parametrize("case", FLOATS)
def test_float_pixels_are_scaled_and_the_note_says_how(read: Callable[..., Decoded], case: str) -> None:
    values, expected, note = FLOATS[case]
    got = read(Image.fromarray(np.array([values], np.float32)), "L", "TIFF")
    assert np.asarray(got.image).tolist() == [expected]
    assert note in str(got.note)


def translucent(mode: str) -> Image.Image:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    return image.quantize(4) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("color", ["RGB", "L"])
def test_alpha_is_laid_on_white(read: Callable[..., Decoded], mode: str, color: str) -> None:
    pixels = np.asarray(read(translucent(mode), color).image)
    assert pixels[0, 0].tolist() == np.full_like(pixels[0, 0], 255).tolist()
    assert pixels[0, 1].max() == 0


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_a_transparent_colour_is_laid_on_white(read: Callable[..., Decoded], mode: str) -> None:
    key = (0, 0, 0) if mode == "RGB" else 0
    assert np.asarray(read(Image.new(mode, (2, 2), 0), transparency=key).image).min() == 255


CONVERTED = {"CMYK": "JPEG", "YCbCr": "JPEG", "LAB": "TIFF", "P": "PNG", "1": "PNG", "L": "PNG"}


@pytest.mark.parametrize("mode", CONVERTED)
@pytest.mark.parametrize("color", ["RGB", "L"])
def test_other_colour_models_are_converted(read: Callable[..., Decoded], mode: str, color: str) -> None:
    image = (
        Image.new("LAB", (8, 8), (255, 128, 128))
        if mode == "LAB"
        else Image.new("RGB", (8, 8), "white").convert(mode)
    )
    got = read(image, color, CONVERTED[mode])
    assert got.image.mode == color
    assert np.asarray(got.image).min() >= 250


def test_exif_orientation_is_applied_and_metadata_dropped(read: Callable[..., Decoded]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying: turn by 90° clockwise
    exif[0x010F] = "a camera"
    got = read(Image.fromarray(NOISE), exif=exif)
    assert (got.width, got.height) == (60, 80)
    assert np.array_equal(np.asarray(got.image), np.rot90(NOISE, -1))
    assert got.image.info == {}


def test_an_animation_gives_its_first_frame_and_says_so(read: Callable[..., Decoded]) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    got = read(frames[0], kind="GIF", save_all=True, append_images=frames[1:])
    assert got.note == "animated: first frame of 3"
    assert got.image.getpixel((0, 0)) == (255, 0, 0)
    assert decode(ref(SKIMAGE / "no_time_for_that_tiny.gif")).note == "animated: first frame of 24"
    assert decode(ref(SKIMAGE / "multipage.tif")).note == "several pages: first page of 2"


# decoding: refusals

REFUSED = {
    "empty": (b"", "is empty"),
    "html": (b"<html><body>404</body>", "starts with '<html><body>404<'"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "is a git-LFS pointer"),
    "zeros": (b"\0" * 64, "nothing but zero bytes"),
    "avif": (b"\0\0\0\x20ftypavif" + b"\0" * 20, "AVIF"),
    "unlisted format": (encoded(Image.new("RGB", (32, 32)), "ICO"), "not an image of a format read here"),
    "header only": (b"\x89PNG\r\n\x1a\n", "is "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_image_is_named(read: Callable[..., Decoded], case: str) -> None:
    content, reason = REFUSED[case]
    with pytest.raises(ImageUnusable) as caught:
        read(content)
    assert reason in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("lenient", [False, True])
def test_a_cut_off_file_is_an_error_whatever_another_library_set(
    read: Callable[..., Decoded], kind: str, share: float, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    content = encoded(Image.fromarray(NOISE), kind)
    with pytest.raises(ImageUnusable, match="is cut off"):
        read(content[: int(len(content) * share)])


def test_a_flipped_byte_in_a_png_is_an_error(read: Callable[..., Decoded]) -> None:
    content = bytearray(encoded(Image.fromarray(NOISE)))
    content[len(content) // 2] ^= 0x10
    with pytest.raises(ImageUnusable, match="is damaged"):
        read(bytes(content))


def test_reasons_name_no_folder_and_fit_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, reason in [
        ("gone.png", "no such file"),
        ("folder", "is a folder"),
        ("a\0b", "could not be read"),
    ]:
        with pytest.raises(ImageUnusable, match=reason) as caught:
            decode(ref(tmp_path / name))
        assert str(tmp_path) not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_too_many_pixels_or_bytes_are_an_error(
    read: Callable[..., Decoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 1000)
    with pytest.raises(ImageUnusable, match="has 80 × 60 pixels, over the limit of 1,000"):
        read(Image.fromarray(NOISE))
    monkeypatch.setattr(decoding, "MAX_BYTES", 100)
    with pytest.raises(ImageUnusable, match="is larger than"):
        read(Image.fromarray(NOISE))


def test_pillow_never_warns_even_where_warnings_are_errors(
    read: Callable[..., Decoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # Image.open would warn of a bomb
    warnings.simplefilter("error")
    assert read(Image.fromarray(NOISE)).width == 80
    garbage = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 30
    assert read(encoded(Image.fromarray(NOISE), "JPEG", exif=garbage)).width == 80


# transforms


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.name)
def test_the_spec_is_bit_identical_to_torchvision(photo: Path) -> None:
    image = decode(ref(photo)).image
    tensor, half = transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)
    pairs = [
        (
            TransformSpec(resize=256, crop=224, mean=MEAN, std=STD),
            [transforms.Resize(256), transforms.CenterCrop(224), tensor, transforms.Normalize(MEAN, STD)],
        ),
        (
            TransformSpec(size=(224, 200), mean=(0.5,), std=(0.5,)),
            [transforms.Resize((224, 200)), tensor, half],
        ),
        (TransformSpec(crop=700), [transforms.CenterCrop(700), tensor]),  # larger than the image: padded
    ]
    for spec, steps in pairs:
        ours = make_transform(spec, None)(image)
        assert ours.dtype == torch.float32
        assert torch.equal(ours, transforms.Compose(steps)(image))


def test_the_published_transform_is_the_one_of_the_weights() -> None:
    from torchvision.models import MobileNet_V2_Weights

    image = decode(ref(PHOTOS[0])).image
    for name in ("IMAGENET1K_V2", "DEFAULT"):
        ours = make_transform(TransformSpec(kind="weights", weights=name), "mobilenet_v2")(image)
        assert torch.equal(ours, MobileNet_V2_Weights[name].transforms()(image))


def test_none_gives_zero_to_one_and_grey_gives_one_channel() -> None:
    image = Image.fromarray(NOISE)
    tensor = make_transform(TransformSpec(kind="none"), None)(image)
    assert torch.equal(tensor, torch.from_numpy(NOISE).permute(2, 0, 1) / 255)
    grey = TransformSpec(size=(28, 28), color="L", mean=(0.1307,), std=(0.3081,))
    assert make_transform(grey, None)(image).shape == (1, 28, 28)


WRONG_SPECS = {
    "no model": (TransformSpec(kind="weights", weights="X"), None, "needs a model from torchvision"),
    "no such model": (TransformSpec(kind="weights", weights="X"), "nope", "no weights for 'nope'"),
    "no such weights": (TransformSpec(kind="weights", weights="X"), "alexnet", "no published weights 'X'"),
    "mean": (TransformSpec(color="L", mean=MEAN), None, "mean has 3 values, the images are L"),
    "std": (TransformSpec(std=(0.0,)), None, "zero or not finite"),
    "module": (
        TransformSpec(kind="python", python_module="no_such", python_name="f"),
        None,
        "importing no_such",
    ),
    "name": (TransformSpec(kind="python", python_module="json", python_name="f"), None, "no callable 'f'"),
    "file": (
        TransformSpec(kind="python", python_file=Path("/x/t.py"), python_name="f"),
        None,
        "no such file: t.py",
    ),
}


@pytest.mark.parametrize("case", WRONG_SPECS)
def test_a_transform_that_cannot_be_made_says_why_and_what_to_do(case: str) -> None:
    spec, model, message = WRONG_SPECS[case]
    with pytest.raises(ImagesError) as caught:
        make_transform(spec, model)
    assert message in caught.value.message
    assert caught.value.hint


WRONG_RESULTS = {
    "return 3": "returned int, expected torch.Tensor",
    "return torch.zeros(1, 3, 4, 4)": "returned shape [1, 3, 4, 4], expected [C, H, W]",
    "return torch.zeros(3, 4, 4, dtype=torch.uint8)": "returned uint8, expected float32",
    "return 1 / 0": "raised ZeroDivisionError: division by zero",
}


@pytest.mark.parametrize("body", WRONG_RESULTS)
def test_a_python_transform_that_returns_nonsense_is_explained(tmp_path: Path, body: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"import torch\n\ndef prepare(image):\n    {body}\n")
    spec = TransformSpec(kind="python", python_file=file, python_name="prepare")
    with pytest.raises(ImagesError) as caught:
        make_transform(spec, None)(Image.fromarray(NOISE))
    assert WRONG_RESULTS[body] in caught.value.message


def test_a_python_transform_may_import_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "beside_it_images.py").write_text("SIDE = 5\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom beside_it_images import SIDE\n\n"
        "def prepare(image):\n    return torch.ones(3, SIDE, SIDE, dtype=torch.float64)\n"
    )
    spec = TransformSpec(kind="python", python_file=file, python_name="prepare")
    tensor = make_transform(spec, None)(Image.fromarray(NOISE))
    assert (tensor.shape, tensor.dtype) == ((3, 5, 5), torch.float32)
    assert str(tmp_path) not in sys.path


# batches


@pytest.fixture
def folder(tmp_path: Path) -> list[ImageRef]:
    """Eleven files of which numbers 0, 4 and 5 cannot be used."""
    files = []
    for number in range(11):
        path = tmp_path / f"{number:02}.png"
        if number in {0, 4, 5}:
            path.write_bytes(b"<html>")
        else:
            Image.new("RGB", (12, 10), (number, 0, 0)).save(path)
        files.append(ref(path))
    return files


SMALL = TransformSpec(size=(4, 4))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_batches_are_full_in_order_and_the_same_for_any_number_of_workers(
    folder: list[ImageRef], workers: int
) -> None:
    batches = ImageBatches(folder, SMALL, batch_size=3, workers=workers, shown=2)
    got = list(batches)
    assert [batch.indices for batch in got] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    reds = torch.cat([batch.tensor for batch in got])[:, 0, 0, 0] * 255
    assert reds.round().tolist() == [1, 2, 3, 6, 7, 8, 9, 10]
    assert [failed.path for failed in batches.failed] == ["00.png", "04.png", "05.png"]
    assert all("starts with '<html>'" in failed.reason for failed in batches.failed)
    files = [file for batch in got for file in batch.files]
    assert [file.name for file in files][:2] == ["01.png", "02.png"]
    assert [file.picture is not None for file in files] == [True, True] + [False] * 6
    assert set(got[0].pictures) == {files[0].picture, files[1].picture}
    assert [batch.indices for batch in batches] == [[0, 1, 2], [3, 4, 5], [6, 7]]  # a second loop
    assert len(batches.failed) == 3


@pytest.mark.skipif(not hasattr(mmap, "MAP_ANONYMOUS"), reason="no pages of one's own on this system")
def test_what_waits_while_the_network_runs_lies_apart_from_the_heap(tmp_path: Path) -> None:
    """Between the tensors of the network it would keep large pieces of the heap from being used again."""
    for number in range(5):
        Image.new("RGB", (160, 160), (number, 0, 0)).save(tmp_path / f"{number}.png")
    spec = TransformSpec(kind="none")
    batches = ImageBatches([ref(tmp_path / f"{n}.png") for n in range(5)], spec, batch_size=2)
    places = [ready.tensor.data_ptr() for ready in batches._in_order()]
    places += [batch.tensor.data_ptr() for batch in batches]
    assert len(places) == 8
    assert not any(place % mmap.PAGESIZE for place in places)


def test_where_the_shape_changes_a_new_batch_begins(tmp_path: Path) -> None:
    refs = []
    for number, width in enumerate([8, 8, 9, 8]):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (width, 8)).save(path)
        refs.append(ref(path))
    got = list(ImageBatches(refs, TransformSpec(kind="none"), batch_size=4))
    assert [batch.indices for batch in got] == [[0, 1], [2], [3]]


def test_when_every_image_fails_there_is_no_batch_and_every_reason(tmp_path: Path) -> None:
    batches = ImageBatches([ref(tmp_path / f"{n}.png") for n in range(5)], SMALL, batch_size=2)
    assert list(batches) == []
    assert [failed.reason for failed in batches.failed] == ["no such file"] * 5


def threads() -> int:
    return sum(thread.name.startswith("featreport-images") for thread in threading.enumerate())


def test_leaving_early_leaves_no_thread_behind(folder: list[ImageRef]) -> None:
    for _ in ImageBatches(folder, SMALL, batch_size=1):
        break
    assert threads() == 0

    def consume() -> None:
        for _ in ImageBatches(folder, SMALL, batch_size=1):
            raise KeyError

    with pytest.raises(KeyError):
        consume()
    assert threads() == 0


def test_a_faulty_transform_ends_the_loop_and_names_the_image(folder: list[ImageRef], tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def prepare(image):\n    return None\n")
    spec = TransformSpec(kind="python", python_file=tmp_path / "bad.py", python_name="prepare")
    with pytest.raises(ImagesError, match=r"returned NoneType.*\(on 01\.png\)"):
        list(ImageBatches(folder, spec, batch_size=4))
    assert threads() == 0


def test_few_images_are_under_way_at_once(folder: list[ImageRef], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = decode

    def count(one: ImageRef, color: Any) -> Decoded:
        seen.append(one.name)
        return original(one, color)

    monkeypatch.setattr("featreport.images.batches.decode", count)
    many = [folder[1]] * 200
    loop = iter(ImageBatches(many, SMALL, batch_size=2))
    next(loop)
    assert len(seen) <= 2 + 1 + 2 * 2
    loop.close()  # type: ignore[attr-defined]


def test_an_absurdly_narrow_image_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "line.png"
    Image.new("L", (60_000, 1)).save(path)
    batches = ImageBatches([ref(path), ref(PHOTOS[0])], TransformSpec(resize=256, crop=224), batch_size=2)
    assert [batch.indices for batch in batches] == [[0]]
    assert "would become" in batches.failed[0].reason


# pictures


def pixels_of(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.partition("base64,")[2])
    with Image.open(BytesIO(content)) as image:
        assert not image.getexif()
        return np.asarray(image.convert("RGB"))


GREYS = [2, 4, 16, 32, 256]


@pytest.mark.parametrize("greys", GREYS)
def test_pictures_are_lossless_and_repeat_byte_for_byte(greys: int) -> None:
    sheet = (NOISE[:, :, 0].astype(int) % greys).astype(np.uint8)
    key, uri = pictures.encode(sheet)
    assert (key, uri) == pictures.encode(sheet.copy())
    assert len(key) == 16
    assert np.array_equal(pixels_of(uri), np.repeat(sheet[:, :, None], 3, axis=2))


def test_colour_pictures_and_very_wide_ones_are_lossless() -> None:
    assert np.array_equal(pixels_of(pictures.encode(NOISE)[1]), NOISE)
    wide = np.zeros((2, 20_000), np.uint8)
    assert pictures.encode(wide)[1].startswith("data:image/png;base64,")


def test_thumbnails_fit_are_never_enlarged_and_carry_no_metadata() -> None:
    photo = Image.open(PHOTOS[1])
    assert pictures.thumbnail(photo).shape == (72, 108, 3)
    assert pictures.thumbnail(Image.new("RGB", (1000, 10))).shape == (1, 144, 3)
    assert pictures.thumbnail(Image.new("L", (28, 28))).shape == (28, 28)
    photo.info["icc_profile"] = b"secret" * 100
    assert b"secret" not in base64.b64decode(pictures.encode_photo(photo)[1].partition(",")[2])


def one_scale(made: pictures.MapSprite, row: int, column: int) -> NDArray[np.float64]:
    """A tile under its veil, as the page shows it: 0 is the scale's low end, 1 its high end."""
    height, width = made.tile
    y, x = row * (height + 1), column * (width + 1)
    grey, opacity = made.veil[row, column] / 255
    return made.sprite[y : y + height, x : x + width] / 255 * (1 - opacity) + grey * opacity


@pytest.mark.parametrize("levels", [16, 256])
def test_maps_stand_where_promised_in_their_own_contrast_and_under_the_veil_on_one_scale(levels: int) -> None:
    maps = (
        np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
        * np.array([1, 0.1, 4])[:, None, None]
    )
    low, high = float(maps.min()), float(maps.max())
    made = pictures.sprite_of_maps(maps, low, high, levels=levels)
    assert (made.sprite.shape, made.tile, made.veil.shape) == ((2 * 5 - 1, 3 * 6 - 1), [4, 5], (2, 3, 2))
    unit = (maps - low) / (high - low)
    for row in range(2):
        for column in range(3):
            tile = made.sprite[row * 5 : row * 5 + 4, column * 6 : column * 6 + 5]
            assert (tile.min(), tile.max()) == (0, 255)  # its own contrast
            span = np.ptp(unit[row, column])
            allowed = span * 1.5 / (levels - 1) + 2.5 / 255  # a step of its own, and the veil's rounding
            assert np.abs(one_scale(made, row, column) - unit[row, column]).max() <= allowed


def test_a_flat_map_keeps_its_grey_in_either_contrast() -> None:
    maps = np.zeros((1, 3, 2, 2), np.float32)
    maps[0, 1] = 0.5
    maps[0, 2, 0, 0] = 1.0
    made = pictures.sprite_of_maps(maps, 0.0, 1.0, levels=256)
    assert made.veil[0, :, 1].tolist() == [0, 0, 0]
    assert [one_scale(made, 0, column).mean() for column in range(2)] == pytest.approx([0, 128 / 255])


def test_greys_are_few_and_black_means_exactly_low() -> None:
    values = np.linspace(0, 1, 1000, dtype=np.float32)
    values[1] = 1e-30
    sprite = pictures.sprite_of_maps(values.reshape(1, 1, 25, 40), 0.0, 1.0).sprite
    greys = np.unique(sprite)
    assert (len(greys), greys[0], greys[-1]) == (16, 0, 255)
    assert sprite[0, 0] == 0
    assert sprite[0, 1] > 0


def test_large_maps_are_averaged_over_areas() -> None:
    board = np.indices((96, 192)).sum(0) % 2
    made = pictures.sprite_of_maps(board[None, None].astype(np.float32), 0, 1, levels=256)
    assert made.tile == [24, 48]
    assert set(np.unique(made.sprite)) == {128}


SPECIAL = {
    "nan is black": (np.nan, 0.0, 1.0, 0),
    "inf is white": (np.inf, 0.0, 1.0, 255),
    "minus inf is black": (-np.inf, 0.0, 1.0, 0),
    "all zero is black": (0.0, 0.0, 0.0, 0),
    "constant is mid grey": (3.0, 3.0, 3.0, 136),
    "no overflow": (3e38, -3.4e38, 3.4e38, 238),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_special_values_have_a_stated_grey(case: str) -> None:
    value, low, high, grey = SPECIAL[case]
    sprite = pictures.sprite_of_maps(np.full((1, 1, 2, 2), value, np.float32), low, high).sprite
    assert set(np.unique(sprite)) == {grey}


def test_units_are_wrapped_in_order_one_row_per_image() -> None:
    values = np.array([[0, 1, 2, 3, 4], [5, 5, 5, 5, 5]], np.float32)
    sprite, tile = pictures.strip_of_units(values, 0, 5, 3, levels=6)
    gap = 132
    assert tile == [2, 3]
    assert sprite.tolist() == [[0, 51, 102], [153, 204, gap], [gap] * 3, [255] * 3, [255, 255, gap]]


@pytest.mark.parametrize("inputs", [1, 3])
def test_kernels_are_symmetric_about_mid_grey(inputs: int) -> None:
    weight = np.zeros((20, inputs, 2, 2), np.float32)
    weight[0, 0, 0], weight[17, 0, 1, 1] = (-2, 2), 1
    sprite, tile, columns, limit, shown = pictures.kernel_sprite(weight)
    assert (tile, columns, limit, shown) == ([2, 2], 16, 2.0, 20)
    assert sprite.shape[:2] == (2 * 3 - 1, 16 * 3 - 1)
    plane = sprite if inputs == 1 else sprite[:, :, 0]
    assert plane[0, :2].tolist() == [1, 255]
    assert plane[4, 4] == 192
    assert plane[1, 1] == 128


def test_kernels_show_at_most_64_filters_and_refuse_other_shapes() -> None:
    assert pictures.kernel_sprite(np.ones((96, 3, 11, 11))).shown == 64
    assert set(np.unique(pictures.kernel_sprite(np.zeros((4, 1, 3, 3))).sprite)) == {128}
    for shape in [(4, 2, 3, 3), (4, 3, 3), (0, 3, 3, 3)]:
        with pytest.raises(ValueError, match="expected filters"):
            pictures.kernel_sprite(np.ones(shape))


def test_decoding_and_pictures_need_no_torch() -> None:
    code = (
        "import sys, featreport.images.decode, featreport.images.pictures; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
