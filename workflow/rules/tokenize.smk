# The tokenizer of a base, and text as subword ids.


rule train_tokenizer:
    input:
        lambda w: [f"{R}/corpora/{text}" for text in base_text(w.base).values()],
    output:
        directory(f"{BASE}/tokenizer"),
    log:
        f"{R}/logs/tokenizer/{{base}}.log",
    benchmark:
        f"{R}/benchmarks/tokenizer/{{base}}.tsv"
    wildcard_constraints:
        base=bases_with("tokenizer", imported=False),
    priority: 20
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        vocabulary=lambda w: config["bases"][w.base]["tokenizer"]["vocabulary"],
        seed=config["seed"],
        code=code_version("tokenizer"),
    shell:
        "xlmd tokenizer --text {input:q} --vocabulary {params.vocabulary:q} --seed {params.seed:q}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule encode:
    input:
        text=f"{R}/corpora/{{corpus}}/{{text}}",
        tokenizer=lambda w: LAYOUT.tokenizer(config["corpora"][w.corpus]["base"]),
    output:
        multiext(f"{R}/encoded/{{corpus}}/{{text}}", ".ids.npy", ".offsets.npy"),
    log:
        f"{R}/logs/encode/{{corpus}}/{{text}}.log",
    benchmark:
        f"{R}/benchmarks/encode/{{corpus}}/{{text}}.tsv"
    priority: 20
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        **needs("encode"),
    params:
        tokenizer=lambda w: LAYOUT.tokenizer(config["corpora"][w.corpus]["base"]),
        prefix=lambda w, output: output[0].removesuffix(".ids.npy"),
        code=code_version("encode"),
    shell:
        "xlmd encode --text {input.text:q} --tokenizer {params.tokenizer:q} --out {params.prefix:q} 2>&1 | tee {log:q}"
