"""Where local-kms and AWS KMS part, and what the proxy does about it. local-kms stays the judge of everything that it
knows: names, states, tags, aliases, validation; each call goes to it first, and only its answer is mended.

- PSS. local-kms signs with the longest salt, KMS (like RFC 7518 section 3.5) with one as long as the hash, and a strict
  verifier refuses the former. So each RSA_2048 key is one that local-kms was started with, from a file that this
  process wrote: it knows the private half, and signs again what local-kms has agreed to sign. CreateKey hands these
  keys out one by one. (PKCS #1 signatures are local-kms's own.)
- ECC_NIST_EDWARDS25519. local-kms has no such keys. In it each is a P-256 key of the same id, which keeps state, tags
  and aliases; the Ed25519 key is here. A data key pair of that kind is made here and wrapped by local-kms's Encrypt.
- DryRun is not known there, an empty list of tags is null, and times have no fraction.
"""

import base64
import threading
import uuid

import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, utils

from aws_auth import Refused

EDWARDS = "ECC_NIST_EDWARDS25519"
EDWARDS_ALGORITHMS = ["ED25519_SHA_512", "ED25519_PH_SHA_512"]
PSS_HASHES = {"RSASSA_PSS_SHA_256": hashes.SHA256(), "RSASSA_PSS_SHA_384": hashes.SHA384(),
              "RSASSA_PSS_SHA_512": hashes.SHA512()}
RSA_KEYS = 40  # that can be created in a session


def encode(data):
    return base64.b64encode(data).decode()


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pkcs8(key, encoding=serialization.Encoding.DER):
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def id_of(arn):
    return arn.rsplit("/", 1)[-1]


class Pool:
    """RSA keys that local-kms is started with and that nobody has asked for yet."""

    def __init__(self, size=RSA_KEYS):
        self.keys = {str(uuid.uuid4()): rsa.generate_private_key(public_exponent=65537, key_size=2048)
                     for _ in range(size)}
        self.waiting = list(self.keys)
        self.lock = threading.Lock()

    def seed(self):
        """local-kms's file of keys."""
        rows = [{"Metadata": {"KeyId": key_id, "KeyUsage": "SIGN_VERIFY"},
                 "PrivateKeyPem": pkcs8(key, serialization.Encoding.PEM).decode()} for key_id, key in self.keys.items()]
        return yaml.safe_dump({"Keys": {"Asymmetric": {"Rsa": rows}}})

    def take(self):
        with self.lock:
            assert self.waiting, f"the tests create more than {RSA_KEYS} RSA_2048 keys: make the pool larger"
            return self.waiting.pop()


class Mends:
    """One a proxy. `ask(operation, body)` is local-kms: (status, answer)."""

    def __init__(self, ask, pool):
        self.ask, self.pool = ask, pool
        self.edwards = {}  # key id: private key

    def call(self, operation, body):
        """(status, answer) as AWS KMS would give it."""
        special = getattr(self, "_" + operation, None)
        dry, body = body.get("DryRun"), {name: value for name, value in body.items() if name != "DryRun"}
        status, answer = special(body) if special else self.ask(operation, body)
        if dry and status == 200:
            raise Refused("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
        return status, answer

    def _must(self, operation, body):
        status, answer = self.ask(operation, body)
        if status != 200:
            raise Refused(answer["__type"], answer.get("message", ""), status)
        return answer

    def _metadata(self, metadata):
        """Of a key, as KMS describes it."""
        metadata = metadata | {"MultiRegion": False, "CreationDate": metadata["CreationDate"] + 0.125}
        if metadata["KeyId"] in self.edwards:
            metadata |= {"KeySpec": EDWARDS, "CustomerMasterKeySpec": EDWARDS, "SigningAlgorithms": EDWARDS_ALGORITHMS}
        return metadata

    # --- keys -------------------------------------------------------------------------------------------------------

    def _CreateKey(self, body):
        spec = body.get("KeySpec")
        if spec == "RSA_2048" and body.get("KeyUsage") == "SIGN_VERIFY":
            return 200, {"KeyMetadata": self._metadata(self._from_pool(body))}
        if spec == EDWARDS:
            body = body | {"KeySpec": "ECC_NIST_P256"}
        status, answer = self.ask("CreateKey", body)
        if status == 200:
            if spec == EDWARDS:
                self.edwards[answer["KeyMetadata"]["KeyId"]] = ed25519.Ed25519PrivateKey.generate()
            answer["KeyMetadata"] = self._metadata(answer["KeyMetadata"])
        return status, answer

    def _from_pool(self, body):
        key_id = self.pool.take()
        self._must("UpdateKeyDescription", {"KeyId": key_id, "Description": body.get("Description", "")})
        if body.get("Tags"):
            self._must("TagResource", {"KeyId": key_id, "Tags": body["Tags"]})
        return self._must("DescribeKey", {"KeyId": key_id})["KeyMetadata"]

    def _DescribeKey(self, body):
        status, answer = self.ask("DescribeKey", body)
        if status == 200:
            answer["KeyMetadata"] = self._metadata(answer["KeyMetadata"])
        return status, answer

    def _ListKeys(self, body):
        status, answer = self.ask("ListKeys", body)
        if status == 200:
            answer["Keys"] = [key for key in answer["Keys"] if key["KeyId"] not in self.pool.waiting]
        return status, answer

    def _ListResourceTags(self, body):
        status, answer = self.ask("ListResourceTags", body)
        if status == 200:
            answer["Tags"] = answer["Tags"] or []
        return status, answer

    def _GetPublicKey(self, body):
        status, answer = self.ask("GetPublicKey", body)
        key = self.edwards.get(id_of(answer["KeyId"])) if status == 200 else None
        if key:
            answer |= {"PublicKey": encode(spki(key)), "KeySpec": EDWARDS, "CustomerMasterKeySpec": EDWARDS,
                       "SigningAlgorithms": EDWARDS_ALGORITHMS}
        return status, answer

    # --- signatures -------------------------------------------------------------------------------------------------

    def _edwards_key(self, body):
        """The key of a call, if it is one of ours that may be used: its stand-in in local-kms is asked."""
        if "KeyId" not in body:
            return None, None
        status, answer = self.ask("DescribeKey", {"KeyId": body["KeyId"]})
        key = self.edwards.get(answer["KeyMetadata"]["KeyId"]) if status == 200 else None
        if not key:
            return None, None
        arn = self._must("GetPublicKey", {"KeyId": body["KeyId"]})["KeyId"]
        algorithm, kind = body.get("SigningAlgorithm"), body.get("MessageType", "RAW")
        if algorithm not in EDWARDS_ALGORITHMS:
            raise Refused("InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec {EDWARDS}.")
        if (algorithm, kind) != ("ED25519_SHA_512", "RAW"):
            raise Refused("ValidationException", f"MessageType {kind} is not valid for algorithm {algorithm}, "
                          "or the tests' KMS lacks it.")
        if not 1 <= len(base64.b64decode(body["Message"])) <= 4096:
            raise Refused("ValidationException", "1 validation error detected: Value at 'message' failed to satisfy "
                          "constraint: Member must have length less than or equal to 4096")
        return arn, key

    def _Sign(self, body):
        arn, key = self._edwards_key(body)
        if key:
            return 200, {"KeyId": arn, "Signature": encode(key.sign(base64.b64decode(body["Message"]))),
                         "SigningAlgorithm": body["SigningAlgorithm"]}
        status, answer = self.ask("Sign", body)
        if status == 200 and body["SigningAlgorithm"] in PSS_HASHES:
            answer["Signature"] = encode(self._pss(id_of(answer["KeyId"]), body))
        return status, answer

    def _pss(self, key_id, body):
        assert key_id in self.pool.keys, "the tests' KMS can sign PSS with RSA_2048 keys alone"
        algorithm, message = PSS_HASHES[body["SigningAlgorithm"]], base64.b64decode(body["Message"])
        scheme = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
        how = utils.Prehashed(algorithm) if body.get("MessageType") == "DIGEST" else algorithm
        return self.pool.keys[key_id].sign(message, scheme, how)

    def _Verify(self, body):
        arn, key = self._edwards_key(body)
        if not key:
            return self.ask("Verify", body)
        try:
            key.public_key().verify(base64.b64decode(body["Signature"]), base64.b64decode(body["Message"]))
        except InvalidSignature as error:
            raise Refused("KMSInvalidSignatureException", "") from error
        return 200, {"KeyId": arn, "SignatureValid": True, "SigningAlgorithm": body["SigningAlgorithm"]}

    # --- data key pairs ---------------------------------------------------------------------------------------------

    def _GenerateDataKeyPairWithoutPlaintext(self, body):
        if body.get("KeyPairSpec") != EDWARDS:
            return self.ask("GenerateDataKeyPairWithoutPlaintext", body)
        key = ed25519.Ed25519PrivateKey.generate()
        wrapped = self._must("Encrypt", {"KeyId": body.get("KeyId"), "Plaintext": encode(pkcs8(key)),
                                         "EncryptionContext": body.get("EncryptionContext")})
        return 200, {"KeyId": wrapped["KeyId"], "KeyPairSpec": EDWARDS, "PublicKey": encode(spki(key)),
                     "PrivateKeyCiphertextBlob": wrapped["CiphertextBlob"]}
