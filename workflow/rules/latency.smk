# Time a sentence at batch 1 (Appendix A.2). One job times all systems side by side, and takes every core of the machine, so
# that nothing runs beside it.


def timed_cells():
    """The decodings that are timed: all of Table 1 in one direction, and the Transformer in CTranslate2."""
    timed = config["latency"]["direction"]
    cells = [
        f"{R}/runs/{d}/{run}/decodes/{decoding}"
        for d, run, decoding in table1_decodes()
        if d == timed
    ]
    return [*cells, f"{R}/runs/{timed}/{TEACHER}/decodes/engine=ctranslate2"]


TIMED_CELLS = timed_cells()


rule latency:
    input:
        runs=sorted({cell.split("/decodes/")[0] + "/run.json" for cell in TIMED_CELLS}),
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
        gpu=1,
    params:
        cells=TIMED_CELLS,
        defaults=DEFAULTS,
        source=encoded(config["latency"]["direction"], "test", 0),
        tokenizer=TOKENIZER,
        protocol=flags(
            {
                key: value
                for key, value in config["latency"].items()
                if key != "direction"
            }
        ),
        device=config["device"],
        code=code_version(
            "latency", [f"xlmd.systems.{system}" for system in config["systems"]]
        ),
    shell:
        "xlmd latency --cells {params.cells} --defaults {params.defaults:q} --tokenizer {params.tokenizer:q}"
        " --source {params.source} --text {input.text} --device {params.device} {params.protocol} 2>&1 | tee {log}"
