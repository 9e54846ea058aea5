"""Finds a convolutional network for a compute budget, and trains, ranks and shows what it finds."""

__version__ = "0.1.0"
