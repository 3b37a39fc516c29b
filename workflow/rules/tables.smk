# The tables of the paper, measured figures beside the printed ones, and what to read beside them.

# What the audit tests the paper's claims on.
AUDITED = [spec.name for spec in SHOWN if spec.audited]

# Figure 1 draws the model that Table 10 shows.
MODEL_OF_FIGURE1 = points(config, "table10")[-1].run


rule resolve_config:
    output:
        f"{R}/config.yaml",
    log:
        f"{R}/logs/config.log",
    conda:
        "../envs/xlmd.yaml"
    params:
        # Where files came from changes no table: another mirror is no other configuration.
        config=json.dumps(config | {"mirror": None}, sort_keys=True),
        code=code_version("resolve"),
    shell:
        "xlmd resolve --config {params.config:q} --out {output:q} 2>&1 | tee {log:q}"


rule table:
    input:
        unpack(lambda w: jobs.table_inputs(LAYOUT, w.table)),
        config=f"{R}/config.yaml",
    output:
        csv=report(
            f"{R}/{{table}}.csv",
            category="Tables",
            caption="../report/table.rst",
            labels={"table": "{table}"},
        ),
        md=f"{R}/{{table}}.md",
        tex=f"{R}/{{table}}.tex",
        provenance=f"{R}/provenance/{{table}}.json",
    log:
        f"{R}/logs/{{table}}.log",
    benchmark:
        f"{R}/benchmarks/{{table}}.tsv"
    wildcard_constraints:
        table=any_of(name for name, spec in TABLES.items() if spec.form != "picture"),
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        paper=lambda w, input: flags(
            {"paper": list(input.paper), "protocols": list(input.protocols)}
        ),
        latency=lambda w, input: flags({"latency": list(input.latency)}),
        code=code_version("table"),
    shell:
        "xlmd table {wildcards.table:q} --config {input.config:q} {params.paper:q} {params.latency:q} --corpora {input.corpora:q}"
        " --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q} --out-provenance {output.provenance:q}"
        " 2>&1 | tee {log:q}"


rule figure1:
    input:
        model=f"{R}/runs/{MODEL_OF_FIGURE1}/model",
    output:
        report(f"{R}/figure1.svg", category="Figures", caption="../report/figure1.rst"),
        multiext(f"{R}/figure1", ".pdf", ".png"),
    log:
        f"{R}/logs/figure1.log",
    benchmark:
        f"{R}/benchmarks/figure1.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_version("figure1"),
    shell:
        "xlmd figure1 --model {input.model:q} --out {output:q} 2>&1 | tee {log:q}"


rule figure2:
    input:
        unpack(lambda w: jobs.table_inputs(LAYOUT, "figure2")),
        config=f"{R}/config.yaml",
    output:
        report(f"{R}/figure2.svg", category="Figures", caption="../report/figure2.rst"),
        multiext(f"{R}/figure2", ".pdf", ".png"),
        csv=f"{R}/figure2.csv",
        provenance=f"{R}/provenance/figure2.json",
    log:
        f"{R}/logs/figure2.log",
    benchmark:
        f"{R}/benchmarks/figure2.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pictures=lambda w, output: list(output)[:3],
        code=code_version("figure2"),
    shell:
        "xlmd figure2 --config {input.config:q} --papers {input.paper:q} --latency {input.latency:q} --out {params.pictures:q}"
        " --out-csv {output.csv:q} --out-provenance {output.provenance:q} 2>&1 | tee {log:q}"


rule latency_figure:
    input:
        table=f"{R}/latency.csv",
    output:
        report(f"{R}/latency.svg", category="Figures", caption="../report/latency.rst"),
        multiext(f"{R}/latency", ".pdf", ".png"),
    log:
        f"{R}/logs/latency_figure.log",
    benchmark:
        f"{R}/benchmarks/latency_figure.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_version("latency_figure"),
    shell:
        "xlmd latency_figure --table {input.table:q} --out {output:q} 2>&1 | tee {log:q}"


rule audit:
    input:
        [f"{R}/{table}.csv" for table in AUDITED],
        latency=[file for table in AUDITED for file in jobs.timings(LAYOUT, table)],
        translations=[f"{folder}/test.txt" for folder in decodes(AUDITED)],
        models=sorted(
            {f"{R}/runs/{point.run}/model" for point in points(config, "table10")}
        ),
        mlm=mlm(config["grid"]["analysis"]),
        tokenizer=tokenizer(config["grid"]["analysis"]),
        texts=sorted(
            {
                LAYOUT.text(point.direction, "test", side, raw)
                for point in points(config, *AUDITED)
                for side, raw in ((0, False), (1, False), (1, True))
            }
        ),
        counts=sorted(
            {
                LAYOUT.counts(point.direction, "train")
                for point in points(config, *AUDITED)
            }
        ),
        config=f"{R}/config.yaml",
        paper=[
            jobs.paper_table(spec.name)
            for spec in TABLES.values()
            if spec.name in spec.paper
        ],
    output:
        md=f"{R}/audit.md",
        csv=f"{R}/audit.csv",
        html=report(f"{R}/audit.html", category="Audit", caption="../report/audit.rst"),
    log:
        f"{R}/logs/audit.log",
    benchmark:
        f"{R}/benchmarks/audit.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        **needs("audit"),
    params:
        paper=lambda w, input: Path(input.paper[0]).parent,
        tables=AUDITED,
        code=code_version("audit"),
    shell:
        "xlmd audit --config {input.config:q} --paper {params.paper:q} --tables {params.tables:q} --out-md {output.md:q}"
        " --out-csv {output.csv:q} --out-html {output.html:q} 2>&1 | tee {log:q}"


rule samples:
    input:
        translations=lambda w: [f"{folder}/test.txt" for folder in decodes([w.table])],
        records=lambda w: sorted(
            {f"{R}/runs/{point.run}/run.json" for point in points(config, w.table)}
        ),
        texts=lambda w: sorted(
            {
                LAYOUT.text(point.direction, "test", side)
                for point in points(config, w.table)
                for side in (0, 1)
            }
        ),
        config=f"{R}/config.yaml",
    output:
        report(
            f"{R}/samples/{{table}}.md",
            category="Translations",
            caption="../report/samples.rst",
            labels={"systems of": "{table}"},
        ),
    log:
        f"{R}/logs/samples/{{table}}.log",
    benchmark:
        f"{R}/benchmarks/samples/{{table}}.tsv"
    wildcard_constraints:
        table=any_of(name for name, spec in TABLES.items() if spec.samples),
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_version("samples"),
    shell:
        "xlmd samples --config {input.config:q} --table {wildcards.table:q} --out {output:q} 2>&1 | tee {log:q}"


rule curves:
    input:
        lambda w: [f"{folder}/curves.csv" for folder in jobs.trainings(LAYOUT, w.table)],
    output:
        report(
            f"{R}/curves/{{table}}.png",
            category="Training",
            caption="../report/curves.rst",
            labels={"runs of": "{table}"},
        ),
    log:
        f"{R}/logs/curves/{{table}}.log",
    benchmark:
        f"{R}/benchmarks/curves/{{table}}.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        runs=lambda w, input: [Path(path).parent for path in input],
        code=code_version("curves"),
    shell:
        "xlmd curves --runs {params.runs:q} --out {output:q} 2>&1 | tee {log:q}"
