"""The rows of TLS: what it costs on connections that are kept, beside nginx, and what an idle one keeps in memory."""
import contextlib
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import time

from harness import ACTIVE, FORM, Row, Unmeasured, await_port, end, free_port, pinned, processor_s, rates
from rows_connections import GET, settled_mb

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") # Debian keeps it from users' PATH
IDLE = 1000
PATIENCE_S = 30

# As much as a constant answer takes; the answer's headers as the service's.
NGINX_CONF = """daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; server_tokens off; keepalive_requests 1000000000; default_type application/json;
    client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi; uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi; client_body_buffer_size 64k;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl;
        location / {{
            add_header Cache-Control no-store; add_header X-Request-Id 0123456789abcdef;
            return 200 '{answer}';
        }}
    }}
}}
"""


def certificate(bench):
    """A pair of its own: paths of the certificate and of its key."""
    cert, key = bench.folder / "tls.crt", bench.folder / "tls.key"
    if not cert.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True, check=True)
    return cert, key


def over_tls(bench):
    cert, key = certificate(bench)
    return {"TOKEN_TLS_CERT": str(cert), "TOKEN_TLS_KEY": str(key)}


@contextlib.contextmanager
def nginx(bench, answer):
    """Its URLs, plain and over TLS, and its process, on the server's core."""
    cert, key = certificate(bench)
    plain, secure = free_port(), free_port()
    conf = bench.file("nginx.conf", NGINX_CONF.format(folder=bench.folder, certificate=cert, key=key, plain=plain,
                                                      secure=secure, answer=answer.decode()))
    with pinned(bench.server_core), open(bench.log, "ab") as log:
        process = subprocess.Popen([NGINX, "-c", conf], stdout=log, stderr=log)
    try:
        await_port(process, secure, "nginx")
        yield [f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"], process.pid
    finally:
        end(process)


def load(bench, url, body, pid):
    """With the parts of their cores that wrk and the server had: TLS costs the load too."""
    def spent():
        times = os.times()
        return times.children_user + times.children_system, processor_s(pid)
    before = spent()
    result = bench.load("repeat.lua", url + "/token/introspect", [body], bench.plan.window_s)
    wrk_s, server_s = (after - earlier for earlier, after in zip(before, spent()))
    seconds = result["duration_us"] / 1e6
    return {**result, "wrk": wrk_s / seconds, "server": server_s / seconds}


def cores(results):
    return ", ".join(f"{who} had {statistics.median(result[who] for result in results):.2f} of its core"
                     for who in ("server", "wrk"))


def asked(bench, **settings):
    """A measurement of the service, and one answer."""
    with bench.service(bench.server_core, TOKEN_LOOPS="1", **settings) as service:
        body = f"token={service.issue()}"
        file = bench.file("body", body)
        result = service.checked(lambda: load(bench, service.url, file, service.pid), ACTIVE)
        return {**result, "answer": service.ask("/token/introspect", body, FORM)}


def kept(bench):
    """One token, form. nginx has the answer ready; the same wrk asks both, on connections that are kept."""
    plain, ours, theirs, theirs_plain = [], [], [], []
    for _ in range(bench.plan.turns):
        plain.append(asked(bench))
        ours.append(asked(bench, **over_tls(bench)))
        if NGINX:
            with nginx(bench, ours[-1]["answer"]) as (urls, pid):
                for url, samples in zip(urls, (theirs_plain, theirs)):
                    samples.append(load(bench, url, bench.folder / "body", pid))
    rows = [Row("introspect over TLS, kept connections", "/s", rates(ours), rates(plain), "plain", None, "",
                note=cores(ours) + ("" if NGINX else "; nginx is not installed"))]
    if not NGINX:
        return rows
    own = statistics.median(rates(theirs)) / statistics.median(rates(theirs_plain))
    return rows + [Row("the same beside nginx", "/s", rates(ours), rates(theirs), "nginx, constant answer", 0.85, ">=",
                       note=f"its own ratio to plain is {own:.2f}; with it, {cores(theirs)}")]


def idle(bench):
    """Resident memory of a connection on which a request has been answered; and what is left of it after its end."""
    context = ssl.create_default_context(cafile=certificate(bench)[0])

    def secured(connection):
        secure = context.wrap_socket(connection, server_hostname="127.0.0.1")
        secure.sendall(GET)
        if not secure.recv(4096).startswith(b"HTTP/1.1 200 "):
            raise Unmeasured("a request over TLS is not answered")
        return secure

    def hold(service, count):
        with contextlib.ExitStack() as stack:
            for _ in range(count): # one after the other: handshakes at the same time are another matter
                stack.enter_context(secured(socket.create_connection(("127.0.0.1", service.port), timeout=5)))
            time.sleep(1)
            return service.resident_mb()

    with bench.service(bench.server_core, TOKEN_LOOPS="1", **over_tls(bench)) as service:
        hold(service, 8) # what the first connection needs is not a connection's
        before = service.resident_mb()
        during = hold(service, IDLE)
        after, took_s = settled_mb(service, before + IDLE / 1024 / 2, PATIENCE_S)
    return [Row("memory of an idle TLS connection", "KB", [(during - before) * 1024 / IDLE], [], "", 6, "<"),
            Row("the same after its end", "KB", [(after - before) * 1024 / IDLE], [], "", 1, "<",
                note=f"looked at {took_s:.0f} s after it")]
