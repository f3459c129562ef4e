"""The Helm chart: linted and rendered by Helm, held to Kubernetes' own schemas, and its settings to the program."""

import os
import re
import subprocess

import pytest
import yaml

from roots import made_by
from service import BINARY, ROOT

kubernetes_validate = pytest.importorskip("kubernetes_validate")

HELM = ROOT / "build/tools/helm"
VERSION = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
CHART = ROOT / "deploy/helm/token-service"
VERSIONS = ["1.25", "1.30", "1.37"]  # the oldest that it is for, the first with a pause before a stop, and the newest
LEAST = {"issuer": "https://auth.example", "image": {"repository": "registry.example/token-service"}}
SHARED = LEAST | {
    "replicas": 3, "persistence": {"enabled": False}, "settings": {"KMS_KEY_ID": "alias/tokens"},
    "secretSettings": {"DATABASE_URL": {"secret": "token-service", "key": "database-url"}}}
ALL = SHARED | {
    "image": {"repository": "registry.example/token-service", "digest": "sha256:" + "0" * 64, "pullSecrets": ["pull"]},
    "settings": {"KMS_KEY_ID": "alias/tokens", "TOKEN_AUDIENCE": "https://api.example", "TOKEN_ACCESS_TTL": 1000000,
                 "TOKEN_ACCESS_TTL_MAX": 31536000, "TOKEN_SUPABASE_HTTP": False},
    "tls": {"secret": "tls"}, "ingress": {"enabled": True, "host": "auth.example", "tlsSecret": "web",
                                          "className": "nginx", "annotations": {"a.example/b": "c"}},
    "metrics": {"enabled": True}, "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:r"}},
    "networkPolicy": {"from": [{"namespaceSelector": {}}], "https": False,
                      "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 5432}]}]},
    "podAnnotations": {"a.example/b": "c"}, "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "service": {"type": "LoadBalancer", "annotations": {"a.example/b": "c"}}}

if not os.access(HELM, os.X_OK):
    pytest.skip("there is no helm: `./dev test integration` builds it, where Go's modules can be had",
                allow_module_level=True)


def template(values, version="1.30"):
    return subprocess.run([HELM, "template", "auth", CHART, "--kube-version", version, "--values", "-"],
                          input=yaml.safe_dump(values), capture_output=True, text=True, check=False)


def rendered(values, version="1.30"):
    """Each resource by its kind."""
    done = template(values, version)
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout) if each}


def pod_of(resources):
    workload = resources.get("StatefulSet") or resources["Deployment"]
    return workload["spec"]["template"]["spec"]


def test_helm_finds_nothing_wrong_with_it_and_packs_it():
    assert made_by("chart").name == f"token-service-{VERSION}.tgz"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [LEAST, SHARED, ALL], ids=["least", "shared", "all"])
def test_what_it_makes_is_what_kubernetes_knows(values, version):
    resources = rendered(values, version)
    assert {"ServiceAccount", "Service", "ConfigMap", "NetworkPolicy"} < resources.keys()
    for resource in resources.values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_schemas_refuse_what_is_wrong():
    """Or the test above would show nothing."""
    resource = rendered(LEAST)["StatefulSet"]
    resource["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["path"] = "/"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, "1.30", strict=True)


def test_probes_ask_the_calls_that_are_for_them():
    for values, scheme in ((LEAST, None), (ALL, "HTTPS")):
        container, = pod_of(rendered(values))["containers"]
        asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert {name: get["path"] for name, get in asked.items()} == {
            "startupProbe": "/health/live", "livenessProbe": "/health/live", "readinessProbe": "/health/ready"}
        assert all(get["port"] == "http" and get.get("scheme") == scheme for get in asked.values())


def test_a_pod_has_no_right_that_it_does_not_need():
    pod = pod_of(rendered(LEAST))
    container, = pod["containers"]
    assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == \
        "RuntimeDefault"
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                            "capabilities": {"drop": ["ALL"]}}


def test_a_pod_is_the_user_whom_the_image_has():
    user, = re.findall(r"(?m)^USER (\d+):\1$", (ROOT / "packaging/Containerfile").read_text())
    context = pod_of(rendered(LEAST))["securityContext"]
    assert {context["runAsUser"], context["runAsGroup"], context["fsGroup"]} == {int(user)}


def test_the_network_policy_lets_in_and_out_what_it_must():
    policy = rendered(LEAST)["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"port": "http", "protocol": "TCP"}]}]
    assert [sorted(port["port"] for port in rule["ports"]) for rule in policy["egress"]] == [[53, 53], [443]]
    policy = rendered(ALL)["NetworkPolicy"]["spec"]
    assert policy["ingress"][0]["from"] == [{"namespaceSelector": {}}]
    assert policy["egress"][1:] == ALL["networkPolicy"]["egress"]


@pytest.mark.parametrize("values", [LEAST, SHARED, ALL], ids=["least", "shared", "all"])
def test_the_program_takes_its_settings(values, tmp_path):
    resources = rendered(values)
    settings = resources["ConfigMap"]["data"] | {
        each["name"]: "postgresql://nobody@db.example/none" for each in
        pod_of(resources)["containers"][0].get("env", [])}
    for name in ("TOKEN_TLS_CERT", "TOKEN_TLS_KEY"):  # read at once; there is no such file here
        assert settings.pop(name, "/etc/token-service/tls/").startswith("/etc/token-service/tls/")
    done = subprocess.run([BINARY, "serve", "--check-config"], env={"PATH": os.environ["PATH"]} | settings,
                          capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for name, value in settings.items():
        assert f"\n{name}={value}  # environment" in "\n" + done.stdout or name == "DATABASE_URL", done.stdout


def test_the_data_lies_in_a_volume_and_in_a_folder_of_its_own_there():
    """The volume's own folder is its group's too (fsGroup), and may hold lost+found."""
    resources = rendered(LEAST)
    mount, = pod_of(resources)["containers"][0]["volumeMounts"]
    claim, = resources["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert mount["name"] == claim["metadata"]["name"]
    assert resources["ConfigMap"]["data"]["TOKEN_DATA_DIR"].startswith(mount["mountPath"] + "/")


@pytest.mark.parametrize(("values", "why"), [
    ({}, "issuer"),
    ({"issuer": "https://auth.example"}, "repository"),
    (LEAST | {"issuer": "auth.example"}, "issuer"),
    (LEAST | {"replicas": 2}, "more than one needs a shared store"),
    (SHARED | {"settings": {}}, "more than one needs a shared store"),
    (SHARED | {"secretSettings": {}}, "more than one needs a shared store"),
    (LEAST | {"persistence": {"enabled": False}}, "loses keys and records"),
    (LEAST | {"ingress": {"enabled": True}}, "ingress.host"),
    (LEAST | {"settings": {"DATABASE_URL": "postgresql://u:secret@db/x"}}, "settings"),
    (LEAST | {"settings": {"SUPABASE_SERVICE_KEY": "sb_secret_x"}}, "settings"),
    (LEAST | {"settings": {"TOKEN_ISSUER": "https://other.example"}}, "settings"),
    (LEAST | {"setings": {}}, "setings"),
    (LEAST | {"image": {"repository": "r.example/t", "digest": "latest"}}, "digest"),
])
def test_values_that_would_go_wrong_later_are_refused(values, why):
    done = template(values)
    assert done.returncode != 0 and why in done.stderr, done.stderr


def test_one_version_everywhere():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION


def test_a_change_of_settings_starts_new_pods():
    def checksum(values):
        return rendered(values)["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
    assert checksum(LEAST) != checksum(LEAST | {"settings": {"TOKEN_AUDIENCE": "https://api.example"}})
