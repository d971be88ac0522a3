"""Starting from RoBERTa-shaped weights: same outputs as RoBERTa where the two models overlap."""

import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaForMaskedLM, RobertaModel

from graph_builder.layout import ChainLayout
from graphmert import GraphMERTModel

LAYOUT = ChainLayout(num_roots=24, leaves_per_root=2)


@pytest.fixture(scope="module")
def roberta_config() -> RobertaConfig:
    """Return CodeBERT's form in small: one token type, a position table with two rows unused."""
    return RobertaConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=34,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )


def wide(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model with weights wide enough for attention to matter."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    return model.eval()


def from_codebert(path, **settings) -> GraphMERTModel:
    sizes = {"num_roots": LAYOUT.num_roots, "leaves_per_root": LAYOUT.leaves_per_root}
    return GraphMERTModel.from_codebert(path, use_decay=False, **sizes, **settings)


def no_leaves(lengths: list[int]) -> dict[str, torch.Tensor]:
    """Return windows of random roots without any leaf, B of them."""
    slots = (len(lengths), LAYOUT.num_roots, LAYOUT.leaves_per_root)
    positions = torch.arange(LAYOUT.num_nodes).expand(len(lengths), -1)
    is_real = positions < torch.tensor(lengths)[:, None]
    ids = torch.randint(2, 60, positions.shape, generator=torch.Generator().manual_seed(1))
    return {
        "input_ids": torch.where(is_real, ids, 1),
        "attention_mask": is_real.long(),
        "token_type_ids": (positions >= LAYOUT.num_roots).long(),
        "graph_structure": torch.full(slots, -1),
        "relation_ids": torch.full(slots, -1),
    }


@torch.no_grad()
def test_outputs_equal_robertas(roberta_config, tmp_path):
    roberta = wide(RobertaModel(roberta_config, add_pooling_layer=False))
    roberta.save_pretrained(tmp_path)
    lengths = [LAYOUT.num_roots, 9, 1]
    windows = no_leaves(lengths)
    found = from_codebert(tmp_path)(**windows).last_hidden_state
    roots = slice(0, LAYOUT.num_roots)
    expected = roberta(
        windows["input_ids"][:, roots], attention_mask=windows["attention_mask"][:, roots]
    ).last_hidden_state
    for index, length in enumerate(lengths):
        torch.testing.assert_close(
            found[index, :length], expected[index, :length], rtol=0, atol=1e-5
        )


@torch.no_grad()
def test_token_scores_equal_robertas(roberta_config, tmp_path):
    roberta = wide(RobertaForMaskedLM(roberta_config))
    roberta.save_pretrained(tmp_path)
    windows = no_leaves([LAYOUT.num_roots])
    model = from_codebert(tmp_path)
    roots = slice(0, LAYOUT.num_roots)
    found = model.lm_head(model(**windows).last_hidden_state[:, roots])
    expected = roberta(windows["input_ids"][:, roots]).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_tables_are_extended(roberta_config, tmp_path):
    roberta = wide(RobertaModel(roberta_config, add_pooling_layer=False))
    roberta.save_pretrained(tmp_path)
    embeddings = from_codebert(tmp_path).embeddings
    theirs = roberta.embeddings
    assert len(embeddings.positions.weight) == LAYOUT.num_nodes
    assert torch.equal(embeddings.positions.weight[:32], theirs.position_embeddings.weight[2:])
    added = embeddings.positions.weight[32:]
    assert added.std().item() == pytest.approx(0.02, rel=0.2)
    for token_type in embeddings.token_types.weight:
        assert torch.equal(token_type, theirs.token_type_embeddings.weight[0])


def test_settings_that_weights_do_not_fix_can_be_chosen(roberta_config, tmp_path):
    RobertaModel(roberta_config).save_pretrained(tmp_path)
    model = GraphMERTModel.from_codebert(str(tmp_path), relation_input="root", num_relations=5)
    assert model.config.relation_input == "root"
    assert model.relation_head.weight.shape == (5, 16)
    assert model.config.num_roots == 128
    p = pytest.approx([1.0, 14 / 3, 25 / 3, 12.0])
    assert [layer.attention.decay.p.tolist() for layer in model.layers] == [p] * 3


def test_weights_of_another_kind_are_refused(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
    BertModel(BertConfig(**sizes, intermediate_size=8)).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="'bert' model; from_codebert needs RoBERTa's shape"):
        GraphMERTModel.from_codebert(tmp_path / "bert")
    relu = RobertaConfig(**sizes, intermediate_size=8, hidden_act="relu")
    RobertaModel(relu).save_pretrained(tmp_path / "relu")
    with pytest.raises(ValueError, match="gelu"):
        GraphMERTModel.from_codebert(tmp_path / "relu")
