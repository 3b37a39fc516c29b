# The pre-trained masked language model, where it is not taken from a hub.

if config["mlm"]["source"] == "pretrain":

    rule pretrain_mlm:
        input:
            texts=[
                path
                for language in PRETRAINING_LANGUAGES
                for path in encoded_files(f"{R}/encoded/{pretraining_text(language)}")
            ],
            tokenizer=built(TOKENIZER),
        output:
            directory(MLM),
            f"{R}/mlm/run.json",
        log:
            f"{R}/logs/mlm.log",
        benchmark:
            f"{R}/benchmarks/mlm.tsv"
        # First in the queue: everything but the teachers waits for it.
        priority: 10
        conda:
            "../envs/xlmd.yaml"
        threads: config["mlm"]["trainer"]["threads"]
        resources:
            mem_mb=4000,
            runtime=2880,
            gpu=GPU,
        params:
            flags=flags(
                {"seed": config["seed"], "device": config["device"]},
                config["mlm"]["shape"],
                config["mlm"]["trainer"],
            ),
            texts=[
                f"{language}={R}/encoded/{pretraining_text(language)}"
                for language in PRETRAINING_LANGUAGES
            ],
            tokenizer=lambda w: TOKENIZER,
            folder=lambda w, output: Path(output[0]).parent,
            code=code_version("pretrain"),
        shell:
            "xlmd pretrain {params.flags} --tokenizer {params.tokenizer:q} --text {params.texts}"
            " --out {params.folder} --code {params.code} 2>&1 | tee {log}"
