# The tables of the paper, measured figures beside the printed ones.


rule resolve_config:
    output:
        f"{R}/config.yaml",
    log:
        f"{R}/logs/config.log",
    conda:
        "../envs/xlmd.yaml"
    params:
        config=json.dumps(config, sort_keys=True),
        code=code_version("resolve"),
    shell:
        "xlmd resolve --config {params.config:q} --out {output} 2>&1 | tee {log}"


rule table1:
    input:
        scores=[f"{cell}.score.json" for cell in TABLE1_CELLS],
        decodes=[f"{cell}.json" for cell in TABLE1_CELLS],
        timings=[f"{cell}/latency.json" for cell in TIMED_CELLS],
        corpora=sorted(
            {
                f"{R}/corpora/{corpus(direction)}/{pair(direction)}/{split}.json"
                for direction in DIRECTIONS
                for split in ("train", "dev", "test")
            }
        ),
        # The provenance follows each run's record to these, by the files that it read.
        upstream=UPSTREAM,
        config=f"{R}/config.yaml",
        paper="resources/paper/table1.csv",
    output:
        csv=report(f"{R}/table1.csv", category="Tables", caption="../report/table1.rst"),
        md=f"{R}/table1.md",
        provenance=f"{R}/provenance/table1.json",
        index=f"{R}/provenance/table1.index.json",
    log:
        f"{R}/logs/table1.log",
    benchmark:
        f"{R}/benchmarks/table1.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        direction=config["latency"]["direction"],
        engine_timings=[
            f"{cell}/latency.json" for cell in TIMED_CELLS if "engine=" in cell
        ],
        code=code_version("table1"),
    shell:
        "xlmd table1 --paper {input.paper} --config {input.config} --decodes {input.decodes} {params.engine_timings}"
        " --corpora {input.corpora} --latency-direction {params.direction} --index {output.index}"
        " --out-csv {output.csv} --out-md {output.md} --out-provenance {output.provenance} 2>&1 | tee {log}"


rule samples:
    input:
        decodes=[f"{cell}.json" for cell in TABLE1_CELLS],
        hypotheses=[f"{cell}.txt" for cell in TABLE1_CELLS],
        texts=[
            text(direction, "test", side)
            for direction in DIRECTIONS
            for side in (0, 1)
        ],
    output:
        report(
            f"{R}/samples.md", category="Translations", caption="../report/samples.rst"
        ),
    log:
        f"{R}/logs/samples.log",
    benchmark:
        f"{R}/benchmarks/samples.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=[f"{d}={text(d, 'test', 0)}={text(d, 'test', 1)}" for d in DIRECTIONS],
        code=code_version("samples"),
    shell:
        "xlmd samples --decodes {input.decodes} --texts {params.texts} --out {output} 2>&1 | tee {log}"


rule curves:
    input:
        records=TRAINED,
    output:
        report(f"{R}/curves.png", category="Training", caption="../report/curves.rst"),
    log:
        f"{R}/logs/curves.log",
    benchmark:
        f"{R}/benchmarks/curves.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        runs=lambda w, input: [Path(path).parent for path in input.records],
        code=code_version("curves"),
    shell:
        "xlmd curves --runs {params.runs} --out {output} 2>&1 | tee {log}"
