"""Writes filters.rgb: source.rgb blurred by torchvision with several deviations, then solarized by Pillow.

    python make_filter_fixtures.py
"""

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor x) -> Tensor")
    library.define("qnms(Tensor x) -> Tensor")
from torchvision.transforms.functional import gaussian_blur  # noqa: E402

folder = Path(__file__).parent
source = np.fromfile(folder / "source.rgb", np.uint8).reshape(47, 61, 3)
tensor = torch.from_numpy(source.copy()).permute(2, 0, 1).double()
pixels = b""
for sigma in [0.1, 0.7, 1.3, 2.0]:
    size = 2 * max(1, math.ceil(np.float32(3) * np.float32(sigma))) + 1
    blurred = gaussian_blur(tensor, [size, size], [sigma, sigma])
    pixels += blurred.round().clamp(0, 255).byte().permute(1, 2, 0).numpy().tobytes()
pixels += np.asarray(ImageOps.solarize(Image.fromarray(source))).tobytes()
(folder / "filters.rgb").write_bytes(pixels)
