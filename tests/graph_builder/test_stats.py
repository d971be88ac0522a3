"""The tables of a data set's statistics, against counts over its records one by one."""

from collections import Counter
from pathlib import Path

import numpy as np
from build_runs import settings

from graph_builder.build import build_dataset
from graph_builder.relations import RELATION_NAMES
from graph_builder.shards import table_records
from graph_builder.stats import Statistics


def test_the_tables_count_what_is_there(sources: Path) -> None:
    (sources / "html" / "binary.py").write_bytes(b"\0")
    dataset = build_dataset(settings(sources)).dataset
    stats = Statistics(dataset)
    windows = [window for table in dataset.tables("train") for window in table_records(table)]

    lengths = stats.windows().loc[("train", "positions")]
    positions = [len(window.root_ids) + len(window.leaf_ids) for window in windows]
    assert lengths["windows"] == len(windows)
    assert lengths["max"] == max(positions)
    assert lengths["mean"] == round(float(np.mean(positions)), 1)

    counts: Counter[tuple[str, bool]] = Counter()
    for window in windows:
        pairs = zip(window.triple_relations, window.triple_is_knowledge, strict=True)
        counts.update((RELATION_NAMES[relation], bool(is_known)) for relation, is_known in pairs)
    balance = stats.balance()
    assert balance["train local"].to_dict() == {n: counts[n, False] for n in RELATION_NAMES}
    assert balance["train knowledge"].to_dict() == {n: counts[n, True] for n in RELATION_NAMES}
    assert abs(balance["train %"].sum() - 100) < 1

    slots = Counter(
        Counter(window.leaf_roots.tolist())[root]
        for window in windows
        for root in range(len(window.root_ids))
    )
    assert stats.splits["train"].by_slots.tolist() == [slots[number] for number in range(8)]
    assert stats.slots().loc["train", "0 slots %"] == round(100 * slots[0] / slots.total(), 1)

    placed = stats.placed()
    assert (placed.loc[list(RELATION_NAMES)].sum() == placed.loc["all"])["triples"]
    assert placed.loc["all", "triples"] == sum(s.num_triples for s in dataset.manifest.sources)
    whole = sum(sum(source.placed.values()) for source in dataset.manifest.sources)
    share = 100 * whole / placed.loc["all", "triples"]
    assert placed.loc["all", "placed %"] == round(share, 1)

    assert stats.files().loc["path:html", "binary"] == 1
    kept = stats.sources()["windows kept"]
    assert kept.to_dict() == {s.source: s.num_windows for s in dataset.manifest.shards}


def test_a_data_set_without_training_sources(sources: Path) -> None:
    trained = build_dataset(settings(sources)).dataset
    wanted = settings(sources, "held_out", train=(), tokenizer=trained.tokenizer_path)
    text = Statistics(build_dataset(wanted).dataset).text()
    assert "path:wsgiref" in text
    assert "path:json" not in text
