"""Writes features.h5: what the models whose weights lie in transfer/ of InteroperabilityTests make of images, the mean of
the patches' tokens after the last norm, or normalized by it after pooling, as each of them does.

    python ../../InteroperabilityTests/Fixtures/make_transfer_fixtures.py && python make_feature_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import load_file

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ["nms", "qnms"]:
        operators.define(f"{name}(Tensor x) -> Tensor")

from timm.models.beit import Beit  # noqa: E402
from timm.models.vision_transformer import VisionTransformer  # noqa: E402
from transformers import BeitForImageClassification, BeitForMaskedImageModeling, BeitModel  # noqa: E402

here = Path(__file__).parent
folder = here.parents[1] / "InteroperabilityTests/Fixtures/transfer"
small = dict(img_size=32, patch_size=8, embed_dim=12, depth=2, num_heads=3, mlp_ratio=2, num_classes=5)
pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3))
statistics = {
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "half": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
}


def timm(model, name):
    model.load_state_dict(load_file(folder / f"{name}.safetensors"))
    return model


def patches(tokens):
    return tokens[:, 1:].mean(1)


beit = timm(Beit(**small, init_values=0.1, use_abs_pos_emb=False, use_rel_pos_bias=True), "timm_beit")
vit = timm(VisionTransformer(**small, init_values=0.1), "timm_vit")
masked = BeitForMaskedImageModeling.from_pretrained(folder / "huggingface_masked")
mean = BeitForImageClassification.from_pretrained(folder / "huggingface_mean")
backbone = BeitModel.from_pretrained(folder / "huggingface_backbone")
headless = timm(VisionTransformer(**(small | dict(num_classes=0))), "timm_backbone")
class_token = BeitForImageClassification.from_pretrained(folder / "huggingface_class_token")
models = {
    "timm_beit": (beit, lambda x: beit.forward_head(beit.forward_features(x), pre_logits=True)),
    "timm_vit": (vit, lambda x: patches(vit.forward_features(x))),
    "huggingface_masked": (masked, lambda x: patches(masked.layernorm(masked.beit(x).last_hidden_state))),
    "huggingface_mean": (mean, lambda x: mean.beit(x).pooler_output),
    "huggingface_backbone": (backbone, lambda x: backbone(x).pooler_output),
    "timm_backbone": (headless, lambda x: patches(headless.forward_features(x))),
    "huggingface_class_token": (class_token, lambda x: patches(class_token.beit(x).last_hidden_state)),
}
with h5py.File(here / "features.h5", "w") as file, torch.no_grad():
    file["pixels"] = pixels.astype(np.int32)
    for kind, (average, deviation) in statistics.items():
        images = torch.from_numpy((pixels / 255 - average) / deviation).permute(0, 3, 1, 2).float()
        for name, (model, features) in models.items():
            model.eval()
            file[f"{kind}/{name}"] = features(images).numpy()
