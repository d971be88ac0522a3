"""What a build has to do: which sources, what is there already, what is new."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from graph_builder.build_settings import BuildSettings, builder_versions
from graph_builder.dataset import Dataset, open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import MANIFEST_NAME, ShardEntry, canonical_sha256, load_manifest
from graph_builder.shards import ShardFormat
from graph_builder.sources import ResolvedSource, resolve
from graph_builder.splits import plan_splits
from graph_builder.tokenizer import fingerprint, load_tokenizer

# Held-out sources arrive first, so that of two equal windows the training source loses its own.
ARRIVAL_ORDER: Final = ("test", "validation", "train")


@dataclass(frozen=True)
class PlannedShard:
    """A source that takes part, in the split that it goes to."""

    source: ResolvedSource
    split: str

    def key(self, made_by: dict[str, Any]) -> str:
        """Return the hash of all that its shards are made of, duplicates aside."""
        source = self.source
        what = [source.label, source.revision, source.content_sha256]
        return canonical_sha256([what, made_by])

    def path(self, key: str, batch: int) -> str:
        """Return the path in the data set of the shard of one batch of files."""
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", self.source.label)[:60].strip("-.")
        return f"shards/{self.split}/{slug}-{key[:12]}.{batch:03d}.parquet"


@dataclass(frozen=True)
class BuildPlan:
    settings: BuildSettings
    shards: tuple[PlannedShard, ...]  # in the order of their arrival
    base: Dataset | None  # the intact data set that is there already
    identity: dict[str, Any]  # see BuildSettings.identity
    versions: dict[str, str]

    @cached_property
    def inputs(self) -> str:
        """Hash of all that goes in."""
        sources = [
            [shard.source.label, shard.source.revision, shard.source.content_sha256, shard.split]
            for shard in self.shards
        ]
        return canonical_sha256([self.versions, self.identity, sorted(sources)])

    @property
    def parsed_cache(self) -> Path:
        """Folder of the files that this version of the builder parsed."""
        return self.settings.cache_dir / "parsed" / canonical_sha256(self.versions)[:16]

    @property
    def is_done(self) -> bool:
        return self.base is not None and self.base.manifest.inputs == self.inputs

    @property
    def is_extension(self) -> bool:
        """True: `base` keeps its tokenizer and its shards, and sources are added or changed."""
        if self.base is None:
            return False
        manifest = self.base.manifest
        planned = {(shard.source.label, shard.split) for shard in self.shards}
        return (
            manifest.settings == self.identity
            and manifest.builder == self.versions
            and all((source.source, source.split) in planned for source in manifest.sources)
        )

    def made_by(self, shard_format: ShardFormat) -> dict[str, Any]:
        """Return what shapes every shard besides its source."""
        return {"builder": self.versions, "settings": self.identity, "format": asdict(shard_format)}

    def kept(self, keys: set[str]) -> list[ShardEntry]:
        """Return the shards of `base` that stay as they are: those of `keys`."""
        if self.base is None or not self.is_extension:
            return []
        return [shard for shard in self.base.manifest.shards if shard.key in keys]


def plan_build(settings: BuildSettings, say: Callable[[str], None]) -> BuildPlan:
    """Resolve every source and look at what is there; raise UserError for bad input."""
    before = _splits_before(settings)
    by_hand = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    planned = plan_splits(by_hand, settings.sources, before, settings.tokenizer is None)
    shards = []
    for item in planned:
        if item.is_added:
            say(f"{item.spec.label}: added, since {item.split} would be empty")
        source = resolve(item.spec, settings.cache_dir)
        shards.append(PlannedShard(source, item.split))
    shards.sort(key=lambda shard: (ARRIVAL_ORDER.index(shard.split), shard.source.label))
    given = None if settings.tokenizer is None else _fingerprint_of(settings.tokenizer)
    base = _intact_base(settings, say)
    return BuildPlan(settings, tuple(shards), base, settings.identity(given), builder_versions())


def _splits_before(settings: BuildSettings) -> dict[str, str]:
    """Return the split of each source of the data set that is there; raise for another format."""
    if not (settings.output / MANIFEST_NAME).exists():
        return {}
    try:
        manifest = load_manifest(settings.output)
    except UserError as error:
        raise UserError(f"{error}, in another folder or after removing this one") from error
    return {source.source: source.split for source in manifest.sources}


def _intact_base(settings: BuildSettings, say: Callable[[str], None]) -> Dataset | None:
    if not (settings.output / MANIFEST_NAME).exists():
        return None
    try:
        base = open_dataset(settings.output)
        base.verify()
        if _fingerprint_of(base.tokenizer_path) != base.manifest.tokenizer.fingerprint:
            raise UserError(f"{base.tokenizer_path}: another tokenizer than the manifest names")
    except UserError as error:
        say(f"{error} (now)")
        return None
    return base


def _fingerprint_of(tokenizer_path: Path) -> str:
    return fingerprint(load_tokenizer(tokenizer_path))
