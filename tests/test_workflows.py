"""The workflows of GitHub, as far as they can be tested without it: linters, pins, permissions, and what they name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .serving import PACKAGE, ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
BUILD = ROOT / "wheels" / "cibuildwheel.toml"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

# The only jobs that may more than read; none of them runs anything of the repository.
GRANTS = {
    ("bench.yml", "comment"): {"pull-requests: write"},
    ("release.yml", "attest"): {"id-token: write", "attestations: write"},
    ("release.yml", "pypi"): {"id-token: write"},
    ("release.yml", "github"): {"contents: write"},
}


class Job(NamedTuple):
    """A job of a workflow, as its lines without comments of their own."""

    workflow: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.workflow}-{self.name}"

    def block(self, key: str) -> str:
        """What is indented below a key of the job, or behind it."""
        found = re.search(rf"^    {key}:(.*\n(?:(?:      .*)?\n)*)", self.text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def permissions(self) -> set[str]:
        return {re.sub(r"\s+#.*", "", line).strip() for line in self.block("permissions").splitlines() if line.strip()}

    def scripts(self) -> Iterator[str]:
        """The shell of each `run:`, by its indentation; the pattern knows the two forms that are used."""
        for one in re.finditer(r"^( +)(?:- )?run: (?:\|\n((?:\1 .*\n|\n)+)|(.+)\n)", self.text, re.MULTILINE):
            yield one[2] or one[3]


def jobs_of(path: Path) -> list[Job]:
    text = re.sub(r"^ *#.*\n", "", path.read_text(), flags=re.MULTILINE)
    _, found, jobs = text.partition("\njobs:\n")
    assert found, path.name
    parts = re.split(r"^  (\w+):\n", jobs, flags=re.MULTILINE)
    return [Job(path.name, name, part) for name, part in zip(parts[1::2], parts[2::2], strict=True)]


def step(path: Path, name: str) -> str:
    """The script of a step, to be run here."""
    text = path.read_text()
    found = re.search(rf"- name: {re.escape(name)}\n(?:        .*\n)*?        run: \|\n((?:          .*\n)+)", text)
    assert found, name
    return re.sub(r"^          ", "", found[1], flags=re.MULTILINE)


JOBS = [job for path in WORKFLOWS for job in jobs_of(path)]
SCRIPTS = [(job, script) for job in JOBS for script in job.scripts()]
USES = [(path.name, line.strip()) for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]


def classified() -> set[str]:
    """The Pythons that the package says it is for."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return {found[1] for one in classifiers if (found := re.search(r":: (3\.\d+)$", one))}


def test_the_reader_of_this_file_sees_everything() -> None:
    assert {path.name for path in WORKFLOWS} == {"bench.yml", "release.yml", "test.yml", "wheels.yml"}
    for path in WORKFLOWS:
        jobs = [job for job in JOBS if job.workflow == path.name]
        text = path.read_text()
        assert len(jobs) == len(re.findall(r"^    (?:runs-on|uses): ", text, re.MULTILINE))
        assert sum(len(list(job.scripts())) for job in jobs) == len(re.findall(r"^ +run: ", text, re.MULTILINE))


# -- linters ---------------------------------------------------------------------------------------------------------


def lint(program: str, *arguments: str) -> None:
    found = shutil.which(program, path=PATH)
    assert found, f"{program} is in the test extra"
    done = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    """Code smells too. Online, where CI hands it a token, it also compares each pin with the tag its comment names."""
    online = "GH_TOKEN" in os.environ and os.environ.get("CI") == "true"
    lint("zizmor", "--quiet", "--persona=pedantic", *([] if online else ["--offline"]), str(GITHUB))


@pytest.mark.skipif(
    shutil.which("actionlint", path=PATH) is None,
    reason="needs actionlint, which is not on PyPI: go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
)
def test_actionlint_finds_nothing() -> None:
    lint("actionlint", *map(str, WORKFLOWS))


# -- pins and permissions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("workflow", "line"), USES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(USES)])
def test_actions_are_pinned_by_commit_and_say_their_version(workflow: str, line: str) -> None:
    if local := re.match(r"(?:- )?uses: \./(\S+)", line):
        assert (ROOT / local[1]).is_file()
    else:
        assert re.fullmatch(r"(?:- )?uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_an_action_has_one_pin() -> None:
    pins = {line.partition("uses: ")[2] for _, line in USES if "@" in line}
    assert len({pin.partition("@")[0] for pin in pins}) == len(pins)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_nothing_by_itself(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"^permissions: \{\}( #.*)?$", text, re.MULTILINE)
    assert re.search(r"^concurrency:\n  group: ", text, re.MULTILINE)
    assert "pull_request_target" not in re.sub(r"#.*", "", text)
    assert "secrets." not in text


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_may_what_it_needs(job: Job) -> None:
    grants = GRANTS.get((job.workflow, job.name))
    assert job.permissions == (grants or {"contents: read"})
    if grants:
        assert "actions/checkout@" not in job.text, "who may write runs nothing of the repository"
    checkouts = job.text.count("actions/checkout@")
    assert job.text.count("persist-credentials: false") == checkouts


@pytest.mark.parametrize("job", [job for job in JOBS if not job.block("uses")], ids=str)
def test_a_job_ends_some_time(job: Job) -> None:
    assert 0 < int(job.block("timeout-minutes")) <= 90


# -- what is named exists --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def commands() -> set[str]:
    """What dev.py can be told to do."""
    helped = subprocess.run([sys.executable, "dev.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = re.search(r"\{([\w,]+)\}", helped.stdout)
    assert found
    return set(found[1].split(","))


@pytest.mark.parametrize(("job", "script"), SCRIPTS, ids=[f"{n}-{job}" for n, (job, _) in enumerate(SCRIPTS)])
def test_scripts_name_what_exists(job: Job, script: str, commands: set[str]) -> None:
    for command in re.findall(r"dev\.py (\S+)", script):
        assert command in commands, f"dev.py has no command {command}"
    for module in re.findall(r"python3 -m (bench[\w.]*)", script):
        assert list(ROOT.glob(f"{module.replace('.', '/')}*")), f"there is no module {module}"
    for path in re.findall(r"(?<![\w./$}\"-])[.a-z_][\w-]*(?:/[\w.-]+)+", script):
        if not path.startswith(("github.com/", "wheels/dist")):  # fetched; built
            place = PACKAGE.parent if path.startswith("lmi_fast/") else ROOT
            assert (place / path).is_file(), f"there is no {path}"


def test_benchmarks_are_run_with_options_they_have() -> None:
    text = (GITHUB / "workflows" / "bench.yml").read_text()
    asked = re.search(r"dev\.py bench (.+)\)$", text, re.MULTILINE)
    assert asked
    helped = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for word in re.findall(r"--\w+|\w+(?=,|$)", asked[1]):
        assert word in helped


def test_the_comment_is_found_by_its_heading() -> None:
    from bench.summary import HEADING

    assert f'startswith("{HEADING}")' in (GITHUB / "workflows" / "bench.yml").read_text()


# -- which Pythons ---------------------------------------------------------------------------------------------------


def test_every_python_is_tested_compiled() -> None:
    text = (GITHUB / "workflows" / "test.yml").read_text()
    rows = re.findall(r'\{ python: "(.+?)", build: "(yes|no)", loop: (\w+), runner: (\S+) \}', text)
    assert {python for python, *_ in rows} == classified()
    whole = re.search(r"^  everything:.*?python-version: \"(.+?)\"", text, re.MULTILINE | re.DOTALL)
    assert whole
    compiled = {python for python, build, loop, _ in rows if build == "yes" and loop == "uvloop"} | {whole[1]}
    assert compiled == classified()
    assert {build for _, build, *_ in rows} == {"yes", "no"}
    assert {loop for _, _, loop, _ in rows} == {"uvloop", "asyncio"}
    assert {runner for *_, runner in rows} == {"ubuntu-24.04", "ubuntu-24.04-arm"}


def test_every_python_gets_its_wheels() -> None:
    config = tomllib.loads(BUILD.read_text())["tool"]["cibuildwheel"]
    assert set(config["build"]) == {f"cp{python.replace('.', '')}-*" for python in classified()}
    linux = config["linux"]
    for arch in ("x86_64", "aarch64"):
        assert linux[f"manylinux-{arch}-image"] == "manylinux_2_28"
        assert linux[f"musllinux-{arch}-image"] == "musllinux_1_2"
    assert linux["environment"]["LMI_FAST_BUILD"] == "yes"
    named = re.search(r"\{project\}/(\S+)", config["test-command"])
    assert named
    assert (ROOT / named[1]).is_file()
    wheels = (GITHUB / "workflows" / "wheels.yml").read_text()
    assert re.findall(r"\{ arch: (\w+), runner: (\S+) \}", wheels) == [
        ("x86_64", "ubuntu-24.04"),
        ("aarch64", "ubuntu-24.04-arm"),
    ]
    assert "auto64" in linux["archs"], "the architecture of the runner"


# -- the release -----------------------------------------------------------------------------------------------------


def released(folder: Path, tag: str, name: str) -> subprocess.CompletedProcess[str]:
    """Runs a step of release.yml as GitHub does."""
    script = step(GITHUB / "workflows" / "release.yml", name)
    environ = {"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag}
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, env=environ, capture_output=True, text=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "lmi_fast").mkdir()
    (tmp_path / "lmi_fast" / "_version.py").write_text('"""The version."""\n\n__version__ = "1.2.3"\n')
    sections = ["## 1.3.0, not released yet\n\nNext.\n", "## 1.2.3, 2027-01-31\n\nThis.\n\n- And that.\n"]
    sections += [
        "## 1.2.2, 2027-01-01\n\nThe one before.\n",
        "## 1.2.1, 2026-12-31\n",
        "## 1.2.0, 2026-12-30\n\nOld.\n",
    ]
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\nNewest first.\n\n" + "\n".join(sections))
    return tmp_path


@pytest.mark.parametrize(("tag", "code"), [("v1.2.3", 0), ("v1.2.4", 1), ("1.2.3", 1), ("v1.2.3rc1", 1)])
def test_a_tag_has_to_be_the_version(repository: Path, tag: str, code: int) -> None:
    assert released(repository, tag, "Compare").returncode == code


def test_the_notes_are_the_section_of_the_version(repository: Path) -> None:
    assert released(repository, "v1.2.3", "Take the notes out of the changelog").returncode == 0
    assert (repository / "notes.md").read_text().strip() == "This.\n\n- And that."


@pytest.mark.parametrize("tag", ["v1.3.0", "v1.2", "v1.2.1", "v9.0.0"], ids=["not-dated", "prefix", "empty", "none"])
def test_no_release_without_notes(repository: Path, tag: str) -> None:
    done = released(repository, tag, "Take the notes out of the changelog")
    assert done.returncode == 1
    assert tag.removeprefix("v") in done.stdout


def test_the_changelog_and_the_version_are_as_a_release_reads_them() -> None:
    headings = re.findall(r"^## .*", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings
    for heading in headings:
        assert re.fullmatch(r"## \d+\.\d+\.\d+\w*, (\d{4}-\d\d-\d\d|not released yet)", heading)
    assert re.search(r'^__version__ = ".+"$', (PACKAGE / "_version.py").read_text(), re.MULTILINE)


def test_what_is_published_was_tested_and_attested() -> None:
    needs = {job.name: re.findall(r"\w+", job.block("needs")) for job in JOBS if job.workflow == "release.yml"}
    assert needs["attest"] == ["tests", "wheels"]
    assert needs["pypi"] == ["attest"]
    assert needs["github"] == ["pypi"]
    assert needs["tests"] == needs["wheels"] == ["check"]
