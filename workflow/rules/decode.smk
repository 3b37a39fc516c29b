# Translations of the test set. One job makes several decodings of a run, since starting up costs more than decoding a small
# test set: first those that the first table with the run shows, later the others. It leaves those that are there already,
# so a further one is all that it adds.
DECODED_TOGETHER = jobs.decoded_together(config)

DECODE_INPUT = {
    "run": f"{R}/runs/{{run}}/run.json",
    "model": f"{R}/runs/{{run}}/model",
    "source": lambda w: encoded_files(
        LAYOUT.encoded(names.parse_run(w.run).direction, "test", 0)
    ),
    "tokenizer": lambda w: tokenizer(names.parse_run(w.run).direction),
}
DECODE_PARAMS = {
    "run": lambda w, input: Path(input.run).parent,
    "defaults": lambda w: decoding_defaults(names.parse_run(w.run).system),
    "source": lambda w: LAYOUT.encoded(names.parse_run(w.run).direction, "test", 0),
    "tokenizer": lambda w: tokenizer(names.parse_run(w.run).direction),
    "max_tokens": config["decoding"]["max_tokens"],
    "code": lambda w: code_version(
        "decode", [f"xlmd.systems.{names.parse_run(w.run).system}"]
    ),
}
DECODE = (
    "xlmd decode --run {params.run:q} --decodings {params.decodings:q} --defaults {params.defaults:q}"
    " --tokenizer {params.tokenizer:q} --source {params.source:q} --max-tokens {params.max_tokens:q}"
    " --threads {threads} --code {params.code:q} 2>&1 | tee {log:q}"
)

for NUMBER, ((SYSTEM, PART, *DECODINGS), RUNS) in enumerate(DECODED_TOGETHER.items()):

    rule:
        name:
            f"decode_{SYSTEM}_{NUMBER}"
        input:
            **DECODE_INPUT,
        output:
            [
                update(f"{R}/runs/{{run}}/decodes/{decoding}/test.{suffix}")
                for decoding in DECODINGS
                for suffix in ("txt", "json")
            ],
        log:
            f"{R}/logs/decode/{{run}}.{PART}.log",
        benchmark:
            f"{R}/benchmarks/decode/{{run}}.{PART}.tsv"
        wildcard_constraints:
            run=any_of(RUNS),
        conda:
            "../envs/xlmd.yaml"
        threads: config["decoding"]["threads"]
        resources:
            **needs("decode"),
            gpu=GPU,
        params:
            **DECODE_PARAMS,
            decodings=[checked_decoding(SYSTEM, name) for name in DECODINGS],
        shell:
            DECODE


rule decode_otherwise:
    # Any other decoding, by name.
    input:
        **DECODE_INPUT,
    output:
        multiext(f"{R}/runs/{{run}}/decodes/{{decoding}}/test", ".txt", ".json"),
    log:
        f"{R}/logs/decode/{{run}}.{{decoding}}.log",
    benchmark:
        f"{R}/benchmarks/decode/{{run}}.{{decoding}}.tsv"
    wildcard_constraints:
        run="".join(
            f"(?!({any_of(runs)})/decodes/({any_of(decodings)})/)"
            for (_, _, *decodings), runs in DECODED_TOGETHER.items()
        )
        + "[^/]+/[^/]+",
    conda:
        "../envs/xlmd.yaml"
    threads: config["decoding"]["threads"]
    resources:
        **needs("decode"),
        gpu=GPU,
    params:
        **DECODE_PARAMS,
        decodings=lambda w: [
            checked_decoding(names.parse_run(w.run).system, w.decoding)
        ],
    shell:
        DECODE
