"""Ask a URL from inside a pod whose image has no curl: `fetch.py [POST] URL` prints the body."""

import sys
import urllib.error
import urllib.request


def main(arguments: list[str]) -> int:
    """Exit code 0 when the answer is a success; the body goes to stdout, what went wrong to stderr."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    method = arguments[0] if len(arguments) > 1 else "GET"
    try:
        request = urllib.request.Request(arguments[-1], method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            sys.stdout.write(answer.read().decode())
            return 0
    except urllib.error.HTTPError as error:
        reason = error.read().decode(errors="replace").strip()
        print(f"{arguments[-1]}: {error.code}: {reason}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"{arguments[-1]}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
