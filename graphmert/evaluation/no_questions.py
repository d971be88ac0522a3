"""The error of a task that finds nothing in a data set to ask about."""

from graph_builder.errors import UserError


class NoQuestionsError(UserError):
    """A split has no example of what a task is about; the text says which."""
