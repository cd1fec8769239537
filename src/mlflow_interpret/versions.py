"""Whether the installed packages are those that this package was tested with."""

from __future__ import annotations

from importlib import metadata


def unsupported_versions() -> list[str]:
    """The installed packages that are outside the bounds this package declares."""
    from packaging.requirements import Requirement

    problems = []
    for line in metadata.requires("mlflow-interpret") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} (tested: {requirement.specifier})")
    return problems
