"""What goes wrong: each a small class with a beginning and an end, after which all is well again."""

import contextlib
import random
import signal
import threading
import time

from callers import LEASE_S, Load
from clock import HOUR, LIBRARY
from cluster import COUNT, STORE_TIMEOUT_S
from hostile_redis import TWISTS
from ledger import WRONG_CLOCK, rotate
from postgres import Standby
from reckoning import recover, settle
from redis_servers import until

FAIL_OVER_S = 60  # a guard
FEEL_S = 20       # the same
STORE_FAULT_S = STORE_TIMEOUT_S + 0.5
LONGEST_PAUSE_S = 8  # less than DEADLINE_S (ledger.py)


class Fault:
    """`length_s`: longer than the strict policy's lease and than the timeouts of what is away."""

    length_s = 1.6
    of = "instances"  # what it happens to: of two faults at the same time each needs another
    is_felt_meanwhile = True  # or when it has ended

    def __init__(self, cluster, chance):
        self.cluster, self.chance = cluster, chance

    @staticmethod
    def fits(shape):
        """Whether it can come about in a cluster of that shape."""
        raise NotImplementedError

    def begin(self):
        raise NotImplementedError

    def end(self):
        raise NotImplementedError

    def was_felt(self, ledger):
        """Whether callers have noticed: what nobody feels is no test. By default somebody was told to come again."""
        return ledger.counted(503) > 0

    def last(self, ledger):
        """Until it was felt: callers may have stood still all the while. Not for ever: at the end it is asked for."""
        end = time.monotonic() + FEEL_S
        while self.is_felt_meanwhile and not self.was_felt(ledger) and time.monotonic() < end:
            time.sleep(0.05)

    def __str__(self):
        return type(self).__name__


class Again(Fault):
    """Does the same thing again and again, on a thread of its own, from the beginning to the end."""

    pause_s = 0.5

    def strike(self):
        raise NotImplementedError

    def begin(self):
        self.over, self.fault = threading.Event(), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while True:
                self.strike()
                if self.over.wait(self.pause_s):
                    return
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = fault

    def end(self):
        self.over.set()
        self.thread.join()
        if self.fault:
            raise self.fault


# --- instances ------------------------------------------------------------------------------------------------------

class InstancesKilled(Again):
    """kill -9 of one, two or all of them, and a start as a supervisor would do it."""

    struck = 0

    @staticmethod
    def fits(shape):
        return True

    def strike(self):
        struck = self.chance.sample(range(COUNT), self.chance.choice([1, 1, 2, 3]))
        for i in struck:
            self.cluster.kill(i)
        time.sleep(self.chance.random() * 0.5)
        for i in struck:
            self.cluster.restart(i)
        self.struck += 1

    def was_felt(self, ledger):
        return self.struck > 0


class InstancesPaused(Fault):
    """They stand still, one or two of them, as a machine does that is moved or starved; then they go on as if no time
    had passed, with calls that have waited all the while, and must not say what they last knew."""

    is_felt_meanwhile = False

    @staticmethod
    def fits(shape):
        return True

    def begin(self):
        paused = self.chance.sample(self.cluster.servers, self.chance.choice([1, 2]))
        self.processes = [server.process for server in paused]
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)
        self.timer = threading.Timer(LONGEST_PAUSE_S, self._go_on)  # another fault, at the same time, may last longer
        self.timer.start()

    def _go_on(self):
        for process in self.processes:
            process.send_signal(signal.SIGCONT)

    def end(self):
        self.timer.cancel()
        self._go_on()

    def was_felt(self, ledger):
        return ledger.slowest_s > self.length_s / 2


class ClockWrong(Fault):
    """The time of day of one or two instances is two hours off, since somebody has set it, or from their start on; then
    it is set right. They can say little of use meanwhile, but undo nothing."""

    length_s = 8  # some purges of expired rows, and rounds of all that comes at intervals

    @staticmethod
    def fits(shape):
        return LIBRARY is not None

    def begin(self):
        self.struck = self.chance.sample(range(COUNT), self.chance.choice([1, 1, 2]))
        for i in self.struck:
            from_start = self.chance.random() < 0.5
            if from_start:
                self.cluster.kill(i)
            self.cluster.set_clock(i, self.chance.choice([-2, 2]) * HOUR)
            if from_start:
                self.cluster.restart(i)

    def end(self):
        for i in self.struck:
            self.cluster.set_clock(i, 0)
        for i in self.struck:
            server = self.cluster.servers[i]
            server.until(lambda server=server, i=i: not self.cluster.clock_is_off(i)
                         and server.metric("clock_steps_total") > 0, "the step is not seen")

    def was_felt(self, ledger):
        return ledger.counted(401, operation=WRONG_CLOCK) > 0


# --- Redis ----------------------------------------------------------------------------------------------------------

class RedisFault(Fault):
    of = "Redis"

    @staticmethod
    def fits(shape):
        return shape.redis == "single"


class RedisStopped(RedisFault):
    """In order: what it held is there again."""

    def begin(self):
        self.cluster.redis.stop()

    def end(self):
        self.cluster.redis.start()


class RedisPaused(RedisFault):
    """It takes connections, and says nothing."""

    def begin(self):
        self.cluster.redis.pause()

    def end(self):
        self.cluster.redis.resume()


class RedisEmptied(Again, RedisFault):
    """Killed, and back at once with nothing in it; or flushed."""

    def strike(self):
        redis = self.cluster.redis
        if self.chance.random() < 0.3:
            redis.ask("FLUSHALL")
            return
        redis.kill()
        (redis.home / "dump.rdb").unlink(missing_ok=True)
        redis.start()

    def was_felt(self, ledger):
        return True  # they may well be faster than whoever looks


class RedisEvicts(Again, RedisFault):
    """Its memory is full again and again, and each time it takes some keys, whosever, without a word."""

    pause_s = 0.2

    def begin(self):
        self.evicted = self._info("stats", "evicted_keys")
        self.cluster.redis.ask("CONFIG", "SET", "maxmemory-policy", self.chance.choice(["allkeys-lru", "volatile-lru",
                                                                                       "allkeys-random"]))
        super().begin()

    def _info(self, section, name):
        return int(next(line for line in self.cluster.redis.ask("INFO", section).splitlines()
                        if line.startswith(f"{name}:")).split(":")[1])

    def strike(self):
        redis = self.cluster.redis
        used = self._info("memory", "used_memory")
        redis.ask("CONFIG", "SET", "maxmemory", used - self.chance.randrange(2000, 40000))
        redis.ask("SET", "somebody:else", "x", check=False)
        redis.ask("CONFIG", "SET", "maxmemory", 0)

    def end(self):
        super().end()
        self.cluster.redis.ask("CONFIG", "SET", "maxmemory", 0)
        self.cluster.redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")

    def was_felt(self, ledger):
        return self._info("stats", "evicted_keys") > self.evicted


class RedisHostile(Again):
    """It answers too much, too little, or something else: whatever can be seen through. Not what is a lie alone."""

    of = "Redis"
    lies = ("nil", "a number", "a text that says OK", "an id that is none", "an empty list")

    @staticmethod
    def fits(shape):
        return shape.redis == "hostile"

    def strike(self):
        name = self.chance.choice([name for name in TWISTS if name not in self.lies])
        self.cluster.hostile.behave()
        self.cluster.hostile.twist(self.chance.choice(["*", "SET", "XADD", "XRANGE", "EVAL", "ECHO"]), TWISTS[name])

    def end(self):
        try:
            super().end()
        finally:
            self.cluster.hostile.behave()

    def was_felt(self, ledger):
        return True  # what is twisted may be nothing that anybody asks just then


class FailOver(Fault):
    """The master goes; a replica takes its place, that may lack what came last; then the former one is there again,
    with nothing in it, and takes itself for the master until it is told otherwise."""

    of = "Redis"

    @staticmethod
    def fits(shape):
        return shape.redis == "watched"

    def begin(self):
        self._follow()
        self.former = self.cluster.redis_master()
        self.go(self.former)
        until(lambda: self.cluster.redis.master_port() != self.former.port, "the Sentinels do not fail over",
              FAIL_OVER_S)

    def end(self):
        self.come_back(self.former)

    def _follow(self):
        """Whoever was the master before is a replica, which a Sentinel would see to after ten seconds."""
        master = self.cluster.redis_master()
        for server in self.cluster.redis.servers:
            if server is not master:
                server.ask("REPLICAOF", "127.0.0.1", master.port)
        until(lambda: "state=online" in master.ask("INFO", "replication"), "no replica follows the master", FAIL_OVER_S)

    def go(self, master):
        master.kill()
        (master.home / "dump.rdb").unlink(missing_ok=True)

    def come_back(self, master):
        master.start()


class FailOverOfPaused(FailOver):
    """The same, and the former master knows nothing of it: it goes on where it was."""

    def go(self, master):
        master.pause()

    def come_back(self, master):
        master.resume()


# --- the store ------------------------------------------------------------------------------------------------------

class PostgresFault(Fault):
    of = "the store"
    length_s = STORE_FAULT_S

    @staticmethod
    def fits(shape):
        return shape.store == "postgres"


class PostgresStopped(PostgresFault):
    sign = signal.SIGINT

    def begin(self):
        self.cluster.postgres.stop(self.sign)

    def end(self):
        self.cluster.postgres.start()


class PostgresStoppedAtOnce(PostgresStopped):
    """In the middle of whatever it does: PostgreSQL's immediate mode."""

    sign = signal.SIGQUIT


class PostgresPaused(PostgresFault):
    is_felt_meanwhile = False

    def begin(self):
        self.cluster.postgres.pause()

    def end(self):
        self.cluster.postgres.go_on()

    def was_felt(self, ledger):
        return ledger.slowest_s > self.length_s / 2  # a second try may meet a database that answers again


class PostgresFailOver(Fault):
    """A standby that has not heard of the last second takes the database's place. Rotations are over by then: nobody
    promises one that is lost with the server that knew of it."""

    of = "the store"
    length_s = STORE_FAULT_S
    is_felt_meanwhile = False
    LAG_S = 0.7

    @staticmethod
    def fits(shape):
        return shape.store == "replicated"

    def begin(self):
        self.epochs = self._epochs()
        self.standby = Standby(self.cluster.postgres)
        try:
            self.standby.start()
        except BaseException:
            self.standby.close()
            raise

    def end(self):
        if self.cluster.rotation:
            self.cluster.rotation.join()
        lagged_since = time.time()
        self.standby.has_all_of(self.cluster.postgres)
        self.standby.fall_behind()
        time.sleep(self.LAG_S)
        self.cluster.fail_over(self.standby, lagged_since)

    def was_felt(self, ledger):
        return self._epochs() > self.epochs  # calls may all go well

    def _epochs(self):
        return sum(server.log.count('"store_began_anew"') for server in self.cluster.servers)  # also of dead ones


class PostgresAnswersCut(PostgresFault):
    """At any byte, or a refusal at any message, of a third of what is to be recorded; committed or not."""

    @staticmethod
    def fits(shape):
        return shape.is_proxied

    def begin(self):
        self.cluster.postgres_proxy.disturb("token_service_record", self.chance, 0.3)

    def end(self):
        self.cluster.postgres_proxy.all_is_well()

    def was_felt(self, ledger):
        return self.cluster.postgres_proxy.met > 0


class RestFault(Fault):
    """What the gateway before PostgREST says instead of an answer."""

    of = "the store"
    length_s = STORE_FAULT_S
    status, body, headers, share, does_it = 500, b"", (), 1.0, False

    @staticmethod
    def fits(shape):
        return shape.store == "supabase"

    def begin(self):
        self.replaced = self.cluster.proxy.replaced
        self.cluster.proxy.say(self.status, self.body, self.share, self.headers, self.does_it)

    def end(self):
        self.cluster.proxy.all_is_well()

    def was_felt(self, ledger):
        return self.cluster.proxy.replaced > self.replaced


class RestFails(RestFault):
    """To everything, and what it says is not even PostgREST's."""

    body, headers = b"<html>Internal Server Error</html>", (("Content-Type", "text/html"),)

    def was_felt(self, ledger):
        return ledger.counted(503, operation="/token") > 0


class RestFailsAfterAll(RestFault):
    """It does what it was asked, and says that it has failed: a record may be there, or not."""

    body, share, does_it = b'{"code":"XX000","message":"internal error","details":null,"hint":null}', 0.5, True


class RestLimits(RestFault):
    status, body, headers, share = 429, b'{"message":"too many requests"}', (("Retry-After", "1"),), 0.7


# --- the network ----------------------------------------------------------------------------------------------------

class NetworkFault(Fault):
    """Between the instances and their servers; callers are not concerned."""

    of = "the network"
    length_s = STORE_FAULT_S

    @staticmethod
    def fits(shape):
        return shape.has_network

    def begin(self):
        self.passed, self.lost = self.cluster.network.counts()
        self.disturb()

    def disturb(self):
        raise NotImplementedError

    def end(self):
        self.cluster.network.disturb()

    def was_felt(self, ledger):
        return self.cluster.network.counts()[1] > self.lost


class NetworkSlow(NetworkFault):
    """As between continents."""

    def disturb(self):
        self.cluster.network.disturb(delay_ms=60, jitter_ms=40)

    def was_felt(self, ledger):
        return self.cluster.network.counts()[0] > self.passed


class NetworkLossy(NetworkFault):
    def disturb(self):
        self.cluster.network.disturb(delay_ms=5, loss=0.15)


class NetworkCut(NetworkFault):
    """One or two instances see no server, while the others do, and acknowledge revocations."""

    def disturb(self):
        self.cluster.network.disturb(cut=self.chance.sample(range(COUNT), self.chance.choice([1, 2])))


ALL = (InstancesKilled, InstancesPaused, ClockWrong, RedisStopped, RedisPaused, RedisEmptied, RedisEvicts,
       RedisHostile, FailOver, FailOverOfPaused, PostgresStopped, PostgresStoppedAtOnce, PostgresPaused,
       PostgresFailOver, PostgresAnswersCut, RestFails, RestFailsAfterAll, RestLimits, NetworkSlow, NetworkLossy,
       NetworkCut)


def go_through(cluster, ledger, kinds, seed, memory_kib):
    """Faults of these kinds, at the same time, while callers are at work and keys rotate; then the reckoning. What is
    begun first is ended last: instances that are killed need what else is away to start again."""
    chance = random.Random(seed)
    ledger.new_page()
    faults = [kind(cluster, random.Random(chance.random())) for kind in kinds]
    rotations = [threading.Thread(target=rotate, args=(cluster, ledger, chance.randrange(COUNT))) for _ in range(2)]
    with Load(cluster, ledger, chance, memory_kib):
        time.sleep(0.3)
        with contextlib.ExitStack() as stack:
            for fault in faults:
                fault.begin()
                stack.callback(fault.end)
            length_s = max(fault.length_s for fault in faults)
            time.sleep(length_s / 2)
            cluster.rotation = rotations[0]
            rotations[0].start()  # it may have to wait for the end
            time.sleep(length_s / 2)
            if len(faults) == 1:
                faults[0].last(ledger)
        recover(cluster)
        rotations[1].start()
        time.sleep(LEASE_S / 2)
        for rotation in rotations:
            rotation.join()
    settle(cluster, ledger, chance)
    assert not ledger.violations, "\n".join(ledger.violations[:40])
    if len(faults) == 1:  # of two, one may hide the other
        assert faults[0].was_felt(ledger), f"nobody has felt {faults[0]}: {ledger.counts}"

