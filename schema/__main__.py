"""Write the generated files."""

from schema.generate import generated

if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
