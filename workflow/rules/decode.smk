# Translations of the test set.


rule decode:
    input:
        run=f"{RUN}/run.json",
        model=f"{RUN}/model",
        source=lambda w: encoded_files(encoded(w.direction, "test", 0)),
        tokenizer=built(TOKENIZER),
    output:
        multiext(f"{RUN}/decodes/{{decoding}}/test", ".txt", ".json"),
    log:
        f"{R}/logs/decode/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.log",
    benchmark:
        f"{R}/benchmarks/decode/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: config["decoding"]["threads"]
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=1,
    params:
        run=RUN,
        source=lambda w: encoded(w.direction, "test", 0),
        tokenizer=TOKENIZER,
        flags=decoding_flags,
        max_tokens=config["decoding"]["max_tokens"],
        device=config["device"],
        out=f"{RUN}/decodes/{{decoding}}/test",
        code=lambda w: code_version("decode", [f"xlmd.systems.{w.system}"]),
    shell:
        "xlmd decode --run {params.run} --tokenizer {params.tokenizer:q} --source {params.source}"
        " --max-tokens {params.max_tokens} --device {params.device} --threads {threads} {params.flags}"
        " --out {params.out} 2>&1 | tee {log}"
