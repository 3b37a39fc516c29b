# BLEU and chrF of a decoded test set.


rule score:
    input:
        hypotheses=f"{RUN}/decodes/{{decoding}}/test.txt",
        sources=lambda w: LAYOUT.text(w.direction, "test", 0),
        references=lambda w: LAYOUT.text(w.direction, "test", 1),
        raw_references=lambda w: LAYOUT.text(w.direction, "test", 1, raw=True),
    output:
        f"{RUN}/decodes/{{decoding}}/test.score.json",
    log:
        f"{R}/logs/score/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.log",
    benchmark:
        f"{R}/benchmarks/score/{{direction}}/{{system}}-{{data}}{{overrides}}.{{decoding}}.tsv"
    conda:
        "../envs/xlmd.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        language=lambda w: w.direction.split("-")[1],
        tokenize=config["preprocessing"]["tokenize"],
        romanian=config["preprocessing"]["romanian"],
        code=code_version("score"),
    shell:
        "xlmd score --hypotheses {input.hypotheses:q} --references {input.references:q}"
        " --raw-references {input.raw_references:q} --sources {input.sources:q} --language {params.language:q}"
        " --tokenize {params.tokenize:q} --romanian {params.romanian:q} --out {output:q} 2>&1 | tee {log:q}"
