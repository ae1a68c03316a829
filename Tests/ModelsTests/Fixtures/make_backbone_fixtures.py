"""Writes backbone.h5: feature maps of timm's BEiT on images of other sizes than it was trained on, and all gradients.

The model is made for the size of the images. Its tables of positions are those of a square grid, interpolated: absolute ones
bicubically without antialiasing (timm's resample_abs_pos_embed), relative ones as BEiT's published code does it
(timm's resize_rel_pos_bias_table, which calls scipy's interp2d; make_interp_spline gives the same splines and gradients).
Along a side of the trained length relative positions stay. Everything is computed in float64 and stored as float32.

    python make_backbone_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import make_interp_spline
from timm.layers import resample_abs_pos_embed
from timm.models.beit import Beit
from torch.func import functional_call

torch.manual_seed(20240611)
out = h5py.File(Path(__file__).with_name("backbone.h5"), "w")
PATCH, GRID, WIDTH, HEADS = 8, 4, 24, 3


def absolute(table, height, width):
    grid = table[:, 1:].reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False, antialias=False)
    result = torch.cat([table[:, :1], grid.permute(0, 2, 3, 1).reshape(1, height * width, -1)], 1)
    timms = resample_abs_pos_embed(table, [height, width], [GRID, GRID], antialias=False)
    assert torch.allclose(result, timms, atol=1e-5)
    return result


def spline(target):
    """What each offset of the trained side weighs in each of the new one's."""
    source, target = 2 * GRID - 1, 2 * target - 1
    if source == target:
        return torch.eye(source, dtype=torch.float64)
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio ** (source // 2)) / (1 - ratio) > target // 2:
            high = ratio
        else:
            low = ratio
    right = np.cumsum([ratio**i for i in range(source // 2)])
    places = np.concatenate([-right[::-1], [0], right])
    wanted = np.clip(np.arange(-(target // 2), target // 2 + 1), places[0], places[-1])
    return torch.from_numpy(make_interp_spline(places, np.eye(source), k=3)(wanted))


def relative(table, height, width):
    weights = torch.kron(spline(height), spline(width))
    return torch.cat([weights @ table[:-3], table[-3:]])


class Maps(torch.nn.Module):
    def __init__(self, model, blocks):
        super().__init__()
        self.model, self.blocks = model, blocks

    def forward(self, images):
        return self.model.forward_intermediates(images, indices=self.blocks, intermediates_only=True)


def write(group, height, width, blocks, depth, **settings):
    common = dict(
        patch_size=PATCH, num_classes=0, embed_dim=WIDTH, depth=depth, num_heads=HEADS, mlp_ratio=2, qkv_bias=True,
        global_pool="token", **settings)
    trained = Beit(img_size=GRID * PATCH, **common).double()
    with torch.no_grad():
        for name, p in trained.named_parameters():
            small = p.ndim == 1 or "bias_table" in name
            scale = 1.0 if name in ("cls_token", "pos_embed") else 0.5 if small else p[0].numel() ** -0.5
            p.copy_((torch.randn(p.shape) * scale + (1 if "norm" in name and "weight" in name else 0)).float())
    resized = Maps(Beit(img_size=(height * PATCH, width * PATCH), **common).double().eval(), [b - 1 for b in blocks])
    parameters = {n: p for n, p in trained.named_parameters() if not n.startswith(("norm.", "fc_norm."))}
    used = {}
    for name, p in parameters.items():
        if name == "pos_embed":
            p = absolute(p, height, width)
        elif name.endswith("relative_position_bias_table"):
            p = relative(p, height, width)
        used["model." + name] = p
    images = torch.randn(2, 3, height * PATCH, width * PATCH).float().double().requires_grad_()
    maps = functional_call(resized, used, (images,))
    loss = 0
    for block, found in zip(blocks, maps):
        weights = torch.randn(found.shape).float().double()
        loss = loss + (found * weights).sum()
        for kind, value in [("maps", found), ("weights", weights)]:
            out[f"{group}/{kind}/{block}"] = value.detach().permute(0, 2, 3, 1).numpy().astype(np.float32)
    loss.backward()
    out[f"{group}/images"] = images.detach().permute(0, 2, 3, 1).numpy().astype(np.float32)
    out[f"{group}/images_gradient"] = images.grad.permute(0, 2, 3, 1).numpy().astype(np.float32)
    for name, p in parameters.items():
        out[f"{group}/parameters/{name}"] = p.detach().numpy().astype(np.float32)
        out[f"{group}/gradients/{name}"] = p.grad.numpy().astype(np.float32)


write("absolute", 3, 7, [1, 3], 3, use_abs_pos_emb=True)
write("shared", 6, 5, [2], 2, use_abs_pos_emb=True, use_shared_rel_pos_bias=True, init_values=0.1)
write("separate", 2, 6, [1, 2], 2, use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1)
write("one_side", 4, 6, [1], 1, use_abs_pos_emb=True, use_rel_pos_bias=True, init_values=0.1)
