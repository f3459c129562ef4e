"""The KMS of the tests, held to what is known of AWS KMS by boto3: a rig that lets anything pass would make the tests
of the service worthless. Each fault must be seen by a client that is not ours."""

import dataclasses
import hashlib
import itertools
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import boto3
import botocore.session
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from credential_endpoints import Container, InstanceMetadata, Sts
from kms import KEY_SPECS, REGION, SIGNING_ALGORITHMS
from redis_servers import until
from tokens import ALGORITHMS
from wire import PATIENCE_S

MESSAGE = b"what is signed"


def refusal(call, **arguments):
    """The code and sentence with which AWS refused a call of boto3."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def sign_arguments(key, alg, message=MESSAGE):
    if alg == "EdDSA":
        return {"KeyId": key, "Message": message, "MessageType": "RAW", "SigningAlgorithm": SIGNING_ALGORITHMS[alg]}
    return {"KeyId": key, "Message": hashlib.sha256(message).digest(), "MessageType": "DIGEST",
            "SigningAlgorithm": SIGNING_ALGORITHMS[alg]}


def check_signature(alg, public_key, signature, message=MESSAGE):
    """By a library that has nothing of local-kms; PSS strictly with a salt as long as the hash."""
    if alg == "RS256":
        public_key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    elif alg == "PS256":
        public_key.verify(signature, message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    elif alg == "ES256":
        public_key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    else:
        public_key.verify(signature, message)


@pytest.fixture
def client(kms):
    """boto3 as the service will be: its credentials, its calls in the record."""
    return kms.client(kms.credentials)


# --- what KMS does ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_signs_what_others_verify(kms, client, alg):
    key = kms.create_key(alg)
    described = client.describe_key(KeyId=key)["KeyMetadata"]
    assert (described["KeySpec"], described["KeyUsage"]) == (KEY_SPECS[alg], "SIGN_VERIFY")
    assert (described["KeyState"], described["Arn"]) == ("Enabled", key)
    assert SIGNING_ALGORITHMS[alg] in described["SigningAlgorithms"]
    published = client.get_public_key(KeyId=key)
    assert published["KeySpec"] == KEY_SPECS[alg]
    public_key = load_der_public_key(published["PublicKey"])
    arguments = sign_arguments(key, alg)
    signed = client.sign(**arguments)
    assert signed["KeyId"] == key
    check_signature(alg, public_key, signed["Signature"])
    with pytest.raises(InvalidSignature):
        check_signature(alg, public_key, signed["Signature"], MESSAGE + b"!")
    assert client.verify(**arguments, Signature=signed["Signature"])["SignatureValid"] is True
    other = sign_arguments(key, alg, MESSAGE + b"!")
    assert refusal(client.verify, **other, Signature=signed["Signature"])[0] == "KMSInvalidSignatureException"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_raw_message_is_hashed_and_a_digest_is_not_hashed_again(kms, client, alg):
    key = kms.create_key(alg)
    public_key = load_der_public_key(client.get_public_key(KeyId=key)["PublicKey"])
    raw = {"KeyId": key, "MessageType": "RAW", "SigningAlgorithm": SIGNING_ALGORITHMS[alg]}
    check_signature(alg, public_key, client.sign(**raw, Message=MESSAGE)["Signature"])
    assert refusal(client.sign, **raw, Message=b"x" * 4097)[0] == "ValidationException"
    if alg != "EdDSA":
        short = raw | {"MessageType": "DIGEST", "Message": b"x" * 31}
        assert refusal(client.sign, **short)[0] == "ValidationException"
    else:
        digest = raw | {"MessageType": "DIGEST", "Message": b"x" * 64}
        assert refusal(client.sign, **digest)[0] == "ValidationException"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_that_may_not_be_used_does_not_sign(kms, client, alg):
    key = kms.create_key(alg)
    arguments = sign_arguments(key, alg)
    kms.admin.disable_key(KeyId=key)
    assert client.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    assert refusal(client.sign, **arguments)[0] == "DisabledException"
    kms.admin.enable_key(KeyId=key)
    assert client.sign(**arguments)["Signature"]
    kms.admin.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert client.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert refusal(client.sign, **arguments)[0] == "KMSInvalidStateException"


def test_a_key_does_not_sign_with_anothers_algorithm(kms, client):
    for alg, other in itertools.permutations(["RS256", "ES256", "EdDSA"], 2):
        arguments = sign_arguments(kms.create_key(alg), other)
        assert refusal(client.sign, **arguments)[0] == "InvalidKeyUsageException", (alg, other)
    symmetric = kms.create_symmetric_key()
    assert refusal(client.sign, **sign_arguments(symmetric, "ES256"))[0] == "InvalidKeyUsageException"


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_keys_are_made_tagged_named_and_found_again(kms, client, alg):
    tag = {"TagKey": "made-for", "TagValue": f"this test {alg}"}
    made = client.create_key(KeySpec=KEY_SPECS[alg], KeyUsage="SIGN_VERIFY", Description="one", Tags=[tag])
    key = made["KeyMetadata"]["Arn"]
    assert made["KeyMetadata"]["Description"] == "one"
    assert client.list_resource_tags(KeyId=key)["Tags"] == [tag]
    assert key in [found["KeyArn"] for page in client.get_paginator("list_keys").paginate() for found in page["Keys"]]
    alias = kms.create_alias(f"alias/rig-{alg}", key)
    assert client.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == key
    assert client.sign(**sign_arguments(alias, alg))["KeyId"] == key
    after = kms.create_key(alg)
    client.update_alias(AliasName=alias, TargetKeyId=after)
    assert client.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == after
    assert client.sign(**sign_arguments(alias, alg))["KeyId"] == after
    assert refusal(client.describe_key, KeyId="alias/of-nothing")[0] == "NotFoundException"
    assert client.list_resource_tags(KeyId=after)["Tags"] == []


def test_keys_that_nobody_asked_for_are_not_listed(kms, client):
    listed = {found["KeyId"] for page in client.get_paginator("list_keys").paginate() for found in page["Keys"]}
    assert not listed & set(kms.proxy.mends.pool.waiting)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_data_key_pair_is_unwrapped_in_its_own_context_alone(kms, client, alg):
    key, context = kms.create_symmetric_key(), {"iss": "https://issuer.test", "kid": "one"}
    pair = client.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec=KEY_SPECS[alg],
                                                           EncryptionContext=context)
    assert "PrivateKeyPlaintext" not in pair
    unwrap = {"KeyId": key, "CiphertextBlob": pair["PrivateKeyCiphertextBlob"]}
    private = load_der_private_key(client.decrypt(**unwrap, EncryptionContext=context)["Plaintext"], None)
    assert private.public_key().public_bytes(serialization.Encoding.DER,
                                             serialization.PublicFormat.SubjectPublicKeyInfo) == pair["PublicKey"]
    for other in ({}, context | {"kid": "two"}, context | {"iss": "https://issuer.test/"}, {"kid": "one"}):
        assert refusal(client.decrypt, **unwrap, EncryptionContext=other)[0] == "InvalidCiphertextException", other
    signing = kms.create_key("ES256")
    assert refusal(client.generate_data_key_pair_without_plaintext, KeyId=signing,
                   KeyPairSpec="ECC_NIST_P256")[0] == "InvalidKeyUsageException"


def test_a_dry_run_does_nothing(kms, client):
    arguments = sign_arguments(kms.create_key("ES256"), "ES256")
    assert refusal(client.sign, **arguments, DryRun=True)[0] == "DryRunOperationException"


# --- who calls -------------------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_refused(kms):
    other = kms.client(kms.credentials, secret="x" * 40)
    code, message, status = refusal(other.list_keys)
    assert (code, status) == ("InvalidSignatureException", 400)
    assert message.startswith("The request signature we calculated does not match")
    assert [call.trusted for call in kms.calls()] == [False]


def test_credentials_that_nobody_knows_are_refused(kms):
    strange = kms.accounts.issue()
    kms.accounts.forget(strange)
    no_token = dataclasses.replace(kms.credentials, session_token=None)
    other_token = dataclasses.replace(kms.credentials, session_token=kms.accounts.issue().session_token)
    for credentials in (strange, no_token, other_token):
        assert refusal(kms.client(credentials).list_keys)[0] == "UnrecognizedClientException"


def test_a_scope_that_is_not_ours_is_refused(kms):
    assert refusal(kms.client(kms.credentials, region="us-east-1").list_keys)[0] == "InvalidSignatureException"


def test_expired_credentials_are_refused(kms):
    credentials = kms.accounts.issue(life_s=60)
    assert kms.client(credentials).list_keys()
    kms.accounts.expire(credentials)
    assert refusal(kms.client(credentials).list_keys)[0] == "ExpiredTokenException"


@pytest.mark.parametrize(("ahead_s", "words"), [(301, "Signature expired: "), (-340, "Signature not yet current: "),
                                                (260, None), (-290, None)])
def test_a_signature_is_good_for_five_minutes(kms, ahead_s, words):
    """As much as is left of them here may pass between signing and judging."""
    kms.set_clock(ahead_s)
    begin = int(time.time())
    answer = signed_request(kms)
    told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert begin <= told - ahead_s <= time.time(), "the answer's date is AWS's time"
    if words:
        assert answer.status_code == 400
        assert answer.json()["__type"] == "InvalidSignatureException"
        assert answer.json()["message"].startswith(words)
        assert " 5 min.)" in answer.json()["message"]
    else:
        assert answer.status_code == 200


def signed_request(kms, body=b"{}", change=None):
    """A call as botocore signs it, with something about it changed afterwards."""
    request = AWSRequest("POST", kms.url + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.ListKeys"})
    credentials = botocore.credentials.Credentials(kms.credentials.access_key_id, kms.credentials.secret_access_key,
                                                   kms.credentials.session_token)
    SigV4Auth(credentials, "kms", REGION).add_auth(request)
    headers, sent = dict(request.headers.items()), {"body": body}
    if change:
        change(headers, sent)
    return requests.post(kms.url + "/", data=sent["body"], headers=headers, timeout=20)


def _set(name, value):
    return lambda headers, _: headers.__setitem__(name, value)


def _unsign(name):
    """Another header less among the signed ones."""
    return lambda headers, _: headers.__setitem__("Authorization",
                                                  headers["Authorization"].replace(";" + name, ""))


def _edit(old, new):
    return lambda headers, _: headers.__setitem__("Authorization", headers["Authorization"].replace(old, new, 1))


@pytest.mark.parametrize(("change", "code"), [
    (lambda headers, _: headers.pop("Authorization"), "MissingAuthenticationTokenException"),
    (_set("Authorization", "Bearer abc"), "IncompleteSignatureException"),
    (_edit("/aws4_request", ""), "IncompleteSignatureException"),
    (_edit("SignedHeaders", "Signed"), "IncompleteSignatureException"),
    (lambda headers, _: headers.pop("X-Amz-Date"), "IncompleteSignatureException"),
    (_set("X-Amz-Date", "yesterday"), "InvalidSignatureException"),
    (_edit("/kms/", "/sts/"), "InvalidSignatureException"),
    (_set("X-Amz-Target", "TrentService.ListAliases"), "InvalidSignatureException"),
    (_set("Content-Type", "application/json"), "InvalidSignatureException"),
    (_set("X-Amz-Content-Sha256", hashlib.sha256(b"{}").hexdigest()), "InvalidSignatureException"),
    (_unsign("x-amz-target"), "InvalidSignatureException"),
    (_unsign("x-amz-security-token"), "InvalidSignatureException"),
    (lambda _, sent: sent.__setitem__("body", b'{"Limit":1}'), "InvalidSignatureException"),
])
def test_whatever_is_changed_after_signing_is_seen(kms, change, code):
    assert signed_request(kms).status_code == 200
    answer = signed_request(kms, change=change)
    assert (answer.status_code, answer.json()["__type"]) == (400, code)
    assert answer.headers["x-amzn-RequestId"]
    assert [call.trusted for call in kms.calls()] == [True, False]


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "code", "status"), [
    ("throttle", "ThrottlingException", 400), ("break_inside", "KMSInternalException", 500),
    ("deny", "AccessDeniedException", 400)])
def test_an_error_is_answered_as_often_as_it_was_asked_for(kms, client, fault, code, status):
    key = kms.create_key("ES256")
    getattr(kms, fault)(operation="Sign", times=2)
    client.describe_key(KeyId=key)  # not of this operation
    for _ in range(2):
        got = refusal(client.sign, **sign_arguments(key, "ES256"))
        assert (got[0], got[2]) == (code, status)
        assert len(got[1]) > 10
    assert client.sign(**sign_arguments(key, "ES256"))["Signature"]
    assert [(call.operation, call.error, call.trusted) for call in kms.calls()] == [
        ("DescribeKey", None, True), ("Sign", code, True), ("Sign", code, True), ("Sign", None, True)]


def test_a_fault_of_one_key_is_none_of_another(kms, client):
    bad, good = kms.create_key("ES256"), kms.create_key("ES256")
    kms.throttle(key_id=bad)
    assert refusal(client.describe_key, KeyId=bad)[0] == "ThrottlingException"
    assert client.describe_key(KeyId=good)


def test_above_its_rate_it_throttles(kms, client):
    key = kms.create_key("ES256")
    kms.proxy.limit(2)  # slower than boto3 calls on any machine
    begin, outcomes = time.monotonic(), []
    while time.monotonic() < begin + 0.5 or len(set(outcomes)) < 2:
        try:
            client.describe_key(KeyId=key)
            outcomes.append("good")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert set(outcomes) == {"good", "ThrottlingException"}
    assert outcomes.count("good") <= (time.monotonic() - begin) * 2 + 3


def test_a_slow_answer_is_slow_and_ends_with_the_test(kms):
    patient = kms.client(kms.credentials)
    kms.slow(0.2, times=1)
    begin = time.monotonic()
    patient.list_keys()
    assert time.monotonic() - begin >= 0.2
    kms.slow(600)
    hasty = kms.client(kms.credentials, read_timeout=0.1)
    with pytest.raises(ReadTimeoutError):
        hasty.list_keys()
    kms.reset()  # or the connection's thread would wait on
    assert patient.list_keys()


@pytest.mark.parametrize("how", ["before", "middle", "reset"])
def test_a_connection_is_dropped(kms, how):
    kms.drop(how, times=1)
    with pytest.raises((requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        signed_request(kms)
    (call,) = kms.calls()
    assert call.trusted == (how == "middle"), "before: nothing was done; middle: all was done"
    assert signed_request(kms).status_code == 200


def test_whoever_is_down_is_not_there(kms, client):
    client.list_keys()
    kms.proxy.down()
    with pytest.raises(EndpointConnectionError):
        client.list_keys()
    kms.proxy.up()
    assert client.list_keys()


def test_it_speaks_tls_with_a_certificate_that_a_client_can_check(kms, tmp_path):
    port = kms.serve_tls("localhost", tmp_path / "ca.pem")
    call = {"url": f"https://localhost:{port}/", "data": b"{}", "timeout": 20}
    answer = requests.post(**call, verify=str(tmp_path / "ca.pem"))
    assert answer.json()["__type"] == "MissingAuthenticationTokenException"
    with pytest.raises(requests.exceptions.SSLError):
        requests.post(**call)
    with pytest.raises(requests.exceptions.SSLError):
        requests.post(**call | {"url": f"https://127.0.0.1:{port}/"}, verify=str(tmp_path / "ca.pem"))


def test_an_answer_may_be_no_json(kms):
    kms.answer(b"<html>Bad Gateway</html>", 502, {"Content-Type": "text/html"}, times=1)
    answer = signed_request(kms)
    assert (answer.status_code, answer.text) == (502, "<html>Bad Gateway</html>")


def test_the_record_holds_what_was_asked_and_none_of_the_tests_own(kms, client):
    key = kms.create_key("ES256")
    client.sign(**sign_arguments(key, "ES256"))
    (call,) = kms.calls()
    assert (call.operation, call.key_id, call.who) == ("Sign", key, kms.credentials.access_key_id)
    assert call.body.keys() == {"KeyId", "Message", "MessageType", "SigningAlgorithm"}
    assert (call.trusted, call.status, call.error) == (True, 200, None)


def test_many_wait_together(kms):
    key = kms.create_key("ES256")
    kms.slow(600)
    client = kms.client(kms.credentials, max_pool_connections=64, read_timeout=2 * PATIENCE_S)
    with ThreadPoolExecutor(64) as pool:
        answers = [pool.submit(client.describe_key, KeyId=key) for _ in range(64)]
        try:
            until(lambda: kms.proxy.in_flight == 64, "one keeps another from waiting")
        finally:
            kms.proxy.released.set()  # each goes on at once
        assert [answer.result()["KeyMetadata"]["Arn"] for answer in answers] == [key] * 64


# --- where credentials are found: each endpoint, by botocore's own finder --------------------------------------------


def found_by_boto3(kms, monkeypatch, tmp_path, settings):
    """A KMS client whose credentials boto3 finds by itself."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", str(PATIENCE_S))  # else one second
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return kms.client_of(boto3.session.Session(region_name=REGION))


def test_sts_hands_out_credentials_for_the_token_of_the_file(kms, monkeypatch, tmp_path):
    with Sts(kms.accounts, tmp_path) as sts:
        assert found_by_boto3(kms, monkeypatch, tmp_path, sts.environment()).list_keys()
        assert [call.who for call in kms.calls()] == [sts.issued[0].access_key_id]
        sts.token = "another"
        fresh = found_by_boto3(kms, monkeypatch, tmp_path, sts.environment())
        assert refusal(fresh.list_keys)[0] == "InvalidIdentityToken"


def test_the_container_endpoint_wants_the_token_of_the_file(kms, monkeypatch, tmp_path):
    with Container(kms.accounts, tmp_path) as container:
        assert found_by_boto3(kms, monkeypatch, tmp_path, container.environment()).list_keys()
        assert [call.who for call in kms.calls()] == [container.issued[0].access_key_id]
        refused = requests.get(container.url + "/v1/credentials", headers={"Authorization": "x"}, timeout=20)
        assert refused.status_code == 401


def test_the_metadata_service_answers_version_2_alone(kms, monkeypatch, tmp_path):
    with InstanceMetadata(kms.accounts) as metadata:
        assert found_by_boto3(kms, monkeypatch, tmp_path, metadata.environment()).list_keys()
        assert [call.who for call in kms.calls()] == [metadata.issued[0].access_key_id]
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(metadata.url + metadata.ROLES, timeout=20)
        assert caught.value.code == 401
        caught.value.close()
