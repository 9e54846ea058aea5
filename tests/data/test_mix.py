import pytest
import torch

from effsearch.data.mix import Mix

COUNT, CLASSES = 8, 3
LABELS = torch.arange(COUNT) % CLASSES


def flat() -> torch.Tensor:
    """Images each of one value, their own number."""
    numbers = torch.arange(COUNT, dtype=torch.float32).view(COUNT, 1, 1, 1)
    return numbers.expand(COUNT, 3, 16, 16).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_labels_say_how_much_of_each_image_is_there(mixup, cutmix):
    torch.manual_seed(0)
    mix, seen = Mix(mixup, cutmix, CLASSES), set()
    for _ in range(30):
        images, shares = mix(flat(), LABELS)
        assert images.shape == (COUNT, 3, 16, 16)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert shares.shape == (COUNT, CLASSES)
        assert torch.allclose(shares.sum(1), torch.ones(COUNT))
        other = torch.arange(COUNT).roll(1)
        kept = shares[1, LABELS[1]].item()  # Image 1 is mixed with image 0, of another class.
        own, others = torch.arange(COUNT, dtype=torch.float32), other.float()
        assert torch.allclose(images.mean((1, 2, 3)), kept * own + (1 - kept) * others, atol=1e-4)
        seen.add("cutmix" if set(images[1].unique().tolist()) <= {0.0, 1.0} and 0 < kept < 1 else "mixup")
    assert seen == {name for name, alpha in (("mixup", mixup), ("cutmix", cutmix)) if alpha}
