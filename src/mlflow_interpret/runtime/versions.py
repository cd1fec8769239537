"""Whether the installed packages are those that this package was tested with."""

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
        name: Its name.
        bounds: The versions that were tested.
        version: The installed one, or None.
        extra: The extra that brings it, or None where it is always needed.
    """

    name: str
    bounds: str
    version: str | None
    extra: str | None

    @property
    def fits(self) -> bool:
        """Whether it is installed in a version that was tested."""
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
    found = {extra: list(_installed(extra)) for extra in extras if extra not in _NOT_FOR_USERS}
    return {extra: packages for extra, packages in found.items() if packages}


def unsupported_versions() -> list[str]:
    """The installed packages that are outside the bounds this package declares."""
    return [
        f"{package.name} {package.version} (tested: {package.bounds})"
        for package in needed()
        if package.version is not None and not package.fits
    ]


def _installed(extra: str | None) -> Iterator[Installed]:
    from packaging.requirements import Requirement

    for line in metadata.requires(_PACKAGE) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        # Extras of several extras, as boosters, name this package itself.
        if requirement.name == _PACKAGE or always is not (extra is None):
            continue
        if extra is not None and marker is not None and not marker.evaluate({"extra": extra}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = None
        yield Installed(requirement.name, str(requirement.specifier), version, extra)
