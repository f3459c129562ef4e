"""Debian's Apache with libapache2-mod-auth-openidc, as a client of the provider's (test_client_apache.py)."""

import os
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import requests

from ports import free_port
from service import Server

PROGRAM = shutil.which("apache2", path=os.environ.get("PATH", "") + ":/usr/sbin")
MODULES = Path("/usr/lib/apache2/modules")
PAGE = "the protected page"
CONFIG = """
ServerRoot {home}
ServerName localhost
Listen 127.0.0.1:{port} https
PidFile {home}/pid
ErrorLog {home}/error.log
LogLevel warn
{modules}
DocumentRoot {home}/pages
DirectoryIndex index.html
ServerLimit 1
ThreadsPerChild 4
MaxRequestWorkers 4
StartServers 1
SSLEngine on
SSLCertificateFile {home}/certificate.pem
SSLSessionCache none

OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client_id}
OIDCClientSecret {client_secret}
OIDCRedirectURI {url}/oidc/callback
OIDCCryptoPassphrase the-tests-own
OIDCScope "openid profile email offline_access"
OIDCPKCEMethod S256
OIDCResponseMode {mode}
OIDCCABundlePath {home}/ca.pem
OIDCInfoHook access_token id_token userinfo refresh_token
<Location /protected/>
    AuthType openid-connect
    Require valid-user
    Header set X-User %{{OIDC_CLAIM_sub}}e
    Header set X-Email %{{OIDC_CLAIM_email}}e
</Location>
<Location /oidc/>
    AuthType openid-connect
    Require valid-user
</Location>
"""
WANTED = ["mpm_event", "authn_core", "authz_core", "authz_user", "dir", "headers", "ssl", "auth_openidc"]


class Apache:
    """On https://localhost:PORT. Its folder is one that the user it runs as can read."""

    def __init__(self, provider):
        self.provider = provider
        self.home = Path(tempfile.mkdtemp(prefix="apache-"))
        self.home.chmod(0o755)
        (self.home / "pages/protected").mkdir(parents=True)
        (self.home / "pages/index.html").write_text("the open page")
        (self.home / "pages/protected/index.html").write_text(PAGE)
        for name in ("ca.pem", "server.pem"):
            shutil.copy(provider.home / name, self.home / name.replace("server", "certificate"))
        (self.home / "ca.pem").chmod(0o644)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.callback = self.url + "/oidc/callback"
        self.process = None

    def start(self, client, mode="query"):
        modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in WANTED)
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        (self.home / "apache.conf").write_text(CONFIG.format(
            home=self.home, port=self.port, url=self.url, modules=modules, issuer=self.provider.issuer, mode=mode,
            client_id=client.id, client_secret=client.secret) + user)
        self.process = subprocess.Popen([PROGRAM, "-D", "FOREGROUND", "-f", self.home / "apache.conf"],
                                        stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
        with closing(requests.Session()) as session:
            session.trust_env = False
            session.verify = str(self.home / "ca.pem")
            Server.until(lambda: self._is_there(session), self.said)
        return self

    def _is_there(self, session):
        assert self.process.poll() is None, self.said()
        try:
            return session.get(self.url + "/", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def said(self):
        log = self.home / "error.log"
        return log.read_text() if log.exists() else "it has no log"

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
        shutil.rmtree(self.home, ignore_errors=True)
