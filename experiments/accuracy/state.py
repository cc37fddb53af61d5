"""When and of which state of the project a figure is."""

import datetime
import subprocess
from pathlib import Path


def state() -> str:
    """Date and commit, ``and changes`` where the files differ from it; the date alone outside a
    repository."""
    today = datetime.date.today().isoformat()
    folder = Path(__file__).parent
    try:
        commit, changed = (
            subprocess.run(
                ["git", *arguments],
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.SubprocessError):
        return today
    return f"{today}, commit {commit}{' and changes' if changed else ''}"
