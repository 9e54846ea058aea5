from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effsearch.data import info, load, prepare
from effsearch.data.sources import decode, square

RED = (255, 0, 0)


def halves(width: int = 32, height: int = 32) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste(RED, (0, 0, width // 2, height))
    return image


def test_an_image_of_the_right_size_is_kept_to_the_bit(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded, enlarged = decode(tmp_path / "a.png", 16)
    np.testing.assert_array_equal(decoded, pixels)
    assert not enlarged


@pytest.mark.parametrize("size", [(64, 32), (32, 64)])
def test_the_centre_is_what_remains(size):
    image = Image.new("RGB", size, "white")
    left, top = (size[0] - 32) // 2, (size[1] - 32) // 2
    image.paste(RED, (left, top, left + 32, top + 32))
    pixels = square(image, 16)[0].astype(int)
    assert np.all(pixels[2:-2, 2:-2] == RED)
    assert np.abs(pixels - RED).max() < 40  # the filter reads a little of what lies beyond the border


def test_shrinking_averages(tmp_path):
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    pixels, _ = square(Image.fromarray(checks), 8)
    assert np.all(np.abs(pixels.astype(int) - 127) <= 2)


def test_enlarging_is_told():
    assert square(halves(), 64)[1]
    assert square(halves(), 64)[0].shape == (64, 64, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste(RED, (8, 0, 24, 16))
    # Stored so that a viewer that honours the tag shows `upright`.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    pixels = decode(tmp_path / f"a.{suffix}", 32)[0].astype(int)
    assert np.abs(pixels[4:12, 4:12] - RED).max() < 60
    assert np.abs(pixels[20:28, 20:28] - 255).max() < 60
    assert np.abs(pixels[4:12, 20:28] - 255).max() < 60


def test_cmyk_becomes_rgb(tmp_path):
    halves().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    pixels = decode(tmp_path / "a.jpg", 32)[0].astype(int)
    assert np.abs(pixels[16, 4] - RED).max() < 30


def test_a_palette_becomes_rgb(tmp_path):
    halves().convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 32)[0][16, 4].tolist() == list(RED)


@pytest.mark.parametrize("transparency", [bytes([0, 255]), 0])
def test_transparent_palette_entries_become_white(tmp_path, transparency):
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, *RED])
    image.paste(0, (0, 0, 8, 16))
    image.save(tmp_path / "a.png", transparency=transparency)
    pixels = decode(tmp_path / "a.png", 16)[0]
    assert pixels[8, 2].tolist() == [255, 255, 255]
    assert pixels[8, 13].tolist() == list(RED)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_white(tmp_path, mode):
    image = Image.new(mode, (16, 16), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    image.save(tmp_path / "a.png")
    assert np.all(decode(tmp_path / "a.png", 16)[0] == 255)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_greys_keep_their_upper_bits(tmp_path, suffix):
    Image.fromarray(np.full((16, 16), 0x80FF, np.uint16)).save(tmp_path / f"a.{suffix}")
    assert np.all(decode(tmp_path / f"a.{suffix}", 16)[0] == 0x80)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_greys_become_rgb(tmp_path, mode):
    Image.new("L", (16, 16), 255).convert(mode).save(tmp_path / "a.png")
    assert np.all(decode(tmp_path / "a.png", 16)[0] == 255)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert np.all(decode(tmp_path / "a.gif", 16)[0] == RED)


def test_two_pictures_in_one_jpeg_give_the_first(tmp_path):
    halves().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (32, 32))], quality=95)
    assert np.abs(decode(tmp_path / "a.jpg", 32)[0][16, 4].astype(int) - RED).max() < 30


def test_a_large_jpeg_is_not_decoded_in_full(tmp_path, monkeypatch):
    halves(1600, 1200).save(tmp_path / "a.jpg")
    sizes = []
    load_pixels = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, *rest, **named: sizes.append(self.size) or load_pixels(self, *rest, **named)
    )
    pixels, enlarged = decode(tmp_path / "a.jpg", 48)
    assert sizes[0] == (200, 150)
    assert np.abs(pixels[24, 4].astype(int) - RED).max() < 8
    assert not enlarged


def test_unusable_images_are_skipped_and_named(make_tree, cache, monkeypatch):
    root = make_tree({"cat": 8, "dog": 8})
    Image.new("RGB", (300, 7)).save(root / "cat" / "flat.png")
    Image.fromarray(np.zeros((16, 16), np.float32)).save(root / "cat" / "float.tif")
    (root / "cat" / "text.jpg").write_text("not an image")
    (root / "cat" / "void.jpg").write_bytes(b"")
    halves().save(root / "dog" / "whole.jpg")
    whole = (root / "dog" / "whole.jpg").read_bytes()
    (root / "dog" / "cut.jpg").write_bytes(whole[:-40])
    Image.new("RGB", (200, 200)).save(root / "dog" / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)

    about = info(prepare(root, 16, cache=cache))

    reasons = dict(about.skipped)
    assert reasons.pop("cat/flat.png") == "300 x 7 pixels, where the shorter side must be at least 8"
    assert reasons.pop("cat/float.tif") == "pixels are 32-bit floats, whose range is not known"
    assert reasons.pop("cat/text.jpg") == reasons.pop("cat/void.jpg") == "not an image of a known format"
    assert "truncated" in reasons.pop("dog/cut.jpg").lower()
    assert "decompression bomb" in reasons.pop("dog/bomb.png")
    assert not reasons
    assert sum(about.counts.values()) == 17
    assert about.skipped_message().startswith("6 images were skipped: ")
    assert about.skipped_message().endswith(" and 3 more")


def test_labels_stay_with_their_images_when_others_are_skipped(tmp_path, cache):
    for name, colour in (("blue", (0, 0, 255)), ("red", RED)):
        for split, count in (("train", 20), ("test", 4)):
            folder = tmp_path / "colours" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (12, 12), colour).save(folder / f"{index:02d}.png")
            (folder / "00a.png").write_text("damaged")
    images = load(prepare(tmp_path / "colours", 8, cache=cache))
    for split in (images.train, images.validation):
        red = split.images(np.arange(len(split)))[:, 0, 0, 0] == 255
        np.testing.assert_array_equal(red, split.labels == 1)
    assert len(images.train) + len(images.validation) == 40


def test_a_renamed_file_of_another_kind_never_reaches_its_decoder(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n")
    with pytest.raises(OSError, match="cannot identify"):
        decode(tmp_path / "a.jpg", 16)
