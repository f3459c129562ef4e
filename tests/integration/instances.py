"""Many instances and one Redis, for the tests of that. They have stores of their own, and share their keys and clients
since each begins with a copy of the first one's data directory."""

import hashlib
import shutil

from redis_servers import PASSWORD, until
from service import Server

QUICK_S = 20  # what takes milliseconds, on a machine that is busy or stands still for a while


def key_of(token):
    return "revoked:" + hashlib.sha256(token.encode()).hexdigest()


class Instances:
    """Servers on copies of one data directory."""

    def __init__(self, home, template, settings):
        self.home, self.template, self.settings, self.all = home, template, settings, []
        self.agent = template.agent

    def add(self, **settings):
        home = self.home / str(len(self.all))
        home.mkdir(parents=True)
        server = Server(home, self.settings | settings)
        shutil.copytree(self.template.data_dir, server.data_dir)
        server.secrets |= self.template.secrets | {PASSWORD}
        self.all.append(server)
        return server


def status_of(server, agent, token):
    """200: good; 401: not; 503: nobody knows."""
    return server.verify(agent, token).status_code


def refused(server, agent, token, within_s=QUICK_S):
    until(lambda: status_of(server, agent, token) == 401, "a revoked token is still good", within_s)
    assert server.is_active(agent, token) is False


def spawn(*servers):
    """Starts some that will not be ready."""
    begins = [server.log_path.stat().st_size for server in servers]
    for server in servers:
        server.spawn()
    for server, begin in zip(servers, begins):
        server.port = server._wait_for_port(begin)  # pylint: disable=protected-access


def ready(server):
    return server.get("/health/ready").status_code == 200
