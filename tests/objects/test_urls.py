"""Object stores by URL: what is taken, what is refused before anything starts, and that no secret is told."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from obstore.store import AzureStore, GCSStore, S3Store
from stores import KEY, REGION, S3

from pinakes.blob_urls import open_blobs
from pinakes.config import AwsKey, Config, aws_key, load
from pinakes.errors import PinakesError
from pinakes.library import open_library
from pinakes.objects.presigned import Signer
from pinakes.objects.urls import open_store

SECRET = "tell-nobody"
AZURE_KEY = "YWJjZGVmZ2hpamtsbW5vcA=="


def refusal(url: str, **more: object) -> PinakesError:
    with pytest.raises(PinakesError) as caught:
        open_blobs(url, **more)  # type: ignore[arg-type]
    assert caught.value.code == "BAD_REQUEST", caught.value
    return caught.value


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("", "expected the name of a bucket"),
        ("no bucket", "expected the name of a bucket"),
        ("bücket", "expected the name of a bucket"),
        ("bucket/a//b", "names separated by single slashes"),
        ("bucket/../b", "names separated by single slashes"),
        ("bucket/a%00b", "names separated by single slashes"),
        ("bucket/a%3Fb", "names separated by single slashes"),
        ("bucket#part", "there is a #"),
        (f"key:{SECRET}@bucket", "credentials do not belong into it"),
        (f"bucket?secret_access_key={SECRET}", "not 'secret_access_key'"),
        (f"bucket?token={SECRET}", "not 'token'"),
        ("bucket?endpoint=https://a.example&endpoint=https://b.example", "a parameter is given twice"),
        (f"bucket?endpoint={SECRET}", "expected http:// or https://, a host, and a port"),
        (f"bucket?endpoint=https://key:{SECRET}@host", "expected http:// or https://, a host, and a port"),
        ("bucket?endpoint=ftp://host", "expected http:// or https://, a host, and a port"),
        ("bucket?endpoint=", "expected http:// or https://, a host, and a port"),
    ],
)
def test_what_cannot_be_right_names_the_setting_and_no_secret(scheme: str, rest: str, why: str) -> None:
    error = refusal(f"{scheme}://{rest}")
    assert error.message.startswith("blob_url: ")
    assert why in error.message
    assert error.details["field"] == "blob_url"
    assert SECRET not in error.message + str(error.details)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3://bucket?path_style=yes", "path_style: expected true or false"),
        ("az://container?emulator=1", "emulator: expected true or false"),
        ("s3://bucket?account=a", "s3:// takes endpoint, region, path_style after the question mark"),
        ("gs://bucket?region=a", "gs:// takes endpoint after the question mark"),
    ],
)
def test_each_kind_has_parameters_of_its_own(url: str, why: str) -> None:
    assert why in refusal(url).message


def test_a_setting_that_is_no_url_is_not_repeated_with_its_secrets() -> None:
    given = {"PINAKES_BLOB_URL": f"s3:/bucket?secret_access_key={SECRET}"}
    with pytest.raises(PinakesError) as caught:
        load({}, given)
    assert "PINAKES_BLOB_URL: expected file:///folder, s3://bucket" in caught.value.message
    assert SECRET not in caught.value.message


def test_where_each_store_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for url, base in (
        ("s3://bucket/some/where?region=eu-west-1", "https://s3.eu-west-1.amazonaws.com/bucket/some/where/k"),
        ("s3://bucket?region=eu-west-1&path_style=false", "https://bucket.s3.eu-west-1.amazonaws.com/k"),
        ("s3://bucket?endpoint=https://minio.example:9000/&region=x", "https://minio.example:9000/bucket/k"),
        ("s3://bucket?endpoint=https://e.example&path_style=false&region=x", "https://bucket.e.example/k"),
        ("s3://bucket/a%20b/?endpoint=http://[::1]:9000&region=x", "http://[::1]:9000/bucket/a%20b/k"),
    ):
        store = open_store(url)
        assert isinstance(store, S3Store)
        link = Signer(store, AwsKey("id", SECRET, "")).sign("GET", "k", 0, 60)
        assert link.partition("?")[0] == base
        assert SECRET not in link


def test_gcs_and_azure_are_set_up_from_their_own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    account = tmp_path / "account.json"
    account.write_text(json.dumps({"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
    store = open_store("gs://bucket/some/where?endpoint=http://127.0.0.1:4443")
    assert isinstance(store, GCSStore)
    assert (store.prefix, store.config["base_url"]) == ("some/where", "http://127.0.0.1:4443")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / SECRET))
    assert refusal("gs://bucket").message == (
        "blob_url: the store cannot be set up; look at the variables of its kind in the environment"
    )
    assert "name the storage account" in refusal("az://container").message
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "studio")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY)
    for url in ("az://container/some/where", "az://container/some/where?account=other"):
        found = open_store(url)
        assert isinstance(found, AzureStore)
        assert found.prefix == "some/where"


def test_unknown_buckets_and_wrong_keys_end_a_start(s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = s3.url().replace(f"//{s3.bucket}/", "//other-bucket/")
    assert refusal(wrong).message == "blob_url: there is no such bucket; make it, or correct its name"
    with pytest.raises(PinakesError, match="there is no such bucket"):
        open_library(Config(data=str(tmp_path / "data"), blob_url=wrong))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    message = refusal(s3.url()).message
    assert message == (
        "blob_url: the store refuses to list the bucket: it said 403 SignatureDoesNotMatch; look at its credentials"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    assert "403 InvalidAccessKeyId" in refusal(s3.url()).message


def test_no_secret_is_told_by_a_server_that_may_not(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    command = [sys.executable, "-m", "pinakes", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    done = subprocess.run([*command, "--blob-url", s3.url()], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"pinakes: blob_url: the store refuses .*\n", done.stderr)
    assert SECRET not in done.stderr


def test_plain_http_only_where_the_endpoint_says_so(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    blobs = open_blobs(f"s3://{s3.bucket}/x?region={REGION}")
    with pytest.raises(PinakesError) as caught:
        blobs.ready()
    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.parametrize(
    "url", ["", "file:///tmp/pinakes-never-made", "memory://", "gs://bucket", "az://container?account=a"]
)
def test_only_s3_is_linked_to_directly(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY)
    with pytest.raises(PinakesError) as caught:
        open_blobs(url or "file:///tmp/pinakes-never-made", is_direct=True, key=KEY)
    assert caught.value.message.startswith("blob_links: direct needs s3:// as blob_url, and AWS_ACCESS_KEY_ID")
    assert not Path("/tmp/pinakes-never-made").exists()


def test_links_need_a_key_that_can_sign(s3: S3) -> None:
    assert refusal(s3.url(), is_direct=True, key=None).details["field"] == "blob_links"


def test_the_key_is_read_where_every_tool_reads_it_and_not_shown() -> None:
    given = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert aws_key({}) is None
    assert aws_key({"AWS_ACCESS_KEY_ID": "id"}) is None
    assert aws_key(given) == AwsKey("id", SECRET, "")
    assert aws_key(given | {"AWS_SESSION_TOKEN": "t"}) == AwsKey("id", SECRET, "t")
    assert SECRET not in f"{aws_key(given)} {aws_key(given)!r}"


def test_a_token_is_part_of_what_is_signed() -> None:
    config = {"access_key_id": "id", "secret_access_key": SECRET, "session_token": "a+token", "region": "x"}
    store = S3Store("bucket", config=config)  # type: ignore[arg-type]
    links = [Signer(store, AwsKey("id", SECRET, token)).sign("GET", "k", 0, 60) for token in ("", "a+token")]
    assert "X-Amz-Security-Token=a%2Btoken" in links[1]
    assert links[0].rpartition("=")[2] != links[1].rpartition("=")[2]
