"""Byte streams that a client may send, by name: plain, unusual, wrong and hostile ones.

They cover the classes of cases of gunicorn's own tests and of collections of smuggling attacks. This file
does not define the right answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.app.worker.echo_app import ANSWERS

HOST = "Host: example.test\r\n"
BODY = '{"features":[5.1,3.5,1.4,0.2]}'
JSON = f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"


def streams() -> dict[str, list[bytes]]:
    """Return the streams by name, each as pieces that are sent with a pause between them."""
    found: dict[str, list[bytes]] = {}
    for name, text in (
        *plain(),
        *targets(),
        *methods(),
        *fields(),
        *hosts(),
        *proxied(),
        *bodies(),
        *framing(),
        *lines(),
        *pipelines(),
    ):
        assert name not in found, name
        found[name] = [text.encode("latin-1") if isinstance(text, str) else text]
    for i in range(256):
        found[f"name-{i:02x}"] = [f"GET / HTTP/1.1\r\n{HOST}X{chr(i)}Y: 1\r\n\r\n".encode("latin-1")]
        found[f"value-{i:02x}"] = [f"GET / HTTP/1.1\r\n{HOST}X: a{chr(i)}b\r\n\r\n".encode("latin-1")]
        found[f"target-{i:02x}"] = [f"GET /a{chr(i)}b HTTP/1.1\r\n{HOST}\r\n".encode("latin-1")]
    whole = f"POST /split?a=b HTTP/1.1\r\n{HOST}{JSON}X-A: 1\r\n\r\n{BODY}GET /second HTTP/1.1\r\n{HOST}\r\n".encode()
    for i in range(1, len(whole)):
        found[f"split-{i}"] = [whole[:i], whole[i:]]
    found["split-all"] = [whole[i : i + 1] for i in range(len(whole))]
    return found


def plain() -> Iterator[tuple[str, str]]:
    yield "plain-get", f"GET / HTTP/1.1\r\n{HOST}\r\n"
    yield "plain-post", f"POST /predict HTTP/1.1\r\n{HOST}{JSON}\r\n{BODY}"
    for i, value in enumerate(("x:80", "x_y.test", "127.0.0.1:8000", "[::1]:80", "%41", "", ":80", "a,b")):
        yield f"plain-host-{i}", f"GET / HTTP/1.1\r\nHost: {value}\r\n\r\n"
    yield "plain-empty-body", f"POST / HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n"
    yield "plain-close", f"GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
    yield "plain-close-case", f"GET / HTTP/1.1\r\n{HOST}connection: CLOSE\r\n\r\n"
    yield "plain-keep-alive", f"GET / HTTP/1.1\r\n{HOST}Connection: Keep-Alive\r\n\r\n"
    for answer in ANSWERS:
        yield (
            f"answer-{answer}",
            f"GET /answer/{answer} HTTP/1.1\r\n{HOST}\r\nGET /next HTTP/1.1\r\n{HOST}\r\n",
        )
        yield f"answer-{answer}-close", f"GET /answer/{answer} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"


def targets() -> Iterator[tuple[str, str]]:
    for i, target in enumerate(
        (
            "/a/b?c=d&e=f",
            "/?",
            "//double//slash",
            "/%41%2f%00%ff",
            "/%zz",
            "/a#fragment",
            "/a?b#c?d",
            "/a;b=c",
            "/[",
            "//[/x",
            "/a:b@c",
            "/" + "x" * 4000,
            "http://example.test/absolute",
            "http://[/broken",
            "*",
            "example.test:443",
            "relative",
            "",
            "?query",
            "/a b",
            "/..%2f..",
            "/a\\b",
            "/ä",
        )
    ):
        yield f"a-target-{i}", f"GET {target} HTTP/1.1\r\n{HOST}\r\n"
    for size in (4093, 4094, 4095, 8190, 9000):
        line = f"GET /{'x' * (size - len('GET / HTTP/1.1'))} HTTP/1.1"
        yield f"line-{size}", f"{line}\r\n{HOST}\r\n"


def methods() -> Iterator[tuple[str, str]]:
    known = "GET POST PUT PATCH DELETE OPTIONS HEAD TRACE CONNECT PROPFIND"
    odd = "get Get GE G A-B GET# G\tET ABCDEFGHIJKLMNOPQRST ABCDEFGHIJKLMNOPQRSTU PRI"
    for method in (*known.split(" "), *odd.split(" ")):
        yield f"method-{method!r}", f"{method} / HTTP/1.1\r\n{HOST}\r\n"
    yield "options-star", f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n"
    yield "head-then-get", f"HEAD / HTTP/1.1\r\n{HOST}\r\nGET / HTTP/1.1\r\n{HOST}\r\n"
    yield "http2-preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for version in ("1.0", "0.9", "1.2", "2.0", "1.1 ", " 1.1", "1.", "11", "1.11", "x.y"):
        yield f"version-{version!r}", f"GET / HTTP/{version}\r\n{HOST}\r\n"
    yield "version-1.0-keep-alive", f"GET / HTTP/1.0\r\n{HOST}Connection: keep-alive\r\n\r\n"
    for i, line in enumerate(
        ("GET /", "GET", "", "GET / http/1.1", "GET  / HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 x")
    ):
        yield f"request-line-{i}", f"{line}\r\n{HOST}\r\n"


def fields() -> Iterator[tuple[str, str]]:
    cases = (
        "Accept: a\r\nAccept: b\r\n",
        "Cookie: a=b\r\nCookie: c=d\r\n",
        "X-A:1\r\n",
        "X-A:\r\n",
        "X-A: \t 1 \t \r\n",
        "X-A : 1\r\n",
        "X-A\r\n",
        ": 1\r\n",
        "X_A: 1\r\n",
        "X_A: 1\r\nX-A: 2\r\n",
        "X-A: 1\r\n 2\r\n",
        "X-A: 1\r\n\t2\r\n",
        " X-A: 1\r\n",
        "Host: second.test\r\n",
        "HOST: second.test\r\n",
        "Content-Type: a/b\r\nContent-Type: c/d\r\n",
        "Content-Type: a/b\r\nContent_Type: c/d\r\n",
        "Content_Length: 5\r\n",
        "Script_Name: /x\r\n",
        "SCRIPT_NAME: /x\r\n",
        "Script-Name: /x\r\n",
        "Path-Info: /x\r\n",
        "X-Forwarded-For: 1.2.3.4\r\n",
        "X-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Protocol: ssl\r\nX-Forwarded-Ssl: off\r\n",
        "Forwarded: for=1.2.3.4;proto=https\r\n",
        "Proxy: http://evil.test\r\n",
        "Proxy-Connection: close\r\n",
        "Connection: close\r\nConnection: keep-alive\r\n",
        "Connection: keep-alive\r\nConnection: close\r\n",
        "Connection: close, x-a\r\n",
        "Connection: \r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: websocket\r\n",
        "Expect: 100-continue\r\n",
        "Expect: something\r\n",
        "Expect:\r\n",
        "TE: trailers\r\n",
        "Trailer: X-A\r\n",
        "Keep-Alive: timeout=5\r\n",
        "X-A: 1\n",
        "X-A: 1\rX-B: 2\r\n",
        "X-A: 1\n\r\n",
        "X-A: 1\r\r\n",
        "\rX-A: 1\r\n",
        "X-A: a\xe9b\r\n",
        "X.A: 1\r\nX!A: 2\r\nX~A: 3\r\n",
        "\xdf: 1\r\n",
    )
    for i, text in enumerate(cases):
        yield f"field-{i}", f"GET / HTTP/1.1\r\n{HOST}{text}\r\n"
    for size in (8187, 8188, 8189, 8190, 8191, 9000):
        yield f"field-size-{size}", f"GET / HTTP/1.1\r\n{HOST}X-A: {'x' * (size - 5)}\r\n\r\n"
    for count in (63, 64, 65, 100, 101):
        yield f"field-count-{count}", f"GET / HTTP/1.1\r\n{HOST}" + "X-A: 1\r\n" * (count - 1) + "\r\n"
    yield "head-large", f"GET / HTTP/1.1\r\n{HOST}" + f"X-A: {'x' * 4000}\r\n" * 20 + "\r\n"
    yield "leading-crlf", f"\r\nGET / HTTP/1.1\r\n{HOST}\r\n"
    yield "leading-crlf-twice", f"\r\n\r\nGET / HTTP/1.1\r\n{HOST}\r\n"
    yield "leading-lf", f"\nGET / HTTP/1.1\r\n{HOST}\r\n"
    yield "proxy-line", f"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n{HOST}\r\n"
    yield "tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def hosts() -> Iterator[tuple[str, str]]:
    yield "host-missing", "GET / HTTP/1.1\r\n\r\n"
    yield "host-missing-post", f"POST / HTTP/1.1\r\n{JSON}\r\n{BODY}"
    yield "host-missing-1.0", "GET / HTTP/1.0\r\n\r\n"
    for i, value in enumerate(
        (
            *(
                "a b",
                "a/b",
                "a@b",
                "x:80:90",
                "x:port",
                "[::1",
                "::1",
                "[::1]x",
                "\xe9",
                '"x"',
                "http://x",
                "a?b",
            ),
            *("a#b", "a\\b", "<x>", "%4", "%zz", "x:-1", "{x}", "a\tb"),
        )
    ):
        yield f"host-{i}", f"GET / HTTP/1.1\r\nHost: {value}\r\n\r\n"
        yield f"host-{i}-1.0", f"GET / HTTP/1.0\r\nHost: {value}\r\n\r\n"


def proxied() -> Iterator[tuple[str, str]]:
    """Return streams with headers of proxies.

    By default gunicorn trusts those that come from the loopback interface.
    """
    plain = (
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto: HTTPS\r\n",
        "X-Forwarded-Proto:\r\n",
        "X-Forwarded-Proto: http, https\r\n",
        "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: off\r\nX-Forwarded-Protocol: http\r\n",
        "X-Forwarded-Protocol: https\r\n",
        "X-Request-Id: 1\r\nX-Real-Ip: 1.2.3.4\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-Host: a.test\r\n"
        "X-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Scheme: http\r\nX-Scheme: http\r\n",
    )
    for i, text in enumerate(plain):
        yield f"proxied-plain-{i}", f"GET / HTTP/1.1\r\n{HOST}{text}\r\n"
    other = (
        "X-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: \t https \t\r\n",
        "x-forwarded-proto: https\r\n",
        "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Protocol: https\r\n",
        "X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: on\r\n",
        "X-Forwarded-Protocol: ssl\r\n",
        "X_Forwarded_Proto: https\r\n",
    )
    for i, text in enumerate(other):
        yield f"proxied-{i}", f"GET / HTTP/1.1\r\n{HOST}{text}\r\n"


def bodies() -> Iterator[tuple[str, str]]:
    yield "body-on-get", f"GET / HTTP/1.1\r\n{HOST}{JSON}\r\n{BODY}"
    yield "body-too-long", f"POST / HTTP/1.1\r\n{HOST}{JSON}\r\n{BODY}extra"
    yield (
        "body-large",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 200000\r\n\r\n"
        + "x" * 200_000
        + f"GET / HTTP/1.1\r\n{HOST}\r\n",
    )
    yield (
        "body-unread",
        f"POST /unread HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n12345GET / HTTP/1.1\r\n{HOST}\r\n",
    )
    yield (
        "body-unread-large",
        (
            f"POST /unread HTTP/1.1\r\n{HOST}Content-Length: 200000\r\n\r\n"
            + "x" * 200_000
            + f"GET / HTTP/1.1\r\n{HOST}\r\n"
        ),
    )
    for i, value in enumerate(("100-continue", "100-Continue")):
        said = f"{HOST}Expect: {value}\r\n"
        yield f"expect-{i}", f"POST / HTTP/1.1\r\n{said}{JSON}\r\n{BODY}GET / HTTP/1.1\r\n{HOST}\r\n"
        yield f"expect-{i}-no-body", f"GET / HTTP/1.1\r\n{said}\r\n"
    yield "chunked", f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    yield (
        "odd-then-plain",
        (
            f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n{HOST}\r\n"
        ),
    )
    yield (
        "odd-after-plain",
        (
            f"GET / HTTP/1.1\r\n{HOST}\r\nPOST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
    )


def framing() -> Iterator[tuple[str, str]]:
    """Return streams in which one parser sees one request and another sees two."""
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    for i, value in enumerate(
        (
            "5",
            "05",
            "+5",
            "-5",
            " 5",
            "5 ",
            "5,5",
            "5, 5",
            "0x5",
            "5.0",
            "five",
            "",
            "\x0b5",
            "5\x00",
            "1_0",
            "٥",
            "999999999",
            "9999999999",
        )
    ):
        text = value.encode("utf-8").decode("latin-1")
        yield f"length-{i}", f"POST / HTTP/1.1\r\n{HOST}Content-Length: {text}\r\n\r\nhello{smuggled}"
    pairs = (
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\ncontent-length: 0\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\tchunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n ,identity\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nX: y\nContent-Length: 0\r\n",
        "Content-Length: 0\nContent-Length: 5\r\n",
        "Content-Length : 5\r\n",
        "Content-Length:\r\n 5\r\n",
    )
    for i, text in enumerate(pairs):
        yield f"smuggle-{i}", f"POST / HTTP/1.1\r\n{HOST}{text}\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}"
    for i, chunk in enumerate(
        (
            "5;a=b\r\nhello",
            "+5\r\nhello",
            "0x5\r\nhello",
            "5 \r\nhello",
            "5\nhello",
            "5\r\nhelloX",
            "-1\r\n",
            "\r\nhello",
        )
    ):
        yield (
            f"chunk-{i}",
            f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunk}\r\n0\r\n\r\n{smuggled}",
        )


def lines() -> Iterator[tuple[str, str]]:
    """Return streams with line ends other than CRLF in every place."""
    good = f"GET / HTTP/1.1\r\n{HOST}X-A: 1\r\n\r\n"
    for name, end in (
        ("lf", "\n"),
        ("cr", "\r"),
        ("lfcr", "\n\r"),
        ("crcrlf", "\r\r\n"),
        ("crlflf", "\r\n\n"),
    ):
        parts = good.split("\r\n")
        for i in range(len(parts) - 1):
            yield f"end-{name}-{i}", "\r\n".join(parts[: i + 1]) + end + "\r\n".join(parts[i + 1 :])
        yield f"end-{name}-all", good.replace("\r\n", end)
    for i in range(1, len(good)):
        yield f"cut-{i}", good[:i]


def pipelines() -> Iterator[tuple[str, str]]:
    get, post = f"GET /one HTTP/1.1\r\n{HOST}\r\n", f"POST /two HTTP/1.1\r\n{HOST}{JSON}\r\n{BODY}"
    yield "pipeline-3", get + post + get
    yield "pipeline-100", get * 100
    yield "pipeline-close", get + f"GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n" + get
    yield "pipeline-bad", get + post + "BAD\r\n\r\n" + get
    yield "pipeline-cut", get + post[:-3]
    yield "pipeline-odd", get + f"HEAD / HTTP/1.1\r\n{HOST}\r\n" + get
    yield "pipeline-crlf", get + "\r\n" + get
    yield "pipeline-large", post * 2000
