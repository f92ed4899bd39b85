import os
import stat

import pytest

from webapp.conversation import Unknown
from webapp.files import Files, write_whole


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


def test_a_folder_is_its_owners_alone_whatever_the_process_makes_of_others(files):
    before = os.umask(0)
    try:
        files.write("talk", "a.png", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(files.path("talk", "x").parent.stat().st_mode) == 0o700


def test_nobody_can_lay_a_link_where_a_file_is_about_to_be_written(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    (tmp_path / "new-guessed").symlink_to(other)
    monkeypatch.setattr("webapp.files.new_id", lambda: "guessed")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"mine")
    assert other.read_bytes() == b"theirs"


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


@pytest.mark.parametrize("durable", [True, False])
def test_exchanges_lie_packed_and_are_read_as_they_were_written(files, durable):
    content = b'["again and again"' + b', "again and again"' * 1000 + b"]"
    files.write("talk", "a.exchanges.json", content, durable=durable)
    assert files.path("talk", "a.exchanges.json").stat().st_size < len(content) / 50
    assert files.read("talk", "a.exchanges.json") == content


@pytest.mark.parametrize("content", [b'{"a": 1}', b"", b"x and no JSON", b"x\x01cut off"])
def test_a_file_that_is_not_packed_is_read_as_it_is(files, content):
    files.write("talk", "a.exchanges.json", b"[]")
    files.path("talk", "a.exchanges.json").write_bytes(content)
    assert files.read("talk", "a.exchanges.json") == content


@pytest.mark.parametrize("name", ["a.png", "import-a.json"])
def test_what_is_served_or_read_in_part_lies_in_its_file_as_it_is(files, name):
    files.write("talk", name, b"x" * 1000)
    assert files.path("talk", name).read_bytes() == b"x" * 1000


@pytest.mark.parametrize("durable", [True, False])
def test_what_takes_time_is_done_off_the_loop(files, durable):
    done = []
    files.off_loop = lambda write, *arguments: done.append(arguments[0].name)
    files.write("talk", "a.json", b"[]", durable=durable)
    assert done == ["a.json"]
