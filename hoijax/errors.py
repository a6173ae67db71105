"""The one error of bad input from outside: files, options, arrays that a person supplied."""


class InputError(ValueError):
    """Input that cannot be used; the message says what was given, what was wanted and what to do.

    The command line prints the message alone and exits with code 2.
    """
