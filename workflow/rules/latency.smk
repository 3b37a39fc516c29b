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
