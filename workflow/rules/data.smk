# Corpora: generated or downloaded, cleaned and Moses-tokenised. Quick, and everything waits for them: so first in the queue.


rule generate_phrasebook:
    output:
        f"{R}/corpora/{{corpus}}/raw/{{split}}.{{language}}",
    log:
        f"{R}/logs/phrasebook/{{corpus}}.{{split}}.{{language}}.log",
    benchmark:
        f"{R}/benchmarks/phrasebook/{{corpus}}.{{split}}.{{language}}.tsv"
    wildcard_constraints:
        corpus=of_kind("phrasebook"),
    priority: 20
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        size=lambda w: config["corpora"][w.corpus]["sizes"][w.split],
        seed=lambda w: config["corpora"][w.corpus]["seed"],
        code=lambda w: code_version(
            "phrasebook",
            [f"xlmd.data.phrasebook.grammars.{w.language}"],
            [f"phrasebook/{name}.yaml" for name in ("meanings", w.language)],
        ),
    shell:
        "xlmd phrasebook --language {wildcards.language:q} --split {wildcards.split:q} --size {params.size:q}"
        " --seed {params.seed:q} --out {output:q} 2>&1 | tee {log:q}"


rule download:
    output:
        f"{R}/corpora/{{corpus}}/downloads/{{file}}",
    log:
        f"{R}/logs/download/{{corpus}}.{{file}}.log",
    benchmark:
        f"{R}/benchmarks/download/{{corpus}}.{{file}}.tsv"
    wildcard_constraints:
        corpus=of_kind("files"),
        file="[^/]+",
    priority: 20
    retries: 2
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        url=lambda w: DOWNLOADS[w.corpus][w.file]["url"],
        sha256=lambda w: flags({"sha256": DOWNLOADS[w.corpus][w.file].get("sha256")}),
        mirror_path=lambda w: f"{w.corpus}/{w.file}",
        code=code_version("fetch"),
    shell:
        "xlmd fetch --url {params.url:q} --mirror-path {params.mirror_path:q} {params.sha256:q}"
        ' ${{XLMD_MIRROR:+--mirror "$XLMD_MIRROR"}}'
        " --out {output:q} 2>&1 | tee {log:q}"


rule gather:
    input:
        lambda w: [
            source["file"]
            for source in raw_sources(w.corpus, w.split, w.language)
            if "file" in source
        ],
    output:
        f"{R}/corpora/{{corpus}}/raw/{{split}}.{{language}}",
    log:
        f"{R}/logs/gather/{{corpus}}.{{split}}.{{language}}.log",
    benchmark:
        f"{R}/benchmarks/gather/{{corpus}}.{{split}}.{{language}}.tsv"
    wildcard_constraints:
        corpus=of_kind("files"),
    priority: 20
    retries: 2  # sacrebleu's sets come from elsewhere
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        sources=lambda w: json.dumps(raw_sources(w.corpus, w.split, w.language)),
        code=code_version("gather"),
    shell:
        "xlmd gather --sources {params.sources:q} --out {output:q} 2>&1 | tee {log:q}"


rule preprocess:
    input:
        first=f"{R}/corpora/{{corpus}}/raw/{{split}}.{{first}}",
        second=f"{R}/corpora/{{corpus}}/raw/{{split}}.{{second}}",
        held_out=lambda w: jobs.held_out(LAYOUT, w.corpus, w.split, w.first, w.second),
    output:
        multiext(
            f"{R}/corpora/{{corpus}}/{{first}}-{{second}}/{{split}}",
            ".{first}",
            ".{second}",
        ),
        multiext(
            f"{R}/corpora/{{corpus}}/{{first}}-{{second}}/{{split}}.raw",
            ".{first}",
            ".{second}",
        ),
        counts=f"{R}/corpora/{{corpus}}/{{first}}-{{second}}/{{split}}.json",
    log:
        f"{R}/logs/preprocess/{{corpus}}.{{first}}-{{second}}.{{split}}.log",
    benchmark:
        f"{R}/benchmarks/preprocess/{{corpus}}.{{first}}-{{second}}.{{split}}.tsv"
    priority: 20
    conda:
        "../envs/xlmd.yaml"
    threads: config["preprocessing"]["processes"]
    resources:
        **needs("preprocess"),
    params:
        folder=lambda w, output: Path(output.counts).parent,
        tokenize=config["preprocessing"]["tokenize"],
        romanian=config["preprocessing"]["romanian"],
        cleaning=lambda w: json.dumps(
            jobs.cleaning(config, w.corpus, w.split), sort_keys=True
        ),
        code=code_version("preprocess"),
    shell:
        "xlmd preprocess --source {input.first:q} --language {wildcards.first:q} --target {input.second:q}"
        " --target-language {wildcards.second:q} --split {wildcards.split:q} --tokenize {params.tokenize:q}"
        " --romanian {params.romanian:q} --cleaning {params.cleaning:q} --held-out {input.held_out:q} --processes {threads}"
        " --out {params.folder:q} 2>&1 | tee {log:q}"


rule preprocess_monolingual:
    input:
        raw=f"{R}/corpora/{{corpus}}/raw/{{split}}.{{language}}",
        held_out=lambda w: jobs.held_out(LAYOUT, w.corpus, w.split, w.language),
    output:
        f"{R}/corpora/{{corpus}}/monolingual/{{split}}.{{language}}",
    log:
        f"{R}/logs/preprocess/{{corpus}}.{{split}}.{{language}}.log",
    benchmark:
        f"{R}/benchmarks/preprocess/{{corpus}}.{{split}}.{{language}}.tsv"
    priority: 20
    conda:
        "../envs/xlmd.yaml"
    threads: config["preprocessing"]["processes"]
    resources:
        **needs("preprocess"),
    params:
        tokenize=config["preprocessing"]["tokenize"],
        romanian=config["preprocessing"]["romanian"],
        code=code_version("preprocess"),
    shell:
        "xlmd preprocess --source {input.raw:q} --language {wildcards.language:q} --tokenize {params.tokenize:q}"
        " --romanian {params.romanian:q} --held-out {input.held_out:q} --processes {threads} --out {output:q} 2>&1 | tee {log:q}"
