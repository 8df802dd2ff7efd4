"""What CMake packages: every file, where it is imported from; and Python that all versions read.

Runs the extension's real CMake files against stand-ins of Slicer's macros (standin_slicer/).
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STANDIN = Path(__file__).resolve().parent / "standin_slicer"
LIB_DIR = "lib/Slicer-5.12/qt-scripted-modules"
LEFT_BEHIND = {"__pycache__", "CMakeLists.txt", "CopyBackend.cmake"}

needs_cmake = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("cmake", "cc", "c++")),
    reason="needs cmake and a compiler: apt-get install cmake g++",
)


def sources(folder: str) -> set[str]:
    """Files of a folder that belong into a package, relative to it."""
    base = ROOT / folder
    return {
        str(path.relative_to(base))
        for path in base.rglob("*")
        if path.is_file()
        and not LEFT_BEHIND.intersection(path.relative_to(base).parts)
        # The browser's room runs outside Slicer, in an environment of its own.
        and base.joinpath("browser") not in path.parents
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The extension configured, built and installed with the stand-ins."""
    folder = tmp_path_factory.mktemp("package with blank")
    build, prefix = folder / "build", folder / "prefix"

    def run(*words):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run(
        "cmake", "-S", str(ROOT), "-B", str(build), f"-DSlicer_DIR={STANDIN}", "-DBUILD_TESTING=ON"
    )  # fmt: skip
    run("cmake", "--build", str(build))
    run("cmake", "--install", str(build), "--prefix", str(prefix))
    return said, build / LIB_DIR, prefix / LIB_DIR


@needs_cmake
def test_every_file_of_module_and_library_is_packaged(installed):
    _said, built, prefix = installed
    for place in (built, prefix):
        for folder, where in (("HideSeek", place), ("HideSeekLib", place / "HideSeekLib")):
            missing = {name for name in sources(folder) if not (where / name).is_file()}
            assert not missing, f"add to {folder}/CMakeLists.txt: {sorted(missing)}"
            for name in sources(folder):
                assert (where / name).read_bytes() == (ROOT / folder / name).read_bytes()


@needs_cmake
def test_the_backends_copy_is_complete_and_clean(installed):
    _said, _built, prefix = installed
    copy = prefix / "hideseek_backend"
    wanted = {
        name
        for name in sources("hideseek_backend")
        if name.split("/")[0] in ("pyproject.toml", "README.md", "src")
        and ".egg-info" not in name
        and not name.startswith("src/hideseek_lab")
        and not any(part.startswith(".") for part in Path(name).parts)
    }
    found = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert wanted <= found
    assert not any(
        "hideseek_lab" in name for name in found
    )  # researchers' tools stay out of Slicer
    assert not {n for n in found if "__pycache__" in n or n.startswith("tests/") or "egg-info" in n}


@needs_cmake
def test_the_installed_library_is_what_is_imported(installed):
    _said, _built, prefix = installed
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from HideSeekLib.anatomy import click\n"
        "from HideSeekLib.case import case, files, views\n"
        "from HideSeekLib.setup import sample_data\n"
        "from HideSeekLib.wire import codes\n"
        "print(case.__file__)\n"
        "print(codes.lesion_entry('T10', 'lytic'))\n"
        "assert 'torch' not in sys.modules and 'qt' not in sys.modules\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'hideseek_backend']\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(prefix)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    place, entry = done.stdout.splitlines()
    assert Path(place).parent == prefix / "HideSeekLib" / "case"
    assert "7610001" in entry


@needs_cmake
def test_slicer_is_told_what_it_asks_for(installed):
    said, _built, _prefix = installed
    assert "EXTENSION_CATEGORY=Segmentation" in said
    assert "EXTENSION_DEPENDS=PyTorch" in said
    assert "not cleared for diagnosis" in said
    assert "Slicer test: run_in_slicer.py" in said


def python_files():
    return [
        path
        for folder in ("HideSeek", "HideSeekLib", "Testing")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts
    ]


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_sources_parse_on(version):
    for path in python_files():
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=version)


def test_only_the_standard_library_slicer_and_numpy_at_file_scope():
    """Slicer imports every module at its start: nothing may be missing, slow or installed there."""
    allowed = set(sys.stdlib_module_names) | {"slicer", "vtk", "numpy", "qt", "ctk", "HideSeekLib"}
    for path in python_files():
        # The browser's room runs in an environment of its own and is not packaged.
        if "Testing" in path.parts or "browser" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            strangers = [name for name in names if name.split(".")[0] not in allowed]
            assert not strangers, f"{path.name}: {strangers}"


BACKEND_WIRE = ROOT / "hideseek_backend" / "src" / "hideseek_backend" / "wire"

# Modules that only the panel uses; everything else runs without Qt.
ROOMS_WITHOUT_QT = ("wire", "anatomy", "case", "run")


def test_the_scene_side_knows_no_qt():
    files = [
        path for room in ROOMS_WITHOUT_QT for path in (ROOT / "HideSeekLib" / room).glob("*.py")
    ]
    assert len(files) > 20
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.level == 0
        }
        assert not imported & {"qt", "ctk", "PySide6", "torch", "hideseek_backend"}, path


def test_the_wire_is_the_backends_byte_for_byte():
    theirs, ours = BACKEND_WIRE.glob("*.py"), (ROOT / "HideSeekLib" / "wire").glob("*.py")
    assert {p.name: p.read_bytes() for p in ours} == {p.name: p.read_bytes() for p in theirs}, (
        "run make wire"
    )


def test_resources_are_valid_json():
    for path in (ROOT / "HideSeekLib" / "Resources").glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))


def test_no_file_is_listed_twice():
    for folder in ("HideSeek", "HideSeekLib"):
        text = (ROOT / folder / "CMakeLists.txt").read_text(encoding="utf-8")
        names = re.findall(r"^  (\S+\.(?:py|json|png|svg|ui))$", text, re.MULTILINE)
        assert len(names) == len(set(names))


# The Extensions Index: what its scripts/check_description_files.py demands, without the network.
ENTRY = ROOT / "HideSeek.json"
SCHEMA = "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json"
KEYS = {
    "$schema", "build_dependencies", "build_subdirectory", "category", "scm_revision", "scm_url",
    "tier",
}  # fmt: skip


def test_the_index_entry_has_the_keys_and_the_repositorys_name():
    entry = json.loads(ENTRY.read_text(encoding="utf-8"))
    assert set(entry) == KEYS and all(value not in (None, "", []) for value in entry.values())
    assert entry["$schema"].partition("#")[0] == SCHEMA and entry["tier"] in (1, 3, 5)
    scheme, _, path = entry["scm_url"].partition("://")
    repository = path.rpartition("/")[2].removesuffix(".git")
    assert scheme == "https" and repository == f"Slicer{ENTRY.stem}"


def test_the_index_entry_agrees_with_cmake():
    entry = json.loads(ENTRY.read_text(encoding="utf-8"))
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    # The index reads these two by regular expressions: a name, then one pair of quotes.
    assert re.findall(r"project\s*\(\s*([^\s\)]+)", cmake) == [ENTRY.stem]
    urls = [
        url
        for name in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS")
        for found in re.findall(rf'set\s*\({name}\s*"([^"]+)"\)', cmake)
        for url in found.split()
    ]
    assert len(urls) >= 2
    repository = entry["scm_url"].removesuffix(".git").rpartition("github.com/")[2]
    start = f"https://raw.githubusercontent.com/{repository}/{entry['scm_revision']}/"
    for url in urls:
        assert url.startswith(start) and (ROOT / url.removeprefix(start)).is_file(), url
    assert f'EXTENSION_CATEGORY "{entry["category"]}"' in cmake
    assert f'EXTENSION_DEPENDS "{" ".join(entry["build_dependencies"])}"' in cmake


def test_the_description_names_the_paper_and_the_patent_application():
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    description = re.search(r'EXTENSION_DESCRIPTION "([^"]+)"', cmake)
    assert description is not None
    for words in ("https://arxiv.org/abs/2512.06849", "WO 2024/098147", "not cleared", "5.10"):
        assert words in description.group(1)


def test_the_package_carries_its_own_licence():
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert (ROOT / "LICENSE.txt").read_text(encoding="utf-8").count("Apache License") > 0
    assert cmake.index("EXTENSION_LICENSE_FILE") < cmake.index("include(${Slicer_USE_FILE})")


@needs_cmake
def test_a_slicer_older_than_the_oldest_is_refused_by_cmake(tmp_path):
    for version, wanted in (("5.8.1", 1), ("5.10.0", 0)):
        done = subprocess.run(
            ["cmake", "-S", str(ROOT), "-B", str(tmp_path / version),
             f"-DSlicer_DIR={STANDIN}", f"-DSlicer_VERSION={version}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == wanted, done.stderr
        assert ("HideSeek needs Slicer 5.10 or newer" in done.stderr) == bool(wanted)


def test_the_backend_builds_with_the_setuptools_of_the_oldest_slicer():
    project = (ROOT / "hideseek_backend" / "pyproject.toml").read_text(encoding="utf-8")
    # A licence as text needs setuptools 77; Slicer 5.10 has 80.9.
    assert 'requires = ["setuptools>=77"]' in project


WINDOWS_LIMIT = 260
INSTALLED = (  # an extension of a user with a long name, in the folder of scripted modules
    "C:\\Users\\" + 20 * "n" + "\\AppData\\Local\\slicer.org\\3D Slicer 5.12.0\\slicer.org"
    "\\Extensions-34045\\HideSeek\\lib\\Slicer-5.12\\qt-scripted-modules\\"
)
BUILT = (  # pip builds a wheel from a copy in the temporary folder
    "C:\\Users\\" + 20 * "n" + "\\AppData\\Local\\Temp\\hideseek-backend-12345678\\"
    "hideseek_backend\\build\\bdist.win-amd64\\wheel\\.\\"
)


@needs_cmake
def test_paths_fit_windows(installed):
    _said, _built, prefix = installed
    names = [str(p.relative_to(prefix)) for p in prefix.rglob("*") if p.is_file()]
    longest = max(names, key=len)
    assert len(INSTALLED) + len(longest) < WINDOWS_LIMIT - 30, longest
    package = [n.partition("src/")[2] for n in names if n.startswith("hideseek_backend/src/")]
    assert len(BUILT) + max(map(len, package)) < WINDOWS_LIMIT - 30
    compiled = max((n for n in names if n.endswith(".py")), key=len)
    assert len(INSTALLED) + len(compiled) + len("__pycache__/.cpython-312") < WINDOWS_LIMIT - 10


def test_names_of_parameters_are_not_offered_to_translators():
    form = (ROOT / "HideSeek/Resources/UI/HideSeek.ui").read_text(encoding="utf-8")
    names = re.findall(r'name="SlicerParameterName"[^>]*>\s*<string([^>]*)>', form)
    assert names and all('notr="true"' in attributes for attributes in names)


def test_the_module_names_what_it_depends_on():
    source = (ROOT / "HideSeek" / "HideSeek.py").read_text(encoding="utf-8")
    listed = re.search(r"parent\.dependencies = (\[.*\])", source)
    assert listed is not None
    wanted = {"Segmentations", "SegmentEditor", "Terminologies", "SampleData"}
    assert wanted <= set(ast.literal_eval(listed.group(1)))
    # An extension has no page in Slicer's own documentation.
    assert "getDefaultModuleDocumentationLink" not in source and "#readme" in source


def test_a_release_has_one_version_in_the_citation_too():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    backend = (ROOT / "hideseek_backend/src/hideseek_backend/wire/version.py").read_text("utf-8")
    version = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    assert version is not None and f'"{version.group(1)}"' in backend
