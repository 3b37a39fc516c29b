# Sequence-level knowledge distillation: the teacher translates the training set.


rule distill:
    input:
        model=f"{R}/runs/{{direction}}/{TEACHER}/model",
        source=lambda w: encoded_files(LAYOUT.encoded(w.direction, "train", 0)),
    output:
        [
            f"{R}/distilled/{{direction}}/train.{side}.{part}.npy"
            for side in ("source", "target")
            for part in ("ids", "offsets")
        ],
        counts=f"{R}/distilled/{{direction}}/distillation.json",
    log:
        f"{R}/logs/distill/{{direction}}.log",
    benchmark:
        f"{R}/benchmarks/distill/{{direction}}.tsv"
    priority: 8
    conda:
        "../envs/xlmd.yaml"
    threads: config["distillation"]["threads"]
    resources:
        **needs("distill"),
        gpu=GPU,
    params:
        source=lambda w: LAYOUT.encoded(w.direction, "train", 0),
        folder=lambda w, output: Path(output.counts).parent,
        flags=flags(config["distillation"], {"threads": None}),
        code=code_version("distill"),
    shell:
        "xlmd distill --model {input.model:q} --source {params.source:q} --out {params.folder:q} {params.flags:q}"
        " --threads {threads} --code {params.code:q} 2>&1 | tee {log:q}"
