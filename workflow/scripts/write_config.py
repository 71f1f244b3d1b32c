"""Write config.yaml and schema.yaml of config/: `python workflow/scripts/write_config.py`."""

from pathlib import Path

from rarecxr.core.files import written_whole
from rarecxr.study.documents import reference, schema_text


def main() -> None:
    folder = Path(__file__).parents[2] / "config"
    for name, text in (("config.yaml", reference()), ("schema.yaml", schema_text())):
        with written_whole(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
