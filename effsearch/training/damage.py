"""A checkpoint that cannot be used, named without importing torch."""


class DamagedCheckpoint(Exception):
    """The state of a training that is not whole, is of another network, or has come further than is asked for."""
