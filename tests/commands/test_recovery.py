"""`headgate backup`: where it writes."""

from pathlib import Path

from .said import Headgate


def test_a_backup_into_a_folder_that_is_not_there_yet_makes_it(
    headgate: Headgate, unmade: Path, tmp_path: Path
) -> None:
    """As in the operator's guide: without the folder, every night would overwrite the backup of the night before."""
    assert headgate("hold", "adclicks", "--reason", "a sale").code == 0
    said = headgate("backup", "--out", f"{tmp_path}/backups/")
    assert said.code == 0, said.err
    (made,) = (tmp_path / "backups").iterdir()
    assert made.is_file()
