"""Servers for the tests, and what a skipped test means."""

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

import redis_servers
from instances import Instances
from kms import LOCAL_KMS, Kms
from network import MACHINE_LACKS
from node import NODE
from postgres import PROGRAMS, Pooler, Postgres
from other_clients import Endpoint, Person, node_library
from other_clients import Provider as ProviderOfOthers
from provider import Provider
from service import BINARY, Server, sanitizer_of
from supabase import PROGRAM, Supabase

HERE = Path(__file__).parent
LONGEST = ["test_lambda_frozen", "test_stores", "test_alarms", "test_faults", "test_verifiers", "test_deploy",
           "test_lambda", "test_events", "test_redis", "test_hostile_redis", "test_eviction", "test_kms_keys",
           "test_durability", "test_clock", "test_kms", "test_feed", "test_fail_over", "test_cut_off",
           "test_envelope", "test_rotation", "test_http", "test_acknowledged", "test_aws_credentials",
           "test_settings", "test_oidc_provider", "test_oauth_attacks", "test_refresh_races", "test_load",
           "test_client_chromium", "test_client_spring"]  # these begin first when several run at a time
DIVIDED = {"test_verifiers": r"\[(node|python|c)"}  # a part can run beside the others


def pytest_sessionstart():
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"there is no program at {BINARY}: build it, or name it in TOKEN_SERVICE_BINARY", 4)


def pytest_report_header():
    return f"token-service: {BINARY}, sanitizer: {sanitizer_of(BINARY) or 'none'}"


def _judge_skip(report, nodeid):
    """With CI=true everything that can be installed must be there, so a skipped test is a failed one. What no package
    brings may lack there too (network.py); the reason then begins with MACHINE_LACKS, and `dev` knows it by that."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if report.skipped and os.environ.get("CI") == "true" and MACHINE_LACKS not in reason:
        report.outcome = "failed"
        report.longrepr = f"{nodeid} was skipped, which CI does not allow: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    return _judge_skip((yield), item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A module that skips itself as a whole."""
    return _judge_skip((yield), collector.nodeid)


class Files(LoadFileScheduling):
    """What a worker of pytest-xdist takes at a time: a file, whose servers its tests share, or its part."""

    def _split_scope(self, nodeid):
        file, _, rest = nodeid.partition("::")
        part = re.search(DIVIDED.get(Path(file).stem, "$^"), rest)
        return f"{file} {part[1]}" if part else file


def pytest_xdist_make_scheduler(config, log):
    return Files(config, log)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def sanitizer():
    return sanitizer_of(BINARY)


def stop_all(servers):
    """Every one of them, whatever another says; what is wrong with any is said at the end. Their folders go."""
    faults, servers = [], list(servers)
    for server in servers:
        if server.process and server.process.poll() is None:
            server.process.terminate()
    for server in servers:
        try:
            server.stop()
        except AssertionError as fault:
            faults.append(fault)
        finally:
            server.kill()
            shutil.rmtree(server.home, ignore_errors=True)
    assert not faults, "\n\n".join(map(str, faults))


@pytest.fixture(scope="module")
def make_server(tmp_path_factory, request):
    """make_server(TOKEN_X=…) is a Server not yet started. When the module ends, what still runs is stopped, and every
    log is looked through."""
    made = []
    numbers = itertools.count(1)

    def make(**settings):
        home = tmp_path_factory.mktemp(f"{Path(request.node.name).stem}-{next(numbers)}-")
        made.append(Server(home, settings))
        return made[-1]

    yield make
    stop_all(made)


@pytest.fixture(scope="module")
def make_provider(tmp_path_factory):
    """make_provider(TOKEN_X=…) is a Provider (provider.py) not yet started; stopped as make_server's are."""
    made = []

    def make(**settings):
        made.append(Provider(tmp_path_factory.mktemp("provider-"), settings))
        return made[-1]

    yield make
    stop_all(made)


@pytest.fixture(scope="module")
def server(make_server):
    """The module's server, with settings as a new user has them."""
    return make_server().start()


@pytest.fixture(scope="module")
def agent(server):
    """A client of that server that may do everything."""
    return server.add_client("agent")


@pytest.fixture(scope="session")
def jose_cli():
    """jose_cli([{"job": …}, …]): npm's jose and openid-client, through jose_cli.mjs."""
    if not (HERE / "node_modules/jose").is_dir():
        pytest.skip("npm's jose is not installed here: `npm ci` in tests/integration")

    def call(jobs):
        done = subprocess.run([NODE, "jose_cli.mjs"], cwd=HERE, input=json.dumps(jobs), capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """The module's OpenID provider (other_clients.py), with a user and no client."""
    made = ProviderOfOthers(tmp_path_factory.mktemp("provider-"))
    made.start()
    yield made
    stop_all([made])


@pytest.fixture
def person(provider):
    """Somebody who has never been there."""
    return Person(provider)


@pytest.fixture(scope="module")
def endpoint(provider):
    made = Endpoint(provider)
    yield made
    made.close()


@pytest.fixture(scope="module")
def start_node(provider):
    """start_node(script, package) is that script over that package of npm's (other_clients.Library)."""
    made = []

    def start(script, package):
        if not (HERE / "node_modules" / package).is_dir():
            pytest.skip(f"npm's {package} is not installed here: `npm ci` in tests/integration")
        made.append(node_library(provider, script))
        return made[-1]

    yield start
    for library in made:
        library.close()


@pytest.fixture(scope="session")
def kms_session():
    if not os.access(LOCAL_KMS, os.X_OK):
        pytest.skip(f"there is no {LOCAL_KMS.name}: `./dev test integration` builds it, where Go's modules can be had")
    made = Kms()
    yield made
    made.close()


@pytest.fixture
def kms(kms_session):
    """A KMS (kms.py): no faults and no record at the start of each test; the keys of all tests."""
    kms_session.reset()
    yield kms_session
    kms_session.reset()


@pytest.fixture
def start(kms, tmp_path_factory):
    """start(key, TOKEN_X=…): a server whose keys are in this KMS, ready, with a client in its `agent`. It is stopped
    when the test ends, and its log looked through for AWS's secrets too. start(…, ready=False) only makes it;
    start(…, settled=True) waits for the next key, whose making would be among the calls that are counted."""
    made = []

    def begin(key_id=None, credentials=None, ready=True, settled=False, **settings):
        server = Server(tmp_path_factory.mktemp("kms-"), kms.environment(key_id, credentials) | settings)
        server.kms = kms
        made.append(server)
        if ready:
            server.start()
            server.agent = server.add_client("agent")
            server.until(lambda: server.ask(server.agent).status_code == 200, "its client is not known")
            if settled:
                server.until(lambda: len(server.jwks()["keys"]) == 2, "there is no next key")
            kms.forget_calls()
        return server

    yield begin
    try:
        for server in made:
            for credentials in list(kms.accounts.known.values()):
                server.secrets |= credentials.secrets
            server.session.close()  # or the server would wait for it
            server.stop()
    finally:
        for server in made:
            server.kill()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL (postgres.py), for all tests of a run: each makes a database of its own in it."""
    if not PROGRAMS:
        pytest.skip("there is no PostgreSQL here: Debian's package postgresql")
    made = Postgres()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def pooler(postgres):
    """A transaction pooler (postgres.py) before that PostgreSQL."""
    if not shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        pytest.skip("there is no pgbouncer here: Debian's package of that name")
    made = Pooler(postgres)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def make_supabase():
    """make_supabase(url of a database) is a Supabase (supabase.py), started."""
    if not PROGRAM.exists():
        pytest.skip("npm's @supabase/lite is not installed here: `npm ci` in tests/integration")
    made = []

    def start(url):
        made.append(Supabase(url))
        return made[-1].start()

    yield start
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def template(make_server):
    """A server that has ended, whose keys and client all instances have."""
    server = make_server()
    server.agent = server.add_client("agent")
    with server:
        server.settled()
    return server


@pytest.fixture
def instances(tmp_path, template):
    """instances(redis, count, TOKEN_X=…): so many instances that serve, and the client that they share."""
    made = []

    def make(redis, count=2, start=True, **settings):
        group = Instances(tmp_path / f"g{len(made)}", template, {"REDIS_URL": redis.url} | settings)
        made.append(group)
        for _ in range(count):
            server = group.add()
            if start:
                server.start()
        return group

    yield make
    stop_all(server for group in made for server in group.all)


@pytest.fixture
def start_redis(tmp_path):
    made = []

    def make(kind, *settings):
        made.append(kind(tmp_path / f"redis{len(made)}", *settings))
        return made[-1].start()

    yield make
    for redis in made:
        redis.kill()


@pytest.fixture
def redis(start_redis):
    return start_redis(redis_servers.single)
