from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from synthtutor.viewer.guard import HEADERS
from tests.viewer.viewed import Served, journal, name_of, sample, served

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

RATING = f"/run/0/sample/{name_of(0)}/rating"
PATHS = [
    "/",
    "/run/0",
    f"/run/0/sample/{name_of(0)}",
    "/run/0/state",
    "/assets/viewer.js",
    "/nowhere",
]


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(journal(tmp_path_factory.mktemp("run"), [sample(0), sample(1)])) as found:
        yield found


def stranger(viewer: Served) -> httpx2.Client:
    return httpx2.Client(base_url=viewer.root)


@pytest.mark.parametrize("path", PATHS)
def test_without_the_address_nothing_is_shown(viewer: Served, path: str) -> None:
    with stranger(viewer) as client:
        answer = client.get(path)
        assert answer.status_code == 403
        assert "Reply" not in answer.text
        assert client.get(f"{path}?token=guess").status_code == 403


def test_the_address_that_is_printed_can_be_used_again(viewer: Served) -> None:
    for _ in range(2):
        with stranger(viewer) as client:
            assert client.get(viewer.address).status_code == 200
            assert client.get("/run/0").status_code == 200


def test_the_address_that_a_browser_is_started_with_is_good_once(tmp_path: Path) -> None:
    with served(journal(tmp_path, [sample(0)])) as viewer:
        with stranger(viewer) as client:
            assert client.get(viewer.address_once).status_code == 200
            assert client.get("/run/0").status_code == 200
        with stranger(viewer) as client:
            assert client.get(viewer.address_once).status_code == 403


def test_the_cookie_is_for_this_page_alone_and_the_token_does_not_stay(viewer: Served) -> None:
    with stranger(viewer) as client:
        answer = client.get(viewer.address)
    (cookie,) = answer.headers.get_list("set-cookie")
    assert "SameSite=strict" in cookie
    assert "HttpOnly" in cookie
    token = viewer.address.partition("=")[2]
    assert token not in cookie
    assert token not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", ""])  # fmt: skip
def test_a_name_that_points_here_is_not_ours(viewer: Served, host: str) -> None:
    port = viewer.root.rpartition(":")[2]
    answer = viewer.client.get("/run/0", headers={"host": host.format(port=port)})
    assert answer.status_code in (400, 421)
    assert "Reply" not in answer.text


def test_localhost_is_ours(viewer: Served) -> None:
    port = viewer.root.rpartition(":")[2]
    assert viewer.client.get("/run/0", headers={"host": f"localhost:{port}"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "{root}.evil.example", None])  # fmt: skip
def test_another_site_cannot_change_anything(viewer: Served, origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin.format(root=viewer.root)}
    answer = viewer.client.post(RATING, json={"decision": "accept"}, headers=headers)
    assert answer.status_code == 403


def test_a_form_cannot_change_anything(viewer: Served) -> None:
    headers = {"origin": viewer.root, "content-type": "text/plain"}
    answer = viewer.client.post(RATING, content=b'{"decision": "accept"}', headers=headers)
    assert answer.status_code == 403


def test_a_form_of_ours_is_told_by_its_origin_and_its_key(viewer: Served) -> None:
    page = RATING.removesuffix("/rating")
    key = viewer.key(page)
    fields = {"key": key, "note": "by a form"}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert viewer.submit(RATING, fields, origin=origin).status_code == 403
    for wrong in ({}, {"key": ""}, {"key": "guess"}, {"key": key[:-1]}, {"key": "é"}):
        assert viewer.submit(RATING, {**wrong, "note": "forged"}).status_code == 403
    assert viewer.submit("/rater", {"rater": "Eve", "back": "/"}).status_code == 403
    with stranger(viewer) as client:
        headers = {"origin": viewer.root}
        assert client.post(RATING, data=fields, headers=headers).status_code == 403
    assert "forged" not in viewer.text(page)
    answer = viewer.submit(RATING, fields)
    assert (answer.status_code, answer.url.path) == (200, page)
    assert "by a form" in answer.text


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example", "/\\evil.example", "javascript:alert(1)", ""])  # fmt: skip
def test_a_form_leads_nowhere_else(viewer: Served, back: str) -> None:
    fields = {"key": viewer.key("/run/0"), "rater": "Ben", "back": back}
    headers = {"origin": viewer.root}
    answer = viewer.client.post("/rater", data=fields, headers=headers, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_form_that_is_none_is_refused(viewer: Served) -> None:
    headers = {"origin": viewer.root, "content-type": "application/x-www-form-urlencoded"}
    for content in (b"\xff", b"a=%ff", b"&".join([b"a=b"] * 2_000)):
        answer = viewer.client.post(RATING, content=content, headers=headers)
        assert answer.status_code == 400, content[:9]
    assert viewer.client.post(RATING, content=b"a" * (2 << 20), headers=headers).status_code == 413


def test_a_stranger_cannot_change_anything(viewer: Served) -> None:
    with stranger(viewer) as client:
        answer = client.post(RATING, json={"decision": "accept"}, headers={"origin": viewer.root})
    assert answer.status_code == 403


def test_reading_does_not_change_anything(viewer: Served) -> None:
    assert viewer.client.get(RATING).status_code == 405


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_what_a_page_of_text_does_not_need(viewer: Served, path: str) -> None:
    with stranger(viewer) as other:
        for client in (viewer.client, other):
            headers = client.get(path).headers
            assert {name: headers[name] for name in HEADERS} == HEADERS
            assert "server" not in headers


def test_nobody_but_this_machine_is_listened_to(viewer: Served) -> None:
    import psutil

    port = int(viewer.root.rpartition(":")[2])
    listening = [c.laddr for c in psutil.Process().net_connections() if c.status == "LISTEN"]
    assert [address.ip for address in listening if address.port == port] == ["127.0.0.1"]


def test_pages_have_no_script_and_no_style_of_their_own(viewer: Served) -> None:
    for path in ("/run/0", f"/run/0/sample/{name_of(0)}", "/run/0/people"):
        text = viewer.text(path)
        assert text.count("<script") == 1
        assert '<script src="/assets/viewer.js" defer></script>' in text
        assert "<style" not in text
        assert " style=" not in text
        assert "http" not in text  # nothing from anywhere else
