"""Installed versions of the packages that this one uses, and the bounds of its metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

_PACKAGE = "mlflow-interpret"
_NOT_FOR_USERS = {"test"}


@dataclass(frozen=True)
class Installed:
    """A package that this one can use.

    Attributes:
        name: The name of the package.
        bounds: The supported versions.
        version: The installed version, or None.
        extra: The extra that brings it, or None for a package that is always needed.
    """

    name: str
    bounds: str
    version: str | None
    extra: str | None

    @property
    def fits(self) -> bool:
        """Whether a supported version is installed."""
        from packaging.specifiers import SpecifierSet

        return self.version is not None and SpecifierSet(self.bounds).contains(
            self.version, prereleases=True
        )


def needed() -> list[Installed]:
    """The packages that are always needed."""
    return list(_installed(None))


def optional() -> dict[str, list[Installed]]:
    """The packages of each extra on this Python."""
    extras = metadata.metadata(_PACKAGE).get_all("Provides-Extra") or []
    packages = {extra: list(_installed(extra)) for extra in extras if extra not in _NOT_FOR_USERS}
    return {extra: of_extra for extra, of_extra in packages.items() if of_extra}


def unsupported_versions() -> list[str]:
    """The installed packages outside of the bounds of this package's metadata."""
    return [
        f"{package.name} {package.version} (tested: {package.bounds})"
        for package in needed()
        if package.version is not None and not package.fits
    ]


def version_of(name: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _installed(extra: str | None) -> Iterator[Installed]:
    from packaging.requirements import Requirement

    for line in metadata.requires(_PACKAGE) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        # An extra of extras, such as boosters, requires this package itself.
        if requirement.name == _PACKAGE or always is not (extra is None):
            continue
        if extra is not None and marker is not None and not marker.evaluate({"extra": extra}):
            continue
        name = requirement.name
        yield Installed(name, str(requirement.specifier), version_of(name), extra)
