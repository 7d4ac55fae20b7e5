"""The numbers of every room, under the name that the report's own parts know."""

from scaling.numbers import *  # noqa: F403 - all of it, as it is
