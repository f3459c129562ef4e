"""deploy/: the template as it stands, by CloudFormation's rules (cfn-lint) and by ours; what a deployment of it makes
(moto, looked at by boto3); and deploy-token-service.sh from start to end."""

import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from cloudformation import ROOT, TEMPLATE, as_list, fits, load, statements, walk
from moto_account import ACCOUNT, REGION, Account
from ports import free_port
from service import environment, run
from wire import PATIENCE_S

SCRIPT = ROOT / "deploy/deploy-token-service.sh"
ISSUER = "https://auth.example"
SECRETS = {"SUPABASE_SERVICE_KEY", "DATABASE_URL", "REDIS_URL", "TOKEN_PAIRWISE_SALT", "REDIS_SENTINEL_PASSWORD"}
READY = '{"statusCode": 200, "body": "{}"}'
# Operations that IAM calls otherwise.
IAM_NAMES = {"lambda:InvokeFunction": "Invoke"}
# What AWS knows no resource for, and what has a resource by where it stands: a key's own policy, an endpoint's.
WITHOUT_RESOURCE = {"kms:CreateKey", "kms:TagResource", "kms:ListKeys", "kms:ListResourceTags"}


@pytest.fixture(scope="module")
def template():
    return load()


def of_type(template, kind):
    return {name: one for name, one in template["Resources"].items() if one["Type"] == kind}


# --- the template, read ---------------------------------------------------------------------------------------------

def test_cloudformation_s_rules_are_kept():
    """cfn-lint knows the schema of each type, and takes a warning for a fault."""
    said = subprocess.run([Path(sys.executable).parent / "cfn-lint", TEMPLATE], capture_output=True, text=True,
                          check=False, timeout=PATIENCE_S)
    assert (said.returncode, said.stdout) == (0, ""), said.stdout + said.stderr


def test_each_action_is_named_and_is_one_of_aws(template):
    found = set()
    for name, statement in statements(template):
        assert not {"NotAction", "NotPrincipal", "NotResource"} & statement.keys(), name
        found |= {(name, action) for action in as_list(statement["Action"])}
    assert not [row for row in found if "*" in row[1]]
    clients = {service: boto3.client({"events": "events"}.get(service, service), REGION, aws_access_key_id="x",
                                     aws_secret_access_key="x").meta.service_model
               for service in {action.split(":")[0] for _, action in found}}
    unknown = {action for _, action in found
               if IAM_NAMES.get(action, action.split(":")[1]) not in clients[action.split(":")[0]].operation_names}
    assert not unknown


def test_what_is_allowed_is_allowed_on_something_named(template):
    for name, statement in statements(template):
        resource, actions = statement.get("Resource"), set(as_list(statement["Action"]))
        if statement["Effect"] == "Deny" or resource != "*" or name == "SigningKey" or name.endswith("Endpoint"):
            continue
        assert actions <= WITHOUT_RESOURCE or statement["Sid"] == "LetLambdaConnectIt", (name, statement)
    for name, statement in statements(template):
        if statement["Effect"] == "Allow":
            assert statement.get("Principal") not in ("*", {"AWS": "*"}), name
        if name.endswith("Endpoint"):
            assert statement["Principal"] == {"AWS": {"Fn::GetAtt": ["FunctionRole", "Arn"]}}


def test_the_function_may_call_what_the_program_calls_and_no_more(template):
    """Of KMS, as src/aws/kms_metrics.c lists it; of the other services, the targets in src/."""
    listed = (ROOT / "src/aws/kms_metrics.c").read_text()
    calls = {f"kms:{name}" for name in re.findall(r'\[KMS_[A-Z_]+\] = "([A-Z]\w+)"', listed)} | {"kms:TagResource"}
    names = {"AWSEvents": "events", "secretsmanager": "secretsmanager"}
    for path in (ROOT / "src/aws").glob("*.c"):
        calls |= {f"{names[service]}:{name}" for service, name in
                  re.findall(r'"(AWSEvents|secretsmanager)\.([A-Z]\w+)"', path.read_text())}
    assert {"kms:Sign", "events:PutEvents", "secretsmanager:GetSecretValue"} <= calls
    allowed = set()
    for name, statement in statements(template):
        if statement["Effect"] == "Allow" and (name == "FunctionRole" or statement.get("Principal") ==
                                               {"AWS": {"Fn::GetAtt": ["FunctionRole", "Arn"]}}):
            allowed |= set(as_list(statement["Action"]))
    for_lambda = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage", "sts:AssumeRole"}
    assert {action for action in allowed if not action.startswith("ec2:")} - for_lambda == calls


def test_what_a_tag_opens_is_never_a_key_that_encrypts(template):
    """The function may set the tag that opens a key to it, on any key whose policy leaves that to IAM."""
    by_tag = [statement for name, statement in statements(template)
              if name == "FunctionRole" and "successor-of" in str(statement.get("Condition"))]
    assert {statement["Sid"] for statement in by_tag} == {"UseWhatItMade", "MakeTheNext"}
    for statement in by_tag:
        assert statement["Condition"]["StringEqualsIfExists"] == {"kms:KeyUsage": "SIGN_VERIFY"}


def test_an_administrator_of_the_account_does_not_sign(template):
    actions = {action for name, statement in statements(template)
               if name == "SigningKey" and statement["Sid"] == "AdministeredByTheAccount"
               for action in statement["Action"]}
    assert "kms:PutKeyPolicy" in actions and "kms:ScheduleKeyDeletion" in actions
    assert not actions & {"kms:Sign", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKeyPair", "kms:CreateGrant",
                          "kms:GenerateDataKeyPairWithoutPlaintext"}


def test_a_secret_is_only_referred_to(template):
    variables = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    for name in SECRETS & variables.keys():
        chosen = [one for one in variables[name]["Fn::If"][1:] if one != ""]
        assert chosen == [{"Fn::Sub": f"${{SecretArn}}:{name}::"}], name
    assert not [name for name in template["Parameters"] if re.search("(Key|Password|Url|Token)$", name)
                and name not in ("CodeKey", "LoginUrl", "SupabaseUrl")], "no parameter holds a secret"
    assert "NoEcho" not in TEMPLATE.read_text()


def test_each_variable_of_the_function_is_a_setting(template):
    known = set(re.findall(r"^\| `(\w+)` \|", run("help", "markdown").stdout, re.M))
    variables = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    assert len(variables) > 10 and not variables.keys() - known


def test_each_path_has_a_route_and_each_route_a_path(template):
    paths = set(yaml.safe_load((ROOT / "docs/openapi.yaml").read_text())["paths"]) - {"/metrics"}
    routes = {one["Properties"]["RouteKey"] for one in of_type(template, "AWS::ApiGatewayV2::Route").values()}
    assert len(routes) == len(of_type(template, "AWS::ApiGatewayV2::Route"))
    assert not {path for path in paths if not any(fits(route, path) for route in routes)}
    assert not {route for route in routes if not any(fits(route, path) for path in paths)}
    assert not any(fits(route, "/metrics") for route in routes)


def test_requests_are_throttled_and_what_is_logged_of_them_is_no_secret(template):
    stage = template["Resources"]["ApiStage"]["Properties"]
    assert stage["DefaultRouteSettings"].keys() >= {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert "$context.requestId" in logged.values()
    assert not [value for value in logged.values() if re.search(r"(path|query|authorizer|http)", value, re.I)]


def test_logs_end_and_what_waits_is_encrypted(template):
    logs = of_type(template, "AWS::Logs::LogGroup")
    assert len(logs) == 2
    assert all(one["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"} for one in logs.values())
    queue = template["Resources"]["DeadLetterQueue"]["Properties"]
    assert queue["SqsManagedSseEnabled"] is True and queue["MessageRetentionPeriod"] <= 4 * 86400
    refused = [one for name, one in statements(template) if name == "DeadLetterPolicy" and one["Effect"] == "Deny"]
    assert refused[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_key_outlives_the_stack(template):
    key = template["Resources"]["SigningKey"]
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"
    assert key["Properties"]["PendingWindowInDays"] == 30


def test_what_can_t_be_handled_goes_to_the_dead_letters(template):
    queue = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    resources = template["Resources"]
    assert resources["Function"]["Properties"]["DeadLetterConfig"] == {"TargetArn": queue}
    assert resources["LiveCalls"]["Properties"]["Qualifier"] == "live"
    for rule in of_type(template, "AWS::Events::Rule").values():
        (target,) = rule["Properties"]["Targets"]
        assert target["Arn"] == {"Ref": "LiveAlias"} and target["DeadLetterConfig"] == {"Arn": queue}


def test_callers_reach_the_alias_and_never_the_latest(template):
    resources = template["Resources"]
    assert resources["ApiIntegration"]["Properties"]["IntegrationUri"] == {"Ref": "LiveAlias"}
    for name, one in of_type(template, "AWS::Lambda::Permission").items():
        assert one["Properties"]["FunctionName"] == {"Ref": "LiveAlias"} and "SourceArn" in one["Properties"], name


def test_the_alarms_of_the_platform_are_there(template):
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    wanted = {"TokenGenerationFailingAlarm", "KmsFailingAlarm", "RedisFailingAlarm", "SigningKeyEndingAlarm",
              "TokenGenerationSlowAlarm", "DeadLettersAlarm", "EventsOutboxGrowingAlarm", "RevocationsStaleAlarm",
              "CanaryAlarm"}
    assert not wanted - alarms.keys()
    for name, alarm in alarms.items():
        if name != "CanaryAlarm":
            assert "HasAlarmTopic" in json.dumps(alarm["Properties"]["AlarmActions"]), name
    source = ROOT / "deploy/alarms.yaml"
    if source.exists():
        between = re.compile(r" *# --- alarms: begin ---.*# --- alarms: end ---", re.S)
        assert between.search(TEMPLATE.read_text())[0] == between.search(source.read_text())[0]


def test_nobody_calls_the_function_over_the_network(template):
    groups = of_type(template, "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in groups["FunctionSecurityGroup"]["Properties"]
    egress = json.dumps(groups["FunctionSecurityGroup"]["Properties"]["SecurityGroupEgress"])
    assert '"FromPort": 443' in egress and '"FromPort": {"Ref": "RedisPort"}' in egress and "-1" not in egress
    (ingress,) = groups["EndpointSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert ingress["FromPort"] == ingress["ToPort"] == 443 and "SourceSecurityGroupId" in ingress
    endpoints = of_type(template, "AWS::EC2::VPCEndpoint")
    services = {one["Properties"]["ServiceName"]["Fn::Sub"].rpartition(".")[2] for one in endpoints.values()}
    assert services == {"kms", "events", "logs", "secretsmanager"}
    assert all(one["Condition"] == "IsInVpc" for one in [*endpoints.values(), *groups.values()])


# --- the template, deployed -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def account():
    made = Account(free_port()).start()
    s3 = made.client("s3")
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="code", Key="f.zip", Body=zip_of("code"))
    s3.put_object(Bucket="code", Key="template", Body=TEMPLATE.read_bytes())
    secret = made.client("secretsmanager").create_secret(
        Name="token-service", SecretString=json.dumps({"SUPABASE_SERVICE_KEY": "sb_secret_hunter2",
                                                       "REDIS_URL": "redis://:hunter2@redis.example"}))
    made.secret = secret["ARN"]
    yield made
    made.stop()


def zip_of(text):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("bootstrap", text)
    return made.getvalue()


class Stack:
    """A deployment by CloudFormation itself; its resources by their names in the template."""

    def __init__(self, account, name, **parameters):
        self.account, self.name = account, name
        given = {"CodeBucket": "code", "CodeKey": "f.zip", "Issuer": ISSUER, "SecretArn": account.secret,
                 "SupabaseUrl": "https://project.example"} | parameters
        client = account.client("cloudformation")
        client.create_stack(StackName=name, TemplateURL=f"{account.url}/code/template", Capabilities=["CAPABILITY_IAM"],
                            Parameters=[{"ParameterKey": key, "ParameterValue": value}
                                        for key, value in given.items()])
        (said,) = client.describe_stacks(StackName=name)["Stacks"]
        assert said["StackStatus"] == "CREATE_COMPLETE", said
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in said["Outputs"]}
        self.resources = {one["LogicalResourceId"]: one.get("PhysicalResourceId")
                          for one in client.describe_stack_resources(StackName=name)["StackResources"]
                          if "LogicalResourceId" in one}

    def variables(self):
        said = self.account.client("lambda").get_function_configuration(FunctionName=self.name)
        return said["Environment"]["Variables"]

    def role_statements(self):
        iam, role = self.account.client("iam"), self.resources["FunctionRole"]
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
                for name in names}

    def key(self):
        return self.account.client("kms").describe_key(KeyId=f"alias/{self.name}")["KeyMetadata"]

    def key_statements(self):
        policy = self.account.client("kms").get_key_policy(KeyId=self.key()["KeyId"], PolicyName="default")["Policy"]
        return {one["Sid"]: one for one in json.loads(policy)["Statement"]}


@pytest.fixture(scope="module")
def envelope(account):
    return Stack(account, "envelope")


@pytest.fixture(scope="module")
def full(account):
    """Everything that can be asked for."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"]
               for number in range(2)]
    topic = account.client("sns").create_topic(Name="alarms")["TopicArn"]
    return Stack(account, "full", SigningMode="kms-rsa", VpcId=vpc, SubnetIds=",".join(subnets), UseRedis="yes",
                 UsePairwiseSalt="yes", AlarmTopicArn=topic, LogRetentionDays="90")


@pytest.mark.parametrize("stack, spec, usage, signer, algorithm", [
    ("envelope", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "envelope", "ES256"),
    ("full", "RSA_2048", "SIGN_VERIFY", "kms", "RS256")])
def test_the_key_is_of_the_mode_s_kind(request, stack, spec, usage, signer, algorithm):
    stack = request.getfixturevalue(stack)
    key, variables = stack.key(), stack.variables()
    assert (key["KeySpec"], key["KeyUsage"]) == (spec, usage)
    assert (variables["TOKEN_SIGNER"], variables["TOKEN_SIGNING_ALG"]) == (signer, algorithm)
    assert stack.outputs["SigningKeyArn"] == key["Arn"]
    assert variables["KMS_KEY_ID"] == (key["Arn"] if signer == "envelope" else f"alias/{stack.name}")


def test_an_elliptic_key_can_be_had(account):
    stack = Stack(account, "elliptic", SigningMode="kms-ecc")
    assert stack.key()["KeySpec"] == "ECC_NIST_P256" and stack.variables()["TOKEN_SIGNING_ALG"] == "ES256"


def test_a_wrapping_key_opens_only_for_the_issuer(envelope):
    said = envelope.key_statements()
    assert said["WrappedForTheFunction"]["Condition"] == {"StringEquals": {"kms:EncryptionContext:iss": ISSUER}}
    assert "UsedByTheFunction" not in said
    assert envelope.role_statements().keys() == {"function"}, "nothing of KMS but by the key's policy"


def test_a_signing_key_signs_for_the_function_alone(full):
    said = full.key_statements()
    role = f"arn:aws:iam::{ACCOUNT}:role/{full.resources['FunctionRole']}"
    signers = [one["Principal"] for one in said.values() if "kms:Sign" in as_list(one["Action"])]
    assert signers == [{"AWS": role}]
    assert full.role_statements().keys() == {"function", "next-keys", "network"}
    read = [one for one in full.role_statements()["function"] if one["Action"] == "secretsmanager:GetSecretValue"]
    assert [one["Resource"] for one in read] == [full.account.secret]


def test_the_function_has_what_was_asked_for(full):
    variables = full.variables()
    for name in ("SUPABASE_SERVICE_KEY", "REDIS_URL", "TOKEN_PAIRWISE_SALT"):
        assert variables[name] == f"{full.account.secret}:{name}::"
    assert variables["DATABASE_URL"] == "" and variables["TOKEN_ISSUER"] == ISSUER
    assert "hunter2" not in json.dumps(variables)
    said = full.account.client("lambda").get_function_configuration(FunctionName="full")
    assert (said["Runtime"], said["Handler"], said["Timeout"]) == ("provided.al2023", "bootstrap", 15)
    assert len(said["VpcConfig"]["SubnetIds"]) == 2
    assert said["VpcConfig"]["SecurityGroupIds"] == [full.resources["FunctionSecurityGroup"]]


@pytest.mark.parametrize("stack", ["envelope", "full"])
def test_the_program_takes_its_variables(request, stack, tmp_path):
    variables = request.getfixturevalue(stack).variables()
    variables = {name: value for name, value in variables.items() if value} | {"TOKEN_DATA_DIR": str(tmp_path)}
    said = run("serve", "--check-config", settings=variables)
    assert "unknown_setting" not in said.stderr
    assert f"SUPABASE_SERVICE_KEY=(read at {variables['SUPABASE_SERVICE_KEY']})" in said.stdout


def test_what_is_deployed_is_bounded_and_kept(full, envelope):
    logs = {one["logGroupName"]: one["retentionInDays"]
            for one in full.account.client("logs").describe_log_groups()["logGroups"]}
    assert logs["/aws/lambda/full"] == logs["/aws/apigateway/full"] == 90 and logs["/aws/lambda/envelope"] == 30
    concurrency = full.account.client("lambda").get_function_concurrency(FunctionName="envelope")
    assert concurrency["ReservedConcurrentExecutions"] == 50
    attributes = full.account.client("sqs").get_queue_attributes(QueueUrl=envelope.outputs["DeadLetterQueueUrl"],
                                                                 AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == "345600"


def test_the_agents_events_come_and_the_schedule_runs(envelope):
    events = envelope.account.client("events")
    rules = {one["Name"]: one for one in events.list_rules()["Rules"]}
    rule = rules[envelope.resources["EventRule"]]
    assert json.loads(rule["EventPattern"]) == {
        "source": ["storytailor.idp", "storytailor.auth"],
        "detail-type": ["GENERATE_TOKEN", "VERIFY_TOKEN", "INTROSPECT_TOKEN", "REVOKE_TOKEN", "ROTATE_KEYS",
                        "GET_JWKS"]}
    assert rules[envelope.resources["Schedule"]]["ScheduleExpression"] == "rate(1 minute)"
    for name in ("EventRule", "Schedule"):
        (target,) = events.list_targets_by_rule(Rule=envelope.resources[name])["Targets"]
        assert target["Arn"] == envelope.outputs["LiveAliasArn"]
        assert target["DeadLetterConfig"]["Arn"].endswith(":envelope-dead-letters")


def test_the_api_leads_to_the_alias(envelope, template):
    api = envelope.account.client("apigatewayv2")
    number = envelope.resources["Api"]
    assert envelope.outputs["ApiUrl"].startswith("https://")
    (integration,) = api.get_integrations(ApiId=number)["Items"]
    assert integration["IntegrationUri"] == envelope.outputs["LiveAliasArn"]
    assert integration["PayloadFormatVersion"] == "2.0"
    routes = {one["RouteKey"]: one["Target"] for one in api.get_routes(ApiId=number)["Items"]}
    assert len(routes) == len(of_type(template, "AWS::ApiGatewayV2::Route"))
    assert set(routes.values()) == {f"integrations/{integration['IntegrationId']}"}
    (stage,) = api.get_stages(ApiId=number)["Items"]
    assert stage["StageName"] == "$default" and stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 400


def test_admin_can_be_closed(account):
    stack = Stack(account, "closed", AdminRoutes="no")
    routes = account.client("apigatewayv2").get_routes(ApiId=stack.resources["Api"])["Items"]
    assert routes and not [one for one in routes if "/admin" in one["RouteKey"]]


def test_alarms_are_told_to_whoever_was_named(full, envelope):
    cloudwatch = full.account.client("cloudwatch")
    alarms = [one for page in cloudwatch.get_paginator("describe_alarms").paginate() for one in page["MetricAlarms"]]
    told = {one["AlarmName"]: one["AlarmActions"] for one in alarms}
    assert len(told["full-kms-failing"]) == 1 and told["envelope-kms-failing"] == []
    assert told["full-canary"] == []
    assert {"full", "envelope"} <= {one["DashboardName"] for one in cloudwatch.list_dashboards()["DashboardEntries"]}


def test_the_vpc_has_an_endpoint_for_each_service(full):
    ec2 = full.account.client("ec2")
    endpoints = [one for one in ec2.describe_vpc_endpoints()["VpcEndpoints"]
                 if one["VpcEndpointType"] == "Interface"]
    assert {one["ServiceName"].rpartition(".")[2] for one in endpoints} == {"kms", "events", "logs", "secretsmanager"}
    groups = {one["GroupId"]: one["IpPermissions"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    assert groups[full.resources["FunctionSecurityGroup"]] == []
    (rule,) = groups[full.resources["EndpointSecurityGroup"]]
    assert [one["GroupId"] for one in rule["UserIdGroupPairs"]] == [full.resources["FunctionSecurityGroup"]]


# --- the script -----------------------------------------------------------------------------------------------------

class Deployer:
    """The script in that account. The API is a server of ours: moto's answers nobody."""

    def __init__(self, account, folder, url, stack):
        self.account, self.folder, self.url, self.stack = account, folder, url, stack
        self.zip = folder / "token-service-lambda-x86_64.zip"
        self.env = environment(account.environment()) | {"AWS_MAX_ATTEMPTS": "1"}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def build(self, text):
        self.zip.write_bytes(zip_of(text))

    def begin(self, *arguments):
        words = [SCRIPT, self.stack, "--zip", self.zip, "--url", self.url, "--every", "1", "--watch", "2", *arguments]
        return subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def run(self, *arguments, expect=0):
        process = self.begin(*arguments)
        said = process.communicate(timeout=PATIENCE_S * 4)[0]
        assert process.returncode == expect, said
        return said

    def first(self, *arguments, expect=0):
        self.build("first")
        self.account.function_answers(READY)
        return self.run("--parameter", f"Issuer={ISSUER}", "--parameter", f"SecretArn={self.account.secret}",
                        "--parameter", "SupabaseUrl=https://project.example", *arguments, expect=expect)

    def alias(self):
        said = self.account.client("lambda").get_alias(FunctionName=self.stack, Name="live")
        return said["FunctionVersion"], said.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})

    def ring(self, state):
        self.account.client("cloudwatch").set_alarm_state(AlarmName=f"{self.stack}-canary", StateValue=state,
                                                          StateReason="as the test says")


@pytest.fixture(scope="module")
def api(make_server):
    return make_server(TOKEN_ISSUER=ISSUER, TOKEN_METRICS="off").start()


@pytest.fixture(scope="module")
def deployed(account, api, tmp_path_factory):
    """The first deployment, which all of the following change."""
    made = Deployer(account, tmp_path_factory.mktemp("deploy"), api.url, "tokens")
    made.said = made.first()
    return made


def test_a_first_deployment(deployed):
    assert "deployed: version 1 of tokens" in deployed.said
    assert deployed.alias() == ("1", {})
    s3, bucket = deployed.account.client("s3"), f"token-service-{ACCOUNT}-{REGION}"
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values()) and len(block) == 4
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert len([one for one in s3.list_objects_v2(Bucket=bucket)["Contents"] if one["Key"].endswith(".zip")]) == 1


@pytest.mark.timeout(900)
def test_a_new_version_gets_a_part_then_all_and_gives_it_back(deployed):
    deployed.build("second")
    deployed.account.function_answers(READY)
    before = deployed.alias()[0]
    said = deployed.run("--canary", "25", "--watch", "2")
    now = deployed.alias()
    assert now[0] != before and now[1] == {}
    assert f"moved: 25 % of the traffic to version {now[0]}" in said
    assert f"moved: all of the traffic to version {now[0]}" in said
    said = deployed.run("--rollback")
    assert deployed.alias() == (before, {})
    assert f"moved: all of the traffic to version {before}, from {now[0]}" in said
    said = deployed.run("--rollback", expect=1)
    assert "does not say which version" in said and deployed.alias() == (before, {})


@pytest.mark.timeout(900)
def test_an_alarm_takes_the_canary_back(deployed):
    deployed.build("third")
    deployed.account.function_answers(READY)
    before = deployed.alias()[0]
    process = deployed.begin("--canary", "10", "--watch", "600")
    end = time.monotonic() + PATIENCE_S * 3
    while not deployed.alias()[1]:
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.2)
    assert deployed.alias()[0] == before and list(deployed.alias()[1].values()) == [0.1]
    deployed.ring("ALARM")
    said = process.communicate(timeout=PATIENCE_S * 4)[0]
    assert process.returncode == 1 and "the alarm tokens-canary rang" in said, said
    assert deployed.alias() == (before, {})
    deployed.build("fourth")
    deployed.account.function_answers(READY)
    said = deployed.run(expect=1)
    assert "rings already" in said and deployed.alias() == (before, {})
    deployed.ring("OK")


@pytest.mark.timeout(900)
def test_a_canary_whose_api_fails_is_taken_back(deployed):
    deployed.build("between")
    deployed.account.function_answers(READY)
    before = deployed.alias()
    said = deployed.run("--watch", "600", "--url", f"http://127.0.0.1:{free_port()}", expect=1)
    assert "/health/ready answers 000" in said and deployed.alias() == before


@pytest.mark.timeout(900)
def test_a_version_that_does_not_work_is_never_seen(deployed):
    deployed.build("fifth")
    deployed.account.function_answers('{"statusCode": 503}')
    before = deployed.alias()
    said = deployed.run(expect=1)
    assert "callers have not seen it" in said and deployed.alias() == before


@pytest.mark.timeout(900)
def test_an_api_that_answers_otherwise_gets_the_old_version_back(deployed, make_server):
    other = make_server(TOKEN_ISSUER="https://somebody.else", TOKEN_METRICS="off").start()
    deployed.build("sixth")
    deployed.account.function_answers(READY)
    before = deployed.alias()
    said = deployed.run("--no-canary", "--url", other.url, expect=1)
    assert "/.well-known/openid-configuration answers 200" in said
    assert f"all of the traffic is back at version {before[0]}" in said and deployed.alias() == before


def test_a_check_changes_nothing(account, api, tmp_path):
    deployer = Deployer(account, tmp_path, api.url, "unmade")
    assert "checked: account" in deployer.first("--check")
    with pytest.raises(ClientError, match="does not exist"):
        account.client("cloudformation").describe_stacks(StackName="unmade")


@pytest.mark.parametrize("arguments, words", [
    (["--check"], "the first time it needs --parameter Issuer"),
    (["--check", "--zip", "/nowhere"], "there is no zip at /nowhere"),
    (["--check", "--parameter", "Issuer"], "--parameter takes NAME=VALUE"),
    (["--canary", "100"], "--canary takes a number from 1 to 99"),
    (["--canary", "1; echo"], "--canary takes a number"),
    (["--watch"], "--watch needs a value"),
    (["--force"], "there is no option --force"),
    (["another"], "one stack, not"),
    (["--rollback"], "there is no function"),
    (["--check", "--parameter", f"Issuer={ISSUER}", "--parameter", "SupabaseUrl=https://p.example", "--parameter",
      f"SecretArn=arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:none-AbCdEf"], "there is no secret"),
])
def test_what_can_t_be_done_is_said(account, api, tmp_path, arguments, words):
    deployer = Deployer(account, tmp_path, api.url, "unmade")
    deployer.build("x")
    assert words in deployer.run(*arguments, expect=1)


# --- docs/aws.md ----------------------------------------------------------------------------------------------------

def tables_of(text, heading):
    """The rows of the table below a heading, without its head."""
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines()
            if line.startswith("|")][2:]


def test_costs_are_what_their_prices_make():
    text = (ROOT / "docs/aws.md").read_text()
    price = {row[0]: float(row[1]) for row in tables_of(text, "Prices")}
    takes = {row[0]: float(row[1]) for row in tables_of(text, "What a token takes")}
    rows = {row[0]: [float(cell) for cell in row[1:]] for row in tables_of(text, "The cost of a million tokens")}
    assert rows.keys() == {"local key", "envelope", "KMS, RSA", "KMS, ECC"}

    def gb(kb):
        return kb / 1024 / 1024 * 1e6

    def compute(ms):
        return ms / 1000 * 256 / 1024 * 1e6 * price["compute"]

    shared = price["requests of the function"] + price["requests of the API"] + price["events"] + \
        gb(takes["log, KB"]) * price["log"] + gb(takes["the answer, KB"]) * price["data sent out"] + \
        compute(takes["putting its event, ms"])
    by_kms = compute(takes["a Sign call, ms"])
    sign = {"local key": compute(takes["signing itself, ms"]), "envelope": compute(takes["signing itself, ms"]),
            "KMS, RSA": by_kms + 100 * price["KMS, RSA_2048"], "KMS, ECC": by_kms + 100 * price["KMS, other keys"]}
    redis = compute(takes["waiting for Redis, ms"]) + takes["commands of Redis"] * price["commands of Redis"]
    supabase = compute(takes["calls of Supabase"] * takes["a call of Supabase, ms"]) + \
        gb(takes["to Supabase, KB"]) * price["data sent out"]
    for mode, cells in rows.items():
        for cell, more in zip(cells, (0, redis, supabase, redis + supabase), strict=True):
            cost = shared + compute(takes["all but signing, ms"]) + sign[mode] + more
            assert cell == pytest.approx(cost, abs=0.005), (mode, cell, cost)


def test_what_each_month_costs_is_counted(template):
    text = (ROOT / "docs/aws.md").read_text()
    price = {row[0]: float(row[1]) for row in tables_of(text, "Prices")}
    rows = {row[0]: (float(row[1]), float(row[2])) for row in tables_of(text, "Each month, whatever the load")}
    for what, (count, cost) in rows.items():
        assert cost == pytest.approx(count * price[what], abs=0.005), what
    alarms = json.dumps([one["Properties"] for one in of_type(template, "AWS::CloudWatch::Alarm").values()])
    assert rows["metric of an alarm"][0] == alarms.count('"MetricName"')
    own = re.findall(r'^    \{ "[A-Z]\w+", "', (ROOT / "src/observe/emf.c").read_text(), re.M)
    assert rows["metric of one's own"][0] == len(own)
    zones, hours = 2, 730
    assert rows["endpoint"][0] == len(of_type(template, "AWS::EC2::VPCEndpoint")) * zones * hours
    assert rows["NAT gateway"][0] == hours and rows["Redis"][0] == pytest.approx(0.1 * hours)
