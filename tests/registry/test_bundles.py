"""A bundle is sealed and verified as one: every byte of it counts, and what is wrong is named."""

import shutil
from pathlib import Path

import pytest

from headgate.errors import HeadgateError
from headgate.files import read_json, sha256, write_json
from headgate.registry.bundles import CARD, MANIFEST, bundle_id, card, seal_bundle, verify


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """A folder with a folder in it, and a single file."""
    folder = tmp_path / "parts"
    (folder / "baselines").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"\x00weights")
    (folder / "baselines" / "rule.json").write_text("{}")
    write_json(folder / CARD, {"domain": "rooms"})
    write_json(tmp_path / "scorecard.json", [1, 2])
    return [folder, tmp_path / "scorecard.json"]


@pytest.fixture
def bundle(parts: list[Path], tmp_path: Path) -> Path:
    seal_bundle(parts, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_sealed_bundle_holds_every_part_with_its_sum(bundle: Path) -> None:
    manifest = read_json(bundle / MANIFEST)
    assert set(manifest) == {"model.onnx", "baselines/rule.json", CARD, "scorecard.json"}
    assert all(sha256(bundle / name) == digest for name, digest in manifest.items())
    assert verify(bundle) == bundle_id(bundle) == sha256(bundle / MANIFEST)
    assert card(bundle) == {"domain": "rooms"}


def test_the_id_of_a_bundle_without_large_parts_is_what_it_always_was(bundle: Path) -> None:
    """The manifest's bytes to the letter: who knows a version knows it by their hash."""
    sums = {str(path.relative_to(bundle)): sha256(path) for path in bundle.rglob("*") if path.is_file()}
    del sums[MANIFEST]
    lines = ",\n".join(f'  "{name}": "{sums[name]}"' for name in sorted(sums))
    assert (bundle / MANIFEST).read_text() == f"{{\n{lines}\n}}\n"


def test_equal_content_has_one_id_wherever_it_lies_and_other_content_another(parts: list[Path], tmp_path: Path) -> None:
    first = seal_bundle(parts, tmp_path / "first")
    assert seal_bundle(parts[::-1], tmp_path / "elsewhere" / "second") == first
    (parts[0] / "model.onnx").write_bytes(b"\x01weights")
    assert seal_bundle(parts, tmp_path / "third") != first


def test_sealing_again_replaces_what_was_there(parts: list[Path], bundle: Path) -> None:
    (bundle / "leftover").touch()
    seal_bundle(parts, bundle)
    verify(bundle)


def test_a_bundle_moves_as_one(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "cache" / "moved")
    assert verify(tmp_path / "cache" / "moved", bundle_id(bundle)) == bundle_id(bundle)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.onnx", "baselines/rule.json"])
def test_a_flipped_bit_is_named(bundle: Path, name: str) -> None:
    _flip(bundle / name)
    with pytest.raises(HeadgateError, match=f"damaged: {name} do"):
        verify(bundle)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "baselines" / "rule.json").unlink()
    with pytest.raises(HeadgateError, match=r"damaged: baselines/rule\.json do"):
        verify(bundle)


def test_a_file_too_many_is_named(bundle: Path) -> None:
    (bundle / "baselines" / "model.pkl").touch()
    with pytest.raises(HeadgateError, match=r"damaged: baselines/model\.pkl do"):
        verify(bundle)


def test_another_bundle_than_the_registered_one_is_not_taken(bundle: Path) -> None:
    """A change that makes its own sums right again is still not what was registered."""
    registered = verify(bundle)
    (bundle / "model.onnx").write_bytes(b"\x01other")
    write_json(bundle / MANIFEST, read_json(bundle / MANIFEST) | {"model.onnx": sha256(bundle / "model.onnx")})
    verify(bundle)
    with pytest.raises(HeadgateError, match="is not the registered one"):
        verify(bundle, registered)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(HeadgateError, match="is no bundle"):
        verify(tmp_path)
