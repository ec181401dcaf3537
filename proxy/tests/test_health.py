"""GET /health, /health/ready and /."""

import httpx

from proxy.tests.conftest import Site


def test_a_living_process_says_so(site: Site):
    response = site.http.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert response.headers["x-request-id"].startswith("req_")


def test_a_ready_process_says_what_it_checked(site: Site):
    response = site.http.get("/health/ready")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"database": "ok", "redis": "ok", "catalogue": "ok"}}


def test_health_needs_no_key_and_takes_any_host(site: Site):
    """Load balancers ask by address, with a Host that is nobody's."""
    headers = {"Host": "10.1.2.3:8000", "Authorization": "Bearer gw_live_wrong"}
    for path in ("/health", "/health/ready", "/"):
        assert site.http.get(path, headers=headers).status_code == 200


def test_the_front_page_is_for_browsers(site: Site):
    page = site.http.get("/", headers={"Accept": "text/html,application/xhtml+xml", "Host": "gateway.example:5000"})
    assert page.headers["content-type"].startswith("text/html")
    assert "http://gateway.example:5000/v1" in page.text
    assert site.http.get("/", headers={"Accept": "*/*"}).json()["status"] == "ok"


def test_the_front_page_repeats_no_markup(site: Site):
    page = httpx.get(site.gateway.url, headers={"Accept": "text/html", "Host": "<script>alert(1)</script>"})
    assert "<script>alert" not in page.text
