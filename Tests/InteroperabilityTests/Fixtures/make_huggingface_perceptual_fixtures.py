"""Writes huggingface_vit.safetensors and huggingface_resnet.safetensors, small networks of Hugging Face transformers with
random weights under the names of its files, and huggingface_perceptual.h5: their features for images in [-1, 1], and the
perceptual loss between these images and the same in another order, with its gradient.

    python make_huggingface_perceptual_fixtures.py
"""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ["nms", "qnms"]:
        operators.define(f"{name}(Tensor x) -> Tensor")

from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTForImageClassification  # noqa: E402

here = Path(__file__).parent
torch.manual_seed(0)
mean, deviation = (torch.tensor(v).double()[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def randomize(model):
    with torch.no_grad():
        for name, p in list(model.named_parameters()) + list(model.named_buffers()):
            if p.ndim == 4 or p.ndim == 2:
                p.copy_(torch.randn(p.shape) * (1.4 / p[0].numel() ** 0.5))
            elif name.endswith("running_var") or "norm" in name and name.endswith("weight"):
                p.copy_(0.5 + torch.rand(p.shape))
            elif p.dtype.is_floating_point:
                p.copy_(torch.randn(p.shape) * 0.3)
    return model.eval()


def save(model, name):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = load_file(Path(folder) / "model.safetensors")
    save_file({key: value.contiguous() for key, value in tensors.items()}, here / f"{name}.safetensors")


with h5py.File(here / "huggingface_perceptual.h5", "w") as file:

    def write(name, model, side, first, channels_last):
        save(model, f"huggingface_{name}")
        images = (torch.rand(2, 3, side, side) * 2 - 1).float().double()
        images.requires_grad_(True)
        states = model.double()(((images + 1) / 2 - mean) / deviation, output_hidden_states=True).hidden_states[first:]
        loss = sum(((state - state.detach().flip(0)) ** 2).mean() for state in states)
        loss.backward()

        def put(key, value, channels_last):
            value = value.detach().permute(0, 2, 3, 1) if channels_last else value.detach()
            file[f"{name}/{key}"] = value.numpy().astype(np.float32)

        put("images", images, True)
        for number, state in enumerate(states, 1):
            put(f"features/{number}", state, channels_last)
        put("loss", loss[None], False)
        put("gradient", images.grad, True)

    vit = ViTForImageClassification(ViTConfig(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=48, image_size=16, patch_size=4,
        num_labels=5, attn_implementation="eager"))
    write("vit", randomize(vit), 16, 1, False)
    resnet = ResNetModel(ResNetConfig(embedding_size=2, hidden_sizes=[8, 16, 32, 64], depths=[3, 4, 6, 3]))
    write("resnet", randomize(resnet), 32, 1, True)
