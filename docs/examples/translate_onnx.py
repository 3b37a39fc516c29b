"""Translate with an exported XLM-D and nothing but numpy, onnxruntime and tokenizers.

    python translate_onnx.py FOLDER [ITERATIONS] < in.txt > out.txt

FOLDER is what `xlmd export RUN --format onnx` wrote. Text goes in and comes out tokenised as the training corpus was
(preparation.json); `xlmd translate` does that too. The loop is the paper's (§2.3): predict all positions that are still
masked, commit the most probable ones of each block, and go on with these shown.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(sys.argv[1])
config = json.loads((folder / "config.json").read_text())
settings = json.loads((folder / "generation_config.json").read_text())
iterations = int(sys.argv[2]) if len(sys.argv) > 2 else settings["iterations"]
if not config["add_and_scale"]:
    iterations = 1  # a model that does not see the alignment has nothing to refine
mask, blank = config["mask_token_id"], config["blank_token_id"]
penalty = np.array(settings["blank_penalty"], np.float32)
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
encode, refine = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("encode", "refine"))


def translate(line: str) -> str:
    source = np.array([tokenizer.encode(line).ids])  # <s> … </s>
    z, lengths = encode.run(None, {"source": source, "source_lengths": np.array([source.shape[1]])})
    length = z.shape[1]
    alignment, confidence = np.full(length, mask), np.zeros(length)
    settled = np.zeros(length, bool)
    for iteration in range(1, iterations + 1):
        positions = np.flatnonzero(~settled)
        given = {"z": z, "lengths": lengths, "alignment": alignment[None], "positions": positions}
        tokens, confidence[positions] = refine.run(None, given | {"blank_penalty": penalty})
        alignment[positions] = tokens
        for start in range(0, length, iterations):  # dynamic blocks: as many positions as iterations
            block = slice(start, start + iterations)
            order = np.argsort(np.where(settled[block], -np.inf, -confidence[block]), kind="stable")
            settled[start + order[:iteration]] = True
        alignment[~settled] = mask
    shown = alignment[np.append(True, alignment[1:] != alignment[:-1])]  # merge repeats, then drop blanks
    return " ".join(tokenizer.decode(shown[shown != blank].tolist()).split())


for line in sys.stdin:
    print(translate(line.strip()) if line.strip() else "", flush=True)
