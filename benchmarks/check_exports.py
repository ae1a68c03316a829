"""Takes ViT-B weights from transformers and timm to peco and back, and compares features both ways.

    python benchmarks/check_exports.py [--peco .build/release/peco]

Weights are random but for nothing left at zero; pictures are noise of 224 x 224, so that nothing is resized. Every import is
checked (`--check`), every export is loaded strictly. Needs timm and h5py beside what requirements.txt names.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

# torchvision, which timm imports, registers operators of its compiled part; that part need not be there.
operators = torch.library.Library("torchvision", "DEF")
for operator in ["nms", "qnms"]:
    operators.define(f"{operator}(Tensor x) -> Tensor")

import timm  # noqa: E402
from transformers import AutoImageProcessor, BeitConfig, BeitForImageClassification, BeitForMaskedImageModeling  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--peco", default=".build/release/peco")
peco = str(Path(parser.parse_args().peco).resolve())


def run(*arguments):
    subprocess.run([peco, *map(str, arguments)], check=True, capture_output=True)


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
            states = []
            hook = model.blocks[-1].register_forward_hook(lambda module, inputs, output: states.append(output))
            model(pictures)
            hook.remove()
            return states[0]
        return model.beit(pictures, output_hidden_states=True).hidden_states[-1]


def hugging_face(kind, **settings):
    return kind(BeitConfig(layer_norm_eps=1e-6, layer_scale_init_value=0.1, **settings))


# By what timm calls the model, where it is timm's.
cases = {
    "transformers, masked-image head": (None, lambda: hugging_face(
        BeitForMaskedImageModeling, use_mask_token=True, use_shared_relative_position_bias=True)),
    "transformers, classifier": (None, lambda: hugging_face(
        BeitForImageClassification, use_relative_position_bias=True, num_labels=1000)),
    "timm, beit_base_patch16_224": ("beit_base_patch16_224", lambda: timm.create_model("beit_base_patch16_224")),
    # Comes back with a table in each block.
    "timm, beit_base_patch16_224 with a shared table": ("beit_base_patch16_224", lambda: timm.create_model(
        "beit_base_patch16_224", use_rel_pos_bias=False, use_shared_rel_pos_bias=True)),
    "timm, vit_base_patch16_224": ("vit_base_patch16_224", lambda: timm.create_model("vit_base_patch16_224")),
}
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(4)]
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / "pictures" / f"{number}.png")
    run("dataset", "prepare", "--input", folder / "pictures", "--output", folder / "pictures.h5")
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pictures = torch.from_numpy((np.stack(arrays) / 255 - mean) / deviation).permute(0, 3, 1, 2).float()

    for name, (architecture, make) in cases.items():
        layout = "timm" if architecture else "huggingface"
        model = randomize(make())
        source, checkpoint = folder / "source" / "model.safetensors", folder / "imported.h5"
        source.parent.mkdir(exist_ok=True)
        if layout == "huggingface":
            model.save_pretrained(source.parent)
        else:
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, source)
        run("import", "--from", source, "--layout", layout, "--output", checkpoint, "--check")
        run("features", "--checkpoint", checkpoint, "--data", folder / "pictures.h5", "--resize", 224, "--pool", "none",
            "--block", 12, "--output", folder / "features.h5")
        with h5py.File(folder / "features.h5") as file:
            found = torch.from_numpy(file["features"][:])
        expected = tokens(model, pictures)
        imported = ((found - expected).abs().max() / expected.abs().max()).item()

        output = folder / "exported" / "model.safetensors"
        output.parent.mkdir(exist_ok=True)
        for old in output.parent.iterdir():
            old.unlink()
        run("export", "--checkpoint", checkpoint, "--layout", layout, "--output", output)
        if layout == "huggingface":
            again, report = type(model).from_pretrained(output.parent, output_loading_info=True)
            assert not any(report.values()), report
            # The middle of a picture of this size is its middle at the shorter side's 256 pixels.
            processor = AutoImageProcessor.from_pretrained(output.parent, backend="pil")
            large = Image.fromarray(arrays[0]).resize((256, 256))
            middle = (np.asarray(large)[16:240, 16:240] / 255 - mean) / deviation
            shown = processor(large, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
            assert np.abs(shown - middle).max() < 1e-5
        else:
            again = timm.create_model(architecture, checkpoint_path=str(output))
        difference = ((tokens(again.eval(), pictures) - found).abs().max() / found.abs().max()).item()
        print(f"{name}: imported {imported:.1e}, exported {difference:.1e} (greatest difference / greatest value)")
