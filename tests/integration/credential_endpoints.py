"""Where a program finds AWS credentials when none are in its environment: STS for a web identity, the container
endpoint of ECS and EKS Pod Identity, the instance metadata service (version 2 alone). Each hands out credentials that
the KMS of the tests knows, and writes down how often it did."""

import json
import secrets
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from wire import PATIENCE_S

STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def iso(unix):
    return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Endpoint:
    """A server on loopback; a kind has answer(method, target, headers, body): (status, type, body). `life_s`: of what
    it hands out next. `script`: (status, body) of the next answers to requests whose target ends in `script_at`, before
    its own. `said`: members of what it hands out, instead of the true ones; None: left out."""

    def __init__(self, accounts, life_s=3600):
        self.accounts, self.life_s = accounts, life_s
        self.issued, self.requests, self.broken = [], [], False
        self.script, self.script_at, self.said = [], "", {}
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                endpoint.requests.append((self.command, self.path))
                status, kind, text = endpoint.say(self.command, self.path, self.headers, body.decode())
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_PUT = do_GET

            def log_message(self, *_):
                """endpoint.requests has it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def say(self, method, target, headers, body):
        if self.broken:
            return 500, "text/plain", "broken"
        if self.script and target.endswith(self.script_at):
            status, text = self.script.pop(0)
            return status, "text/plain", text
        return self.answer(method, target, headers, body)

    def answer(self, method, target, headers, body):
        raise NotImplementedError

    def hand_out(self):
        self.issued.append(self.accounts.issue(life_s=self.life_s))
        return self.issued[-1]

    def wait_for(self, count):
        end = time.monotonic() + PATIENCE_S
        while len(self.issued) < count:
            assert time.monotonic() < end, f"handed out {len(self.issued)} credentials, not {count}: {self.requests}"
            time.sleep(0.02)

    def as_json(self, **more):
        made = self.hand_out()
        told = {"AccessKeyId": made.access_key_id, "SecretAccessKey": made.secret_access_key,
                "Token": made.session_token, "Expiration": iso(made.expires_at)} | more | self.said
        return json.dumps({name: value for name, value in told.items() if value is not None})


class Sts(Endpoint):
    """AssumeRoleWithWebIdentity: unsigned; the identity is the token of a file."""

    ROLE = "arn:aws:iam::111122223333:role/token-service"

    def __init__(self, accounts, folder, **options):
        super().__init__(accounts, **options)
        self.token = "eyJ" + secrets.token_urlsafe(120)
        self.token_path = folder / "web-identity-token"
        self.token_path.write_text(self.token)

    def environment(self):
        return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_path), "AWS_ROLE_ARN": self.ROLE,
                "AWS_ROLE_SESSION_NAME": "tests", "AWS_ENDPOINT_URL_STS": self.url}

    def rotate(self):
        """The platform writes another token: the old one is good no longer."""
        self.token = "eyJ" + secrets.token_urlsafe(120)
        self.token_path.write_text(self.token)

    def answer(self, method, target, headers, body):
        text = body if method == "POST" else urlsplit(target).query
        asked = {name: values[0] for name, values in parse_qs(text, strict_parsing=True).items()}
        if (asked.get("Action"), asked.get("Version")) != ("AssumeRoleWithWebIdentity", "2011-06-15"):
            return self._error(400, "InvalidAction", "Could not find that operation")
        if asked.get("RoleArn") != self.ROLE or not asked.get("RoleSessionName"):
            return self._error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        if asked.get("WebIdentityToken") != self.token:
            return self._error(400, "InvalidIdentityToken", "Couldn't verify the token")
        made = self.hand_out()
        session = escape(asked["RoleSessionName"])
        return 200, "text/xml", f"""<AssumeRoleWithWebIdentityResponse xmlns="{STS_NAMESPACE}">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:tests:token-service</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::111122223333:assumed-role/token-service/{session}</Arn>
      <AssumedRoleId>AROAEXAMPLE:{session}</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>{made.session_token}</SessionToken>
      <SecretAccessKey>{made.secret_access_key}</SecretAccessKey>
      <Expiration>{self.said.get("Expiration", iso(made.expires_at))}</Expiration>
      <AccessKeyId>{made.access_key_id}</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
"""

    @staticmethod
    def _error(status, code, message):
        return status, "text/xml", (f'<ErrorResponse xmlns="{STS_NAMESPACE}"><Error><Type>Sender</Type>'
                                    f"<Code>{code}</Code><Message>{escape(message)}</Message></Error>"
                                    "<RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ErrorResponse>")


class Container(Endpoint):
    """ECS and EKS Pod Identity; the authorization is the text of a file, read anew for each request."""

    def __init__(self, accounts, folder, **options):
        super().__init__(accounts, **options)
        self.token_path = folder / "container-token"
        self.rotate()

    def rotate(self):
        self.token = secrets.token_urlsafe(60)
        self.token_path.write_text(self.token)

    def environment(self):
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + "/v1/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.token_path)}

    def answer(self, method, target, headers, body):
        if (method, target) != ("GET", "/v1/credentials"):
            return 404, "application/json", "{}"
        if headers.get("Authorization") != self.token:
            return 401, "application/json", json.dumps({"code": "Unauthorized", "message": "bad token"})
        return 200, "application/json", self.as_json(AccountId="111122223333")


class InstanceMetadata(Endpoint):
    """EC2, IMDSv2: a token is fetched by PUT first; without one every answer is 401, as where version 1 is off."""

    ROLE = "token-service-role"
    ROLES = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, accounts, **options):
        super().__init__(accounts, **options)
        self.token = secrets.token_urlsafe(40)

    def environment(self):
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url}

    def answer(self, method, target, headers, body):
        if (method, target) == ("PUT", "/latest/api/token"):
            life = headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            good = life.isdigit() and 1 <= int(life) <= 21600
            return (200, "text/plain", self.token) if good else (400, "text/plain", "400 - Bad Request")
        if method != "GET" or headers.get("X-aws-ec2-metadata-token") != self.token:
            return 401, "text/html", "401 - Unauthorized"
        if target == self.ROLES:
            return 200, "text/plain", self.ROLE
        if target == self.ROLES + self.ROLE:
            return 200, "text/plain", self.as_json(Code="Success", Type="AWS-HMAC", LastUpdated=iso(time.time()))
        return 404, "text/html", "404 - Not Found"
