"""torch.compile where it pays: the parts of a step that are bound by memory, not by products.

Only on a GPU. The encoder's layers share one compiled function, whatever their number; H-GAT stays
as it is, since its edges are few.
"""

import torch

from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.update import TokenLoss, summed_token_loss


def compile_model(model: GraphMERTModel) -> TokenLoss:
    """Compile the model's layers in place; return the compiled token loss.

    Sizes stay symbolic: every update has its own number of tokens and labels.
    """
    # Among several processes torch would cut each graph where a bucket of gradients ends, and fails
    # over sizes that are symbolic; a layer is small enough as it is.
    torch._dynamo.config.optimize_ddp = False
    # Not the look-ups: their compiled gradient adds up by atomic adds, in no fixed order.
    model.embeddings.finish = torch.compile(model.embeddings.finish, dynamic=True)  # type: ignore[method-assign]
    for layer in model.layers:
        layer.compile(dynamic=True)
    compiled: TokenLoss = torch.compile(summed_token_loss, dynamic=True)
    return compiled
