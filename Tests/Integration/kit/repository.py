"""Git repositories made for a scenario."""

import os
import subprocess

IDENTITY = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]


class Repository:
    """A bare repository and a checkout of it, as a developer has them."""

    def __init__(self, folder, files):
        self.folder = folder
        self.bare = f"{folder}.git"
        self.git("init", "-q", "--bare", "-b", "main", self.bare, at="/")
        self.git("init", "-q", "-b", "main", folder, at="/")
        self.git("remote", "add", "origin", self.bare)
        self.commit(files)

    @property
    def url(self):
        return f"file://{self.bare}"

    def git(self, *arguments, at=None):
        done = subprocess.run(
            ["git", *IDENTITY, "-C", at or self.folder, *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout.strip()

    def commit(self, files, push=True):
        """Writes files, commits them, pushes, and answers the commit."""
        for path, content in files.items():
            path = f"{self.folder}/{path}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        if push:
            self.push()
        return self.head

    def push(self, ref="main"):
        self.git("push", "-q", "origin", ref)

    @property
    def head(self):
        return self.git("rev-parse", "HEAD")

    def version(self, text):
        return self.commit({"version.txt": text + "\n"})
