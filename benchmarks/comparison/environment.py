"""PyTorch in a virtual environment."""

import pathlib
import subprocess
import sys

from .failure import Failure

HERE = pathlib.Path(__file__).resolve().parent.parent
CHECK = """
import importlib.metadata, sys
for line in open(sys.argv[1]):
    name, version = line.strip().split("==")
    try:
        found = importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        found = "nothing"
    if found != version:
        print(f"{name} {version} (found: {found})")
"""


def prepare(directory):
    """The Python of the environment in `directory`, with everything in requirements.txt installed."""
    python = pathlib.Path(directory) / "bin" / "python"
    requirements = HERE / "requirements.txt"
    if not python.exists():
        print(f"compare: making a virtual environment in {directory}", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
        except subprocess.CalledProcessError as error:
            raise Failure(
                f"cannot make a virtual environment in {directory}: {error}; "
                "on Debian and Ubuntu: apt-get install python3-venv")
    checked = subprocess.run([python, "-c", CHECK, requirements], check=True, capture_output=True, text=True)
    missing = checked.stdout.splitlines()
    if missing:
        print("compare: installing " + ", ".join(missing), file=sys.stderr)
        installed = subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements])
        if installed.returncode:
            raise Failure(f"pip could not install {requirements} into {directory}; see its messages above")
    return str(python)
