"""Takes ViT-B weights from transformers and timm to peco and back, and compares features both ways.

    python benchmarks/check_exports.py [--peco .build/release/peco]

Weights are random but for nothing left at zero; pictures are noise of 224 x 224, so that nothing is resized. Every import is
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


def tokens(model, pictures):
    """After the last block, before its norm."""
    with torch.no_grad():
        if hasattr(model, "blocks"):
            return taps(model.blocks[-1:], model, pictures)[0]
        return getattr(model, "beit", model)(pictures, output_hidden_states=True).hidden_states[-1]


def hugging_face(kind, **settings):
    return kind(BeitConfig(layer_norm_eps=1e-6, layer_scale_init_value=0.1, **settings))


shared_table = dict(use_rel_pos_bias=False, use_shared_rel_pos_bias=True)
# The layout, what timm calls the model where it is timm's or BEiT's own, whose classes are the same, and the model.
cases = {
    "transformers, masked-image head": ("huggingface", None, lambda: hugging_face(
        BeitForMaskedImageModeling, use_mask_token=True, use_shared_relative_position_bias=True)),
    "transformers, classifier": ("huggingface", None, lambda: hugging_face(
        BeitForImageClassification, use_relative_position_bias=True, num_labels=1000)),
    "transformers, no head": ("huggingface", None, lambda: hugging_face(BeitModel, use_relative_position_bias=True)),
    "timm, beit_base_patch16_224": ("timm", "beit_base_patch16_224", {}),
    # Comes back with a table in each block.
    "timm, beit_base_patch16_224 with a shared table": ("timm", "beit_base_patch16_224", shared_table),
    "BEiT's own": ("beit", "beit_base_patch16_224", shared_table),
    "timm, vit_base_patch16_224": ("timm", "vit_base_patch16_224", {}),
    "timm, vit_base_patch16_224 without head": ("timm", "vit_base_patch16_224", dict(num_classes=0)),
}
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(4)]
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / "pictures" / f"{number}.png")
    peco("dataset", "prepare", "--input", folder / "pictures", "--output", folder / "pictures.h5")
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pictures = torch.from_numpy((np.stack(arrays) / 255 - mean) / deviation).permute(0, 3, 1, 2).float()

    for name, (layout, architecture, make) in cases.items():
        model = randomize(timm.create_model(architecture, **make) if architecture else make())
        source, checkpoint = folder / "source" / "model.safetensors", folder / "imported.h5"
        source.parent.mkdir(exist_ok=True)
        if layout == "huggingface":
            model.save_pretrained(source.parent)
        else:
            state = model.state_dict()
            if layout == "beit":  # its files have the buffer as well
                state["rel_pos_bias.relative_position_index"] = model.rel_pos_bias.relative_position_index
            write(state, source)
        peco("import", "--from", source, "--layout", layout, "--output", checkpoint, "--check")
        peco("features", "--checkpoint", checkpoint, "--data", folder / "pictures.h5", "--resize", 224, "--pool", "none",
            "--block", 12, "--output", folder / "features.h5")
        with h5py.File(folder / "features.h5") as file:
            found = torch.from_numpy(file["features"][:])
        expected = tokens(model, pictures)
        imported = ((found - expected).abs().max() / expected.abs().max()).item()

        output = folder / "exported" / "model.safetensors"
        output.parent.mkdir(exist_ok=True)
        for old in output.parent.iterdir():
            old.unlink()
        peco("export", "--checkpoint", checkpoint, "--layout", layout, "--output", output)
        if layout == "huggingface":
            again, report = type(model).from_pretrained(output.parent, output_loading_info=True)
            assert not any(report.values()), report
            # The middle of a picture of this size is its middle at the shorter side's 256 pixels.
            processor = AutoImageProcessor.from_pretrained(output.parent, backend="pil")
            large = Image.fromarray(arrays[0]).resize((256, 256))
            middle = (np.asarray(large)[16:240, 16:240] / 255 - mean) / deviation
            shown = processor(large, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
            assert np.abs(shown - middle).max() < 1e-5
        elif layout == "beit":
            again = timm.create_model(architecture, **make)
            again.load_state_dict(load_file(output))
        else:
            settings = {} if make is shared_table else make
            again = timm.create_model(architecture, checkpoint_path=str(output), **settings)
        difference = ((tokens(again.eval(), pictures) - found).abs().max() / found.abs().max()).item()
        print(f"{name}: imported {imported:.1e}, exported {difference:.1e} (greatest difference / greatest value)")
