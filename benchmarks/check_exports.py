"""Takes ViT-B weights from transformers and timm to peco and back, and compares features both ways.

    python benchmarks/check_exports.py [--peco .build/release/peco]

Weights are random but for nothing left at zero; images are noise of 224 x 224, so that nothing is resized. Every import is
checked (`--check`), every export is loaded strictly. Needs timm and h5py beside what requirements.txt names.
"""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from parity import peco, taps, write
from PIL import Image
from safetensors.torch import load_file

import timm
from transformers import (
    AutoImageProcessor, BeitConfig, BeitForImageClassification, BeitForMaskedImageModeling, BeitModel)


def randomize(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape) * 0.02
            p.copy_(p + noise if p.ndim < 2 or "table" in name or "embed" in name else noise)
    return model.eval()


def tokens(model, images):
    """After the last block, before its norm."""
    with torch.no_grad():
        if hasattr(model, "blocks"):
            return taps(model.blocks[-1:], model, images)[0]
        return getattr(model, "beit", model)(images, output_hidden_states=True).hidden_states[-1]


@torch.no_grad()
def results(model, images):
    """What comes out of the whole model: logits, or what its last norm makes of the tokens or their pooled ones."""
    out = model(images)
    return out if isinstance(out, torch.Tensor) else out[0]


def relative(found, expected):
    """Greatest difference over greatest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def empty(folder):
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()


def hugging_face(kind, **settings):
    return kind(BeitConfig(layer_norm_eps=1e-6, layer_scale_init_value=0.1, **settings))


shared_table = dict(use_rel_pos_bias=False, use_shared_rel_pos_bias=True)
class_token = dict(global_pool="token")  # its last norm is that of all tokens, as in pretraining
# The layout, what timm calls the model where it is timm's or BEiT's own, whose classes are the same, and the model; and the
# settings of timm's in which it comes back, where they are others.
cases = {
    "transformers, masked-image head": ("huggingface", None, lambda: hugging_face(
        BeitForMaskedImageModeling, use_mask_token=True, use_shared_relative_position_bias=True)),
    "transformers, classifier": ("huggingface", None, lambda: hugging_face(
        BeitForImageClassification, use_relative_position_bias=True, num_labels=1000)),
    "transformers, no head": ("huggingface", None, lambda: hugging_face(BeitModel, use_relative_position_bias=True)),
    "timm, beit_base_patch16_224": ("timm", "beit_base_patch16_224", {}),
    # These come back with a table in each block.
    "timm, beit_base_patch16_224 with a shared table": ("timm", "beit_base_patch16_224", shared_table, {}),
    "a pretrained transformer, to timm": (
        "beit", "beit_base_patch16_224", shared_table | class_token | dict(num_classes=0),
        class_token | dict(num_classes=0)),
    "a classifier of class tokens, to timm": (
        "beit", "beit_base_patch16_224", shared_table | class_token, class_token),
    "BEiT's own": ("beit", "beit_base_patch16_224", shared_table),
    "timm, vit_base_patch16_224": ("timm", "vit_base_patch16_224", {}),
    "timm, vit_base_patch16_224 without head": ("timm", "vit_base_patch16_224", dict(num_classes=0)),
}
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(4)]
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / "images" / f"{number}.png")
    peco("dataset", "prepare", "--input", folder / "images", "--output", folder / "images.h5")
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = torch.from_numpy((np.stack(arrays) / 255 - mean) / deviation).permute(0, 3, 1, 2).float()

    for name, (layout, architecture, make, *others) in cases.items():
        model = randomize(timm.create_model(architecture, **make) if architecture else make())
        source, checkpoint = folder / "source" / "model.safetensors", folder / "imported.h5"
        empty(source.parent)
        if layout == "huggingface":
            model.save_pretrained(source.parent)
        else:
            state = model.state_dict()
            if layout == "beit":  # its files have the buffer as well
                state["rel_pos_bias.relative_position_index"] = model.rel_pos_bias.relative_position_index
            if layout == "beit" and not model.num_classes:  # and that of pretraining what predicts the tokens
                width = model.num_features
                state |= {"mask_token": torch.randn(1, 1, width), "lm_head.weight": torch.randn(8192, width),
                          "lm_head.bias": torch.randn(8192)}
            write(state, source)
        # Nothing beside timm's plain weights tells it.
        heads = ["--heads", 12] if (architecture or "").startswith("vit") else []
        peco("import", "--from", source, "--layout", layout, "--output", checkpoint, "--check", *heads)
        peco("features", "--checkpoint", checkpoint, "--data", folder / "images.h5", "--resize", 224, "--pool", "none",
            "--block", 12, "--output", folder / "features.h5")
        with h5py.File(folder / "features.h5") as file:
            found = torch.from_numpy(file["features"][:])
        imported = relative(found, tokens(model, images))

        output = folder / "exported" / "model.safetensors"
        empty(output.parent)
        peco("export", "--checkpoint", checkpoint, "--layout", "timm" if others else layout, "--output", output)
        if layout == "huggingface":
            again, report = type(model).from_pretrained(output.parent, output_loading_info=True)
            assert not any(report.values()), report
            # The middle of an image of this size is its middle at the shorter side's 256 pixels.
            processor = AutoImageProcessor.from_pretrained(output.parent, backend="pil")
            large = Image.fromarray(arrays[0]).resize((256, 256))
            middle = (np.asarray(large)[16:240, 16:240] / 255 - mean) / deviation
            shown = processor(large, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
            assert np.abs(shown - middle).max() < 1e-5
        elif layout == "beit" and not others:
            again = timm.create_model(architecture, **make)
            again.load_state_dict(load_file(output))
        else:
            again = timm.create_model(architecture, checkpoint_path=str(output), **(others[0] if others else make))
        exported = relative(tokens(again.eval(), images), found)
        # What lies behind the last block: norms, pooling and classifier.
        end = relative(results(again, images), results(model, images))
        print(f"{name}: imported {imported:.1e}, exported {exported:.1e}, results {end:.1e}")
