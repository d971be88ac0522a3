"""Variable misuse on a small data set: samples against `ast`, the head against plain loops."""

import ast
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from graph_builder.relations import RELATION_NAMES
from graphmert.data.packing import pack
from graphmert.data.windows import WindowTable
from graphmert.evaluation.misuse_samples import MisuseSample, make_samples
from graphmert.evaluation.questions import unmasked
from graphmert.evaluation.tuning import TuneSettings, copy_model
from graphmert.evaluation.variable_misuse import (
    AskedPlaces,
    MisuseHead,
    MisuseProbe,
    score_misuse,
    swapped_batch,
    tune_misuse,
)
from graphmert.evaluation.window_text import code_names, spelled_bytes, window_text
from graphmert.models.graphmert import GraphMERTModel


@pytest.fixture(scope="module")
def samples(train_windows: WindowTable, tokenizer: Tokenizer) -> list[MisuseSample]:
    return make_samples(train_windows, tokenizer, num_samples=200)


def texts(
    sample: MisuseSample, train_windows: WindowTable, tokenizer: Tokenizer
) -> tuple[bytes, bytes, int]:
    """Return the sound text, the sample's, and where the swapped use starts."""
    spelled = spelled_bytes(tokenizer)
    text = window_text(train_windows, sample.window, spelled)
    if sample.swapped < 0:
        return text.text, text.text, -1
    start = text.bounds[sample.swapped_roots.start - text.first_root]
    end = text.bounds[sample.swapped_roots.stop - text.first_root]
    swapped = b"".join(spelled[token] for token in sample.swapped_ids)
    return text.text, text.text[:start] + swapped + text.text[end:], start


def parse(text: str) -> ast.Module:
    """Parse a function; a method's window starts with the last space of its indentation."""
    return ast.parse(f"if True:\n   {text}" if text.startswith(" ") else text)


def test_a_swap_puts_another_variable_of_the_function_in_one_place(
    train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    samples = [
        each for seed in range(4) for each in make_samples(train_windows, tokenizer, seed=seed)
    ]
    num_parsed = 0
    for sample in samples:
        sound, swapped, start = texts(sample, train_windows, tokenizer)
        if start < 0:
            assert (sample.answer, sample.said, sample.swapped_ids) == (-1, -1, ())
            continue
        assert sound != swapped
        assert len(sample.swapped_ids) == len(sample.swapped_roots)
        try:
            trees = [parse(text.decode()) for text in (sound, swapped)]
        except SyntaxError:
            continue  # a function that goes on in another window
        names = [[each for each in ast.walk(tree) if isinstance(each, ast.Name)] for tree in trees]
        differing = [
            (one.id, other.id) for one, other in zip(*names, strict=True) if one.id != other.id
        ]
        assert len(differing) == 1
        bound = {each.arg for each in ast.walk(trees[0]) if isinstance(each, ast.arg)}
        bound |= {each.id for each in names[0] if isinstance(each.ctx, ast.Store)}
        assert set(differing[0]) <= bound
        num_parsed += 1
    assert num_parsed > 5
    share = sum(sample.swapped >= 0 for sample in samples) / len(samples)
    assert 0.3 < share < 0.7


def test_mentions_and_answers_agree_with_the_text(
    samples: list[MisuseSample], train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    spelled = spelled_bytes(tokenizer)
    for sample in samples:
        batch = train_windows.batch([sample.window])
        names = {}
        for root, variable in zip(sample.mentions, sample.variables, strict=True):
            name = int(batch.root_names[root])
            assert names.setdefault(variable, name) == name  # one number, one name
        assert len(set(names.values())) == len(names)
        assert len(sample.uses) == len(set(sample.uses))
        assert len(sample.uses) > sample.swapped
        if sample.swapped < 0:
            continue
        assert sample.swapped_roots.start == sample.uses[sample.swapped]
        assert sample.swapped_roots.start not in sample.mentions
        assert names[sample.answer] == int(batch.root_names[sample.swapped_roots.start])
        said = next(
            root
            for root, variable in zip(sample.mentions, sample.variables, strict=True)
            if variable == sample.said
        )
        swapped = b"".join(spelled[token] for token in sample.swapped_ids).strip()
        text = window_text(train_windows, sample.window, spelled)
        name = next(each for each in code_names(text) if each.roots.start == said)
        assert name.text == swapped


def test_what_was_read_from_uses_is_not_to_be_seen(
    tiny_model: GraphMERTModel,
    samples: list[MisuseSample],
    train_windows: WindowTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    encode = tiny_model.encode
    monkeypatch.setattr(tiny_model, "encode", lambda inputs: seen.append(inputs) or encode(inputs))
    probe = MisuseProbe(tiny_model, MisuseHead(tiny_model.config.hidden_size))
    score_misuse(probe, samples[:20], train_windows)
    batch = swapped_batch(samples[:20], train_windows)
    names = [RELATION_NAMES[relation] for relation in batch.triple_relations.tolist()]
    stays = [name not in ("calls", "flows_to") for name in names]
    num_leaves = sum(stays[triple] for triple in batch.leaf_triples.tolist())
    assert sum(int((inputs.token_type_ids >= 1).sum()) for inputs in seen) == num_leaves
    assert 0 < num_leaves < len(batch.leaf_ids)


def test_the_head_s_answers_equal_plain_loops(
    tiny_model: GraphMERTModel, samples: list[MisuseSample], train_windows: WindowTable
) -> None:
    part = samples[:12]
    torch.manual_seed(1)
    head = MisuseHead(tiny_model.config.hidden_size)
    batch = swapped_batch(part, train_windows)
    with torch.no_grad():
        hidden = tiny_model.encode(pack(batch, unmasked(batch)).inputs)
        places, variables = head(hidden, AskedPlaces.of(part, hidden.device))
        for row, sample in enumerate(part):
            states = hidden[row]
            scores = [float(head.sound(states[0]))]
            scores += [float(head.place(states[root])) for root in sample.uses]
            total = math.log(sum(map(math.exp, scores)))
            for at, score in enumerate(scores):
                assert float(places[row, at]) == pytest.approx(score - total, abs=1e-4)
            assert (places[row, len(scores) :] < -1e6).all()
            if sample.swapped < 0:
                continue
            wanted = head.wanted(states[sample.uses[sample.swapped]])
            weights: dict[int, float] = {}
            for root, variable in zip(sample.mentions, sample.variables, strict=True):
                if variable != sample.said:
                    score = float(states[root] @ wanted) / math.sqrt(len(wanted))
                    weights[variable] = weights.get(variable, 0.0) + math.exp(score)
            for variable, weight in weights.items():
                expected = math.log(weight / sum(weights.values()))
                assert float(variables[row, variable]) == pytest.approx(expected, abs=1e-4)
            assert float(variables[row, sample.said]) < -1e6


def test_measures_are_shares_of_sound_and_of_swapped_samples(
    tiny_model: GraphMERTModel, samples: list[MisuseSample], train_windows: WindowTable
) -> None:
    head = MisuseHead(tiny_model.config.hidden_size)
    with torch.no_grad():
        head.sound.bias += 100.0  # says that nothing is swapped, always
    report = score_misuse(MisuseProbe(tiny_model, head), samples, train_windows)
    means = {name: each.mean for name, each in report.measures.items()}
    assert (means["sound_accuracy"], means["location_accuracy"]) == (1.0, 0.0)
    assert means["joint_accuracy"] == 0.0
    num_sound = sum(sample.swapped < 0 for sample in samples)
    assert means["place_accuracy"] == pytest.approx(num_sound / len(samples))
    assert 0.0 < means["repair_accuracy"] < 1.0
    chance = report.baselines["chance"]
    swapped = [sample for sample in samples if sample.swapped >= 0]
    assert chance["location_accuracy"].mean == pytest.approx(
        np.mean([1 / (1 + len(sample.uses)) for sample in swapped])
    )
    assert report.baselines["majority"]["sound_accuracy"].mean == 1.0


def test_a_short_tune_learns_its_samples_and_leaves_the_model_alone(
    tiny_model: GraphMERTModel, samples: list[MisuseSample], train_windows: WindowTable
) -> None:
    part = samples[:16]
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    settings = TuneSettings(num_updates=10, batch_size=16, learning_rate=3e-3)
    probe = tune_misuse(tiny_model, part, train_windows, settings)
    assert all(value.equal(before[name]) for name, value in tiny_model.state_dict().items())
    torch.manual_seed(0)
    untuned = MisuseProbe(copy_model(tiny_model), MisuseHead(tiny_model.config.hidden_size))
    means = [
        {name: each.mean for name, each in score_misuse(each, part, train_windows).measures.items()}
        for each in (untuned, probe)
    ]
    assert means[1]["repair_accuracy"] + means[1]["location_accuracy"] > (
        means[0]["repair_accuracy"] + means[0]["location_accuracy"]
    )


def test_samples_do_not_depend_on_how_many_are_drawn(
    samples: list[MisuseSample], train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    assert make_samples(train_windows, tokenizer, num_samples=5) == samples[:5]
    assert replace(samples[0], window=-1) not in samples
