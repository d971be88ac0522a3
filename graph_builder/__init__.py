"""From Python repositories to a data set of chain graphs (see the file tree in README.md)."""

from typing import Final

# Part of every data set's identity: raise it whenever the same sources would give other shards.
BUILDER_VERSION: Final = "1"
