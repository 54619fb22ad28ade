"""The design document on a JavaScript engine."""

import pytest

from tests.designdocs.engine import DesignDocument


@pytest.fixture(scope="session")
def ddoc():
    """Return the design document ``dicom``."""
    return DesignDocument("dicom")
