"""The graph study: its variants, one whole run of two of them, and the comparison of all."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graph_builder.errors import UserError
from graphmert.evaluation.measures import Measures, measure
from graphmert.study.comparison import compare
from graphmert.study.data import StudyData, load_study_data, seen_by
from graphmert.study.figures import draw_differences
from graphmert.study.outcome import Outcome, SplitOutcome
from graphmert.study.report import study_markdown, study_tables
from graphmert.study.run import EXIT_NOT_FINITE, main, run_variant
from graphmert.study.settings import TUNE_UPDATES, StudySettings
from graphmert.study.tasks import make_tasks
from graphmert.study.training import base_model, initial_model, trained_model
from graphmert.study.variants import FULL, NO_LEAVES, VARIANTS, Variant, find_variant
from graphmert.training.passes import packed_passes
from graphmert.training.update import SummedLosses, make_optimizer, update

FLAGS = {
    "preset": "tiny",
    "num_updates": 2,
    "batch_size": 4,
    "num_questions": 12,
    "num_examples": 12,
    "search_updates": 1,
    "misuse_updates": 1,
    "tail_updates": 1,
    "tune_batch_size": 4,
}
SPREAD = Variant("spread p", "", model={"decay_last_initial_p": 12.0})
SOURCES = [f"source{number}" for number in range(6)]


def markdown(outcomes: list[Outcome]) -> str:
    return study_markdown(study_tables(outcomes, "validation"), "validation")


@pytest.fixture(scope="module")
def data(small_dataset: Path) -> StudyData:
    return load_study_data(small_dataset, ("validation",))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_starts_from_the_weights_of_the_full_one(
    variant: Variant, data: StudyData
) -> None:
    settings = StudySettings(preset="tiny")
    table = seen_by(variant, data.held_out["validation"], 0, data.tokenizer)
    full = initial_model(data, table, VARIANTS[0], 3, settings).state_dict()
    found = initial_model(data, table, variant, 3, settings)
    assert settings.training(data, variant, 3).seed == 3
    for name, weight in found.state_dict().items():
        if name.endswith("decay.p"):
            ends = found.config.decay_initial_p, found.config.decay_last_initial_p
            assert (weight[0].item(), weight[-1].item()) == ends
        elif name in full and full[name].shape == weight.shape:
            assert torch.equal(weight, full[name]), name
    for field, value in variant.model.items():
        assert getattr(found.config, field) == value
    assert table.layout == found.config.layout


def test_variants_go_on_from_the_base_of_their_seed(data: StudyData, tmp_path: Path) -> None:
    settings = StudySettings(preset="tiny", batch_size=4, num_updates=1, base_updates=2)
    device = torch.device("cpu")
    base = base_model(data, 1, settings, device, tmp_path)
    again = base_model(data, 1, replace(settings, num_updates=9), device, tmp_path)  # read
    assert len(list(tmp_path.iterdir())) == 1
    alone = initial_model(data, data.train, NO_LEAVES, 1, settings)
    trained = {
        name
        for name, weight in base.state_dict().items()
        if not torch.equal(weight, alone.state_dict()[name])
    }
    assert {"layers.0.inner.weight", "layers.1.attention.decay.p"} <= trained
    for variant in (FULL, NO_LEAVES, find_variant("no decay"), SPREAD):
        found = initial_model(data, data.train, variant, 1, settings, again).state_dict()
        for key, weight in base.state_dict().items():
            has_own_p = variant is SPREAD and key.endswith("decay.p")
            if key in found:
                assert torch.equal(found[key], weight) != has_own_p, (variant.name, key)
    model, losses = trained_model(data, data.train, NO_LEAVES, 1, settings, tmp_path)
    assert losses["mlm"] > 0
    assert not torch.equal(model.layers[0].inner.weight, base.layers[0].inner.weight)
    base_model(data, 2, settings, device, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_trains_on_rows_as_a_gpu_packs_them(
    variant: Variant, data: StudyData
) -> None:
    settings = StudySettings(preset="tiny", batch_size=4)
    table = seen_by(variant, data.held_out["validation"], 0, data.tokenizer)
    model = initial_model(data, table, variant, 0, settings).train()
    training = settings.training(data, variant, 0)
    optimizer = make_optimizer(model, training)
    before = model.state_dict()["lm_head.dense.weight"].clone()
    updates = [torch.arange(4), torch.arange(4, 8)]
    for passes in packed_passes(table, updates, 0, training, data.vocab_size):
        sums = update(SummedLosses(model), optimizer, passes, training, nullcontext())
        assert sums.stacked().isfinite().all()
        assert sums.num_mlm_labels > 0
        assert sums.num_mnm_labels == 0 or training.lambda_mlm < 1
    assert not torch.equal(model.state_dict()["lm_head.dense.weight"], before)


@pytest.mark.parametrize("name", ["full", "facts as text"])
def test_a_run_answers_everything(name: str, small_dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "outcome.json"
    flags = [part for flag, value in FLAGS.items() for part in (f"--{flag}", str(value))]
    command = [str(small_dataset), "--variant", name, "--output", str(path), "--device", "cpu"]
    assert main([*command, *flags]) == 0
    outcome = Outcome.from_json(path.read_text())
    assert Outcome.from_json(outcome.to_json()) == outcome
    figures = outcome.splits["validation"].figures
    asked = {"token_accuracy", "names/accuracy", "search_zero_shot/mrr", "search/mrr"}
    asked |= {"misuse/location_accuracy"}
    assert asked <= figures.keys()
    assert ("tails/mrr" in figures) == (name == "full")
    has_relations = "relation_macro_f1" in outcome.splits["validation"].scores
    assert has_relations == (name == "full")
    confusions = outcome.splits["validation"].confusions
    asked_of = {kind: np.sum(counts) for kind, counts in confusions.items()}
    answered = {kind: np.trace(counts) for kind, counts in confusions.items()}
    assert confusions.keys() == ({"local", "knowledge"} if name == "full" else set())
    for kind in confusions:
        sums = np.sum(list(figures[f"{kind}_relation_accuracy"].values()), axis=0)
        assert sums.tolist() == [asked_of[kind], answered[kind]]
    assert "masked tokens: accuracy" in markdown([outcome])


def test_what_a_run_says_before_each_fine_tune_is_an_outcome_by_itself(data: StudyData) -> None:
    settings = StudySettings(**FLAGS)
    tasks, device = make_tasks(data, settings), torch.device("cpu")
    before, *between, after = run_variant(data, tasks, NO_LEAVES, 0, settings, device)
    assert (before.settings, after.settings) == (asdict(settings.untuned), asdict(settings))
    splits = [each.splits["validation"] for each in (before, *between, after)]
    assert [each.is_whole for each in splits] == [True, False, False, True]
    early, *said = (each.figures for each in splits)
    assert "search_zero_shot/mrr" in early
    for figure, figures in zip(
        ("search/mrr", "misuse/location_accuracy", "tails/mrr"), said, strict=True
    ):
        assert figure in figures.keys() - early.keys()
        assert early == {name: figures[name] for name in early}
        early = figures
    line = between[0].to_json()
    assert Outcome.from_json(line).to_json() == line


def test_a_run_without_a_fine_tune_of_its_own_is_done_once_it_was_asked(data: StudyData) -> None:
    untuned = {"search_updates": 0, "misuse_updates": 0}  # facts that are text have no tails
    settings = StudySettings(**FLAGS | untuned)
    tasks, device = make_tasks(data, settings), torch.device("cpu")
    variant = find_variant("facts as text")
    (outcome,) = run_variant(data, tasks, variant, 0, settings, device)
    assert outcome.settings == asdict(settings)
    assert outcome.whole_splits == outcome.splits


def test_an_unknown_variant_is_one_line(
    small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "outcome.json"
    assert main([str(small_dataset), "--variant", "none", "--output", str(path)]) == 2
    assert "'none' is no variant" in capsys.readouterr().err
    assert not path.exists()


def test_a_loss_that_is_no_number_has_an_exit_status_of_its_own(
    small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "outcome.json"
    flags = FLAGS | {"learning_rate": 1e30, "num_updates": 9, "output": path, "device": "cpu"}
    options = [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
    assert main([str(small_dataset), *options]) == EXIT_NOT_FINITE
    assert capsys.readouterr().err.splitlines()[-1].startswith("graphmert-study: ")
    assert not path.exists()


def outcome_of(variant: str, seed: int, measures: Measures) -> Outcome:
    splits = {"validation": SplitOutcome.of(measures, None, {})}
    return Outcome(variant, seed, "", {"num_updates": 5}, {}, {}, splits)


def hits(variant: str, seed: int, percent: Mapping[str, int]) -> Outcome:
    """Return an outcome with so many hits of 100 in each source."""
    values = np.concatenate([np.arange(100) < each for each in percent.values()])
    sources = np.repeat(list(percent), 100)
    return outcome_of(variant, seed, {"token_accuracy": measure(values, sources)})


def test_the_picture_shows_the_variants_and_their_intervals_alone() -> None:
    percents = {"no leaves": 40, "shuffled": 41, "full": 50, "chance": 2}
    outcomes = [
        hits(variant, seed, dict.fromkeys(SOURCES, percent + seed))
        for variant, percent in percents.items()
        for seed in range(3)
    ]
    (axes,) = (
        axes
        for axes in draw_differences(compare(outcomes, "validation", ["no leaves"])).axes
        if axes.get_visible()
    )
    assert axes.get_title() == "masked tokens: accuracy"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["full", "shuffled"]
    _zero, *lines = (line.get_xdata() for line in axes.lines)
    np.testing.assert_allclose(np.concatenate(lines), [10, 10, 10, 1, 1, 1])


def test_a_difference_that_is_the_same_everywhere_has_no_spread() -> None:
    generator = np.random.default_rng(0)
    outcomes = []
    for seed in range(3):
        percent = {source: int(generator.integers(20, 70)) for source in SOURCES}
        outcomes.append(hits("no leaves", seed, percent))
        higher = {source: each + 10 for source, each in percent.items()}
        outcomes.append(hits("full", seed, higher))
    outcomes.append(hits("full", 7, dict.fromkeys(SOURCES, 0)))  # no pair: only in the mean
    cell = compare(outcomes, "validation", ["no leaves"])["full"]["masked tokens: accuracy"]
    difference = cell.against["no leaves"]
    assert difference.num_seeds == 3
    for value in (difference.mean, difference.low, difference.high):
        assert value == pytest.approx(0.1)
    assert cell.by_seed[7] == 0
    assert cell.mean == pytest.approx(np.mean(list(cell.by_seed.values())))


def test_runs_of_other_settings_or_data_are_no_pair_and_a_second_of_one_is_refused() -> None:
    even = dict.fromkeys(SOURCES, 50)
    runs = [hits("no leaves", 0, even), hits("full", 0, dict.fromkeys(SOURCES, 60))]
    other = replace(runs[1], data_set="another")
    longer = replace(runs[1], settings={"num_updates": 9})
    tables = study_tables([*runs, other, longer], "validation")
    assert [sorted(table) for table in tables.values()] == [
        ["full"],
        ["full", "no leaves"],
        ["full"],
    ]
    with pytest.raises(ValueError, match="two outcomes of 'full', seed 0"):
        study_tables([*runs, runs[1]], "validation")


def test_a_run_without_its_fine_tunes_stands_beside_those_that_had_theirs() -> None:
    settings = {"num_updates": 5} | dict.fromkeys(TUNE_UPDATES, 0)
    cut_off = [
        replace(hits("full", seed, dict.fromkeys(SOURCES, 60)), settings=settings)
        for seed in range(2)
    ]
    settings = {"num_updates": 5} | dict.fromkeys(TUNE_UPDATES, 9)
    tuned = [
        replace(hits(variant, seed, dict.fromkeys(SOURCES, percent)), settings=settings)
        for variant, seed, percent in [("full", 0, 61), ("no leaves", 0, 50), ("no leaves", 1, 50)]
    ]
    [table] = study_tables([*cut_off, *tuned], "validation").values()
    cell = table["full"]["masked tokens: accuracy"]
    assert cell.by_seed == {0: pytest.approx(0.61), 1: pytest.approx(0.60)}
    assert cell.against["no leaves"].num_seeds == 2
    assert len(study_tables(cut_off, "validation")) == 1


@pytest.mark.parametrize("name", ["num_updates", *TUNE_UPDATES, "base_updates"])
def test_a_negative_number_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        StudySettings(**{name: -1})


def test_what_needs_no_training_stands_beside_every_seed() -> None:
    untrained = replace(hits("count table", 0, dict.fromkeys(SOURCES, 40)), settings={})
    runs = [hits("no leaves", seed, dict.fromkeys(SOURCES, 50 + seed)) for seed in range(3)]
    table = compare([*runs, untrained], "validation", ["no leaves"])
    difference = table["count table"]["masked tokens: accuracy"].against["no leaves"]
    assert difference.mean == pytest.approx(0.40 - 0.51)
    assert difference.num_seeds == 3
    table = compare([*runs, untrained], "validation", ["count table"])
    difference = table["no leaves"]["masked tokens: accuracy"].against["count table"]
    assert difference.mean == pytest.approx(0.51 - 0.40)
    assert difference.num_seeds == 3


def test_baselines_that_come_with_the_answers_have_rows_of_their_own() -> None:
    run = hits("full", 0, dict.fromkeys(SOURCES, 50))
    chance = {"misuse/location_accuracy": dict.fromkeys(SOURCES, (10, 2.0))}
    found = replace(run.splits["validation"], baselines={"chance": chance})
    text = markdown([replace(run, splits={"validation": found})])
    assert "| chance |  | 20.00 |" in text


def test_an_interval_covers_a_difference_of_one_repository_alone() -> None:
    even = dict.fromkeys(SOURCES, 50)
    outcomes = [
        hits("no leaves", 0, even),
        hits("full", 0, even | {"source0": 100}),
    ]
    found = compare(outcomes, "validation", ["no leaves"])["full"]["masked tokens: accuracy"]
    difference = found.against["no leaves"]
    assert difference.mean == pytest.approx(0.5 / 6)
    assert difference.low == 0  # a third of the samples do not hold that repository
    assert difference.high > 0.16
    text = markdown(outcomes)
    assert "+8.33 [+0.00, " in text
    assert "**" not in text
    clear = [outcomes[0], hits("full", 0, dict.fromkeys(SOURCES, 60))]
    assert "**+10.00 [+10.00, +10.00]**" in markdown(clear)


def test_an_interval_covers_what_differs_from_seed_to_seed() -> None:
    """Every repository gains the same, but with one seed nothing and with another much."""
    outcomes = [
        hits(variant, seed, dict.fromkeys(SOURCES, 50 + gain))
        for seed, gain_of_seed in enumerate((0, 10, 20))
        for variant, gain in (("no leaves", 0), ("full", gain_of_seed))
    ]
    found = compare(outcomes, "validation", ["no leaves"])["full"]["masked tokens: accuracy"]
    difference = found.against["no leaves"]
    assert difference.mean == pytest.approx(0.10)
    # One seed alone is drawn in one of 27 samples: more than 2.5% at either end.
    assert (difference.low, difference.high) == (pytest.approx(0.0), pytest.approx(0.2))


def test_baselines_stand_beside_runs_that_were_asked_the_same_questions_alone() -> None:
    even = dict.fromkeys(SOURCES, 50)
    run = replace(hits("full", 0, even), settings={"num_updates": 5, "num_questions": 20})
    for num_questions, rows in ((20, {"full", "BM25"}), (10, {"full"})):
        beside = replace(hits("BM25", 0, even), settings={"num_questions": num_questions})
        [table] = study_tables([run, beside], "validation").values()
        assert table.keys() == rows
