"""Writes transfer/: small models of Hugging Face's and timm's with random weights in safetensors files, under the names
that their published files have, and transfer.h5: what they make of some images.

    python make_transfer_fixtures.py
"""

import shutil
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

from timm.models.beit import Beit  # noqa: E402
from timm.models.vision_transformer import VisionTransformer  # noqa: E402
from transformers import (  # noqa: E402
    BeitConfig, BeitForImageClassification, BeitForMaskedImageModeling, BeitModel)

here = Path(__file__).parent
folder = here / "transfer"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
torch.manual_seed(0)
images = torch.randn(2, 3, 32, 32)
masked = torch.zeros(2, 16, dtype=torch.bool)
masked[0, [1, 2, 5, 6, 15]] = True
masked[1, [0, 3, 8, 9, 10, 11]] = True


def randomize(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = 0.5 if p.ndim != 2 else p[0].numel() ** -0.5
            p.copy_(torch.randn(p.shape) * scale + (1 if "norm" in name and "weight" in name else 0))
    return model.eval()


def hugging_face(kind, **settings):
    return randomize(kind(BeitConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=24, image_size=32, patch_size=8,
        layer_scale_init_value=0.1, drop_path_rate=0.0, **settings)))


small = dict(img_size=32, patch_size=8, embed_dim=12, depth=2, num_heads=3, mlp_ratio=2, num_classes=5)
with h5py.File(here / "transfer.h5", "w") as file, torch.no_grad():
    file["images"] = images.permute(0, 2, 3, 1).numpy()
    file["masked"] = masked.flatten().nonzero().flatten().numpy().astype(np.int32)

    model = hugging_face(
        BeitForMaskedImageModeling, vocab_size=10, use_mask_token=True, use_shared_relative_position_bias=True)
    model.save_pretrained(folder / "huggingface_masked")
    out = model(images, bool_masked_pos=masked, output_hidden_states=True)
    file["huggingface_masked/logits"] = out.logits[masked].numpy()
    out = model(images, output_hidden_states=True)
    file["huggingface_masked/features"] = torch.stack(out.hidden_states[1:]).numpy()

    for name, settings in {
        "huggingface_mean": dict(use_relative_position_bias=True),
        "huggingface_class_token": dict(use_absolute_position_embeddings=True, use_mean_pooling=False),
    }.items():
        model = hugging_face(BeitForImageClassification, num_labels=5, **settings)
        model.save_pretrained(folder / name)
        out = model(images, output_hidden_states=True)
        file[f"{name}/logits"] = out.logits.numpy()
        file[f"{name}/features"] = torch.stack(out.hidden_states[1:]).numpy()

    models = {
        "timm_beit": Beit(
            **small, init_values=0.1, use_abs_pos_emb=False, use_rel_pos_bias=True),
        "timm_vit": VisionTransformer(**small, init_values=0.1),
        # The published code's names are timm's; its files have the buffer as well.
        "beit": Beit(**small, init_values=0.1, use_abs_pos_emb=False, use_shared_rel_pos_bias=True),
    }
    with torch.random.fork_rng():
        models["timm_backbone"] = VisionTransformer(**(small | dict(num_classes=0)))
    for name, model in models.items():
        randomize(model)
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        if name == "beit":
            state["rel_pos_bias.relative_position_index"] = model.rel_pos_bias.relative_position_index
        save_file(state, folder / f"{name}.safetensors")
        states = []
        hooks = [block.register_forward_hook(lambda m, i, output: states.append(output)) for block in model.blocks]
        if "backbone" not in name:
            file[f"{name}/logits"] = model(images).numpy()
        else:
            model(images)
        file[f"{name}/features"] = torch.stack(states).numpy()

    model = hugging_face(BeitModel, use_relative_position_bias=True)
    model.save_pretrained(folder / "huggingface_backbone")
    out = model(images, output_hidden_states=True)
    file["huggingface_backbone/features"] = torch.stack(out.hidden_states[1:]).numpy()
