import pytest

from pipeline.ports.addresses import Origin, is_loopback, is_public, literal, proxy_for, proxy_hosts


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("HTTPS://API.Example.com/v1", "https://api.example.com"),
        ("https://api.example.com.:443", "https://api.example.com"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"),
    ],
)
def test_equal_origins_are_equal_however_they_are_written(url, shown):
    assert str(Origin.of(url)) == shown
    assert Origin.of(shown) == Origin.of(url)


@pytest.mark.parametrize("url", ["", "api.example.com", "ftp://x/", "https://", "https://u@x/", "https://x:y/", "//["])
def test_what_has_no_origin_is_refused_without_being_repeated(url):
    with pytest.raises(ValueError, match="URL"):
        Origin.of(url)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "128.0.0.1", "0.0.0.0", "::2", "127.0.0.1.example.com"])
def test_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_public_addresses(host, public):
    assert is_public(literal(host)) is public


def test_the_proxy_variables_are_read(monkeypatch):
    monkeypatch.setenv("https_proxy", "proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", ".internal.example.com")
    assert proxy_for("https://api.example.com/v1") == "http://proxy.example.com:3128"
    assert proxy_for("https://api.internal.example.com/v1") is None
    assert proxy_for("https://127.0.0.1/v1") is None
    assert "proxy.example.com" in proxy_hosts()
