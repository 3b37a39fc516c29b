# The tokenizer, and text as subword ids.


if config["tokenizer"]["source"] == "train":

    rule train_tokenizer:
        input:
            [
                f"{R}/corpora/{pretraining_text(language)}"
                for language in PRETRAINING_LANGUAGES
            ],
        output:
            directory(TOKENIZER),
        log:
            f"{R}/logs/tokenizer.log",
        benchmark:
            f"{R}/benchmarks/tokenizer.tsv"
        conda:
            "../envs/xlmd.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            vocabulary=config["tokenizer"]["vocabulary"],
            seed=config["seed"],
            code=code_version("tokenizer"),
        shell:
            "xlmd tokenizer --text {input} --vocabulary {params.vocabulary} --seed {params.seed}"
            " --out {output} 2>&1 | tee {log}"


rule encode:
    input:
        text=f"{R}/corpora/{{text}}",
        tokenizer=built(TOKENIZER),
    output:
        multiext(f"{R}/encoded/{{text}}", ".ids.npy", ".offsets.npy"),
    log:
        f"{R}/logs/encode/{{text}}.log",
    benchmark:
        f"{R}/benchmarks/encode/{{text}}.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        tokenizer=lambda w: TOKENIZER,
        prefix=lambda w, output: output[0].removesuffix(".ids.npy"),
        code=code_version("encode"),
    shell:
        "xlmd encode --text {input.text} --tokenizer {params.tokenizer:q} --out {params.prefix} 2>&1 | tee {log}"
