# Time a sentence at batch 1 (Appendix A.2). One job times all systems of a table side by side, and takes every core of the
# machine, so that nothing runs beside it.


rule latency:
    input:
        runs=lambda w: sorted(
            {f"{R}/runs/{point.run}/run.json" for point in timed(config, w.table)}
        ),
        models=lambda w: sorted(
            {f"{R}/runs/{point.run}/model" for point in timed(config, w.table)}
        ),
        source=encoded_files(LAYOUT.encoded(config["grid"]["analysis"], "test", 0)),
        text=LAYOUT.text(config["grid"]["analysis"], "test", 0, raw=True),
        tokenizer=tokenizer(config["grid"]["analysis"]),
    output:
        f"{R}/latency/{{table}}.json",
    log:
        f"{R}/logs/latency/{{table}}.log",
    benchmark:
        f"{R}/benchmarks/latency/{{table}}.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: every_core
    resources:
        **needs("latency"),
        gpu=GPU,
    params:
        runs=f"{R}/runs",
        cells=lambda w: [point.path for point in timed(config, w.table)],
        defaults=lambda w: decoding_defaults(
            *sorted({point.system for point in timed(config, w.table)})
        ),
        direction=config["grid"]["analysis"],
        source=lambda w: LAYOUT.encoded(config["grid"]["analysis"], "test", 0),
        tokenizer=lambda w: tokenizer(config["grid"]["analysis"]),
        protocol=flags(config["latency"]),
        device=config["device"],
        tokenize=config["preprocessing"]["tokenize"],
        romanian=config["preprocessing"]["romanian"],
        code=lambda w: code_version(
            "latency",
            [
                f"xlmd.systems.{system}"
                for system in sorted(
                    {point.system for point in timed(config, w.table)}
                )
            ],
        ),
    shell:
        "xlmd latency --runs-folder {params.runs:q} --cells {params.cells:q} --defaults {params.defaults:q}"
        " --direction {params.direction:q} --tokenizer {params.tokenizer:q} --source {params.source:q} --text {input.text:q}"
        " --device {params.device:q} {params.protocol:q} --tokenize {params.tokenize:q} --romanian {params.romanian:q} --out {output:q} 2>&1 | tee {log:q}"


# What the systems take in each engine, in batches and on several cores: results/latency.csv is made of it.
IN_ENGINES = in_engines(config)


rule engines:
    input:
        runs=sorted({f"{R}/runs/{point.run}/run.json" for point in IN_ENGINES}),
        models=sorted({f"{R}/runs/{point.run}/model" for point in IN_ENGINES}),
        source=encoded_files(LAYOUT.encoded(config["grid"]["analysis"], "test", 0)),
        reference=LAYOUT.text(config["grid"]["analysis"], "test", 1),
        tokenizer=tokenizer(config["grid"]["analysis"]),
    output:
        LAYOUT.latency("engines"),
    log:
        f"{R}/logs/latency/engines.log",
    benchmark:
        f"{R}/benchmarks/latency/engines.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: every_core
    resources:
        **needs("engines"),
    params:
        runs=lambda w: f"{R}/runs",
        cells=[point.path for point in IN_ENGINES],
        defaults=decoding_defaults(*sorted({point.system for point in IN_ENGINES})),
        direction=config["grid"]["analysis"],
        source=lambda w: LAYOUT.encoded(config["grid"]["analysis"], "test", 0),
        protocol=flags(
            {
                name: config["engines"][name]
                for name in ("sentences", "warmup", "runs", "batch_sizes", "threads")
            }
        ),
        code=code_version(
            "compare_engines",
            [
                f"xlmd.systems.{system}"
                for system in sorted({point.system for point in IN_ENGINES})
            ],
        ),
    shell:
        "xlmd compare_engines --runs-folder {params.runs:q} --cells {params.cells:q}"
        " --defaults {params.defaults:q} --direction {params.direction:q} --tokenizer {input.tokenizer:q}"
        " --source {params.source:q} --reference {input.reference:q} {params.protocol:q}"
        " --cores {threads} --out {output:q} 2>&1 | tee {log:q}"
