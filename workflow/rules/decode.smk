# Translations of the test set. One job makes several decodings of a run, since starting up costs more than decoding a small
# test set: first those that the first table with the run shows, later the others. It leaves those that are there already,
# so a further one is all that it adds.
DECODED_TOGETHER = decoded_together()

for NUMBER, ((SYSTEM, PART, *DECODINGS), RUNS) in enumerate(DECODED_TOGETHER.items()):

    rule:
        name:
            f"decode_{SYSTEM}_{NUMBER}"
        input:
            **decode_inputs(),
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
            **decode_params(),
            decodings=DECODINGS,
        shell:
            DECODE


rule decode_otherwise:
    # Any other decoding, by name.
    input:
        **decode_inputs(),
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
        **decode_params(),
        decodings=lambda w: [w.decoding],
    shell:
        DECODE
