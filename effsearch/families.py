"""Known architectures as values, each with its source."""

from effsearch.architecture import Architecture, Stage, Stem

EFFICIENTNET_B0 = Architecture(
    # 1905.11946, table 1.
    stem=Stem(channels=32),
    stages=(
        Stage("mbconv", 3, 1, 1, 16, 1, 0.25),
        Stage("mbconv", 3, 2, 6, 24, 2, 0.25),
        Stage("mbconv", 5, 2, 6, 40, 2, 0.25),
        Stage("mbconv", 3, 2, 6, 80, 3, 0.25),
        Stage("mbconv", 5, 1, 6, 112, 3, 0.25),
        Stage("mbconv", 5, 2, 6, 192, 4, 0.25),
        Stage("mbconv", 3, 1, 6, 320, 1, 0.25),
    ),
    head=1280,
    activation="silu",
)

MNASNET_A1 = Architecture(
    # 1807.11626, figure 7.
    stem=Stem(channels=32),
    stages=(
        Stage("separable", 3, 1, 1, 16, 1),
        Stage("mbconv", 3, 2, 6, 24, 2),
        Stage("mbconv", 5, 2, 3, 40, 3, 0.25),
        Stage("mbconv", 3, 2, 6, 80, 4),
        Stage("mbconv", 3, 1, 6, 112, 2, 0.25),
        Stage("mbconv", 5, 2, 6, 160, 3, 0.25),
        Stage("mbconv", 3, 1, 6, 320, 1),
    ),
    head=1280,
    activation="relu",
)

FAMILIES: dict[str, Architecture] = {"b0": EFFICIENTNET_B0, "mnasnet_a1": MNASNET_A1}

_ALIASES = {"efficientnet_b0": "b0", "efficientnetb0": "b0", "mnasnet": "mnasnet_a1", "mnasneta1": "mnasnet_a1"}


def find(name: str) -> Architecture | None:
    """The architecture of that name (case, - and _ do not matter), or None."""
    plain = name.lower().replace("-", "_")
    return FAMILIES.get(_ALIASES.get(plain, plain))


def name_of(architecture: Architecture) -> str | None:
    """The name of a known architecture or None."""
    for name, known in FAMILIES.items():
        if known.key == architecture.key:
            return name
    return None
