"""Promises that every rule and script keeps, read from their text."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from trials import STAGES

from rarecxr.study.configuration.jobs import ByRule

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))


def rules():
    """Name, file and text of every rule that runs a script."""
    found = []
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for name, text in re.findall(
            r"^rule (\w+):\n((?:[ \n].*\n|\n)+)", path.read_text(encoding="utf-8"), re.M
        ):
            found.append((name, path.name, text))
    return found


RULES = rules()
# Those that ask a cluster for something.
JOBS = [rule for rule in RULES if "localrule: True" not in rule[2]]


def test_the_stages_are_there():
    assert {name for name, _, _ in RULES} >= {
        "make_phantoms",
        "index_images",
        "label_images",
        "split_patients",
        "draw_patients",
        "cache_pixels",
        "make_training_set",
        "train_gan",
        "make_bank",
        "train_classifier",
        "evaluate",
        "make_report",
    }


@pytest.mark.parametrize(("name", "file", "text"), RULES, ids=[rule[0] for rule in RULES])
def test_every_rule_runs_its_own_script_and_watches_its_code(name, file, text):
    assert f'"../scripts/{name}.py"' in text
    assert f'code=code("{name}.py")' in text
    assert (ROOT / f"workflow/scripts/{name}.py").exists()


def test_files_of_tests_have_names_of_their_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_faults_are_injected_into_every_rule_that_the_tiny_study_runs():
    of_other_data = {"predict_external", "clean_states"}
    assert set(STAGES) == {name for name, _, _ in RULES} - of_other_data


def test_rules_are_short():
    lengths = [1 + len([line for line in text.splitlines() if line]) for _, _, text in RULES]
    assert sum(lengths) / len(lengths) <= 27
    assert max(lengths) <= 40


@pytest.mark.parametrize(("name", "file", "text"), RULES, ids=[rule[0] for rule in RULES])
def test_every_rule_has_docstring_log_benchmark_and_environment(name, file, text):
    assert re.match(r'    """[A-Z].*"""\n', text)
    for directive in ("log:", "conda:"):
        assert f"\n    {directive}\n" in text
    assert f'"<logs>/{name}' in text
    # A rule without outputs runs whenever it is asked for; a benchmark would be an output.
    if "\n    output:\n" in text:
        assert f'\n    benchmark:\n        "<benchmarks>/{name}' in text


def called(script):
    """Names of the library's functions that a script calls."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("rarecxr.")
        for alias in node.names
    }
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {imported.get(func.id) for func in calls if isinstance(func, ast.Name)}


@pytest.mark.parametrize("name", [rule[0] for rule in RULES])
def test_a_script_calls_the_function_that_is_named_like_its_rule(name):
    assert name in called(ROOT / f"workflow/scripts/{name}.py")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_reads_the_whole_configuration(script):
    assert "snakemake.config" not in script.read_text(encoding="utf-8")


def test_every_script_that_a_rule_runs_logs_before_it_imports():
    for name, _, _ in RULES:
        text = (ROOT / f"workflow/scripts/{name}.py").read_text(encoding="utf-8")
        body = text.split('"""', 2)[2].strip().splitlines()
        assert body[0] == "from rarecxr.core.job_log import log_to", name
        assert body[2] == "log_to(snakemake.log[0])", name


def test_the_library_knows_nothing_of_snakemake():
    for path in (ROOT / "workflow/scripts/rarecxr").rglob("*.py"):
        assert not re.search(
            r"^\s*(import|from) snakemake", path.read_text(encoding="utf-8"), re.M
        ), path


def test_the_default_profile_names_the_triggers_and_nothing_of_the_machine():
    profile = yaml.safe_load(
        (ROOT / "profiles/default/config.v9+.yaml").read_text(encoding="utf-8")
    )
    assert set(profile["rerun-triggers"]) == {"mtime", "params", "input", "software-env"}
    assert not {"cores", "jobs", "resources", "default-resources"} & set(profile)


@pytest.mark.parametrize("name", ["local", "slurm"])
def test_a_profile_that_replaces_the_default_repeats_it(name):
    """`--workflow-profile` leaves profiles/default out."""
    profile = yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text(encoding="utf-8"))
    default = yaml.safe_load(
        (ROOT / "profiles/default/config.v9+.yaml").read_text(encoding="utf-8")
    )
    assert {key: profile.get(key) for key in default} == default


def test_the_slurm_profile_sends_the_rules_that_use_a_gpu_and_no_others_to_its_partition():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    with_gpu = {name for name, _, text in RULES if re.search(rf'asked\("{name}", "\w+"', text)}
    assert set(profile["set-resources"]) == with_gpu
    assert {part["slurm_partition"] for part in profile["set-resources"].values()} == {"gpu"}
    assert set(profile["groups"]) <= {name for name, _, _ in RULES} - with_gpu


@pytest.mark.parametrize(("name", "file", "text"), JOBS, ids=[rule[0] for rule in JOBS])
def test_what_a_job_asks_for_is_in_the_configuration(name, file, text):
    assert re.search(rf'^        \*\*asked\(\s*"{name}"', text, re.M)
    assert not re.search(r"slurm_|partition|account", text)


def test_jobs_are_configured_by_the_names_of_rules():
    assert set(ByRule.KEYS) == {name for name, _, _ in JOBS}


def test_checkpoints_are_loaded_without_unpickling():
    for path in (ROOT / "workflow/scripts").rglob("*.py"):
        for call in re.findall(r"torch\.load\(.*", path.read_text(encoding="utf-8")):
            assert "weights_only=True" in call, f"{path.name}: {call}"


# The one reader of each kind of file, which refuses what is damaged by name; and by the call that
# reads it where it stands.
READERS = {
    "pd.read_csv": {"core/tables.py"},
    "pd.read_parquet": {"core/tables.py"},
    "pq.read_schema": {"core/tables.py"},
    "torch.load": {"core/tensors.py"},
    "h5py.File": {"core/hdf5.py"},
    "np.load": {"bank/sample_sheet.py", "classifier/map_file.py"},
    "json.load": set(),
    "Image.open": {"report/images.py", "data/decode.py"},
}
# Everything else by which these packages read whole files.
OTHER_READERS = re.compile(
    r"pd\.(read_(?!csv|parquet)\w+|HDFStore|ExcelFile)|np\.(loadtxt|genfromtxt|fromfile)"
    r"|pq\.(read_table|ParquetFile|read_pandas|read_metadata)|pickle\.loads?|joblib\.load"
)


def test_artifacts_are_read_by_the_shared_readers_alone():
    library = ROOT / "workflow/scripts/rarecxr"
    found = {name: set() for name in READERS}
    for path in [*library.rglob("*.py"), *SCRIPTS]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            call, place = ast.unparse(node.func), os.path.relpath(path, library)
            if call in found:
                found[call].add(place)
            # Not of a file, but of what one holds: text, lines of other processes.
            if call == "json.loads" and place != "core/json_file.py":
                argument = ast.unparse(node.args[0])
                assert not re.search(r"read_(text|bytes)|open\(", argument), f"{place}: {argument}"
            # A user's own table is none of the workflow's artifacts.
            users = place == "data/formats/table.py" and call == "pq.ParquetFile"
            assert users or not OTHER_READERS.fullmatch(call), f"{place}: {call}"
    assert found == READERS


def test_the_catalogues_standardised_usage_is_kept():
    """See https://snakemake.github.io/snakemake-workflow-catalog."""
    for name in (
        "workflow/Snakefile",
        "config/README.md",
        "config/config.yaml",
        "README.md",
        "LICENSE",
    ):
        assert (ROOT / name).stat().st_size > 0, name
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))[
        "usage"
    ]
    assert usage["software-stack-deployment"]["conda"] is True
    # With Snakemake's report: some outputs are shown in it.
    assert usage["report"] is any("=shown" in text for _, _, text in RULES)
    configured = {path.name for path in (ROOT / "config").iterdir()} - {"README.md"}
    told = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert not [name for name in configured if f"`{name}`" not in told]


def opened_as_text(call):
    """Whether a call reads or writes text, as far as its own line shows."""
    name = getattr(call.func, "attr", getattr(call.func, "id", None))
    if name in ("read_text", "write_text"):
        # The methods of a path, not functions of ours.
        return isinstance(call.func, ast.Attribute)
    if name in ("run", "Popen", "check_output"):
        return any(keyword.arg in ("text", "universal_newlines") for keyword in call.keywords)
    bare = isinstance(call.func, ast.Name)
    if name == "fdopen" or (name == "open" and bare):
        place = 1
    elif name == "open" and getattr(call.func.value, "id", "path").islower():
        place = 0
    else:
        return False
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    mode = (call.args[place : place + 1] + modes + [ast.Constant("r")])[0]
    if not (isinstance(mode, ast.Constant) and isinstance(mode.value, str)):
        return False
    return re.fullmatch("[rwax+t]+", mode.value) is not None


def test_every_text_file_is_opened_as_utf_8():
    listed = subprocess.check_output(["git", "ls-files", "*.py"], cwd=ROOT, encoding="utf-8")
    assert len(listed.splitlines()) > 200
    for name in listed.splitlines():
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and opened_as_text(node):
                # Named by another argument, as in `**options`, it is not seen here.
                given = {keyword.arg for keyword in node.keywords}
                assert given & {"encoding", None}, f"{name}:{node.lineno}: no encoding"
    for path in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(read|write)_text\((?![^)]*encoding)|\bopen\((?![^)]*enc)", text)
