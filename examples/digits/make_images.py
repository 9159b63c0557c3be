"""scikit-learn's 8 × 8 digits as MNIST has them: white on black, 20 × 20 in the middle of 28 × 28.

Run `python examples/digits/make_images.py` to write 100 digits that the training never sees to `images/`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SEED = 0
HELD_OUT = 400
COMMITTED = 100


def draw(digit: np.ndarray) -> Image.Image:
    """Return one digit [8, 8] with values 0 … 16 as a grey image of 28 × 28 pixels."""
    grey = Image.fromarray(np.rint(digit * 255 / 16).astype(np.uint8))
    picture = Image.new("L", (28, 28), 0)
    picture.paste(grey.resize((20, 20), Image.Resampling.BICUBIC), (4, 4))
    return picture


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training pixels [N, 28, 28] uint8 and labels [N], then the held-out ones."""
    digits = load_digits()
    pixels = np.stack([np.asarray(draw(digit)) for digit in digits.images])
    order = np.random.default_rng(SEED).permutation(len(pixels))
    held, training = order[:HELD_OUT], order[HELD_OUT:]
    return pixels[training], digits.target[training], pixels[held], digits.target[held]


def main() -> None:
    """Write the first 100 held-out digits as `digit_NNN_LABEL.png`."""
    _, _, pixels, labels = split()
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for number in range(COMMITTED):
        path = folder / f"digit_{number:03}_{labels[number]}.png"
        Image.fromarray(pixels[number]).save(path, optimize=True)
    print(f"{COMMITTED} digits in {folder.name}/")


if __name__ == "__main__":
    main()
