"""Writes timm_vit.safetensors and timm_vit.h5: a small ViT of timm's with random weights, below the prefix that MoCo v3's
published files have, and its tokens after each block for images in [-1, 1].

    python make_perceptual_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import save_file

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ["nms", "qnms"]:
        operators.define(f"{name}(Tensor x) -> Tensor")

from timm.models.vision_transformer import VisionTransformer  # noqa: E402

here = Path(__file__).parent
torch.manual_seed(0)
model = VisionTransformer(img_size=16, patch_size=4, embed_dim=24, depth=3, num_heads=3, num_classes=0)
with torch.no_grad():
    for name, p in model.named_parameters():
        scale = 0.5 if p.ndim != 2 else p[0].numel() ** -0.5
        p.copy_(torch.randn(p.shape) * scale + (1 if "norm" in name and "weight" in name else 0))
model.eval().double()

images = (torch.rand(2, 3, 16, 16) * 2 - 1).float().double()
mean, deviation = (torch.tensor(v).double()[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
states = []
for block in model.blocks:
    block.register_forward_hook(lambda module, inputs, output: states.append(output))
with torch.no_grad():
    model(((images + 1) / 2 - mean) / deviation)

save_file(
    {f"module.base_encoder.{name}": p.float().contiguous() for name, p in model.state_dict().items()},
    here / "timm_vit.safetensors")
with h5py.File(here / "timm_vit.h5", "w") as file:
    file["images"] = images.permute(0, 2, 3, 1).numpy().astype(np.float32)
    for number, state in enumerate(states, 1):
        file[f"features/{number}"] = state.numpy().astype(np.float32)
