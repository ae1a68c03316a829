"""Weights of large networks, which no file holds: they come from a hash of numbers, here and in `hashedUniform` of the tests'
TestSupport."""

import numpy as np


def uniform(number, count):
    """Values in [0, 1) that float32 holds exactly, from a hash of `number` and of each element's own."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(number * 0x85EBCA77 & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    h = h ^ (h >> np.uint32(15))
    return (h >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)
