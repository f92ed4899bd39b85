import stat

import pytest

from webapp.conversation import Unknown
from webapp.files import Files


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "files")


def test_a_file_is_read_as_it_was_written(files):
    files.write("talk", "a.png", b"\x89PNG")
    assert files.read("talk", "a.png") == b"\x89PNG"
    assert stat.S_IMODE(files.path("talk", "a.png").stat().st_mode) == 0o600


def test_a_conversation_has_files_of_its_own(files):
    files.write("mine", "a.png", b"1")
    with pytest.raises(Unknown):
        files.read("yours", "a.png")


@pytest.mark.parametrize("name", ["../records", "a/b", "", ".", "..", "a.PNG", "a\0b", "a" * 200, "new\n"])
def test_a_name_that_leads_elsewhere_is_unknown(files, name):
    with pytest.raises(Unknown):
        files.path("talk", name)
    with pytest.raises(Unknown):
        files.path(name.replace(".PNG", "/x"), "a.png")


def test_removing_a_conversation_removes_its_files_alone(files):
    files.write("mine", "a.png", b"1")
    files.write("yours", "a.png", b"2")
    files.remove("mine")
    files.remove("mine")
    assert files.read("yours", "a.png") == b"2"
    with pytest.raises(Unknown):
        files.read("mine", "a.png")


def test_a_write_that_fails_leaves_the_old_file(files, monkeypatch):
    files.write("talk", "a.json", b"old")
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        files.write("talk", "a.json", b"new")
    assert files.read("talk", "a.json") == b"old"
    assert [path.name for path in files.path("talk", "x").parent.iterdir()] == ["a.json"]
