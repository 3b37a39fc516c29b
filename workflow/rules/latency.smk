# Time a sentence at batch 1 (Appendix A.2). A timing job takes every core of the machine, so that nothing runs beside it.


rule latency:
    input:
        run=f"{RUN}/run.json",
        model=f"{RUN}/model",
        source=lambda w: encoded_files(encoded(w.direction, "test", 0)),
        text=lambda w: text(w.direction, "test", 0, raw=True),
        tokenizer=built(TOKENIZER),
    output:
        f"{RUN}/decodes/{{decoding}}/latency.json",
    log:
        f"{R}/logs/latency/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.log",
    benchmark:
        f"{R}/benchmarks/latency/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: workflow.cores
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=1,
    params:
        run=RUN,
        source=lambda w: encoded(w.direction, "test", 0),
        tokenizer=TOKENIZER,
        flags=decoding_flags,
        protocol=flags(
            {
                key: value
                for key, value in config["latency"].items()
                if key != "direction"
            }
        ),
        device=config["device"],
        code=lambda w: code_version("latency", [f"xlmd.systems.{w.system}"]),
    shell:
        "xlmd latency --run {params.run} --tokenizer {params.tokenizer:q} --source {params.source}"
        " --text {input.text} --device {params.device} {params.protocol} {params.flags}"
        " --out {output} 2>&1 | tee {log}"
