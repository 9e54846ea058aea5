"""`scenes`, the embedded image set: synthetic pictures of one textured body among clutter, drawn by numpy.

The class is the body's outline and its texture; everything else (colours, place, size, rotation, light, clutter, a bar
in front, blur, noise) is drawn independently of it. Each image has a hardness: easy ones are near templates of their
class, from which a network soon begins to learn, and the hardest are almost lost in noise. Lengths are in scene units
on [-1, 1]^2; edges and waves are anti-aliased in closed form, so a scene is the same at any resolution and more pixels
tell more. No image is taken from anywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from effsearch.data.imageset import Labels, Pixels

Field = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]
Shape = Callable[..., Field]

TRAIN = 20_000
TEST = 4_000
VERSION = "2"

CHUNK = 64  # images drawn at once: their float32 planes stay in the processor's cache up to about 64 px
BLUR_OF_A_PIXEL = 0.4  # standard deviation, in pixels, of the Gaussian that stands for the pixel's own area
WAVES, BLOBS = 3, 5
RIM = 0.03
SHARED = 2 / 3  # how much of the hardness of one property is that of its image; the rest is the property's own
_SPLITS = {"train": 0, "test": 1}


@dataclass(frozen=True)
class Ranges:
    """What the parameters of a scene are drawn from; colours and amplitudes are on [0, 1].

    Some depend on the hardness: they go from the first value (easy) to the second in the logarithm, or are drawn from
    plus or minus the one value times the hardness. The others are uniform between the two, or plus or minus the one,
    or uniform in the logarithm where a comment says so.
    """

    # Dependent on the hardness: the body, and the noise over all.
    size: tuple[float, float] = (0.95, 0.48)  # half-width
    contrast: tuple[float, float] = (0.5, 0.08)  # against the background
    texture: tuple[float, float] = (0.5, 0.04)  # amplitude
    noise: tuple[float, float] = (0.01, 0.17)  # of each pixel, standard deviation
    frequency: tuple[float, float, float] = (1.0, 2.0, 8.0)  # cycles of the texture per unit: coarse, easy, fine
    place: float = 0.2  # of the centre
    rotation: float = 20.0  # degrees
    stretch: float = 0.12  # in the logarithm
    phase: float = 1.2  # radians; of the texture in the middle of the body
    # Independent of it: the background, and what is in front.
    ground: tuple[float, float] = (0.28, 0.42)
    hue: float = 0.07  # of the background, each channel
    wave: tuple[float, float] = (0.01, 0.08)  # log; amplitude of a background wave
    wave_frequency: tuple[float, float] = (0.2, 1.5)  # log; cycles per unit
    blob: tuple[float, float] = (0.08, 0.3)  # log; radius
    clutter: tuple[float, float] = (0.15, 0.5)  # log; blobs and bar against the background
    bar: tuple[float, float] = (0.03, 0.12)  # half-width
    bar_share: float = 0.4  # of the images
    light: float = 0.1  # overall, and its slope along either axis
    blur: tuple[float, float] = (0.004, 0.03)  # log; standard deviation


RANGES = Ranges()


def draw(split: str, indices: npt.NDArray[np.integer], resolution: int, seed: int = 0) -> tuple[Pixels, Labels]:
    """Draws images `indices` of a split ("train" or "test"): (N, R, R, 3) and their labels (N,).

    An image depends on (seed, split, index) alone, not on what else is drawn with it.
    """
    numbers = np.asarray(indices).astype(np.int64)
    labels: Labels = numbers % len(CLASSES)
    keys = _keys(seed, _SPLITS[split], numbers)
    images: Pixels = np.empty((len(numbers), resolution, resolution, 3), dtype=np.uint8)
    for at in range(0, len(numbers), CHUNK):
        part = slice(at, at + CHUNK)
        images[part] = _paint(Draws(keys[part]), labels[part], resolution)
    return images, labels


def hardness(split: str, indices: npt.NDArray[np.integer], seed: int = 0) -> Field:
    """How hard the images are, from 0 (easy) to 1: (N,), uniform and independent of the label."""
    return Draws(_keys(seed, _SPLITS[split], np.asarray(indices).astype(np.int64))).hardness.reshape(-1)


def _mix(x: Keys) -> Keys:
    """The finaliser of splitmix64 (Steele et al., 2014): a bijection of 64-bit integers that scrambles every bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _keys(seed: int, split: int, indices: npt.NDArray[np.int64]) -> Keys:
    golden = np.uint64(0x9E3779B97F4A7C15)
    start = np.array([(seed * 2 + split + 1) & 0xFFFF_FFFF_FFFF_FFFF], dtype=np.uint64)
    return _mix(_mix(start * golden) + (indices.astype(np.uint64) + np.uint64(1)) * golden)


class Draws:
    """The random numbers of some images, counter-based: each call takes the next numbers of every image at once.

    `hardness` (N, 1, 1, 1) is uniform on [0, 1].
    """

    def __init__(self, keys: Keys) -> None:
        self.keys, self.count = keys, 0
        self.hardness = self.uniform(0, 1)

    def uniform(self, low: float, high: float, per_image: int = 1) -> Field:
        """(N, per_image, 1, 1), so that it broadcasts against planes (N, 1, R, R)."""
        numbers = np.arange(self.count + 1, self.count + 1 + per_image, dtype=np.uint64)
        self.count += per_image
        bits = _mix(self.keys[:, None] + numbers * np.uint64(0xD1B54A32D192ED03))
        unit = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return (np.float32(low) + np.float32(high - low) * unit)[:, :, None, None]

    def log_uniform(self, low: float, high: float) -> Field:
        return np.exp(self.uniform(np.log(low), np.log(high)))

    def hard(self) -> Field:
        """The hardness of one property, on [0, 1]: that of the image and the property's own."""
        return np.float32(SHARED) * self.hardness + np.float32(1 - SHARED) * self.uniform(0, 1)

    def towards(self, easy: float, hard: float) -> Field:
        """From the easy end to the hard end, in the logarithm."""
        return np.asarray(np.float32(easy) * np.exp(self.hard() * np.float32(np.log(hard / easy))))

    def around(self, limit: float) -> Field:
        """Plus or minus up to `limit`, less in an easy image."""
        return self.hard() * self.uniform(-limit, limit)

    def noise(self, resolution: int) -> Field:
        """(N, 3, R, R): uniform with mean 0 and standard deviation 1, a new number for every pixel and channel."""
        pixels = np.arange(resolution * resolution, dtype=np.uint32).reshape(1, resolution, resolution)
        bits = (self.keys >> np.uint64(32)).astype(np.uint32)[:, None, None] ^ (pixels * np.uint32(0x9E3779B1))
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
        bits ^= bits >> np.uint32(16)
        tens = np.stack([(bits >> np.uint32(10 * c)) & np.uint32(1023) for c in range(3)], axis=1)
        return (tens.astype(np.float32) - np.float32(511.5)) * np.float32(12**0.5 / 1024)


@dataclass(frozen=True)
class Canvas:
    """Pixel centres in scene units (1, 1, R, R) and the Gaussian blur of each image (N, 1, 1, 1)."""

    x: Field
    y: Field
    sigma: Field

    def cover(self, distance: Field) -> Field:
        """How much of a pixel lies inside an edge at signed `distance`: a smooth step as wide as the blur."""
        t = np.clip(distance * (np.float32(-0.25) / self.sigma) + np.float32(0.5), 0, 1)
        return t * t * (3 - 2 * t)

    def seen(self, wave: Field, frequency: Field) -> Field:
        """A wave of frequency f after the blur, which multiplies it by exp(-2 pi^2 f^2 sigma^2)."""
        return np.asarray(wave * np.exp(-2 * (np.float32(np.pi) * frequency * self.sigma) ** 2))


def _paint(draws: Draws, labels: Labels, resolution: int) -> Pixels:
    centres = ((np.arange(resolution, dtype=np.float32) + 0.5) * (2 / resolution) - 1).astype(np.float32)
    sigma = np.sqrt(draws.log_uniform(*RANGES.blur) ** 2 + np.float32((2 / resolution * BLUR_OF_A_PIXEL) ** 2))
    canvas = Canvas(centres[None, None, None, :], centres[None, None, :, None], sigma)
    ground = draws.uniform(*RANGES.ground) + draws.uniform(-RANGES.hue, RANGES.hue, 3)
    image = np.broadcast_to(ground, (len(labels), 3, resolution, resolution)).copy()
    for _ in range(WAVES):
        image += _wave(draws, canvas)
    layers = (*_blobs(draws, canvas, ground), _body(draws, canvas, labels, ground), _bar(draws, canvas, ground))
    for cover, colour in layers:
        image += cover * (colour - image)
    level, across, down = (draws.uniform(-RANGES.light, RANGES.light) for _ in range(3))
    image *= 1 + level + across * canvas.x + down * canvas.y
    image += draws.towards(*RANGES.noise) * draws.noise(resolution)
    return np.clip(image * 255 + np.float32(0.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def _wave(draws: Draws, canvas: Canvas) -> Field:
    frequency = draws.log_uniform(*RANGES.wave_frequency)
    angle, phase = draws.uniform(0, np.pi), draws.uniform(0, 2 * np.pi)
    along = np.cos(angle) * canvas.x + np.sin(angle) * canvas.y
    tint = draws.log_uniform(*RANGES.wave) * (1 + draws.uniform(-0.5, 0.5, 3))
    return tint * canvas.seen(np.sin(np.float32(2 * np.pi) * frequency * along + phase), frequency)


def _blobs(draws: Draws, canvas: Canvas, ground: Field) -> Iterator[tuple[Field, Field]]:
    """Clutter behind the body: none to `BLOBS` ellipses."""
    number = draws.uniform(0, BLOBS + 1)
    for at in range(BLOBS):
        x, y = canvas.x - draws.uniform(-1, 1), canvas.y - draws.uniform(-1, 1)
        angle, stretch = draws.uniform(0, np.pi), draws.uniform(1, 2)
        across, along = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        distance = np.sqrt((across * stretch) ** 2 + (along / stretch) ** 2) - draws.log_uniform(*RANGES.blob)
        colour = _other(draws, ground)
        yield canvas.cover(distance) * (number > at + 1), colour


def _other(draws: Draws, ground: Field) -> Field:
    """A colour lighter or darker than `ground`."""
    sign = np.where(draws.uniform(0, 1) < 0.5, np.float32(1), np.float32(-1))
    return _tinted(draws, ground, sign * draws.log_uniform(*RANGES.clutter))


def _tinted(draws: Draws, ground: Field, step: Field) -> Field:
    """A colour that differs from `ground` by `step`, and a little in hue."""
    return np.clip(ground + step * (1 + draws.uniform(-0.6, 0.6, 3)), 0, 1)


def _bar(draws: Draws, canvas: Canvas, ground: Field) -> tuple[Field, Field]:
    shown = draws.uniform(0, 1) < RANGES.bar_share
    angle = draws.uniform(0, np.pi)
    offset = np.cos(angle) * canvas.x + np.sin(angle) * canvas.y - draws.uniform(-0.6, 0.6)
    return canvas.cover(np.abs(offset) - draws.uniform(*RANGES.bar)) * shown, _other(draws, ground)


def _body(draws: Draws, canvas: Canvas, labels: Labels, ground: Field) -> tuple[Field, Field]:
    """The body, which carries the label: its cover, and its colours with a rim of any darkness."""
    size, stretch = draws.towards(*RANGES.size), np.exp(draws.around(RANGES.stretch))
    x, y = canvas.x - draws.around(RANGES.place), canvas.y - draws.around(RANGES.place)
    angle = np.float32(np.pi / 180) * draws.around(RANGES.rotation)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    distance = size * _by(labels // len(TEXTURES), BODIES, u / (size * stretch), v / size * stretch)

    coarse, easy, fine = RANGES.frequency
    frequency = easy * np.exp(draws.hard() * draws.uniform(np.log(coarse / easy), np.log(fine / easy)))
    pitch, phase = np.float32(2 * np.pi) * frequency, draws.around(RANGES.phase)
    pattern = canvas.seen(_by(labels % len(TEXTURES), TEXTURES, pitch * u, pitch * v, phase), frequency)
    amplitude = draws.towards(*RANGES.texture) * (1 + draws.uniform(-0.5, 0.5, 3))
    fill = _tinted(draws, ground, draws.towards(*RANGES.contrast)) + amplitude * pattern
    fill *= 1 - draws.uniform(0, 1) * canvas.cover(-distance - np.float32(RIM))
    return canvas.cover(distance), fill


def _by(kinds: Labels, functions: Mapping[str, Shape], *planes: Field) -> Field:
    """Evaluates for every image the function whose index is its kind."""
    out = np.empty(np.broadcast_shapes(*(plane.shape for plane in planes)), dtype=np.float32)
    for kind, function in enumerate(functions.values()):
        chosen = kinds == kind
        if chosen.any():
            out[chosen] = function(*(plane[chosen] for plane in planes))
    return out


def _star(u: Field, v: Field) -> Field:
    """Five points: within each fifth of a turn the edge is one straight line from a tip to a notch."""
    sector = np.float32(2 * np.pi / 5)
    angle = np.arctan2(u, -v)
    folded = np.abs(angle - sector * np.round(angle / sector))
    return np.sqrt(u * u + v * v) * np.cos(folded - np.float32(1.1)) - np.float32(0.45)


def _triangle(u: Field, v: Field) -> Field:
    slope: Field = np.float32(0.894) * np.abs(u) - np.float32(0.447) * v - np.float32(0.4)
    return np.asarray(np.maximum(slope, v - np.float32(0.8)))


def _checks(u: Field, v: Field, phase: Field) -> Field:
    # Two waves at right angles, each of 0.71 times the frequency, hold a wave of the frequency itself on the diagonals.
    side = np.float32(0.5**0.5)
    return np.asarray(np.cos(side * u + phase) * np.cos(side * v + phase) / side)


BODIES: Mapping[str, Shape] = {
    "disc": lambda u, v: np.sqrt(u * u + v * v) - np.float32(0.85),
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) - np.float32(0.75),
    "triangle": _triangle,
    "star": _star,
}
"""Signed distances from the outline of a body of half-width 1, negative inside."""
TEXTURES: Mapping[str, Shape] = {
    "striped": lambda u, v, phase: np.cos(u + phase),
    "barred": lambda u, v, phase: np.cos(v + phase),
    "checked": _checks,
    "ringed": lambda u, v, phase: np.cos(np.sqrt(u * u + v * v) + phase),
}
CLASSES = tuple(f"{texture} {body}" for body in BODIES for texture in TEXTURES)
