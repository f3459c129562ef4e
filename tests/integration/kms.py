"""A KMS of the tests' own: local-kms with the proxy before it, and what a test wants of both."""

import os
import re
import ssl
import subprocess
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aws_auth import Accounts
from kms_mends import Pool, pkcs8
from kms_proxy import Fault, KmsProxy
from service import ROOT
from wire import PATIENCE_S

LOCAL_KMS = ROOT / "build/tools/local-kms"
REGION = "eu-central-1"  # not the service's default: a region that is not taken from the settings shows
KEY_SPECS = {"RS256": "RSA_2048", "PS256": "RSA_2048", "ES256": "ECC_NIST_P256", "EdDSA": "ECC_NIST_EDWARDS25519"}
SIGNING_ALGORITHMS = {"RS256": "RSASSA_PKCS1_V1_5_SHA_256", "PS256": "RSASSA_PSS_SHA_256", "ES256": "ECDSA_SHA_256",
                      "EdDSA": "ED25519_SHA_512"}


def of_an_authority(key):
    """What Python 3.13 and OpenSSL's strict check want to see in the certificate of whoever issues others."""
    signs = {name: False for name in ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                                      "crl_sign", "encipher_only", "decipher_only")}
    return (x509.BasicConstraints(ca=True, path_length=None), x509.SubjectKeyIdentifier.from_public_key(key),
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, **signs))


def certificate_chain(name, path):
    """Writes a key and a certificate for that name to `path`; returns the certificate of who issued it. All in PEM."""
    now = datetime.now(timezone.utc)

    def certificate(subject, key, issuer, issuer_key, *extensions):
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        made = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
                .not_valid_after(now + timedelta(days=1)))
        for extension in (*extensions, signer):
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the tests' root")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    leaf = certificate(subject, key, root, root_key, x509.SubjectAlternativeName([x509.DNSName(name)]),
                       x509.BasicConstraints(ca=False, path_length=None),
                       x509.SubjectKeyIdentifier.from_public_key(key.public_key()))
    path.write_bytes(pkcs8(key, serialization.Encoding.PEM) + leaf)
    return certificate(root, root_key, root, root_key, *of_an_authority(root_key.public_key()))


class LocalKms:
    """The process. It listens on all addresses, which can't be told otherwise; nothing but the proxy knows its port."""

    def __init__(self, pool):
        self.folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        home = Path(self.folder.name)
        (home / "seed.yaml").write_text(pool.seed())
        self.log_path = home / "log"
        settings = {"PORT": "0", "KMS_REGION": REGION, "KMS_DATA_PATH": str(home / "data"),
                    "KMS_SEED_PATH": str(home / "seed.yaml"), "PATH": os.environ["PATH"]}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([LOCAL_KMS], env=settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.port = self._wait_for_port()

    def _wait_for_port(self):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            found = re.search(r"started on \S+:(\d+)", self.log_path.read_text())
            if found:
                return int(found.group(1))
            time.sleep(0.01)
        raise AssertionError("local-kms did not start: " + self.log_path.read_text()[-2000:])

    def stop(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.folder.cleanup()


class Kms:
    """What the fixture hands out. The test's own calls (`admin`) meet no faults and are in no record."""

    def __init__(self):
        self.accounts = Accounts()
        self.credentials = self.accounts.issue()             # the service's, with a session token
        self.admin_credentials = self.accounts.issue(session=False)
        pool = Pool()
        self.local_kms = LocalKms(pool)
        self.proxy = KmsProxy(self.local_kms.port, self.accounts, self.admin_credentials, REGION, pool)
        self.clients = []
        self.admin = self.client(self.admin_credentials)
        self.clients.remove(self.admin)

    def close(self):
        self.close_clients()
        self.admin.close()
        if self.proxy.server:
            self.proxy.down()
        self.local_kms.stop()

    def reset(self):
        """As it was at first, but for the keys."""
        self.close_clients()
        self.proxy.reset()

    def close_clients(self):
        while self.clients:
            self.clients.pop().close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.proxy.port}"

    def client(self, credentials, region=REGION, secret=None, **config):
        """boto3's KMS client, which asks once. Closed when the test ends."""
        session = boto3.session.Session(credentials.access_key_id, secret or credentials.secret_access_key,
                                        credentials.session_token, region)
        return self.client_of(session, **config)

    def client_of(self, session, **config):
        """The same, with whatever credentials boto3's session has or finds."""
        self.clients.append(session.client("kms", endpoint_url=self.url,
                                           config=Config(retries={"total_max_attempts": 1}, **config)))
        return self.clients[-1]

    def environment(self, key_id=None, credentials=None, **settings):
        """What the service needs to know of it. credentials=False: none, so that they come from another source."""
        found = {"AWS_ENDPOINT_URL_KMS": self.url, "AWS_REGION": REGION}
        if credentials is not False:
            found |= {"AWS_EC2_METADATA_DISABLED": "true"} | (credentials or self.credentials).environment()
        return found | ({"KMS_KEY_ID": key_id} if key_id else {}) | settings

    def serve_tls(self, name, bundle_path):
        """A port where KMS is spoken over TLS, with a certificate for that name; its issuer goes to the file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as chain:
            bundle_path.write_bytes(certificate_chain(name, Path(chain.name)))
            context.load_cert_chain(chain.name)
        return self.proxy.up_with_tls(context)

    # --- keys -------------------------------------------------------------------------------------------------------

    def create_key(self, alg="ES256", **options):
        """An asymmetric key for that algorithm of a JWT: its ARN."""
        made = self.admin.create_key(KeySpec=KEY_SPECS[alg], KeyUsage="SIGN_VERIFY", **options)
        return made["KeyMetadata"]["Arn"]

    def create_symmetric_key(self, **options):
        return self.admin.create_key(**options)["KeyMetadata"]["Arn"]

    def create_alias(self, name, key_id):
        self.admin.create_alias(AliasName=name, TargetKeyId=key_id)
        return name

    # --- faults: of the next `times` calls, if it is said -----------------------------------------------------------

    def fail(self, code, message="", status=400, **which):
        return self.proxy.add(Fault(code=code, message=message, status=status, **which))

    def throttle(self, **which):
        return self.fail("ThrottlingException", "You have exceeded the rate at which you may call KMS. "
                         "Reduce the frequency of your calls.", **which)

    def break_inside(self, **which):
        return self.fail("KMSInternalException", "KMS internal error", 500, **which)

    def deny(self, **which):
        return self.fail("AccessDeniedException", "User: arn:aws:iam::111122223333:user/agent is not authorized to "
                         "perform this operation", **which)

    def slow(self, delay_s, **which):
        return self.proxy.add(Fault(delay_s=delay_s, **which))

    def drop(self, how="before", **which):
        return self.proxy.add(Fault(drop=how, **which))

    def answer(self, body, status=200, headers=None, **which):
        return self.proxy.add(Fault(body=body, status=status, headers=headers or {}, **which))

    def clear_faults(self):
        with self.proxy.lock:
            self.proxy.faults = []
            self.proxy.rate = None
            self.proxy.clock_s = 0

    def set_clock(self, ahead_s):
        """AWS's clock, against ours."""
        self.proxy.clock_s = ahead_s

    # --- the record -------------------------------------------------------------------------------------------------

    def calls(self, operation=None):
        with self.proxy.lock:
            return [call for call in self.proxy.record if operation in (None, call.operation)]

    def forget_calls(self):
        with self.proxy.lock:
            self.proxy.record = []
