"""The service finds AWS credentials and a region as AWS's own tools do: each row is an environment, files and what fake
endpoints answer, and boto3 is the judge of it. A verdict is whose key signed the first call of KMS, for which region,
and whether KMS took it; or that there was no call.

Left out, since the service does otherwise on purpose: version 1 of the instance metadata (never asked), another
profile's keys for a role, SSO and credential_process (refused in a sentence), a region from AWS_REGION, a key's ARN or
by default (boto3 knows none of these; tests/unit/test_credentials.c has them)."""

import os
import re
import time
from contextlib import ExitStack
from types import SimpleNamespace

import boto3
import botocore.endpoint
import botocore.utils
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from credential_endpoints import Container, InstanceMetadata, Sts, iso
from kms import REGION
from service import run
from wire import PATIENCE_S

NEVER_ASK = {"AWS_EC2_METADATA_DISABLED": "true"}
STS_ERROR = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>m</Message></Error></ErrorResponse>"


class World:
    """One side's: files and endpoints of its own, in a folder of its own."""

    def __init__(self, kms, folder, stack):
        self.kms, self.folder, self.stack = kms, folder, stack
        self.variables = {"HOME": str(folder), "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL_KMS": kms.url,
                          "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3"} | NEVER_ASK

    def set(self, **variables):
        self.variables |= variables

    def unset(self, *names):
        self.variables = {name: value for name, value in self.variables.items() if name not in names}

    def keys(self):
        """Credentials that KMS knows, as lines of a profile."""
        made = self.kms.accounts.issue(session=False)
        return f"aws_access_key_id = {made.access_key_id}\naws_secret_access_key = {made.secret_access_key}\n"

    def environment_keys(self, session=True, token_name="AWS_SESSION_TOKEN"):
        made = self.kms.accounts.issue(session=session)
        self.set(AWS_ACCESS_KEY_ID=made.access_key_id, AWS_SECRET_ACCESS_KEY=made.secret_access_key)
        if session:
            self.set(**{token_name: made.session_token})

    def write(self, name, text):
        (self.folder / ".aws").mkdir(exist_ok=True)
        (self.folder / ".aws" / name).write_text(text)

    def sts(self, *script):
        return self._open(Sts(self.kms.accounts, self.folder), script)

    def container(self, *script):
        return self._open(Container(self.kms.accounts, self.folder), script)

    def metadata(self, *script, at=""):
        made = self._open(InstanceMetadata(self.kms.accounts), script)
        made.script_at = at
        self.unset(*NEVER_ASK)
        return made

    def _open(self, endpoint, script):
        self.stack.enter_context(endpoint)
        endpoint.script = list(script)
        self.set(**endpoint.environment())
        return endpoint


def by_boto3(world, key, monkeypatch):
    """boto3 without its pauses, in the world's environment and no other. A busy machine takes none of its tries."""
    monkeypatch.setattr(botocore.utils.ContainerMetadataFetcher, "SLEEP_TIME", 0)
    monkeypatch.setattr(botocore.utils.ContainerMetadataFetcher, "TIMEOUT_SECONDS", PATIENCE_S)
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))
    with monkeypatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patched.delenv(name)
        for name, value in world.variables.items():
            patched.setenv(name, value)
        patched.setenv("AWS_METADATA_SERVICE_TIMEOUT", str(PATIENCE_S))
        try:
            client = boto3.session.Session().client("kms", config=boto3.session.Config(
                retries={"total_max_attempts": 1}))
            world.stack.callback(client.close)
            client.describe_key(KeyId=key)
        except (BotoCoreError, ClientError, ValueError, RuntimeError, KeyError, OSError):
            pass  # which of its errors it is says less than whether KMS was called


def by_the_service(world, key):
    own = {"KMS_KEY_ID": key, "TOKEN_SIGNING_ALG": "ES256", "TOKEN_DATA_DIR": str(world.folder / "data")}
    run("doctor", settings=world.variables | own, expect=None)


def verdict(world):
    """Of the calls since the last reset. Key ids differ from side to side: what they are found by doesn't."""
    calls = world.kms.calls("DescribeKey")
    if not calls:
        return "refused"
    scope = re.search(r"Credential=(\w+)/\d+/([\w-]+)/kms/", calls[0].headers["authorization"])
    source = [name for name, value in world.variables.items() if value == scope.group(1)]
    texts = [path.name for path in sorted((world.folder / ".aws").glob("*")) if scope.group(1) in path.read_text()]
    return source or texts or "an endpoint", scope.group(2), calls[0].trusted


# --- the rows -------------------------------------------------------------------------------------------------------

def environment(world):
    world.environment_keys()
    world.write("credentials", "[default]\n" + world.keys())


def old_token_name(world):
    world.environment_keys(token_name="AWS_SECURITY_TOKEN")


def environment_without_secret(world):
    world.set(AWS_ACCESS_KEY_ID="AKIAEXAMPLE")
    world.write("credentials", "[default]\n" + world.keys())


def environment_with_a_secret_alone(world):
    world.set(AWS_SECRET_ACCESS_KEY="secret")
    world.write("credentials", "[default]\n" + world.keys())


def environment_expires(world):
    world.environment_keys()
    world.set(AWS_CREDENTIAL_EXPIRATION="2999-01-01T00:00:00+02:00")


def environment_has_expired(world):
    world.environment_keys()
    world.set(AWS_CREDENTIAL_EXPIRATION=iso(time.time() - 60).replace("Z", "+00:00"))


def environment_expires_at_no_time(world):
    world.environment_keys()
    world.set(AWS_CREDENTIAL_EXPIRATION="never again")


def shared_file(world):
    world.write("credentials", "[default]\n" + world.keys())
    world.write("config", "[default]\n" + world.keys())


def config_file(world):
    world.write("config", "[profile team]\n" + world.keys())
    world.set(AWS_PROFILE="team")


def default_profile_variable(world):
    world.write("config", "[profile team]\n" + world.keys())
    world.set(AWS_DEFAULT_PROFILE="team")


def profile_is_nowhere(world):
    world.set(AWS_PROFILE="nowhere")
    world.container()


def profile_is_nowhere_but_the_environment_has_keys(world):
    world.environment_keys()
    world.set(AWS_PROFILE="nowhere")


def profile_with_a_region_alone(world):
    world.write("config", "[profile team]\nregion = eu-west-3\n")
    world.set(AWS_PROFILE="team")
    world.container()


def profile_with_a_region_alone_on_an_instance(world):
    world.write("config", "[profile team]\nregion = eu-west-3\n")
    world.set(AWS_PROFILE="team")
    world.metadata()


def profile_with_half_of_the_keys(world):
    world.write("credentials", "[default]\naws_access_key_id = AKIAEXAMPLE\n")
    world.container()


def profile_with_a_secret_alone(world):
    world.write("credentials", "[default]\naws_secret_access_key = x\n")
    world.container()


def profile_with_a_web_identity_before_its_keys(world):
    sts = world.sts()
    world.unset("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
    world.write("config", f"[default]\nrole_arn = {sts.ROLE}\nweb_identity_token_file = {sts.token_path}\n")
    world.write("credentials", "[default]\n" + world.keys())


def profile_with_a_token_file_and_no_role(world):
    world.write("config", "[default]\nweb_identity_token_file = /dev/null\n")
    world.container()


def nothing(world):
    del world


def region_of_the_profile(world):
    world.environment_keys()
    world.unset("AWS_DEFAULT_REGION")
    world.write("config", "[default]\nregion = eu-west-3\n")


def region_of_the_shared_file(world):
    world.environment_keys()
    world.unset("AWS_DEFAULT_REGION")
    world.write("credentials", "[default]\nregion = eu-north-1\n")


def region_of_the_environment_first(world):
    world.environment_keys()
    world.set(AWS_DEFAULT_REGION="ap-south-1")
    world.write("config", "[default]\nregion = eu-west-3\n")


def region_that_is_none(world):
    world.environment_keys()
    world.set(AWS_DEFAULT_REGION="evil.example/")


def said(kind, **members):
    def row(world):
        getattr(world, kind)().said = members
    (name, value), = members.items()
    row.__name__ = f"{kind}_says_{name}_{'in_the_past' if value == PAST else value}"  # the same in every process
    return row


def scripted(kind, name, *script, **options):
    def row(world):
        getattr(world, kind)(*script, **options)
    row.__name__ = f"{kind}_{name}"
    return row


def instance_whose_kms_takes_no_expired_ones(world):
    world.metadata().life_s = -60


def container_that_is_away(world):
    world.set(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:1/")


def container_before_the_instance(world):
    world.metadata()
    world.container()


def container_elsewhere(world):
    world.set(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://192.0.2.1/")


def web_identity_without_role(world):
    world.sts()
    world.unset("AWS_ROLE_ARN")


def web_identity_without_file(world):
    world.sts()
    world.set(AWS_WEB_IDENTITY_TOKEN_FILE="/nonexistent")


PAST, OFFSET = iso(time.time() - 3600), "2999-01-01T00:00:00+00:00"
TOKEN, ROLES, ROLE = "/api/token", "/security-credentials/", "/token-service-role"
ROWS = [
    environment, old_token_name, environment_without_secret, environment_with_a_secret_alone, environment_expires,
    environment_has_expired, environment_expires_at_no_time, shared_file, config_file, default_profile_variable,
    profile_is_nowhere, profile_is_nowhere_but_the_environment_has_keys, profile_with_a_region_alone,
    profile_with_a_region_alone_on_an_instance, profile_with_half_of_the_keys, profile_with_a_secret_alone,
    profile_with_a_web_identity_before_its_keys, profile_with_a_token_file_and_no_role, nothing, region_of_the_profile,
    region_of_the_shared_file, region_of_the_environment_first, region_that_is_none,
    scripted("sts", "works"),
    scripted("sts", "can_not_reach_the_issuer_for_once", (400, STS_ERROR.format("IDPCommunicationError"))),
    scripted("sts", "can_not_reach_the_issuer_three_times", *[(400, STS_ERROR.format("IDPCommunicationError"))] * 3),
    scripted("sts", "can_not_reach_the_issuer_at_all", *[(400, STS_ERROR.format("IDPCommunicationError"))] * 9),
    scripted("sts", "throttles", (400, STS_ERROR.format("Throttling")), (400, STS_ERROR.format("ThrottlingException"))),
    scripted("sts", "answers_429", (429, STS_ERROR.format("TooManyRequests"))),
    scripted("sts", "fails", (500, STS_ERROR.format("InternalFailure")), (503, "<html>")),
    scripted("sts", "fails_three_times", *[(502, "<html>")] * 3),
    scripted("sts", "refuses", (400, STS_ERROR.format("InvalidIdentityToken"))),
    scripted("sts", "denies", (403, STS_ERROR.format("AccessDenied"))),
    said("sts", Expiration=OFFSET), said("sts", Expiration=PAST), said("sts", Expiration="soon"),
    web_identity_without_role, web_identity_without_file,
    scripted("container", "works"),
    scripted("container", "answers_429", (429, ""), (429, "")),
    scripted("container", "answers_404", (404, "{}"), (400, "{}")),
    scripted("container", "fails", (500, ""), (503, "")),
    scripted("container", "answers_404_all_the_time", *[(404, "{}")] * 9),
    said("container", Expiration=OFFSET), said("container", Expiration=PAST), said("container", Expiration=None),
    said("container", Expiration="2999-01-01T00:00:00.123Z"), said("container", Token=None),
    said("container", SecretAccessKey=None), container_that_is_away, container_before_the_instance, container_elsewhere,
    scripted("metadata", "works"),
    scripted("metadata", "answers_429_for_the_role", (429, ""), (429, ""), at=ROLES),
    scripted("metadata", "answers_404_for_the_role", (404, ""), at=ROLES),
    scripted("metadata", "fails_for_the_credentials", (500, ""), (404, ""), at=ROLE),
    scripted("metadata", "has_no_role", *[(404, "")] * 9, at=ROLES),
    scripted("metadata", "says_why_it_has_none", (200, '{"Code":"Unauthorized","Message":"m"}'), at=ROLE),
    said("metadata", Expiration=PAST), said("metadata", Expiration=OFFSET),
    instance_whose_kms_takes_no_expired_ones,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_the_verdict_is_that_of_boto3(kms, tmp_path, monkeypatch, row):
    key = kms.create_key("ES256").rsplit("/", 1)[1]  # its id: an ARN would say the region
    verdicts = {}
    for judge in ("boto3", "the service"):
        with ExitStack() as stack:
            (tmp_path / judge).mkdir()
            world = World(kms, tmp_path / judge, stack)
            row(world)
            kms.forget_calls()
            if judge == "boto3":
                by_boto3(world, key, monkeypatch)
            else:
                by_the_service(world, key)
            verdicts[judge] = verdict(world)
    assert verdicts["the service"] == verdicts["boto3"]


def test_the_table_has_both_verdicts(kms, tmp_path):
    """Or it would prove little."""
    with ExitStack() as stack:
        world = World(kms, tmp_path, stack)
        environment(world)
        kms.forget_calls()
        by_the_service(world, kms.create_key("ES256").rsplit("/", 1)[1])
        assert verdict(world) == (["AWS_ACCESS_KEY_ID"], REGION, True)
