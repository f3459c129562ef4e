"""EventBridge for the tests: a server that judges each call as AWS does (aws_auth.py), takes events or fails as a test
says, and writes down what it took. With a Moto behind it, that one decides, and sends events on by its rules."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from aws_auth import Accounts, Refused, authenticate
from kms_proxy import Answer, Listener
from ports import free_port
from wire import PATIENCE_S

REGION = "eu-central-1"  # not the service's default
BUS = "story"
SOURCE = "storytailor.token-service"
ENTRIES_MAX, BYTES_MAX, TIME_BYTES = 10, 256 * 1024, 14
TYPES = {"token_generated", "token_verification_failed", "token_revoked", "keys_rotated"}


@dataclass(frozen=True)
class Event:
    """As it was taken. `call`: in which call."""
    type: str
    detail: dict
    at: int
    call: int

    @property
    def id(self):
        return self.detail["eventId"]

    @property
    def hash(self):
        return self.detail.get("tokenHash")


def bytes_of(entry):
    return TIME_BYTES + sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail"))


class EventBridge:
    """up(), down(). What a test may set, and take back with heal():
    `whole(number)`: the code of an error, or (status, code), that call `number` gets, from 1 on; None: none
    `entry(entry)`: the code of an error that one entry gets; None: it is taken
    `drop`: "before": nothing is taken or answered; "after": taken, and not answered
    `delay_s`: before anything else; a heal() ends it."""

    def __init__(self, upstream_port=None):
        self.upstream_port = upstream_port
        self.accounts = Accounts()
        self.credentials = self.accounts.issue()
        self.lock = threading.Lock()
        self.server, self.port = None, free_port()  # it is listened on again after a down()
        self.clock_s = 0  # what AWS's clock is ahead of ours
        self.calls, self.taken, self.asked = 0, [], []
        self.released = threading.Event()
        self.heal()
        self.up()

    def heal(self):
        self.released.set()
        self.released = threading.Event()
        self.whole = self.entry = lambda _: None
        self.drop, self.delay_s = None, 0

    def up(self):
        """On the same port as before."""
        self.server = Listener(("127.0.0.1", self.port), self)
        self.port = self.server.server_address[1]

    def down(self):
        """As if there were no such machine."""
        server, self.server = self.server, None
        self.released.set()
        if server:
            server.end()

    def environment(self, **settings):
        """What the service needs to know of it."""
        return {"EVENT_BUS_NAME": BUS, "AWS_ENDPOINT_URL_EVENTBRIDGE": f"http://127.0.0.1:{self.port}",
                "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"} | self.credentials.environment() | settings

    # --- for the listener -------------------------------------------------------------------------------------------

    def now(self):
        return time.time() + self.clock_s

    def leave(self):
        """A connection ended."""

    def handle(self, handler, body):
        with self.lock:
            self.calls += 1
            number = self.calls
        self.released.wait(self.delay_s)
        if self.drop == "before":
            raise Answer()
        try:
            self._judge(handler, body, number)
            status, answer = self._put(handler, body, number)
        except Refused as refused:
            status, answer = refused.status, {"__type": refused.code, "message": refused.message}
        if self.drop == "after":
            raise Answer()
        return Answer(status, json.dumps(answer).encode(), {"x-amzn-RequestId": str(uuid.uuid4())})

    def _judge(self, handler, body, number):
        authenticate(self.accounts, method=handler.command, target=handler.path, headers=handler.headers, body=body,
                     now=self.now(), service="events", region=REGION)
        if handler.headers["x-amz-target"] != "AWSEvents.PutEvents" or \
                handler.headers["content-type"] != "application/x-amz-json-1.1":
            raise Refused("UnknownOperationException", "", 404)
        said = self.whole(number)
        if said:
            status, code = said if isinstance(said, tuple) else (400, said)
            raise Refused(code, "as the test says", status)
        entries = json.loads(body)["Entries"]
        if not 1 <= len(entries) <= ENTRIES_MAX or sum(map(bytes_of, entries)) > BYTES_MAX:
            raise Refused("ValidationException", "Total size of the entries in the request is over the limit.")

    def _put(self, handler, body, number):
        entries = json.loads(body)["Entries"]
        codes = [self.entry(entry) for entry in entries]
        if self.upstream_port:
            said = self._forward(handler, body)
            codes = [one.get("ErrorCode") for one in said["Entries"]]
        else:
            codes = [code or self._fault_of(entry) for code, entry in zip(codes, entries)]
            said = {"FailedEntryCount": len(entries) - codes.count(None),
                    "Entries": [{"ErrorCode": code, "ErrorMessage": "m"} if code else {"EventId": str(uuid.uuid4())}
                                for code in codes]}
        with self.lock:
            self.asked += entries
            self.taken += [Event(entry["DetailType"], json.loads(entry["Detail"]), entry["Time"], number)
                           for code, entry in zip(codes, entries) if not code]
        return 200, said

    @staticmethod
    def _fault_of(entry):
        """What EventBridge itself would say of it."""
        if entry["Source"] != SOURCE or entry["DetailType"] not in TYPES or entry["EventBusName"] != BUS:
            return "InvalidArgument"
        try:
            return None if isinstance(json.loads(entry["Detail"]), dict) else "MalformedDetail"
        except ValueError:
            return "MalformedDetail"

    def _forward(self, handler, body):
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=PATIENCE_S)
        upstream.request("POST", "/", body, {name: handler.headers[name] for name in
                                             ("Content-Type", "X-Amz-Target", "Authorization", "X-Amz-Date")})
        answer = upstream.getresponse()
        said = json.loads(answer.read())
        upstream.close()
        if answer.status != 200:
            raise Refused(said.get("__type", "InternalFailure"), said.get("message", ""), answer.status)
        return said

    # --- what it took -----------------------------------------------------------------------------------------------

    def events(self, *types):
        with self.lock:
            return [event for event in self.taken if not types or event.type in types]

    def first_times(self):
        """Each event once, as it was first taken, in that order."""
        found = {}
        for event in self.events():
            found.setdefault(event.id, event)
        return list(found.values())

    def hashes(self, kind):
        return {event.hash for event in self.events(kind)}

    def check_order(self):
        """Of each token: that it was issued before that it was revoked, and in another call, which may be an earlier
        one that was repeated."""
        seen = {}
        for event in self.first_times():
            for earlier in seen.get(event.hash, []) if event.hash else []:
                assert earlier.call < event.call, (earlier, event)
                assert (earlier.type, event.type) != ("token_revoked", "token_generated"), event
            seen.setdefault(event.hash, []).append(event)


class Moto:
    """PyPI's moto, as a process of its own: its EventBridge, and a queue of its SQS that gets what a rule lets by."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.port = free_port()
        self.log_path = Path(self.folder.name) / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p",
                                             str(self.port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=os.environ | {"AWS_DEFAULT_REGION": REGION})
        self._wait()
        self.events, self.sqs = self.client("events"), self.client("sqs")

    def _wait(self):
        end = time.monotonic() + PATIENCE_S
        while "Running on" not in self.log_path.read_text():
            assert self.process.poll() is None and time.monotonic() < end, self.log_path.read_text()[-2000:]
            time.sleep(0.05)

    def client(self, service):
        return boto3.client(service, REGION, endpoint_url=f"http://127.0.0.1:{self.port}", aws_access_key_id="test",
                            aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}))

    def queue_of(self, pattern):
        """The URL of a queue for what fits the pattern of a rule on the bus."""
        name = "q" + uuid.uuid4().hex[:8]
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.events.put_rule(Name=name, EventBusName=BUS, EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule=name, EventBusName=BUS, Targets=[{"Id": "1", "Arn": arn}])
        return url

    def messages(self, url):
        """Those that are there now; each comes once."""
        found = []
        while True:
            said = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not said:
                return [json.loads(message["Body"]) for message in found]
            found += said
            for message in said:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def stop(self):
        self.events.close()
        self.sqs.close()
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.folder.cleanup()
