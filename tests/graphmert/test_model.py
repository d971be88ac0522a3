"""The model's interface: shapes, defaults, refusals, gradients, saving and loading."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from random_windows import LAYOUT, NUM_RELATIONS, random_model, random_windows
from transformers import AutoModel

from graph_builder.layout import ChainLayout
from graphmert import GraphMERTConfig, GraphMERTModel
from graphmert.models.configuration import codebert, paper, small, tiny
from graphmert.models.loading import load_model


def seed_arguments(windows) -> dict[str, torch.Tensor]:
    """Return only the five tensors that the seed's forward takes."""
    later = ("head_starts", "head_lengths", "is_knowledge")
    return {name: tensor for name, tensor in windows.arguments().items() if name not in later}


@torch.no_grad()
def test_a_slot_without_a_head_hangs_on_its_own_root():
    model, windows = random_model(), random_windows(3)
    own = torch.arange(LAYOUT.num_roots)[None, :, None].expand_as(windows.head_starts)
    said = model(**seed_arguments(windows), head_starts=own, head_lengths=torch.ones_like(own))
    absent = model(**seed_arguments(windows))
    none = model(
        **seed_arguments(windows),
        head_starts=torch.full_like(own, -1),
        head_lengths=torch.full_like(own, -1),
    )
    other = model(**windows.arguments() | {"is_knowledge": None})
    for output in (absent, none):
        assert torch.equal(said.last_hidden_state, output.last_hidden_state)
        assert torch.equal(said.relation_logits, output.relation_logits)
    assert not torch.equal(said.last_hidden_state, other.last_hidden_state)


@torch.no_grad()
def test_direction_bits_and_triple_ids_are_not_read():
    model, windows = random_model(), random_windows(2)
    bits = torch.rand(windows.graph_structure.shape) < 0.5
    plain = model(**windows.arguments())
    record = model(**windows.arguments(), triple_ids=bits.long(), is_reversed=bits)
    assert torch.equal(plain.relation_logits, record.relation_logits)


@torch.no_grad()
def test_a_leaf_counts_as_local_unless_it_is_said_to_be_knowledge():
    windows = random_windows(2)
    arguments = windows.arguments()
    nothing = {"is_knowledge": torch.zeros_like(windows.is_knowledge)}
    for reads in (True, False):
        model = random_model(use_knowledge_mark=reads)
        said = model(**arguments).relation_logits
        unsaid = model(**arguments | {"is_knowledge": None}).relation_logits
        assert torch.equal(unsaid, model(**arguments | nothing).relation_logits)
        assert torch.equal(said, unsaid) is not reads


@torch.no_grad()
def test_the_seeds_head_gives_all_slots_of_a_root_one_answer():
    windows = random_windows(2)
    by_root = random_model(relation_input="root")(**windows.arguments()).relation_logits
    assert torch.equal(by_root, by_root[:, :, :1].expand_as(by_root))
    by_both = random_model()(**windows.arguments()).relation_logits
    has_two = (windows.graph_structure >= 0).sum(-1) > 1
    assert (by_both[has_two].std(1) > 1e-6).any()


@torch.no_grad()
def test_narrow_integers_of_a_shard_give_the_same_states():
    model, windows = random_model(), random_windows(2)
    narrow = dataclasses.replace(
        windows,
        input_ids=windows.input_ids.int(),
        attention_mask=windows.attention_mask.bool(),
        graph_structure=windows.graph_structure.short(),
        relation_ids=windows.relation_ids.char(),
        head_starts=windows.head_starts.short(),
        head_lengths=windows.head_lengths.short(),
    )
    wide, found = model(**windows.arguments()), model(**narrow.arguments())
    assert torch.equal(wide.last_hidden_state, found.last_hidden_state)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("graph_structure", 0, "graph_structure holds 0; a leaf's position is 5 to 19"),
        ("graph_structure", 20, "graph_structure holds 20"),
        ("graph_structure", -2, "graph_structure holds -2"),
        ("relation_ids", NUM_RELATIONS, "relation_ids holds 4; the model knows 0 to 3"),
    ],
)
def test_values_outside_the_layout_are_refused(field, value, message):
    arguments = random_windows(1).arguments()
    arguments[field][0, 1, 1] = value
    with pytest.raises(ValueError, match=message):
        random_model()(**arguments)


def test_inputs_of_another_layout_are_refused():
    model, arguments = random_model(), random_windows(1).arguments()
    with pytest.raises(ValueError, match=r"input_ids has shape \(1, 19\).*\(batch, 20\)"):
        model(**arguments | {"input_ids": arguments["input_ids"][:, :-1]})
    with pytest.raises(ValueError, match=r"relation_ids has shape \(1, 5, 2\)"):
        model(**arguments | {"relation_ids": arguments["relation_ids"][:, :, :-1]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 10, "num_attention_heads": 3}, "10 is not a multiple of .* 3"),
        ({"relation_input": "leaf"}, "'leaf' is not one of root_and_leaf, root"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GraphMERTConfig(**settings)


def test_gradients_reach_every_parameter():
    model = random_model(dtype=torch.float32).train()
    windows = random_windows(8, leaf_share=0.9)
    output = model(**windows.arguments())
    scores = model.lm_head(output.last_hidden_state)
    (output.relation_logits.square().mean() + scores.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert model.layers[0].attention.decay.p.grad.shape == (3,)


def test_gradients_equal_numerical_ones():
    model, windows = random_model(), random_windows(2, leaf_share=0.9)
    p, transform = model.layers[0].attention.decay.p, model.hgat.transform

    def value() -> torch.Tensor:
        output = model(**windows.arguments())
        weights = torch.linspace(-1, 1, output.relation_logits.numel()).double()
        return output.relation_logits.flatten() @ weights

    value().backward()
    for parameter, index in ((p, 0), (p, 2), (transform, 7), (transform, -3)):
        flat, step = parameter.data.view(-1), 1e-6
        with torch.no_grad():
            flat[index] += step
            above = value()
            flat[index] -= 2 * step
            below = value()
            flat[index] += step
        slope = (above - below) / (2 * step)
        torch.testing.assert_close(parameter.grad.view(-1)[index], slope, rtol=1e-5, atol=1e-7)


def test_gradients_are_the_same_each_time_on_two_threads():
    layout = ChainLayout()
    model = random_model(layout, torch.float32, hidden_size=48, num_hidden_layers=0)
    windows = random_windows(2, layout, leaf_share=0.9)
    few_heads = dataclasses.replace(windows, head_starts=windows.head_starts % 3)

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(**few_heads.arguments()).relation_logits.square().sum().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    num_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, *others = [gradients() for _ in range(3)]
    finally:
        torch.set_num_threads(num_threads)
    assert len(first) == 11
    for other in others:
        assert all(torch.equal(one, same) for one, same in zip(first, other, strict=True))


def test_p_can_be_frozen():
    model = random_model(is_decay_learnable=False)
    assert not any(p.requires_grad for n, p in model.named_parameters() if n.endswith("decay.p"))


def test_weights_start_as_berts():
    torch.manual_seed(0)
    model = GraphMERTModel(tiny(vocab_size=500))
    assert model.embeddings.tokens.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.layers[1].inner.weight.std().item() == pytest.approx(0.02, rel=0.05)
    branch_std = 0.02 / (1 + 2 * model.config.num_hidden_layers) ** 0.5
    assert model.hgat.transform.std().item() == pytest.approx(branch_std, rel=0.05)
    assert model.layers[1].outer.weight.std().item() == pytest.approx(branch_std, rel=0.05)
    assert model.layers[1].attention.output.weight.std().item() == pytest.approx(
        branch_std, rel=0.05
    )
    assert model.layers[1].attention.decay.p.tolist() == [1.0, 1.0]  # of two heads
    assert not model.relation_head.bias.any()
    assert (model.layers[0].output_norm.weight == 1).all()


def test_p_starts_anew_where_a_checkpoint_has_none(tmp_path):
    random_model(dtype=torch.float32, use_decay=False).save_pretrained(tmp_path)
    ends = {"decay_initial_p": 0.7, "decay_last_initial_p": 2.7}
    config = GraphMERTConfig.from_pretrained(tmp_path, use_decay=True, **ends)
    loaded = GraphMERTModel.from_pretrained(tmp_path, config=config)
    for layer in loaded.layers:
        torch.testing.assert_close(layer.attention.decay.p.data, torch.tensor([0.7, 1.7, 2.7]))


def test_a_model_from_before_the_mark_of_knowledge_comes_back_the_same(tmp_path):
    model = random_model(dtype=torch.float32, use_knowledge_mark=False)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["use_knowledge_mark"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    arguments = random_windows(2).arguments()
    found = load_model(tmp_path)(**arguments).relation_logits
    assert torch.equal(found, model(**arguments).relation_logits)


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [
        (small, (6, 256, 4, 1024, 16_384)),
        (paper, (12, 512, 8, 2048, 50_265)),
        (codebert, (12, 768, 12, 3072, 50_265)),
    ],
)
def test_presets_have_their_sizes(preset, sizes):
    config = preset()
    assert sizes == (
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.vocab_size,
    )


def test_a_saved_model_comes_back_the_same(tmp_path):
    model, windows = random_model(dtype=torch.float32), random_windows(2)
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    loaders = (GraphMERTModel.from_pretrained, AutoModel.from_pretrained, load_model)
    expected = model(**windows.arguments()).relation_logits
    for load in loaders:
        loaded = load(tmp_path)
        assert isinstance(loaded, GraphMERTModel)
        assert loaded.config.to_diff_dict() == model.config.to_diff_dict()
        assert loaded.lm_head.decoder.weight is loaded.embeddings.tokens.weight
        found = loaded(**windows.arguments()).relation_logits
        # `transformers` maps weights at odd addresses, where products round otherwise; ours do not.
        torch.testing.assert_close(found, expected, rtol=0, atol=0 if load is load_model else 1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 3}, r"layers.2.*\(3,\) by config.json but none in the file"),
        ({"vocab_size": 41}, r"embeddings.tokens.weight, \(41, 12\) by config.json but \(40, 12\)"),
        ({"hidden_size": 13}, "config.json cannot be used: hidden_size 13"),
        ({"hidden_size": "13"}, "config.json cannot be used: hidden_size '13'"),
        ({"num_attention_heads": 0}, "config.json cannot be used: num_attention_heads 0"),
        ({"hgat_dropout": 5}, "config.json cannot be used: hgat_dropout 5"),
        ({"decay_base": "x"}, "config.json cannot be used: decay_base 'x'"),
        ({"model_type": "bert"}, "config.json cannot be used: its model_type is 'bert'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_in_one_line(tmp_path, change, message):
    random_model(dtype=torch.float32).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(ValueError, match=message) as refusal:
        load_model(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_broken_checkpoint_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"config.json is missing"):
        load_model(tmp_path)
    random_model(dtype=torch.float32).save_pretrained(tmp_path)
    weights: Path = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read") as refusal:
        load_model(tmp_path)
    assert "\n" not in str(refusal.value)
