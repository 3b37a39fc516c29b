# One rule trains every system: a run folder's name says what it is, config.yaml the rest.


rule train:
    input:
        lambda w: RUN_SETTINGS.inputs(run_of(w)),
    output:
        model=directory(f"{RUN}/model"),
        tokenizer=directory(f"{RUN}/tokenizer"),
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
    threads: lambda w: cores(RUN_SETTINGS.trainer(run_of(w)))
    resources:
        **needs("train"),
        gpu=lambda w: GPU * processes(RUN_SETTINGS.trainer(run_of(w))),
    params:
        flags=lambda w: as_flags(
            RUN_SETTINGS.settings(run_of(w)) | RUN_SETTINGS.files(run_of(w))
        ),
        code=lambda w: code_version("train", [f"xlmd.systems.{w.system}"]),
    shell:
        "xlmd train {wildcards.system:q} {params.flags:q} --code {params.code:q} 2>&1 | tee {log:q}"
