"""An account of AWS for the tests of deploy/: PyPI's moto as a process of its own, with what its CloudFormation lacks
of the types in our template. moto has these services; here its CloudFormation learns to call them, by their public API.

    python moto_account.py PORT     serves until it is killed
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import requests
from botocore.config import Config

REGION = "eu-central-1"
ACCOUNT = "123456789012"


def client_of(port, service):
    return boto3.client(service, REGION, endpoint_url=f"http://localhost:{port}", aws_access_key_id="test",
                        aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}))


# --- in the process of the server -----------------------------------------------------------------------------------

class _Made:
    """A resource: its properties, what CloudFormation knows it by, and what Fn::GetAtt gives of it."""

    def __init__(self, properties, physical_resource_id, attributes=()):
        self.properties, self.physical_resource_id = properties, physical_resource_id
        self.attributes = dict(attributes)


def _alias(client, properties):
    said = client("lambda").create_alias(**properties)
    return said["AliasArn"], {}


def _alias_again(client, properties, _):
    said = client("lambda").update_alias(**properties, RoutingConfig={"AdditionalVersionWeights": {}})
    return said["AliasArn"], {}


def _api(client, properties):
    said = client("apigatewayv2").create_api(**properties)
    return said["ApiId"], {"ApiEndpoint": said["ApiEndpoint"], "ApiId": said["ApiId"]}


def _alarm(client, properties):
    client("cloudwatch").put_metric_alarm(**_numbers(properties))
    return properties["AlarmName"], {}


def _numbers(value, name=""):
    """CloudFormation's parameters are texts, where the API wants numbers."""
    if isinstance(value, dict):
        return {key: _numbers(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one, name) for one in value]
    if name in ("Threshold", "ThrottlingRateLimit"):
        return float(value)
    if name in ("Period", "EvaluationPeriods", "DatapointsToAlarm", "TimeoutInMillis", "ThrottlingBurstLimit"):
        return int(value)
    return value


def _part_of_api(operation, identity):
    def make(client, properties):
        said = getattr(client("apigatewayv2"), operation)(**_numbers(properties))
        return said[identity], {}
    return make


def _unchanged(client, properties, made):
    return made.physical_resource_id, made.attributes


TYPES = {
    "AWS::Lambda::Alias": (_alias, _alias_again),
    "AWS::ApiGatewayV2::Api": (_api, _unchanged),
    "AWS::ApiGatewayV2::Integration": (_part_of_api("create_integration", "IntegrationId"), _unchanged),
    "AWS::ApiGatewayV2::Route": (_part_of_api("create_route", "RouteId"), _unchanged),
    "AWS::ApiGatewayV2::Stage": (_part_of_api("create_stage", "StageName"), _unchanged),
    "AWS::CloudWatch::Alarm": (_alarm, lambda client, properties, _: _alarm(client, properties)),
}


def _teach_no_value():
    """In a list, AWS::NoValue takes its place away; moto leaves a None."""
    from moto.cloudformation import parsing  # pylint: disable=import-outside-toplevel
    before = parsing.clean_json

    def clean(value, resources):
        if isinstance(value, list):
            return [one for one in (clean(each, resources) for each in value) if one is not None]
        return before(value, resources)

    parsing.clean_json = clean


def _teach_updates():
    """An update leaves alone what its condition takes away, and what moto can't change."""
    from moto.cloudformation import parsing  # pylint: disable=import-outside-toplevel
    before = parsing.parse_and_update_resource

    def update(logical_id, resource_json, resources, **where):
        condition = resource_json.get("Condition")
        if condition and not resources.lazy_condition_map[condition]:
            return None
        made = resources.get(logical_id)
        return before(logical_id, resource_json, resources, **where) or made

    parsing.parse_and_update_resource = update


def _teach_previous_values():
    """A list of a parameter that an update keeps is one already."""
    from moto.cloudformation import parsing  # pylint: disable=import-outside-toplevel
    before = parsing.ResourceMap.load_parameters

    def load(self):
        self.input_parameters = {name: ",".join(value) if isinstance(value, list) else value
                                 for name, value in self.input_parameters.items()}
        before(self)

    parsing.ResourceMap.load_parameters = load


def _teach_keys():
    """A key has the spec that the template says, and its policy is a text, as other calls expect."""
    from moto.kms import models  # pylint: disable=import-outside-toplevel

    def create(_, resource_name, cloudformation_json, account_id, region_name, **__):
        del resource_name
        properties = cloudformation_json["Properties"]
        return models.kms_backends[account_id][region_name].create_key(
            policy=json.dumps(properties["KeyPolicy"]), key_usage=properties["KeyUsage"],
            key_spec=properties["KeySpec"], description=properties["Description"], tags=None)

    models.Key.create_from_cloudformation_json = classmethod(create)


def _teach_roles():
    """So are the policies of a role."""
    from moto.iam import models  # pylint: disable=import-outside-toplevel
    before = models.Role.create_from_cloudformation_json.__func__

    def create(cls, resource_name, cloudformation_json, *where, **options):
        for policy in cloudformation_json["Properties"].get("Policies", []):
            policy["PolicyDocument"] = json.dumps(policy["PolicyDocument"])
        return before(cls, resource_name, cloudformation_json, *where, **options)

    models.Role.create_from_cloudformation_json = classmethod(create)


def _teach_version():
    """What Fn::GetAtt gives of a version of a function."""
    from moto.awslambda import models  # pylint: disable=import-outside-toplevel
    models.LambdaVersion.get_cfn_attribute = lambda self, _: str(self.version)


def _teach(port):
    from moto.core.common_models import CloudFormationModel  # pylint: disable=import-outside-toplevel

    def client(service):
        return client_of(port, service)

    def model_of(kind, make, again):
        class Model(_Made, CloudFormationModel):
            __module__ = "moto.more.models"  # moto counts instances by the second part

            @staticmethod
            def cloudformation_name_type():
                return None

            @staticmethod
            def cloudformation_type():
                return kind

            @classmethod
            def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name,
                                                **_):
                properties = cloudformation_json["Properties"]
                return cls(properties, *make(client, properties))

            @classmethod
            def update_from_cloudformation_json(cls, original_resource, new_resource_name, cloudformation_json,
                                                account_id, region_name):
                properties = cloudformation_json["Properties"]
                return cls(properties, *again(client, properties, original_resource))

            @classmethod
            def delete_from_cloudformation_json(cls, *_):
                """Nothing here is deleted one by one."""

            def is_created(self):
                return True

            @classmethod
            def has_cfn_attr(cls, attr):
                return attr in ("ApiEndpoint", "ApiId")

            def get_cfn_attribute(self, attribute_name):
                return self.attributes[attribute_name]

        return Model

    return [model_of(kind, *how) for kind, how in TYPES.items()]


def main(port):
    from moto.server import main as serve  # pylint: disable=import-outside-toplevel
    for teach in (_teach_no_value, _teach_updates, _teach_previous_values, _teach_keys, _teach_roles, _teach_version):
        teach()
    kept = _teach(port)
    serve(["-H", "127.0.0.1", "-p", str(port)])
    return kept


# --- for the tests --------------------------------------------------------------------------------------------------

class Account:
    """start(), stop(); client(service) is boto3's; environment() is what AWS's own tools need to reach it."""

    def __init__(self, port):
        self.port = port
        self.folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.log_path = Path(self.folder.name) / "log"
        self.process = None

    def start(self, patience_s=60):
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, __file__, str(self.port)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=os.environ | {"AWS_DEFAULT_REGION": REGION})
        end = time.monotonic() + patience_s
        while "Running on" not in self.log_path.read_text():
            assert self.process.poll() is None and time.monotonic() < end, self.log_path.read_text()[-2000:]
            time.sleep(0.05)
        requests.post(self.url + "/moto-api/config", json={"lambda": {"use_docker": False}}, timeout=patience_s)
        return self

    @property
    def url(self):
        """By this name: at an address, moto takes its first number for a bucket's name."""
        return f"http://localhost:{self.port}"

    def client(self, service):
        return client_of(self.port, service)

    def environment(self):
        return {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}

    def function_answers(self, *answers):
        """What the next calls of functions get, one after the other."""
        requests.post(self.url + "/moto-api/static/lambda-simple/response", timeout=60,
                      json={"results": list(answers), "region": REGION})

    def stop(self):
        self.process.kill()
        self.process.wait(60)
        self.folder.cleanup()


if __name__ == "__main__":
    main(int(sys.argv[1]))
