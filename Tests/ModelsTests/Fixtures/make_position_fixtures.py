"""Writes positions.h5: tables of positions taken to other grids as BEiT's published fine-tuning does it.

    python make_position_fixtures.py

Needs scipy before 1.14, whose interp2d that code calls.
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from scipy import interpolate

rng = np.random.default_rng(0)


def relative(table, source, target):
    """For each head: offsets spread geometrically, a cubic spline through them."""

    def last(ratio):
        return sum(ratio**i for i in range(source // 2))

    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if last(ratio) > target // 2:
            high = ratio
        else:
            low = ratio
    right = np.cumsum([ratio**i for i in range(source // 2)])
    places = np.concatenate([-right[::-1], [0], right])
    wanted = np.arange(-(target // 2), target // 2 + 1)
    planes = [
        interpolate.interp2d(places, places, table[: source**2, head].reshape(source, source), kind="cubic")(
            wanted, wanted).reshape(-1)
        for head in range(table.shape[1])]
    return np.concatenate([np.stack(planes, 1), table[source**2 :]])


def absolute(table, source, target):
    """Bicubic, the class token's apart."""
    grid = torch.from_numpy(table[1:]).reshape(1, source, source, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(target, target), mode="bicubic", align_corners=False)
    return np.concatenate([table[:1], grid.permute(0, 2, 3, 1).reshape(target**2, -1).numpy()])


with h5py.File(Path(__file__).parent / "positions.h5", "w") as file:
    for source, target in [(4, 6), (7, 4), (6, 7), (5, 12)]:
        name = f"{source}_{target}"
        table = rng.normal(size=((2 * source - 1) ** 2 + 3, 2)).astype(np.float32)
        file[f"relative/{name}/before"] = table
        file[f"relative/{name}/after"] = relative(
            table.astype(np.float64), 2 * source - 1, 2 * target - 1).astype(np.float32)
        table = rng.normal(size=(1 + source**2, 3)).astype(np.float32)
        file[f"absolute/{name}/before"] = table
        file[f"absolute/{name}/after"] = absolute(table, source, target)
