"""The repository graph of one resolved source, read from its files."""

from graph_builder.errors import UserError
from graph_builder.parsed_files import parse_files
from graph_builder.repository import Repository
from graph_builder.source_files import package_files, read_files
from graph_builder.sources import ResolvedSource

Rejections = tuple[tuple[str, str, str], ...]  # (path, reason, detail)


def read_repository(source: ResolvedSource) -> tuple[Repository, Rejections]:
    """Return the graph of a source, and the files that could not be used.

    Raises UserError where none could.
    """
    files = read_files(source.root, source.files)
    parsed = parse_files(files.texts, package_files(source.root, files.texts))
    rejected = tuple(sorted((*files.rejected, *parsed.rejected)))
    if not parsed.facts:
        reasons = ", ".join(sorted({reason for _, reason, _ in rejected}))
        raise UserError(f"{source.label}: none of its Python files can be used ({reasons})")
    return Repository(parsed.facts), rejected
