"""Writes resnet_layers.h5: what PyTorch computes for the layers that only a ResNet has. Images are channels last.

    python make_resnet_layer_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)
with h5py.File(Path(__file__).with_name("resnet_layers.h5"), "w") as out:

    def store(name, value):
        value = value.detach()
        out[name] = (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).numpy().astype(np.float32)

    # Few different values, so that windows have several greatest; sides odd and even, one pixel, many channels.
    for name, shape in {"odd": (2, 3, 7, 5), "even": (2, 32, 6, 8), "one": (1, 70, 1, 2)}.items():
        x = torch.randint(-3, 4, shape).double().requires_grad_()
        y = F.max_pool2d(x, 3, 2, 1)
        dy = torch.randn_like(y).float().double()
        y.backward(dy)
        for key, value in {"x": x, "y": y, "dy": dy, "dx": x.grad}.items():
            store(f"max_pool_{name}/{key}", value)
    x, z = (torch.randn(3, 41).float().double().requires_grad_() for _ in range(2))
    y = F.relu(x + z)
    dy = torch.randn_like(y).float().double()
    y.backward(dy)
    for key, value in {"x": x, "z": z, "y": y, "dy": dy, "dx": x.grad, "dz": z.grad}.items():
        store(f"add_relu/{key}", value)
