"""Random output layers against torch in float64: `python tests/fuzz_output_layer.py -n 10000 [--seed SEED]`.

Hidden states, weights and biases are small whole numbers, so that every logit is exact in any dtype: the tokens must be
those of torch's argmax to the last one, many ties among them. Log-probabilities and log-odds are compared closely.
"""

import argparse

import torch

from xlmd import output_layer
from xlmd.output_layer import log_odds, most_probable


def check(seed: int, index: int) -> None:
    random = torch.Generator().manual_seed(1_000_003 * seed + index)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=random))

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randint(-3, 4, shape, generator=random).to(dtype)

    dtype = (torch.float32, torch.bfloat16, torch.float16, torch.float64)[integer(0, 3)]
    count, size, vocabulary = integer(0, 12), integer(1, 9), integer(2, 60)
    hidden, weight = numbers(count, size), numbers(vocabulary, size)
    bias = numbers(vocabulary) if integer(0, 1) else None
    forbidden = torch.randperm(vocabulary, generator=random)[: integer(0, vocabulary - 1)].tolist()
    output_layer.ROWS, output_layer.CELLS["cpu"], output_layer.NARROWEST = (
        integer(1, 13),
        integer(1, 200),
        integer(1, 9),
    )

    table = hidden.double() @ weight.double().T + (0 if bias is None else bias.double())
    allowed = table.index_fill(1, torch.tensor(forbidden, dtype=torch.long), float("-inf"))
    tokens, log_probability = most_probable(hidden, weight, bias, forbidden)
    close = {"rtol": 1e-5, "atol": 1e-5, "check_dtype": False}
    assert torch.equal(tokens, allowed.argmax(1)), f"tokens differ: --seed {seed}, problem {index}"
    torch.testing.assert_close(log_probability, allowed.log_softmax(1).amax(1), **close)

    token = integer(0, vocabulary - 1)
    others = table.index_fill(1, torch.tensor([token]), float("-inf")).logsumexp(1)
    torch.testing.assert_close(log_odds(hidden, weight, bias, token), table[:, token] - others, **close)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for index in range(options.n):
        check(options.seed, index)
    print(f"{options.n} problems of seed {options.seed} agree with torch")


if __name__ == "__main__":
    main()
