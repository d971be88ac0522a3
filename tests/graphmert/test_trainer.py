"""Updates, the schedule, and that a model learns real code."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_dataset import write_toy_dataset

from graphmert.data.dataset import TrainingData, load_training_data
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.cli import main
from graphmert.training.passes import forward_passes
from graphmert.training.schedule import learning_rate
from graphmert.training.settings import TrainSettings
from graphmert.training.update import SummedLosses, UpdateSums, make_optimizer, update


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return load_training_data(write_toy_dataset(tmp_path_factory.mktemp("data")))


def small_model(data: TrainingData, dropout: float = 0.0) -> GraphMERTModel:
    torch.manual_seed(0)
    layout = data.train.layout
    return GraphMERTModel(
        GraphMERTConfig(
            vocab_size=data.vocab_size,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            hidden_dropout_prob=dropout,
            hgat_dropout=dropout,
            num_roots=layout.num_roots,
            leaves_per_root=layout.leaves_per_root,
        )
    )


def one_update(
    data: TrainingData, settings: TrainSettings
) -> tuple[UpdateSums, dict[str, torch.Tensor]]:
    model = small_model(data).train()
    optimizer = make_optimizer(model, settings)
    passes = list(forward_passes(data.train, torch.arange(24), 0, settings, data.vocab_size))
    sums = update(SummedLosses(model), optimizer, passes, settings, autocast=nullcontext())
    return sums, model.state_dict()


@pytest.mark.parametrize("num_parts", [2, 3, 24])
def test_accumulated_gradients_are_those_of_the_big_batch(
    num_parts: int, data: TrainingData
) -> None:
    """Labels weigh alike though the parts have different numbers of them."""
    big = TrainSettings(batch_size=24, max_gradient_norm=1e9)
    parts = replace(big, batch_size=24 // num_parts, gradient_accumulation=num_parts)
    (sums, weights), (sums_of_parts, weights_of_parts) = (
        one_update(data, settings) for settings in (big, parts)
    )
    torch.testing.assert_close(sums.stacked(), sums_of_parts.stacked(), rtol=1e-4, atol=1e-5)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, weights_of_parts[name], rtol=1e-3, atol=1e-6)


def test_two_passes_ask_each_objective_of_what_the_other_left_whole(data: TrainingData) -> None:
    settings = TrainSettings(batch_size=24, is_two_passes=True)
    language, relations = forward_passes(data.train, torch.arange(24), 0, settings, data.vocab_size)
    assert len(language.mlm_labels)
    assert (language.relation_labels < 0).all()
    assert not len(relations.mlm_labels)
    assert (relations.relation_labels >= 0).any()
    masked_relation = settings.masks.num_relations
    assert not (language.inputs.edge_relation == masked_relation).any()
    assert not (relations.inputs.input_ids == settings.masks.mask_token_id).any()


def test_gradients_are_clipped_over_all_parameters_and_reach_both_heads(
    data: TrainingData,
) -> None:
    settings = TrainSettings(batch_size=24, max_gradient_norm=1e-3, weight_decay=0.0)
    model = small_model(data).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    passes = list(forward_passes(data.train, torch.arange(24), 0, settings, data.vocab_size))
    sums = update(SummedLosses(model), optimizer, passes, settings, autocast=nullcontext())
    changes = {
        name: before[name] - parameter.detach() for name, parameter in model.named_parameters()
    }
    assert float(sums.gradient_norm) > 1e-3
    norm = torch.stack([change.norm() for change in changes.values()]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-2)
    assert changes["relation_head.weight"].abs().max() > 0
    assert changes["lm_head.dense.weight"].abs().max() > 0


def test_decay_spares_vectors(data: TrainingData) -> None:
    model = small_model(data)
    decayed, spared = make_optimizer(model, TrainSettings(weight_decay=0.5)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    spared_names = {names[id(parameter)] for parameter in spared["params"]}
    for ending in ("norm.weight", "bias", ".p"):
        assert any(name.endswith(ending) for name in spared_names)
        assert not any(names[id(each)].endswith(ending) for each in decayed["params"])


@settings(max_examples=50)
@given(num_steps=st.integers(1, 500), warmup=st.floats(0.0, 0.9))
def test_rate_rises_to_the_highest_and_falls_to_the_lowest(num_steps: int, warmup: float) -> None:
    told = TrainSettings(learning_rate=1.0, warmup_share=warmup, min_learning_rate_share=0.1)
    rates = [learning_rate(told, step, num_steps) for step in range(num_steps)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1.0)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0
    if num_steps > 10:
        assert rates[-1] == pytest.approx(0.1)


def test_losses_fall_on_real_code(small_dataset: Path, tmp_path: Path) -> None:
    """MNM starts near ln 12, and both objectives fall on a package that was held out."""
    flags = ["--num_epochs", "3", "--batch_size", "16", "--learning_rate", "2e-3", "--seed", "1"]
    paths = ["--data_path", str(small_dataset), "--output_dir", str(tmp_path)]
    assert main([*paths, *flags, "--device", "cpu", "--lambda_mlm", "0.5"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    reports = [line for line in lines if "validation/mlm_loss" in line]
    assert [report["epoch"] for report in reports] == [0, 1, 2, 3]
    assert 2.3 <= reports[0]["validation/mnm_loss"] <= 3.0
    for name, fall in (("validation/mlm_loss", 0.5), ("validation/mnm_loss", 0.15)):
        assert reports[-1][name] < reports[0][name] - fall
