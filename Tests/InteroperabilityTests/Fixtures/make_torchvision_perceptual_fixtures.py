"""Writes torchvision_vit.safetensors, a small vision transformer of torchvision's with random weights under the names of its
state, and torchvision_perceptual.h5: its features for images in [-1, 1], and the perceptual loss between these images and
the same in another order, with its gradient, in float64.

    python make_torchvision_perceptual_fixtures.py
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
from torchvision.models import VisionTransformer  # noqa: E402

here = Path(__file__).parent
torch.manual_seed(0)
model = VisionTransformer(
    image_size=16, patch_size=4, num_layers=3, num_heads=3, hidden_dim=24, mlp_dim=48, num_classes=5).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        if p.ndim in (2, 4):
            p.copy_(torch.randn(p.shape) * (1.4 / p[0].numel() ** 0.5))
        elif ".ln" in name and name.endswith("weight"):
            p.copy_(0.5 + torch.rand(p.shape))
        else:
            p.copy_(torch.randn(p.shape) * 0.3)
save_file(model.state_dict(), here / "torchvision_vit.safetensors")

model.double()
states = []
for block in model.encoder.layers:
    block.register_forward_hook(lambda module, inputs, output: states.append(output))
mean, deviation = (torch.tensor(v).double()[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
images = (torch.rand(2, 3, 16, 16) * 2 - 1).double().requires_grad_()
model(((images + 1) / 2 - mean) / deviation)
loss = sum(((state - state.detach().flip(0)) ** 2).mean() for state in states)
loss.backward()

with h5py.File(here / "torchvision_perceptual.h5", "w") as file:

    def put(key, value):
        file[f"vit/{key}"] = value.detach().numpy().astype(np.float32)

    put("images", images.permute(0, 2, 3, 1))
    for number, state in enumerate(states, 1):
        put(f"features/{number}", state)
    put("loss", loss[None])
    put("gradient", images.grad.permute(0, 2, 3, 1))
