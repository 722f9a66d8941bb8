"""What a failing disk or store says: path, cause, remedy, and never a secret."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.errors import StoreError
from fx_assets.storage import open_store
from fx_assets.storage.local import LocalStore
from fx_assets.storage.objects import ObjectStore
from fx_assets.storage.problems import disk_fault, disk_problem, object_problem, without_secrets
from fx_assets.storage.room import check_room
from fx_serving.client.files import atomic_write

SECRET = st.text("abcdefXYZ0189+=%-_.", min_size=8, max_size=40)


@given(user=SECRET, password=SECRET, token=SECRET)
def test_urls_lose_what_nobody_should_read(user, password, token):
    said = f"GET 's3://{user}:{password}@host.example/bucket/x?X-Amz-Signature={token}&a=1#{token}' failed (timeout)"
    assert without_secrets(said) == "GET 's3://host.example/bucket/x' failed (timeout)"


def test_words_without_urls_stay():
    for words in ("plain", "a@b.c wrote", "why? because", "C:/x?y", "1 / 2 # 3"):
        assert without_secrets(words) == words


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota of this user is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission is denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_each_cause_has_its_words_and_remedy(tmp_path, number, told):
    problem = disk_problem(tmp_path / "not/yet/there/x", "written", OSError(number, "x"), 123_456)
    assert isinstance(problem, StoreError)
    assert str(problem).startswith(f"{tmp_path}/not/yet/there/x: cannot be written: {told}")
    assert "Everything that was there before is untouched. " in str(problem)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_file_that_another_user_owns_is_told_and_other_rights_are_not_taken_for_files(number):
    fault = disk_fault(OSError(number, "no", "/somewhere/x"))
    assert fault is not None
    assert str(fault).startswith("/somewhere/x: cannot be read or written: permission is denied")
    assert "Give this user" in str(fault)
    assert disk_fault(OSError(number, "no")) is None  # a port, or a process: no file is named


def test_an_atomic_write_names_the_file_whatever_fails(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        atomic_write(tmp_path / "x", b"1")
    fault = disk_fault(caught.value)
    assert str(fault).startswith(f"{tmp_path}/x: cannot be written: the disk is full")
    assert list(tmp_path.iterdir()) == []


def test_an_object_store_is_told_without_its_password():
    store = ObjectStore("s3://key:hunter2@bucket/lake/")
    assert store.url == "s3://bucket/lake"
    for error in (
        OSError("https://u:hunter2@host/x?sig=hunter2 timed out"),
        PermissionError("hunter"),
        ImportError("s3fs"),
    ):
        problem = str(object_problem("s3://key:hunter2@bucket/lake/x", "read", error))
        assert problem.startswith("s3://bucket/lake/x: cannot be read: ")
        assert "hunter2" not in problem


def test_an_unknown_kind_of_url_is_told_with_a_remedy():
    with pytest.raises(StoreError, match=r"nosuch://bucket/x: cannot be opened: .*Check that"):
        open_store("nosuch://bucket/x").read("y")


def test_which_store_is_opened(tmp_path):
    assert isinstance(open_store("s3://bucket/lake"), ObjectStore)
    for where in (tmp_path, str(tmp_path), f"file://{tmp_path}"):
        store = open_store(where)
        assert isinstance(store, LocalStore)
        assert store.root == tmp_path


def test_a_folder_where_a_file_should_be_is_a_store_error(tmp_path):
    store = LocalStore(tmp_path)
    store.write("a/b", b"x")
    for call in (lambda: store.read("a"), lambda: store.write("a", b"y"), lambda: store.write("a/b/c", b"y")):
        with pytest.raises(StoreError):
            call()
    assert store.read("a/b") == b"x"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_room_is_looked_for_where_the_folder_would_be(tmp_path):
    check_room(tmp_path / "not/yet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    check_room(tmp_path / "file/below")  # what is wrong there is told by what writes there
