"""Small models and sentences for the tests of systems with an encoder and a decoder of their own."""

from itertools import groupby
from types import SimpleNamespace

import numpy as np
import sacrebleu
import torch
from torch.nn.utils.rnn import pad_sequence

from xlmd.data.batching import ParallelBatch, ParallelText
from xlmd.data.encoded import EncodedText, encoded_writer

VOCABULARY = 40
BOS, PAD, END, MASK = 0, 1, 2, VOCABULARY - 1
SPECIALS = [BOS, END, PAD, MASK]
SMALL = {"encoder_layers": 2, "decoder_layers": 2, "d_model": 32, "ffn": 64, "heads": 2, "max_positions": 32}


class Tokenizer(SimpleNamespace):
    def __len__(self):
        return VOCABULARY


def small(system, **settings):
    """A system of small models without dropout."""
    tokenizer = Tokenizer(bos_token_id=BOS, pad_token_id=PAD, eos_token_id=END, unk_token_id=3, mask_token_id=MASK)
    return system(system.Settings(**(SMALL | {"dropout": 0.0} | settings)), tokenizer)


def sentences(count, seed=0, longest=8):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(4, MASK, (length,), generator=generator).tolist() for length in lengths]


def pad(rows):
    return pad_sequence([torch.tensor(row) for row in rows], True, PAD), torch.tensor([len(row) for row in rows])


def batch(sources, targets):
    return ParallelBatch(*pad(sources), *pad(targets), torch.arange(len(sources)))


def encoded(prefix, rows):
    """Sentences on disk, as training reads them."""
    with encoded_writer(prefix) as writer:
        writer.add(np.array([token for row in rows for token in row], np.int32), np.array([len(row) for row in rows]))
    return EncodedText(prefix)


def parallel(folder, sources, targets, keep=None):
    return ParallelText(encoded(folder / "source", sources), encoded(folder / "target", targets), keep)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def train(system, model, batches, lr=3e-3):
    """One update per batch; the learning rate rises for 50 updates and falls in the second half, to 0."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98))
    generator, total = seeded(), len(batches)
    model.train()
    for step, pairs in enumerate(batches):
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 50, 2 * (1 - step / total))
        loss, _ = system.loss(model, pairs, step / total, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def pairs_to_learn(count=40):
    """Sources, each there once, and targets without equal neighbours, which some systems do not write."""
    pairs = dict(zip(map(tuple, sentences(count, seed=5)), sentences(count, seed=6), strict=True))
    return [list(source) for source in pairs], [[token for token, _ in groupby(row)] for row in pairs.values()]


def learned_by_heart(system, sources, targets, decodings, folder, updates=200):
    """The least BLEU of any decoding, of a model that is trained on these pairs alone and of its saved copy."""
    torch.manual_seed(0)
    model = train(system, system.build(), [batch(sources, targets)] * updates, lr=5e-3)
    model.save_pretrained(folder)

    def bleu(model, decoding):
        translations = system.translate(model, sources, decoding)
        lines, references = ([" ".join(map(str, row)) for row in rows] for rows in (translations, targets))
        return sacrebleu.corpus_bleu(lines, [references], tokenize="none", force=True).score

    return min(bleu(learned, decoding) for learned in (model, system.load(folder)) for decoding in decodings)


def different_translations(system, model, decoding, count=30):
    """How many there are of some sentences and of none. Each is the same in a batch and alone, without specials."""
    sources = [*sentences(count, seed=8, longest=12), []]
    together = system.translate(model, sources, decoding)
    assert together == [system.translate(model, [source], decoding)[0] for source in sources]
    assert not set(SPECIALS) & {token for row in together for token in row}
    return len({tuple(row) for row in together})
