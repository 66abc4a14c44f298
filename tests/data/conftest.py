"""The kit of small files, written once per session, each when it is first asked for."""

import pytest
from kit.media import Media


@pytest.fixture(scope="session")
def media(tmp_path_factory) -> Media:
    return Media(tmp_path_factory.mktemp("media"))
