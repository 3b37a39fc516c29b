# One rule trains every system: a run folder's name says what it is, config.yaml the rest.


rule train:
    input:
        pairs=lambda w: [
            path
            for prefix in LAYOUT.training_data(w.direction, w.data)
            for path in encoded_files(prefix)
        ],
        dev=lambda w: encoded_files(LAYOUT.encoded(w.direction, "dev", 0)),
        reference=lambda w: LAYOUT.text(w.direction, "dev", 1),
        tokenizer=lambda w: built(tokenizer(w.direction)),
        pretrained=lambda w: [
            path for model in pretrained(w).values() for path in built(model)
        ],
    output:
        model=directory(f"{RUN}/model"),
        record=f"{RUN}/run.json",
        curves=f"{RUN}/curves.csv",
    log:
        f"{R}/logs/train/{{direction}}/{{system}}-{{data}}{{overrides}}.log",
    benchmark:
        f"{R}/benchmarks/train/{{direction}}/{{system}}-{{data}}{{overrides}}.tsv"
    # Teachers before students, so that no core waits for a distillation.
    priority: 5
    conda:
        "../envs/xlmd.yaml"
    threads: lambda w: cores(trainer(w))
    resources:
        **needs("train"),
        gpu=lambda w: GPU * processes(trainer(w)),
    params:
        flags=training_flags,
        folder=lambda w, output: Path(output.record).parent,
        source=lambda w: LAYOUT.training_data(w.direction, w.data)[0],
        target=lambda w: LAYOUT.training_data(w.direction, w.data)[1],
        dev=lambda w: LAYOUT.encoded(w.direction, "dev", 0),
        tokenizer=lambda w: tokenizer(w.direction),
        code=lambda w: code_version("train", [f"xlmd.systems.{w.system}"]),
    shell:
        "xlmd train {wildcards.system} {params.flags} --direction {wildcards.direction}"
        " --tokenizer {params.tokenizer:q} --source {params.source} --target {params.target}"
        " --dev_source {params.dev} --dev_reference {input.reference} --out {params.folder}"
        " --code {params.code} 2>&1 | tee {log}"
