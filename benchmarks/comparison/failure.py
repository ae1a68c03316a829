class Failure(Exception):
    """What the person at the terminal is told before the comparison ends with code 1."""
