"""One grammar a language, named by its code: its lexicon's FIELDS and `render(meaning, lexicon, rng)`."""
