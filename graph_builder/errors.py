"""The error of a user who can do something about it: its text is one line for the terminal."""


class UserError(ValueError):
    """Say what is wrong, where, and what to do, in one line."""


class SourceUnavailable(UserError):
    """Say what could not be fetched; trying again later may help."""
