# The tables of the paper, measured figures beside the printed ones.


def table_files(table):
    return [f"{R}/{table}.csv", f"{R}/{table}.md", f"{R}/provenance/{table}.json"]


def table1_decodes():
    """(direction, run, decoding) of every measured cell of Table 1."""
    entry = config["table1"]
    beam = decode_name(beam=config["systems"]["transformer"]["decoding"]["beam"])
    for direction in DIRECTIONS:
        yield direction, run_name("transformer", "original"), beam
        for m in entry["M"]:
            for iterations in entry["iterations"]:
                yield direction, run_name(
                    "xlmd", "distilled", M=m, s=entry["s"]
                ), decode_name(iterations=iterations)


def table1_timings():
    timed = config["latency"]["direction"]
    cells = [
        f"{R}/runs/{d}/{run}/decodes/{decoding}"
        for d, run, decoding in table1_decodes()
        if d == timed
    ]
    return [
        f"{cell}/latency.json"
        for cell in [*cells, f"{R}/runs/{timed}/{TEACHER}/decodes/engine=ctranslate2"]
    ]


TABLE1_CELLS = [
    f"{R}/runs/{d}/{run}/decodes/{decoding}/test"
    for d, run, decoding in table1_decodes()
]


rule resolve_config:
    output:
        f"{R}/config.yaml",
    log:
        f"{R}/logs/config.log",
    conda:
        "../envs/xlmd.yaml"
    params:
        config=json.dumps(config),
        code=code_version("resolve"),
    shell:
        "xlmd resolve --config {params.config:q} --out {output} 2>&1 | tee {log}"


rule table1:
    input:
        scores=[f"{cell}.score.json" for cell in TABLE1_CELLS],
        decodes=[f"{cell}.json" for cell in TABLE1_CELLS],
        timings=table1_timings(),
        corpora=sorted(
            {
                f"{R}/corpora/{corpus(direction)}/{pair(direction)}/{split}.json"
                for direction in DIRECTIONS
                for split in ("train", "dev", "test")
            }
        ),
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
        engine_timings=[path for path in table1_timings() if "engine=" in path],
        code=code_version("table1"),
    shell:
        "xlmd table1 --paper {input.paper} --config {input.config} --decodes {input.decodes} {params.engine_timings}"
        " --corpora {input.corpora} --latency-direction {params.direction} --index {output.index}"
        " --out-csv {output.csv} --out-md {output.md} --out-provenance {output.provenance} 2>&1 | tee {log}"
