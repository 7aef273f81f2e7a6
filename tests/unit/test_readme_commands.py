"""How the newcomer reads a document (tests/newcomer/readme.py)."""

from __future__ import annotations

import pytest

from tests.newcomer.readme import filled_in, shell_lines

TEXT = """# Name

```sh
make run     # install, build # and serve
make test
```

```toml
idle = 1
```

## Using it

Text.

```sh
# only a comment
fenster new --proxy -
fenster cp FILE ID:Downloads/   # there
```

## More
"""


def test_lines_are_of_one_section_of_shell_blocks_and_without_comments() -> None:
    assert shell_lines(TEXT) == ["make run", "make test"]
    assert shell_lines(TEXT, "Using it") == ["fenster new --proxy -", "fenster cp FILE ID:Downloads/"]
    assert shell_lines(TEXT, "More") == []


def test_a_section_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        shell_lines(TEXT, "Nothing")


def test_the_readers_own_is_put_in_place_of_capitals() -> None:
    line = "fenster cp FILE ID:Downloads/ --Very X"
    assert filled_in(line, {"FILE": "a.txt", "ID": "ab12cd34"}) == "fenster cp a.txt ab12cd34:Downloads/ --Very X"
    with pytest.raises(KeyError):
        filled_in("fenster save ID NAME", {"ID": "ab12cd34"})
