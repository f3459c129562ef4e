"""The life of keys in AWS KMS: which one comes next, what KMS's refusals do to a rotation, what becomes of an old key,
and an emergency; and who goes first when the quota is short."""

import base64
import json
import threading
import time

import pytest

import test_signer_change
import tokens
from issued import check_by_pyjwt
from service import run
from wire import PATIENCE_S

# KMS lies in the process of the tests, and is not away when that stands still for a while.
HASTY = test_signer_change.HASTY | {"TOKEN_KMS_TIMEOUT": "20", "TOKEN_KMS_TRY_TIMEOUT": "20"}
# As HASTY, and tokens live for 3 s, so that a key retires within the test.
BRIEF = HASTY | {f"TOKEN_{kind}_TTL{most}": "3" for kind in ("ACCESS", "REFRESH", "ID") for most in ("", "_MAX")}
TAG = "token-service-successor-of"


def rotate(server, **body):
    return server.post("/admin/rotate-keys", auth=server.agent, json=body)


def rotated(server, **body):
    answer = rotate(server, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def arn_of(server, kid):
    ((ref,),) = server.rows("SELECT private_key_ref FROM oauth_jwks WHERE kid = ?", kid)
    return ref.removeprefix("kms:")


def active(server):
    (kid,) = server.kids("active")
    return kid


def state_of(kms, arn):
    return kms.admin.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]


def until_told(server, words):
    """The last that was said of a rotation which could not be done."""
    server.until(lambda: any(words in entry["why"] for entry in server.events("keys_not_moved")), f"not told: {words}")


def signs_as(server, kid):
    token = server.token(server.agent)
    assert tokens.header_of(token)["kid"] == kid
    return check_by_pyjwt(server, token, "ES256")


# --- which key comes next -------------------------------------------------------------------------------------------


def test_of_a_list_each_key_has_its_turn_and_the_end_is_told(kms, start):
    arns = [kms.create_key("ES256") for _ in range(3)]
    server = start(" , ".join(arns[:2]), settled=True, **HASTY)
    assert arn_of(server, active(server)) == arns[0]
    done = rotated(server, immediate=True)
    assert arn_of(server, done["newKeyId"]) == arns[1]
    signs_as(server, done["newKeyId"])
    until_told(server, "every key that KMS_KEY_ID lists has been used")
    assert server.metric("key_standby") == 0
    refused = rotate(server, immediate=True)
    assert (refused.status_code, refused.json()["error"]) == (409, "conflict")
    assert "KMS_KEY_ID" in refused.json()["error_description"]
    assert server.get("/health/ready").status_code == 200
    signs_as(server, done["newKeyId"])
    server.stop()
    server.settings["KMS_KEY_ID"] = ",".join(arns)
    server.start().settled()
    assert arn_of(server, rotated(server, immediate=True)["newKeyId"]) == arns[2]
    assert not kms.calls("CreateKey")


def test_an_alias_that_may_not_be_moved_stops_no_token(kms, start):
    first = kms.create_key("ES256")
    kms.create_alias("alias/fixed", first)
    server = start("alias/fixed", settled=True, **HASTY)
    kms.deny(operation="UpdateAlias")
    done = rotated(server, immediate=True)
    signs_as(server, done["newKeyId"])
    assert kms.admin.describe_key(KeyId="alias/fixed")["KeyMetadata"]["Arn"] == first
    assert "denies" in server.told("alias_not_moved")[0]["why"]
    server.stop()
    kms.clear_faults()
    server.start()  # the store's key signs, whatever the alias says; and it is moved now
    signs_as(server, done["newKeyId"])
    assert kms.admin.describe_key(KeyId="alias/fixed")["KeyMetadata"]["Arn"] == arn_of(server, done["newKeyId"])


def test_without_the_right_to_make_keys_the_service_goes_on_and_says_so(kms, start):
    kms.deny(operation="CreateKey")
    server = start(kms.create_key("ES256"), **HASTY)
    kid = active(server)
    until_told(server, "kms:CreateKey")
    assert server.metric("key_standby") == 0
    assert server.metric("kms_calls_total", operation="CreateKey", outcome="refused") >= 1
    for body in ({}, {"immediate": True}, {"revoke": kid}):
        answer = rotate(server, **body)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable"), body
        assert "kms:CreateKey" in answer.json()["error_description"]
    assert "kms:CreateKey" in server.run("keys", "rotate", "--immediate", expect=3).stderr
    assert server.get("/health/ready").status_code == 200
    signs_as(server, kid)
    kms.clear_faults()
    signs_as(server, rotated(server, immediate=True)["newKeyId"])


# --- a rotation that was cut off ------------------------------------------------------------------------------------


def made_after(kms, server):
    """Every KMS key that was made for this server, with its state."""
    kids = {kid for (kid,) in server.rows("SELECT kid FROM oauth_jwks")}
    found = {}
    for page in kms.admin.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.admin.list_resource_tags(KeyId=key["KeyId"])["Tags"]}
            if tags.get(TAG) in kids:
                found[key["KeyArn"]] = state_of(kms, key["KeyId"])
    return found


def check_no_key_is_lost(kms, server):
    rows = {ref.removeprefix("kms:") for (ref,) in server.rows("SELECT private_key_ref FROM oauth_jwks")}
    assert {arn for arn, state in made_after(kms, server).items() if state == "Enabled"} <= rows


def test_a_key_whose_making_was_cut_off_is_found(kms, start):
    kms.drop("middle", operation="CreateKey", times=1)  # KMS has made it, and nobody heard of it
    server = start(kms.create_key("ES256"), ready=False, **HASTY)
    server.start()
    server.agent = server.add_client("agent")
    until_told(server, "CreateKey")
    assert not server.kids("pending")
    (lost,) = made_after(kms, server)
    server.stop()
    server.start().settled()  # the next round finds it
    assert arn_of(server, *server.kids("pending")) == lost
    assert len(kms.calls("CreateKey")) == 1
    check_no_key_is_lost(kms, server)


def test_a_key_that_lost_a_race_is_used_by_the_rotation_after_that(kms, start):
    server = start(kms.create_key("ES256"), settled=True, **HASTY)
    first = active(server)
    lost = kms.create_key("ES256", Tags=[{"TagKey": TAG, "TagValue": first}])  # as another process's, that was slower
    rotated(server, immediate=True)
    server.settled()
    assert arn_of(server, *server.kids("pending")) == lost
    rotated(server, immediate=True)
    server.settled()
    assert len(kms.calls("CreateKey")) == 1
    check_no_key_is_lost(kms, server)


@pytest.mark.parametrize("form", ["one", "list"])
def test_a_revoked_key_never_comes_back_though_kms_does_not_disable_it(kms, start, form):
    """DisableKey is denied: the key stays enabled in KMS, tagged as ours."""
    arns = [kms.create_key("ES256") for _ in range(3 if form == "list" else 1)]
    server = start(",".join(arns), settled=True, **HASTY)
    kms.deny(operation="DisableKey")
    (pending,) = server.kids("pending")
    revoked = arn_of(server, pending)
    rotated(server, revoke=pending)
    server.settled()
    (second,) = server.kids("pending")
    assert arn_of(server, second) != revoked
    assert state_of(kms, revoked) == "Enabled"
    server.until(lambda: server.events("key_not_disposed"), "it is not told")
    assert pending not in {key["kid"] for key in server.jwks()["keys"]}
    signs_as(server, rotated(server, immediate=True)["newKeyId"])
    server.stop()
    kms.clear_faults()
    server.start()
    server.until(lambda: state_of(kms, revoked) == "Disabled", "it is never disabled")


# --- what becomes of an old key -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["one", "list", "alias"])
def test_an_old_key_is_disabled_after_its_last_token_and_never_deleted(kms, start, form):
    arns = [kms.create_key("ES256") for _ in range(3 if form == "list" else 1)]
    name = kms.create_alias("alias/old", arns[0]) if form == "alias" else ",".join(arns)
    server = start(name, settled=True, **BRIEF)
    token, old = server.token(server.agent), active(server)
    rotated(server, immediate=True)
    while True:
        is_active, state = server.is_active(server.agent, token), state_of(kms, arns[0])
        if time.time() >= tokens.claims_of(token)["exp"]:
            break
        assert is_active and state == "Enabled"
        time.sleep(0.2)
    server.until(lambda: state_of(kms, arns[0]) == "Disabled", "it stays enabled")
    assert server.kids("retired") == [old]
    server.until(lambda: server.events("key_disposed"), "it is not noted")
    assert {call.key_id for call in kms.calls("DisableKey")} == {arns[0]}  # once more, if KMS was slow to answer
    assert not kms.calls("ScheduleKeyDeletion")
    assert server.get("/health/ready").status_code == 200
    assert check_by_pyjwt(server, server.token(server.agent), "ES256", leeway_s=60)
    assert server.metric("key_transitions_total", to="retired") == 1
    told = [json.loads(detail) for (detail,) in server.rows("SELECT detail FROM events ORDER BY id")]
    assert {"newKeyId", "oldKeyId"} <= next(each for each in told[2:] if each["transition"] == "activated").keys()
    assert [each["oldKeyId"] for each in told if each["transition"] == "retired"] == [old]
    if form == "alias":
        kms.admin.delete_alias(AliasName="alias/old")


# --- an emergency ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["kms", "envelope"])
def test_in_an_emergency_a_key_and_all_its_tokens_are_gone_at_once(kms, start, kind):
    server = start(kms.create_key("ES256") if kind == "kms" else kms.create_symmetric_key(), settled=True, **HASTY)
    kinds = ("access", "refresh", "id")
    issued = [server.token(server.agent, tokenType=kind) for kind in kinds]
    bearer = server.token(server.agent, scope="token:introspect")
    for token, kind in zip(issued, kinds):  # so that they are in the cache of verified tokens
        assert server.verify(server.agent, token, tokenType=kind).status_code == 200
    old, (standby,) = active(server), server.kids("pending")
    done = rotated(server, revoke=old, reason="a laptop was stolen")
    assert (done["oldKeyId"], done["newKeyId"]) == (old, standby)
    for token, kind in zip(issued, kinds):
        assert not server.is_active(server.agent, token)
        assert server.verify(server.agent, token, tokenType=kind).status_code == 401
    assert server.post("/token/introspect", auth=bearer, form={"token": issued[0]}).status_code == 401
    assert old not in {key["kid"] for key in server.jwks()["keys"]}
    signs_as(server, standby)
    server.settled()
    (detail,) = server.rows("SELECT detail FROM events WHERE json_extract(detail, '$.transition') = 'revoked'")
    told = json.loads(detail[0])
    assert len(told.pop("eventId")) == 32
    assert told == {"newKeyId": standby, "oldKeyId": old, "transition": "revoked",
                    "reason": "a laptop was stolen"}
    if kind == "kms":
        server.until(lambda: state_of(kms, arn_of(server, old)) == "Disabled", "its KMS key may still sign")
    server.stop()
    server.start()
    assert not any(server.is_active(server.agent, token) for token in issued)


def test_an_emergency_finds_a_key_though_the_standby_was_taken_away(kms, start):
    server = start(kms.create_key("ES256"), settled=True, **HASTY)
    token, old, (standby,) = server.token(server.agent), active(server), server.kids("pending")
    kms.admin.disable_key(KeyId=arn_of(server, standby))
    done = rotated(server, revoke=old)
    assert done["newKeyId"] not in (old, standby)
    signs_as(server, done["newKeyId"])
    assert not server.is_active(server.agent, token)
    assert standby in server.kids("revoked")


def test_a_standby_that_was_taken_away_makes_nobody_unready_and_is_replaced(kms, start):
    server = start(kms.create_key("ES256"), settled=True, **HASTY)
    (standby,) = server.kids("pending")
    kms.admin.disable_key(KeyId=arn_of(server, standby))
    server.stop()
    server.start()
    assert server.get("/health/ready").status_code == 200
    done = rotated(server, immediate=True)
    assert done["newKeyId"] != standby
    signs_as(server, done["newKeyId"])


def test_a_moment_without_kms_costs_no_standby(kms, start):
    server = start(kms.create_key("ES256"), settled=True, **HASTY)
    (standby,) = server.kids("pending")
    server.token(server.agent)
    kms.break_inside()
    assert rotate(server, immediate=True).status_code == 503
    assert server.kids("pending") == [standby]
    kms.clear_faults()
    server.until(lambda: server.ask(server.agent).status_code == 200, "it never recovers")
    assert rotated(server, immediate=True)["newKeyId"] == standby


def test_an_enabled_key_that_may_not_sign_makes_unready_until_it_may(kms, start):
    """The key's policy, or ours, was changed: DescribeKey still says Enabled."""
    server = start(kms.create_key("ES256"), settled=True, **HASTY)
    kms.deny(operation="Sign")
    for _ in range(12):
        assert server.ask(server.agent).status_code == 503
    server.until(lambda: server.get("/health/ready").status_code == 503, "it says that it is ready")
    assert "denies" in server.get("/health/ready").json()["signer"]["why"]
    kms.clear_faults()  # and nobody asks for a token meanwhile
    server.until(lambda: server.get("/health/ready").status_code == 200, "it stays not ready")
    signs_as(server, active(server))


def test_a_token_too_long_for_ed25519_is_the_callers_fault(kms, start):
    server = start(kms.create_key("EdDSA"), settled=True, TOKEN_SIGNING_ALG="EdDSA")
    kms.forget_calls()
    answer = server.ask(server.agent, claims={"long": "x" * 4000})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "4,096" in answer.json()["error_description"]
    assert not kms.calls("Sign")
    assert check_by_pyjwt(server, server.token(server.agent, claims={"long": "x" * 2000}), "EdDSA")


# --- the quota ------------------------------------------------------------------------------------------------------


class Askers:
    """Many who want a token at once; when each had its answer."""

    def __init__(self, server):
        self.server, self.answers, self.threads = server, {}, []

    def ask(self, kind, count):
        for _ in range(count):
            thread = threading.Thread(target=self._ask, args=(kind,))
            self.threads.append(thread)
            thread.start()

    def _ask(self, kind):
        answer = self.server.ask(self.server.agent, tokenType=kind)
        self.answers.setdefault(kind, []).append((time.monotonic(), answer.status_code, answer.headers))

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def test_people_go_before_machines_when_the_quota_is_short(kms, start):
    """KMS would refuse more than 6 a second, but for some at once, since a busy machine lets calls catch up with each
    other: it never has to, and who signs in waits for none of the 40 before. Judged by the seconds in which the service
    asked: an EdDSA key signs the token's own text, so each call says what it is for."""
    server = start(kms.create_key("EdDSA"), settled=True, TOKEN_SIGNING_ALG="EdDSA", TOKEN_KMS_RATE="5",
                   TOKEN_KMS_TIMEOUT="60", TOKEN_KMS_TRY_TIMEOUT="60")
    kms.proxy.limit(6, holds=30)
    askers = Askers(server)
    askers.ask("access", 40)
    server.until(lambda: len(askers.answers.get("access", [])) >= 2, "nobody has a token")
    askers.ask("refresh", 3)
    askers.ask("id", 3)
    askers.join()
    assert {status for each in askers.answers.values() for _, status, _ in each} == {200}
    asked = [(call.headers["x-amz-date"], tokens.header_of(base64.b64decode(call.body["Message"]).decode())["typ"])
             for call in kms.calls("Sign")]
    last = max(at for at, kind in asked if kind != "at+jwt")
    machines = [at for at, kind in asked if kind == "at+jwt"]
    assert [at for at in machines if at > last], "there was nobody left to wait for"
    assert len([at for at in machines if at < last]) <= 30, "they waited in the machines' line"
    assert server.metric("kms_throttled_total") == 0


@pytest.mark.parametrize("body", ["immediate", "revoke"])
def test_an_operators_rotation_goes_before_all_tokens(kms, start, body):
    """The line is as long as any may be: tokens of the most urgent kind that still come in time. A trial of the next
    key that stood behind them would come too late. Judged by the order in which KMS was asked."""
    server = start(kms.create_key("EdDSA"), settled=True, TOKEN_SIGNING_ALG="EdDSA", TOKEN_KMS_RATE="5",
                   TOKEN_KMS_TIMEOUT="6", TOKEN_KMS_TRY_TIMEOUT="6")
    old = active(server)
    old_arn = arn_of(server, old)
    askers = Askers(server)
    askers.ask("id", 50)
    server.until(lambda: server.metric("kms_calls_total", operation="Sign", outcome="quota") > 0, "there is room")
    before = len(kms.calls("Sign"))
    done = rotated(server, **({"immediate": True} if body == "immediate" else {"revoke": old}))
    keys = [call.body["KeyId"] for call in kms.calls("Sign")][before:]
    askers.join()
    assert done["oldKeyId"] == old and active(server) == done["newKeyId"]
    assert [key == old_arn for key in keys].index(False) <= 12, "the trial stood in line"  # of some 25; on their way
    assert {status for _, status, _ in askers.answers["id"]} <= {200, 503}


def test_who_finds_the_line_full_is_told_when_to_come_back(kms, start):
    server = start(kms.create_key("ES256"), settled=True, TOKEN_SIGNING_ALG="ES256", TOKEN_KMS_RATE="2",
                   TOKEN_KMS_TIMEOUT="5")
    askers = Askers(server)
    askers.ask("access", 24)
    askers.join()
    refused = [int(headers["Retry-After"]) for _, status, headers in askers.answers["access"] if status == 503]
    assert max(refused) >= 3 and all(1 <= wait <= 6 for wait in refused), f"{sorted(refused)}"
    # the others were in the line, and KMS was late
    assert 0 < server.metric("kms_calls_total", operation="Sign", outcome="quota") <= len(refused)
    time.sleep(max(refused))
    assert server.ask(server.agent).status_code == 200


# --- where KMS is, and whether it works -----------------------------------------------------------------------------


def test_the_general_endpoint_counts_where_kms_has_none_of_its_own(kms, start):
    server = start(kms.create_key("ES256"), AWS_ENDPOINT_URL_KMS="", AWS_ENDPOINT_URL=kms.url + "/", **HASTY)
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")
    assert kms.calls("Sign")[-1].trusted
    server = start(kms.create_key("ES256"), AWS_ENDPOINT_URL="http://127.0.0.1:9", **HASTY)
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")


def doctor(server, expect):
    return {each["check"]: each for each in json.loads(server.run("doctor", "--json", expect=expect).stdout)}


def test_the_doctor_asks_kms(kms, start):
    key = kms.create_key("ES256")
    server = start(key, settled=True, TOKEN_SIGNING_ALG="ES256", TOKEN_KMS_TIMEOUT="20", TOKEN_KMS_TRY_TIMEOUT="20")
    kms.forget_calls()
    good = doctor(server, 0)
    assert all(each["ok"] for each in good.values())
    assert "kms" in good["signer"]["detail"] and "may sign from" in good["standby"]["detail"]
    assert kms.calls("DescribeKey") and kms.calls("Sign")
    for fault, words in (("disable", "disabled"), ("deny", "denies"), ("stranger", "credentials"), ("down", "KMS")):
        settings = dict(server.settings)
        if fault == "disable":
            kms.admin.disable_key(KeyId=key)
        elif fault == "deny":
            kms.deny(operation="Sign")
        elif fault == "stranger":
            settings["AWS_ACCESS_KEY_ID"] = "AKIA" + "Q" * 16
        else:
            kms.proxy.down()
        told = run("doctor", "--json", settings=settings, expect=3).stdout
        findings = {each["check"]: each for each in json.loads(told)}
        assert not findings["signer"]["ok"] and words in findings["signer"]["detail"], told
        assert not findings["sign"]["ok"] and findings["store"]["ok"], told
        kms.clear_faults()
        if fault == "disable":
            kms.admin.enable_key(KeyId=key)
    kms.proxy.up()


def test_the_doctor_misses_the_next_key(kms, start):
    kms.deny(operation="CreateKey")
    server = start(kms.create_key("ES256"), TOKEN_SIGNING_ALG="ES256")
    until_told(server, "kms:CreateKey")
    (activated_at,), = server.rows("SELECT activated_at FROM oauth_jwks")
    standby = doctor(server, None)["standby"]
    assert standby["ok"] or time.time() > activated_at + 10, "it may still come"
    server.until(lambda: time.time() > activated_at + 10, "time stands still")
    found = doctor(server, 3)
    assert found["sign"]["ok"] and not found["standby"]["ok"]
    server.stop()
    assert doctor(server, 0)["standby"]["ok"], "no server runs"
