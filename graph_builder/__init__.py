"""From Python repositories to a data set of chain graphs (see the file tree in README.md)."""
