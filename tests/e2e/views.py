"""Which files a view has, by its path globs."""

import re


def selects(globs, path):
    """No globs select all files."""
    return not globs or any(_pattern(glob).fullmatch(path) for glob in globs)


def _pattern(glob):
    """`*` within one component, `**` across, `**/` also nothing, `\\` makes the next character literal."""
    tokens = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    split = re.findall(r"\*\*/|\*\*|\*|\\.|.", glob, re.DOTALL)
    # re caches what it compiles.
    return re.compile("".join(tokens.get(token) or re.escape(token.removeprefix("\\")) for token in split), re.DOTALL)
