# Translations of the test set. One job makes all decodings of a run that the tables ask for, since starting up costs more
# than decoding a small test set; it leaves those that are there already, so a further one is all that it adds.


for SYSTEM, DECODINGS in GRID_DECODINGS.items():

    rule:
        name:
            f"decode_{SYSTEM}"
        input:
            run=f"{RUN}/run.json",
            model=f"{RUN}/model",
            source=lambda w: encoded_files(encoded(w.direction, "test", 0)),
            tokenizer=built(TOKENIZER),
        output:
            [update(path) for path in decode_outputs(DECODINGS)],
        log:
            f"{R}/logs/decode/{{direction}}/{{system}}-{{data}}{{overrides}}.log",
        benchmark:
            f"{R}/benchmarks/decode/{{direction}}/{{system}}-{{data}}{{overrides}}.tsv"
        wildcard_constraints:
            system=SYSTEM,
        conda:
            "../envs/xlmd.yaml"
        threads: config["decoding"]["threads"]
        resources:
            mem_mb=2000,
            runtime=240,
            gpu=GPU,
        params:
            run=lambda w, input: Path(input.run).parent,
            decodings=DECODINGS,
            defaults=decoding_defaults(SYSTEM),
            source=lambda w: encoded(w.direction, "test", 0),
            tokenizer=lambda w: TOKENIZER,
            max_tokens=config["decoding"]["max_tokens"],
            device=config["device"],
            code=code_version("decode", [f"xlmd.systems.{SYSTEM}"]),
        shell:
            "xlmd decode --run {params.run} --decodings {params.decodings} --defaults {params.defaults:q}"
            " --tokenizer {params.tokenizer:q} --source {params.source} --max-tokens {params.max_tokens}"
            " --device {params.device} --threads {threads} --code {params.code} 2>&1 | tee {log}"


rule decode_otherwise:
    # Any other decoding, by name.
    input:
        run=f"{RUN}/run.json",
        model=f"{RUN}/model",
        source=lambda w: encoded_files(encoded(w.direction, "test", 0)),
        tokenizer=built(TOKENIZER),
    output:
        decode_outputs(["{decoding}"]),
    log:
        f"{R}/logs/decode/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.log",
    benchmark:
        f"{R}/benchmarks/decode/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.tsv"
    wildcard_constraints:
        system=not_in_grid(),
    conda:
        "../envs/xlmd.yaml"
    threads: config["decoding"]["threads"]
    resources:
        mem_mb=2000,
        runtime=240,
        gpu=GPU,
    params:
        run=lambda w, input: Path(input.run).parent,
        defaults=lambda w: decoding_defaults(w.system),
        source=lambda w: encoded(w.direction, "test", 0),
        tokenizer=lambda w: TOKENIZER,
        max_tokens=config["decoding"]["max_tokens"],
        device=config["device"],
        code=lambda w: code_version("decode", [f"xlmd.systems.{w.system}"]),
    shell:
        "xlmd decode --run {params.run} --decodings {wildcards.decoding} --defaults {params.defaults:q}"
        " --tokenizer {params.tokenizer:q} --source {params.source} --max-tokens {params.max_tokens}"
        " --device {params.device} --threads {threads} --code {params.code} 2>&1 | tee {log}"
