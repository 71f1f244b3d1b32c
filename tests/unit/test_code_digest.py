"""Changed code changes the digest of what depends on it, and nothing else does."""

import textwrap

import pytest

from rarecxr.core.code_digest import code_digest, modules


@pytest.fixture
def project(tmp_path):
    files = {
        "a.py": "from lib.far import value\nimport numpy\nprint(value())\n",
        "b.py": "import lib.near\n",
        "lib/__init__.py": '"""A library."""\n',
        "lib/far.py": "def value():\n    from lib import deep\n    return deep.VALUE\n",
        "lib/deep.py": "VALUE = 1\n",
        "lib/near.py": "VALUE = 2\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_modules_are_followed_through_imports_inside_functions(project):
    assert modules(project / "a.py") == {"lib", "lib.far", "lib.deep"}
    assert modules(project / "b.py") == {"lib", "lib.near"}


def test_a_changed_module_changes_the_scripts_that_reach_it_alone(project):
    before = code_digest(project / "a.py"), code_digest(project / "b.py")
    (project / "lib/deep.py").write_text("VALUE = 12345\n", encoding="utf-8")
    after = code_digest(project / "a.py"), code_digest(project / "b.py")
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_comments_docstrings_and_layout_do_not_count(project):
    before = code_digest(project / "a.py")
    (project / "lib/far.py").write_text(
        textwrap.dedent(
            '''
            """What it is for."""

            def value():
                """The value."""
                from lib import deep  # late, because
                return (
                    deep.VALUE
                )
            '''
        ),
        encoding="utf-8",
    )
    assert code_digest(project / "a.py") == before


def test_text_below_a_setting_does_not_count(project):
    (project / "lib/deep.py").write_text("class Section:\n    size: int = 1\n", encoding="utf-8")
    before = code_digest(project / "a.py")
    described = 'class Section:\n    size: int = 1\n    """How large."""\n'
    (project / "lib/deep.py").write_text(described, encoding="utf-8")
    assert code_digest(project / "a.py") == before
    changed = described.replace("= 1", "= 'How large.'")
    (project / "lib/deep.py").write_text(changed, encoding="utf-8")
    assert code_digest(project / "a.py") != before


@pytest.mark.parametrize(
    ("old", "new"),
    [("VALUE = 1", "VALUE = 2"), ("VALUE = 1", "VALUE = 1.0"), ("VALUE = 1", "VALUE = -1")],
)
def test_the_smallest_changes_of_meaning_count(project, old, new):
    before = code_digest(project / "a.py")
    text = (project / "lib/deep.py").read_text(encoding="utf-8")
    (project / "lib/deep.py").write_text(text.replace(old, new), encoding="utf-8")
    assert code_digest(project / "a.py") != before


def test_a_string_that_is_no_docstring_counts(project):
    (project / "lib/deep.py").write_text('VALUE = "one"\n', encoding="utf-8")
    before = code_digest(project / "a.py")
    (project / "lib/deep.py").write_text('VALUE = "two"\n', encoding="utf-8")
    assert code_digest(project / "a.py") != before
