"""The error of a corrupt checkpoint, in a module that does not import torch."""


class DamagedCheckpoint(Exception):
    """The state of a training is corrupt, belongs to another network, or is further than the epochs asked for."""
