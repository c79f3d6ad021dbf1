"""Checks that commit subjects are `scope: Imperative`, of 72 characters at most."""

import re
import subprocess
from pathlib import Path

MAX_SUBJECT = 72
# Words that end like a past, a participle or a third person, and are imperatives.
IMPERATIVES = set("bring embed exceed feed focus need proceed ring seed shed speed spring string".split())
NO_VERBS = set(
    "a an the no not tests it its this these that there we all any of by as so "
    "what who whose when where why how whether which".split()
)


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout


def subject_fault(subject: str, scopes: set[str]) -> str | None:
    """Returns what is wrong with a commit's subject, or None. The mood is judged by the first word's form only."""
    match = re.fullmatch(r"([a-z0-9][a-z0-9_-]*): (([A-Z][A-Za-z-]*)\b.*)", subject)
    if len(subject) > MAX_SUBJECT:
        return f"{len(subject)} characters, more than {MAX_SUBJECT}"
    if not match:
        return "not of the form `scope: Imperative`"
    scope, text, verb = match.group(1), match.group(2), match.group(3).lower()
    if scope not in scopes:
        return f"unknown scope `{scope}`"
    if text.endswith("."):
        return "ends with a full stop"
    is_inflected = re.search(r"(?:ing|ed|[^su]s)$", verb) and verb not in IMPERATIVES
    if is_inflected or verb in NO_VERBS:
        return f"`{match.group(3)}` is no imperative"
    return None


def scopes_of(root: Path, base: str, head: str) -> set[str]:
    """Returns folders of crates and of shared/ and deploy/, at the base and of each commit since: folders move."""
    paths = git(root, "ls-tree", "-r", "--name-only", base).splitlines()
    paths += git(root, "log", "--format=", "--name-only", f"{base}..{head}").splitlines()
    scopes = {"ci", "docs", "compose", "workspace", "shared", "deploy"}
    for path in paths:
        parts = path.split("/")
        if parts[-1] == "Cargo.toml" and len(parts) > 1:
            scopes.add(parts[-2])
        if parts[0] in ("shared", "deploy") and len(parts) > 2:
            scopes.add(parts[1])
    return scopes


def check_subjects(root: Path, revisions: str) -> tuple[int, list[str]]:
    """Returns how many subjects a range has, and their faults. Commits that do not descend from its base are left out: they
    may be older, and merged later."""
    base, _, head = revisions.partition("..")
    head = head or "HEAD"
    scopes = scopes_of(root, base, head)
    log = git(root, "log", "--no-merges", "--ancestry-path", "--format=%h %s", f"{base}..{head}").splitlines()
    judged = [(line, subject_fault(line.partition(" ")[2], scopes)) for line in log]
    return len(log), [f"{line}: {fault}" for line, fault in judged if fault]


def range_since(root: Path, path: str) -> str | None:
    """Returns the range since a file was first added, or None where the whole history is not there."""
    try:
        if git(root, "rev-parse", "--is-shallow-repository").strip() != "false":
            return None
        added = git(root, "log", "--diff-filter=A", "--format=%H", "--", path).split()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{added[-1]}..HEAD" if added else "HEAD..HEAD"
