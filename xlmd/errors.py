"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: a bad file, key, flag or value.

    The command line prints its text alone, without a traceback, and exits with status 2; so the text
    must name the file, line, key or value at fault and say what is expected there.
    """
