"""The README.md of an exported model, in the form of a hub's model card."""

from typing import Any

from xlmd.method.decoding import XLMDDecoding

_USE = {
    "onnx": """`encode.onnx` and `refine.onnx` are what ONNX Runtime runs; what one has to do around them is the loop
of `docs/examples/translate_onnx.py` in the project's sources, which needs onnxruntime, numpy and tokenizers alone.
In the project itself: `xlmd.onnx.engine.OnnxEngine(folder).generate(input_ids)`.""",
    "transformers": """```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
batch = tokenizer(["a sentence"], return_tensors="pt", padding=True)
print(tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True))
```

`trust_remote_code` runs the Python files of this folder, the project's own; they need torch and transformers.""",
}


def model_card(record: dict[str, Any], decoding: XLMDDecoding, format: str, facts: dict[str, Any]) -> str:
    """Markdown. record: of the run (run.json); decoding: the generation settings; format: as `export` has it; facts:
    `dev_bleu`, {kind of graphs: BLEU}, if it was measured."""
    description, best = record["description"], record.get("result", {}).get("best", [])
    source, target = description["direction"].split("-")
    git = record.get("environment", {}).get("git") or {}
    rows = [
        ("direction", description["direction"]),
        ("settings", ", ".join(f"{name} = {value}" for name, value in description["settings"].items())),
        ("decoding", ", ".join(f"{name} = {value}" for name, value in vars(decoding).items())),
        ("training pairs", record.get("data", {}).get("used")),
        ("parameters", record.get("parameters")),
        ("seed", record["seed"]),
        ("commit", git.get("commit")),
        ("best dev BLEU in training", f"{best[0]['bleu']:.2f}" if best else None),
        *((f"dev BLEU, {kind} graphs", bleu) for kind, bleu in facts.get("dev_bleu", {}).items()),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value is not None)
    return f"""---
language: [{source}, {target}]
pipeline_tag: translation
library_name: {"onnx" if format == "onnx" else "transformers"}
tags: [non-autoregressive, xlm-d]
---

# XLM-D, {source} to {target}

A non-autoregressive translator: a masked language model of XLM-R's kind, decorated as in Wang et al. (EMNLP 2022), that
writes a whole sentence at once and refines it in a fixed number of iterations.

| | |
|---|---|
{table}

BLEU is of tokenised text. `preparation.json` says how text was prepared before it became subwords, and
`generation_config.json` how the model decodes.

## Use

{_USE[format]}
"""
