"""Manifests and pieces for any content: what is encoded is decoded, what was altered is no manifest."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.backup import objects
from fx_assets.backup.manifest import FORMAT, Damaged, Entry, Manifest, decode, encode, is_below, sha256
from fx_assets.backup.reading import whole_lines
from fx_assets.storage.local import LocalStore

digests = st.binary(max_size=4).map(sha256)
paths = st.text(max_size=30).filter(is_below)
entries = st.builds(
    Entry, paths, st.integers(0, 2**62), digests, st.lists(digests, max_size=3).map(tuple), st.just(0o644), st.just(0)
)
manifests = st.builds(
    Manifest,
    id=st.just("20261122T020000000000Z"),
    at=st.text(),
    version=st.text(),
    postgres=st.booleans(),
    lake=st.none() | st.text(),
    files=st.lists(entries, max_size=5).map(tuple),
)


@given(manifests)
def test_what_is_encoded_is_decoded(manifest):
    name, content = encode(manifest)
    assert decode(name, content) == manifest
    assert name.startswith(manifest.id)


@given(manifests, st.data())
def test_a_manifest_with_any_other_byte_is_damaged(manifest, data):
    name, content = encode(manifest)
    at = data.draw(st.integers(0, len(content) - 1))
    other = bytes([content[at] ^ data.draw(st.integers(1, 255))])
    with pytest.raises(Damaged):
        decode(name, content[:at] + other + content[at + 1 :])
    with pytest.raises(Damaged):
        decode(name, content[:at])


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "", "a\0b"])
def test_a_file_outside_of_a_home_is_refused(path):
    entry = Entry(path, 1, sha256(b""), (), 0o644, 0)
    made = Manifest(id="1", at="", version="", postgres=False, lake=None, files=(entry,))
    with pytest.raises(Damaged, match="outside of a home"):
        decode(*encode(made))


def test_a_later_form_is_refused_by_its_number():
    made = Manifest(format=FORMAT + 1, id="1", at="", version="", postgres=False, lake=None, files=())
    with pytest.raises(
        Damaged, match=f"it has form {FORMAT + 1}, and this version of the platform reads form {FORMAT}"
    ):
        decode(*encode(made))


@given(content=st.binary(max_size=200), piece=st.integers(1, 50))
def test_pieces_make_the_file_again_and_equal_ones_are_kept_once(tmp_path_factory, content, piece):
    store = LocalStore(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "PIECE", piece)
        writer = objects.Writer(store, set())
        entry = writer.add_file("a", io.BytesIO(content), len(content), 0o644, 1)
        assert writer.add_file("b", io.BytesIO(content), len(content), 0o644, 1).objects == entry.objects
        writer.flush()
    assert b"".join(objects.read(store, digest) for digest in entry.objects) == content
    assert (entry.bytes, entry.sha256) == (len(content), sha256(content))
    assert objects.known(store) == set(entry.objects)
    assert objects.Writer(store, objects.known(store)).add_content("c", content).bytes == len(content)


@given(content=st.lists(st.sampled_from([b"a", b"\n", b"a" * 70_000]), max_size=8).map(b"".join))
def test_whole_lines_end_at_the_last_newline(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert whole_lines(file) == content.rfind(b"\n") + 1
        assert file.tell() == 0
