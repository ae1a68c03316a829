"""Writes moco.h5: the loss of MoCo v3 (2104.02057, algorithm 1) for a small vision transformer of timm's, with every
gradient, and what the momentum encoder and the running statistics are afterwards. Computed in float64.

    python make_moco_fixtures.py
"""

from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor x) -> Tensor")
    library.define("qnms(Tensor x) -> Tensor")
from timm.models.vision_transformer import VisionTransformer  # noqa: E402

torch.manual_seed(20210405)
torch.set_default_dtype(torch.float64)
out = h5py.File(Path(__file__).with_name("moco.h5"), "w")
width, hidden, output, grid, temperature, momentum = 16, 24, 8, 3, 0.2, 0.9


def store(group, **values):
    for name, value in values.items():
        out[f"{group}/{name}"] = value.detach().float().numpy()


def head(widths):
    layers = []
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        last = number == len(widths) - 2
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs, affine=not last)]
        layers += [] if last else [nn.ReLU()]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.vit = VisionTransformer(
            img_size=4 * grid, patch_size=4, embed_dim=width, depth=2, num_heads=2, qkv_bias=True, num_classes=0,
            norm_layer=partial(nn.LayerNorm, eps=1e-6))
        self.projector = head([width, hidden, hidden, output])

    def forward(self, x):
        return self.projector(self.vit.forward_features(x)[:, 0])


def positions():
    frequencies = 10000 ** (-torch.arange(width // 4) / (width // 4))
    places = torch.arange(grid)
    table = torch.zeros(1 + grid * grid, width)
    for row in range(grid):
        for column in range(grid):
            parts = [math_function(place * frequencies)
                     for place in [places[row], places[column]] for math_function in [torch.sin, torch.cos]]
            table[1 + row * grid + column] = torch.cat(parts)
    return table[None]


def named(module):
    for name, value in list(module.named_parameters()) + list(module.named_buffers()):
        if "num_batches_tracked" not in name:
            yield name.removeprefix("vit."), value


base, follower, predictor = Encoder(), Encoder(), head([output, hidden, output])
for module in [base, follower, predictor]:
    for name, value in named(module):
        if "running" not in name:
            value.data = (value.data + torch.randn_like(value) * 0.1).float().double()
for encoder in [base, follower]:
    encoder.vit.pos_embed.data = positions()
    encoder.vit.pos_embed.requires_grad = False
for parameter in ["weight", "bias"]:
    projection = getattr(base.vit.patch_embed.proj, parameter)
    projection.requires_grad = False
    getattr(follower.vit.patch_embed.proj, parameter).data = projection.data.clone()
for name, value in named(base):
    store("before", **{name: value})
for name, value in named(follower):
    store("before", **{"momentum." + name: value})
for name, value in named(predictor):
    store("before", **{"predictor." + name: value})

views = [torch.randn(6, 3, 4 * grid, 4 * grid).float().double() for _ in range(2)]
store("views", first=views[0].permute(0, 2, 3, 1), second=views[1].permute(0, 2, 3, 1))
queries = [predictor(base(view)) for view in views]
with torch.no_grad():
    for ours, theirs in zip(base.parameters(), follower.parameters()):
        theirs.data = theirs.data * momentum + ours.data * (1 - momentum)
    keys = [follower(view) for view in views]


correct = 0


def contrast(q, k):
    global correct
    logits = F.normalize(q, dim=1) @ F.normalize(k, dim=1).T / temperature
    correct += (logits.argmax(dim=1) == torch.arange(len(q))).sum().item()
    return F.cross_entropy(logits, torch.arange(len(q))) * 2 * temperature


loss = contrast(queries[0], keys[1]) + contrast(queries[1], keys[0])
loss.backward()
out["loss"] = loss.detach().float().numpy()
out["correct"] = np.array([correct], np.int32)
for prefix, module in [("", base), ("predictor.", predictor)]:
    for name, value in named(module):
        if value.grad is not None:
            store("gradient", **{prefix + name: value.grad})
for prefix, module in [("", base), ("momentum.", follower), ("predictor.", predictor)]:
    for name, value in named(module):
        if prefix == "momentum." or "running" in name:
            store("after", **{prefix + name: value})
