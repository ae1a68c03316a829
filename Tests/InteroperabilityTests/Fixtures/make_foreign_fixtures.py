"""Writes foreign/: weights and configurations as people have them, and what transformers makes of them.

- raw/: a BEiT of the mean of patches without its pooler, which ends without a norm; sharded/: the same in several files.
- foreign.h5: images and the last tokens of that model.
- preprocessors.json: configurations of images, and what a pixel of 100 becomes by transformers.

    pip install torch==2.13.0 transformers==5.24.0 h5py; python make_foreign_fixtures.py
"""

import json
import shutil
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

from transformers import BeitConfig, BeitModel  # noqa: E402
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil  # noqa: E402

here = Path(__file__).parent
folder = here / "foreign"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
torch.manual_seed(5)
images = torch.randn(2, 3, 32, 32)

config = BeitConfig(
    hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=24, image_size=32, patch_size=8,
    layer_scale_init_value=0.1, drop_path_rate=0.0, use_relative_position_bias=True, use_mean_pooling=True)
model = BeitModel(config, add_pooling_layer=False).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        scale = 0.5 if p.ndim != 2 else p[0].numel() ** -0.5
        p.copy_(torch.randn(p.shape) * scale + (1 if "norm" in name and "weight" in name else 0))
    model.save_pretrained(folder / "raw")
    model.save_pretrained(folder / "sharded", max_shard_size="6KB")
    with h5py.File(here / "foreign.h5", "w") as file:
        file["images"] = images.permute(0, 2, 3, 1).numpy()
        file["tokens"] = model(images).last_hidden_state.numpy()

cases = []
for settings in [
    dict(image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7]),
    dict(do_rescale=False, image_mean=[123.675, 116.28, 103.53], image_std=[58.395, 57.12, 57.375]),
    dict(rescale_factor=1 / 127.5, image_mean=[1.0, 1.0, 1.0], image_std=[1.0, 1.0, 1.0]),
    dict(rescale_factor=1 / 127.5, do_normalize=False),
    dict(do_rescale=False, do_normalize=False),
    dict(do_normalize=False),
]:
    processor = ViTImageProcessorPil(do_resize=False, **settings)
    pixel = np.full((8, 8, 3), 100, dtype=np.uint8)
    value = processor(pixel, return_tensors="np")["pixel_values"][0, :, 0, 0]
    cases.append({"configuration": settings, "values": [float(x) for x in value]})
(folder / "preprocessors.json").write_text(json.dumps(cases, indent=1) + "\n")
