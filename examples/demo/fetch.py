"""Ask URLs from inside a pod whose image has no curl.

fetch.py [POST] URL     prints the body; exit 1 and the reason on failure
fetch.py many URL…      prints a JSON list of the bodies, null where nobody answers
"""

import json
import sys
import urllib.error
import urllib.request


def fetch(url: str, method: str = "GET") -> str:
    """The body, whatever the status says; raises OSError or ValueError when there is none."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.read().decode())


def many(urls: list[str]) -> list[str | None]:
    """All the bodies, None where there is none."""
    bodies: list[str | None] = []
    for url in urls:
        try:
            bodies.append(fetch(url))
        except (OSError, ValueError):
            bodies.append(None)
    return bodies


def main(arguments: list[str]) -> int:
    """Exit code 0 when somebody answered."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    if arguments[0] == "many":
        print(json.dumps(many(arguments[1:])))
        return 0
    try:
        sys.stdout.write(fetch(arguments[-1], arguments[0] if len(arguments) > 1 else "GET"))
        return 0
    except (OSError, ValueError) as error:
        print(f"{arguments[-1]}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
