# The masked language model of a base, where it is pre-trained here.


rule pretrain_mlm:
    input:
        texts=lambda w: [
            path
            for text in base_text(w.base).values()
            for path in encoded_files(f"{R}/encoded/{text}")
        ],
        tokenizer=lambda w: LAYOUT.tokenizer(w.base),
    output:
        directory(f"{BASE}/mlm/model"),
        f"{BASE}/mlm/run.json",
        f"{BASE}/mlm/curves.csv",
    log:
        f"{R}/logs/mlm/{{base}}.log",
    benchmark:
        f"{R}/benchmarks/mlm/{{base}}.tsv"
    wildcard_constraints:
        base=bases_with("mlm", imported=False),
    # First in the queue: everything but the teachers waits for it.
    priority: 10
    conda:
        "../envs/xlmd.yaml"
    threads: lambda w: cores(config["bases"][w.base]["mlm"]["trainer"])
    resources:
        **needs("pretrain_mlm"),
        gpu=lambda w: GPU * processes(config["bases"][w.base]["mlm"]["trainer"]),
    params:
        flags=lambda w: flags(
            {"seed": config["seed"]},
            config["bases"][w.base]["mlm"]["shape"],
            config["bases"][w.base]["mlm"]["trainer"],
        ),
        texts=lambda w: [
            f"{language}={R}/encoded/{text}"
            for language, text in base_text(w.base).items()
        ],
        tokenizer=lambda w: LAYOUT.tokenizer(w.base),
        folder=lambda w, output: Path(output[0]).parent,
        code=code_version("pretrain"),
    shell:
        "xlmd pretrain {params.flags:q} --tokenizer {params.tokenizer:q} --text {params.texts:q}"
        " --out {params.folder:q} --code {params.code:q} 2>&1 | tee {log:q}"
