# Time a sentence at batch 1 (Appendix A.2). One job times all systems side by side, and takes every core of the machine, so
# that nothing runs beside it.


rule latency:
    input:
        runs=sorted(
            {str(Path(cell).parent.parent / "run.json") for cell in TIMED_CELLS}
        ),
        source=encoded_files(encoded(config["latency"]["direction"], "test", 0)),
        text=text(config["latency"]["direction"], "test", 0, raw=True),
        tokenizer=built(TOKENIZER),
    output:
        [f"{cell}/latency.json" for cell in TIMED_CELLS],
    log:
        f"{R}/logs/latency.log",
    benchmark:
        f"{R}/benchmarks/latency.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: workflow.cores
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=GPU,
    params:
        cells=TIMED_CELLS,
        defaults=decoding_defaults(*TIMED_SYSTEMS),
        source=lambda w: encoded(config["latency"]["direction"], "test", 0),
        tokenizer=lambda w: TOKENIZER,
        protocol=flags(
            {
                key: value
                for key, value in config["latency"].items()
                if key != "direction"
            }
        ),
        device=config["device"],
        tokenize=config["preprocessing"]["tokenize"],
        code=code_version(
            "latency", [f"xlmd.systems.{system}" for system in TIMED_SYSTEMS]
        ),
    shell:
        "xlmd latency --cells {params.cells} --defaults {params.defaults:q} --tokenizer {params.tokenizer:q}"
        " --source {params.source} --text {input.text} --device {params.device} {params.protocol}"
        " --tokenize {params.tokenize} 2>&1 | tee {log}"
