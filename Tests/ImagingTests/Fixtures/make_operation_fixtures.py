"""Writes operations.rgb: an image, then the same after each of RandAugment's operations by Pillow as timm calls it, in the
order of the list in ImageOperationTests.swift.

    python make_operation_fixtures.py
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ["nms", "qnms"]:
        operators.define(f"{name}(Tensor x) -> Tensor")

from timm.data import auto_augment as timm  # noqa: E402

width, height = 31, 23
rng = np.random.default_rng(0)
y, x = np.mgrid[0:height, 0:width]
image = np.stack([40 + x * 4, 230 - y * 7, (x + y) * 4], -1).astype(float)
image[(x - 12) ** 2 + (y - 9) ** 2 < 36] = [200, 30, 90]
image = np.clip(image + rng.normal(0, 12, image.shape), 12, 250).astype(np.uint8)
image = Image.fromarray(image)
geometry = dict(resample=Image.Resampling.BICUBIC, fillcolor=(124, 116, 104))

results = [
    timm.auto_contrast(image), timm.equalize(image), timm.invert(image),
    timm.rotate(image, 17.3, **geometry), timm.rotate(image, -25.0, **geometry),
    timm.posterize(image, 1), timm.posterize(image, 2), timm.posterize(image, 4),
    timm.solarize(image, 26), timm.solarize(image, 150), timm.solarize_add(image, 99),
    timm.color(image, 1.81), timm.color(image, 0.19), timm.contrast(image, 1.75), timm.contrast(image, 0.3),
    timm.brightness(image, 1.6), timm.brightness(image, 0.4), timm.sharpness(image, 1.9), timm.sharpness(image, 0.2),
    timm.shear_x(image, 0.27, **geometry), timm.shear_y(image, -0.21, **geometry),
    timm.translate_x_rel(image, 0.4, **geometry), timm.translate_y_rel(image, -0.33, **geometry),
]
with open(Path(__file__).parent / "operations.rgb", "wb") as file:
    for result in [image] + results:
        file.write(np.asarray(result).tobytes())
