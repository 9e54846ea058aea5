import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from effsearch.data import Augmentation
from effsearch.data.augment import augment, normalise
from effsearch.errors import QuantityError
from effsearch.normalisation import IMAGENET

NOTHING = Augmentation(flip=False, crop="none")
KINDS = [
    NOTHING,
    Augmentation(),
    Augmentation(crop="resized"),
    Augmentation(colour=0.4),
    Augmentation(crop="resized", colour=0.4),
]


def noise(n: int = 6, size: int = 16, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bytes_of(images: Tensor) -> Tensor:
    """Undoes the normalisation: (N, 3, R, R) -> (N, R, R, 3) in 0..255."""
    return images.permute(0, 2, 3, 1) * torch.tensor(IMAGENET.std) + torch.tensor(IMAGENET.mean)


def test_normalise_is_exact_on_known_pixels():
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat(1, 8, 8, 1)
    expected = torch.tensor([(0 / 255 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (255 / 255 - 0.406) / 0.225])
    torch.testing.assert_close(normalise(pixels, 8), expected[None, :, None, None].expand(1, 3, 8, 8))
    # A change of size keeps a flat image flat.
    torch.testing.assert_close(normalise(pixels, 5)[0, :, 2, 2], expected)


@pytest.mark.parametrize(("size", "resolution"), [(32, 12), (24, 48), (17, 16), (64, 9)])
def test_a_change_of_size_is_torchs_antialiased_bilinear(size, resolution):
    pixels = noise(2, size)
    expected = functional.interpolate(
        pixels.permute(0, 3, 1, 2).float(), size=resolution, mode="bilinear", antialias=True, align_corners=False
    )
    torch.testing.assert_close(
        bytes_of(normalise(pixels, resolution)), expected.permute(0, 2, 3, 1), atol=1e-3, rtol=1e-4
    )


def test_a_change_of_size_is_pillows_bilinear():
    pixels = noise(1, 40)
    expected = np.asarray(Image.fromarray(pixels[0].numpy()).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.abs(bytes_of(normalise(pixels, 16))[0].numpy() - expected).max() < 1.5


@pytest.mark.parametrize("augmentation", KINDS)
@pytest.mark.parametrize(("size", "resolution"), [(16, 16), (24, 16), (16, 20)])
def test_shape_and_format(augmentation, size, resolution):
    images = augment(noise(5, size), resolution, augmentation, generator())
    assert images.shape == (5, 3, resolution, resolution)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.isfinite(images).all()
    assert normalise(noise(5, size), resolution).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("augmentation", KINDS[1:])
def test_the_generator_alone_decides(augmentation):
    first = augment(noise(), 16, augmentation, generator(3))
    torch.rand(5)
    assert torch.equal(first, augment(noise(), 16, augmentation, generator(3)))
    assert not torch.equal(first, augment(noise(), 16, augmentation, generator(4)))


@pytest.mark.parametrize("augmentation", KINDS)
def test_an_image_is_changed_whatever_else_is_in_the_batch(augmentation):
    pixels, others = noise(), noise(seed=1)
    others[2] = pixels[2]
    one, other = (augment(batch, 16, augmentation, generator(5)) for batch in (pixels, others))
    torch.testing.assert_close(one[2], other[2])


@pytest.mark.parametrize("augmentation", KINDS)
def test_the_pixels_given_are_not_changed(augmentation):
    pixels = noise()
    augment(pixels, 16, augmentation, generator())
    assert torch.equal(pixels, noise())


def test_nothing_is_normalise():
    assert torch.equal(augment(noise(), 16, NOTHING, generator()), normalise(noise(), 16))


def test_about_half_are_mirrored_and_only_mirrored():
    pixels = noise(200, 8)
    images = augment(pixels, 8, Augmentation(crop="none"), generator())
    plain = normalise(pixels, 8)
    mirrored = [torch.equal(image, original.flip(2)) for image, original in zip(images, plain, strict=True)]
    kept = [torch.equal(image, original) for image, original in zip(images, plain, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130


def test_pad_shifts_by_whole_pixels_and_reflects():
    pixels = noise(300, 8)
    images = augment(pixels, 8, Augmentation(flip=False, pad=0.25), generator())
    padded = functional.pad(normalise(pixels, 8).contiguous(), (2, 2, 2, 2), mode="reflect")
    seen = set()
    for image, wide in zip(images, padded, strict=True):
        places = [
            (dy, dx) for dy in range(5) for dx in range(5) if torch.equal(image, wide[:, dy : dy + 8, dx : dx + 8])
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 25


def test_a_resized_crop_of_everything_is_a_change_of_aspect_at_most():
    ramp = torch.arange(32, dtype=torch.uint8).mul(8)[None, :, None].expand(32, 32, 3).repeat(50, 1, 1, 1)
    images = bytes_of(augment(ramp, 32, Augmentation(flip=False, crop="resized", scale_min=1.0), generator()))
    wide = images[:, 0, -1, 0] - images[:, 0, 0, 0]
    assert wide.max() <= 248.01
    assert wide.min() >= 248 * (3 / 4) ** 0.5 - 8.5
    # Every row of a horizontal ramp is the same, whatever was cropped.
    assert (images - images[:, :1]).abs().max() < 1e-2


def test_resized_crops_cover_the_areas_asked_for():
    places = torch.stack(torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij"), 2).mul(4)
    pixels = torch.cat([places, places[:, :, :1]], 2).to(torch.uint8).repeat(400, 1, 1, 1)
    images = bytes_of(augment(pixels, 64, Augmentation(crop="resized", scale_min=0.25), generator()))
    tall = (images[:, -1, 0, 0] - images[:, 0, 0, 0]) / 4 * 64 / 63
    wide = (images[:, 0, -1, 1] - images[:, 0, 0, 1]).abs() / 4 * 64 / 63
    area = tall * wide / 64**2
    assert 0.22 < area.min() < 0.3
    assert area.max() > 0.9
    # Boxes cut at the border exceed neither aspect.
    assert (tall / wide).max() < 1.4
    assert (wide / tall).max() < 1.4
    mirrored = images[:, 0, 0, 1] > images[:, 0, -1, 1]
    assert 150 < mirrored.sum() < 250


def test_colour_leaves_grey_grey_and_stays_in_range():
    grey = torch.randint(0, 256, (20, 8, 8, 1), dtype=torch.uint8, generator=generator()).expand(-1, -1, -1, 3)
    images = bytes_of(augment(grey, 8, Augmentation(flip=False, crop="none", colour=0.5), generator()))
    assert (images.amax(3) - images.amin(3)).max() < 1e-2
    assert images.min() >= -1e-3
    assert images.max() <= 255 + 1e-3
    assert (images.mean((1, 2, 3)) - grey.float().mean((1, 2, 3))).abs().max() > 10


def test_what_is_switched_on_does_not_change_the_other_draws():
    pixels = noise(20)
    plain = augment(pixels, 16, Augmentation(), generator())
    shifted = augment(pixels, 16, Augmentation(flip=False), generator())
    assert sum(torch.equal(a, b) for a, b in zip(plain, shifted, strict=True)) >= 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"crop": "random"}, "crop is 'random'; it may be pad, resized or none"),
        ({"pad": 0.6}, "pad is 0.6"),
        ({"scale_min": 0.0}, "scale_min is 0.0"),
        ({"colour": 1.0}, "colour is 1.0"),
        ({"pad": float("nan")}, "pad is nan"),
    ],
)
def test_values_out_of_range_are_refused(value, message):
    with pytest.raises(QuantityError, match=message):
        Augmentation(**value)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("augmentation", KINDS)
@pytest.mark.parametrize("resolution", [16, 24])
def test_cuda_gives_what_the_cpu_gives(augmentation, resolution):
    images = augment(noise().cuda(), resolution, augmentation, generator(7))
    assert images.is_cuda
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        images.cpu(), augment(noise(), resolution, augmentation, generator(7)), atol=1e-3, rtol=0
    )
    on_device = augment(noise().cuda(), resolution, augmentation, torch.Generator("cuda").manual_seed(7))
    assert on_device.shape == images.shape
