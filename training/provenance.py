"""By what code and from what texts a model came: what makes it the same model again."""

import hashlib
import json
import subprocess
from pathlib import Path


def git_commit() -> str:
    """The commit this code was checked out from, with ``+`` if files differ from it; ``unknown`` outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+" if changes else "")


def texts_sha256(*texts: str) -> str:
    """SHA-256 of a model's texts, in order."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    return done.stdout.strip()
