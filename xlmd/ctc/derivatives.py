"""CTC has a first derivative here, by reverse mode, and no other: whatever asks for another gets an error.

The gradient is computed in the forward pass and only scaled in the backward pass, where nothing says that it depends on
the scores; autograd would take it for a constant. An empty tensor that depends on them (`anchor`) tells it otherwise.
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad

NO_SECOND = "CTC has no second derivative: the gradient of xlmd.ctc's losses cannot be differentiated"
NO_FORWARD = "CTC has no forward-mode derivative (jvp, jacfwd, dual tensors): use reverse mode, that is backward()"


def anchor(*tensors: Tensor | None) -> Tensor:
    """An empty tensor that depends on all of these, in autograd's eyes, and shares no memory with them."""
    return torch.cat([tensor[:0].flatten() for tensor in tensors if tensor is not None])


def refuse_forward_mode(*tensors: Tensor | None) -> None:
    """Raise RuntimeError if one of them carries a tangent, which a torch operator of ours would lose silently."""
    if torch.compiler.is_compiling():
        return
    for tensor in tensors:
        if tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None:
            raise RuntimeError(NO_FORWARD)


def refuse_second(ctx, *_):
    """The derivative of a derivative's operator."""
    raise RuntimeError(NO_SECOND)


def nothing_to_save(ctx, inputs, output) -> None:
    """The context of an operator whose derivative is `refuse_second`."""
