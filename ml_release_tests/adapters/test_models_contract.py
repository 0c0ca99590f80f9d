"""What every adapter of `ModelStore` has to do, and how files on disk are guarded."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.in_memory import InMemoryModels
from ml_release.adapters.model_files import MANIFEST, SIGNATURE, ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.signing_keys import PUBLIC_KEY, SigningKeys
from ml_release.domain.identity import digest_hex
from ml_release.errors import InputError, IntegrityError, NotFoundError
from ml_release_tests.tampering import causes, forge, harmful_pickle, harms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ml_release.ports import ModelStore

FILES = {"model.onnx": b"\x08model", "plan.json": b"{}"}


def made(root: Path) -> ModelFiles:
    return ModelFiles(root / "models", ModelSignatures(SigningKeys(root / "keys")))


@pytest.fixture(params=["in_memory", "files"])
def models(request: pytest.FixtureRequest, tmp_path: Path) -> ModelStore:
    return InMemoryModels() if request.param == "in_memory" else made(tmp_path)


def test_an_artefact_is_read_as_it_was_published(models: ModelStore) -> None:
    """Every byte of every file, and no file besides."""
    assert models.read(models.publish(FILES)) == FILES


def test_the_digest_is_that_of_the_content(models: ModelStore) -> None:
    """Names and bytes decide, the order of the files does not."""
    digest = models.publish(FILES)
    assert models.publish(dict(reversed(FILES.items()))) == digest
    others = [
        {**FILES, "plan.json": b"{ }"},
        {**FILES, "more.json": b"{}"},
        {"model.onnx": FILES["model.onnx"], "plan2.json": b"{}"},
        {"model.onnx": b"\x08", "plan.json": b"{}"},
    ]
    assert len({digest, *(models.publish(other) for other in others)}) == 5


def test_an_artefact_that_was_not_published_is_not_found(models: ModelStore) -> None:
    """And the message says what to do."""
    with pytest.raises(NotFoundError, match="register it again"):
        models.read("sha256:" + "0" * 64)


@pytest.mark.parametrize("digest", ["", "latest", "sha256:../../x", "sha256:" + "0" * 63])
def test_a_digest_that_is_none_is_refused(models: ModelStore, digest: str) -> None:
    """Nothing is served by a name, and no path is made of one."""
    with pytest.raises(IntegrityError, match="64 hexadecimal digits"):
        models.read(digest)


@pytest.mark.parametrize(
    "files",
    [{}, {"": b""}, {"..": b""}, {"a/b": b""}, {"../a": b""}],
    ids=["none", "no name", "parent", "folder", "outside"],
)
def test_what_is_no_plain_file_name_is_refused(
    models: ModelStore, files: Mapping[str, bytes]
) -> None:
    """An artefact cannot reach out of its folder, and an empty one is none."""
    with pytest.raises(InputError, match="expected plain file names"):
        models.publish(files)


def test_publishing_at_once_gives_one_whole_artefact(models: ModelStore) -> None:
    """Every publisher gets the digest, and the artefact can be read."""
    files = {f"file{n}.json": b"{" + bytes([n]) * 50_000 for n in range(5)}
    digests: list[str] = []
    threads = [
        threading.Thread(target=lambda: digests.append(models.publish(files))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 6
    assert len(set(digests)) == 1
    assert models.read(digests[0]) == files


def test_a_file_changed_in_memory_is_noticed() -> None:
    """The in-memory store verifies as the real one does."""
    models = InMemoryModels()
    digest = models.publish(FILES)
    models.artefacts[digest]["plan.json"] = b"[]"
    with pytest.raises(IntegrityError):
        models.read(digest)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_one_changed_byte_is_noticed_by_reader_and_publisher(tmp_path: Path, name: str) -> None:
    """In any file and in the manifest itself; publishing again trusts no folder name."""
    models = made(tmp_path)
    digest = models.publish(FILES)
    path = tmp_path / "models" / digest_hex(digest) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=name.split(".", maxsplit=1)[0]):
        models.read(digest)
    with pytest.raises(IntegrityError):
        models.publish(FILES)


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    """The manifest names it."""
    models = made(tmp_path)
    digest = models.publish(FILES)
    (tmp_path / "models" / digest_hex(digest) / "plan.json").unlink()
    with pytest.raises(IntegrityError, match=r"names plan\.json, which is missing"):
        models.read(digest)


def test_a_file_that_the_manifest_does_not_list_is_refused(tmp_path: Path) -> None:
    """By name, by reader and publisher: nobody knows who put it there."""
    models = made(tmp_path)
    digest = models.publish(FILES)
    (tmp_path / "models" / digest_hex(digest) / "extra").write_bytes(b"x")
    for act in (lambda: models.read(digest), lambda: models.publish(FILES)):
        with pytest.raises(
            IntegrityError, match=r"besides those of the manifest, found \['extra'\]"
        ):
            act()


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURE])
def test_manifest_and_signature_are_no_files_to_publish(tmp_path: Path, name: str) -> None:
    """They would replace the ones that guard the others."""
    with pytest.raises(InputError, match=name):
        made(tmp_path).publish({name: b"{}"})


def test_a_publisher_that_breaks_leaves_no_artefact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder appears whole or not at all, and the draft is removed."""
    models = made(tmp_path)

    def full(*_: object) -> None:
        message = "no space left on device"
        raise OSError(message)

    with monkeypatch.context() as patch:
        patch.setattr("ml_release.adapters.model_files._write", full)
        with pytest.raises(OSError, match="no space left"):
            models.publish(FILES)
    assert list((tmp_path / "models").iterdir()) == []
    assert models.read(models.publish(FILES)) == FILES


@pytest.mark.parametrize("store", ["in_memory", "files"])
@pytest.mark.parametrize("name", ["model.onnx", "plan.json", "model.pkl", "model.joblib"])
def test_what_could_be_a_pickle_is_not_published(tmp_path: Path, store: str, name: str) -> None:
    """Neither in the place of a file nor beside it, and nothing is kept."""
    models = InMemoryModels() if store == "in_memory" else made(tmp_path)
    with pytest.raises(InputError, match=rf"{name}: expected .* Nothing was kept"):
        models.publish({**FILES, name: harmful_pickle(tmp_path / "marker")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", causes(list(FILES)))
def test_an_artefact_that_was_tampered_with_is_not_read(tmp_path: Path, harm: str) -> None:
    """The message names the cause."""
    act, message = harms(list(FILES), of_another=tmp_path / "another")[harm]
    models = made(tmp_path)
    digest = models.publish(FILES)
    act(tmp_path / "models" / digest_hex(digest))
    with pytest.raises(IntegrityError) as refusal:
        models.read(digest)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["model.onnx", "plan.json", "model.pkl"])
def test_a_pickle_is_not_read_although_it_is_signed(tmp_path: Path, name: str) -> None:
    """A signature says who made a file, not what reading it does."""
    files = {**FILES, name: harmful_pickle(tmp_path / "marker")}
    digest = forge(tmp_path / "models", files, ModelSignatures(SigningKeys(tmp_path / "keys")))
    with pytest.raises(IntegrityError, match=rf"{name}: expected .* find out who signed it"):
        made(tmp_path).read(digest)
    assert not (tmp_path / "marker").exists()


def test_a_whole_artefact_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    """Signed and in order, but not what is asked for."""
    models = made(tmp_path)
    asked, other = models.publish(FILES), models.publish({**FILES, "plan.json": b"{ }"})
    folder = tmp_path / "models" / digest_hex(asked)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "models" / digest_hex(other), folder)
    with pytest.raises(IntegrityError, match="manifest of model"):
        models.read(asked)


@pytest.mark.parametrize("harm", ["no signature", "an empty signature", "another's signature"])
def test_published_again_an_artefact_is_signed_again(tmp_path: Path, harm: str) -> None:
    """Training again gives the same digest: it is the way out, as the message says."""
    models = made(tmp_path)
    digest = models.publish(FILES)
    act, _ = harms(list(FILES), of_another=tmp_path / "another")[harm]
    act(tmp_path / "models" / digest_hex(digest))
    with pytest.raises(IntegrityError, match="rain again"):
        models.read(digest)
    assert models.publish(FILES) == digest
    assert models.read(digest) == FILES
    assert len(list((tmp_path / "models").iterdir())) == 1


def test_a_key_that_signs_and_is_not_trusted_publishes_nothing(tmp_path: Path) -> None:
    """Nobody could load the artefact; said at once, not when it should serve."""
    made(tmp_path / "other").publish(FILES)
    trusted = tmp_path / "other" / "keys" / PUBLIC_KEY
    models = ModelFiles(
        tmp_path / "models", ModelSignatures(SigningKeys(tmp_path / "keys", verify_keys=[trusted]))
    )
    with pytest.raises(IntegrityError, match="of a trusted key"):
        models.publish(FILES)
    assert not (tmp_path / "models").exists()


class Exchanging(ModelSignatures):
    """While a signature is verified, every file in the folder becomes another."""

    folder: Path

    def statement(self, signature: bytes, *, subject: str) -> bytes:
        for path in self.folder.iterdir():
            path.write_bytes(b"exchanged")
        return super().statement(signature, subject=subject)


def test_what_was_verified_is_what_is_returned(tmp_path: Path) -> None:
    """Exchanging the files between the two does nothing."""
    digest = made(tmp_path).publish(FILES)
    signatures = Exchanging(SigningKeys(tmp_path / "keys"))
    signatures.folder = tmp_path / "models" / digest_hex(digest)
    assert ModelFiles(tmp_path / "models", signatures).read(digest) == FILES
    assert {p.read_bytes() for p in signatures.folder.iterdir()} == {b"exchanged"}


def test_a_signature_differs_and_the_digest_does_not(tmp_path: Path) -> None:
    """Two homes with a key each give one artefact one name."""
    first, second = made(tmp_path / "a"), made(tmp_path / "b")
    digest = first.publish(FILES)
    assert second.publish(FILES) == digest
    sigs = [tmp_path / home / "models" / digest_hex(digest) / SIGNATURE for home in ("a", "b")]
    assert sigs[0].read_bytes() != sigs[1].read_bytes()
