"""A data set's statistics, against counts over its records one by one; and the page of them."""

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from build_runs import settings

from graph_builder.build import build_dataset
from graph_builder.relations import INSTANTIATES, RELATION_NAMES
from graph_builder.shards import table_records
from graph_builder.source_repository import read_repository
from graph_builder.source_spec import parse_spec
from graph_builder.sources import resolve
from graph_builder.stats import Statistics
from graph_builder.stats_page import write_page


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


class PageReader(HTMLParser):
    """Collect what a page shows and what it would fetch; its tags must nest."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.text: list[str] = []
        self.fetched: list[str] = []
        self.num_svgs = 0
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.num_svgs += tag == "svg"
        self.fetched += [tag] if tag in ("script", "link", "img", "iframe") else []
        links = (value or "" for name, value in attrs if name in ("src", "href", "xlink:href"))
        self.fetched += [value for value in links if not value.startswith("#")]
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._open[-1:] == ["h2"]:
            self.headings.append(data)


def test_the_page_shows_every_table_and_plot_and_fetches_nothing(sources: Path) -> None:
    (sources / "html" / "binary.py").write_bytes(b"\0")
    dataset = build_dataset(settings(sources, output="<data> & more")).dataset
    page = sources / "pages" / "stats.html"
    write_page(Statistics(dataset), page)
    reader = PageReader()
    reader.feed(page.read_text())
    assert reader.fetched == []
    assert reader.headings[-7:] == list(Statistics(dataset).tables())
    assert reader.num_svgs == len(reader.headings) - 7 == 7
    for shown in ("Data set <data> & more", "path:wsgiref", "flows_to", "binary"):
        assert shown in reader.text
    share = Statistics(dataset).placed().loc["all", "placed %"]
    assert f"{share}%" in reader.text
    before = page.read_bytes()
    write_page(Statistics(dataset), page)
    assert page.read_bytes() == before


def test_the_guessed_share_is_that_of_the_files(sources: Path) -> None:
    dataset = build_dataset(settings(sources)).dataset
    table = Statistics(dataset).guesses()
    counts: Counter[bool] = Counter()
    for name in ("json", "html", "wsgiref", "dbm"):
        repository, _ = read_repository(resolve(parse_spec(f"path:{sources}/{name}"), sources))
        for facts in repository.files:
            triples = repository.triples(facts.path)
            counts.update(t.is_guess for t in triples if t.relation == INSTANTIATES)
    assert table.loc["all", ["known", "guessed"]].to_list() == [counts[False], counts[True]]
    assert counts[False] > 0
    assert table.loc["all", "guessed %"] == round(100 * counts[True] / counts.total(), 1)
