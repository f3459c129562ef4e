/* bench/load.c: a load whose requests are due at times of their own, whatever the server does. What an answer takes
 * counts from when its request was due, so a server that stalls can't keep its callers from noticing (the mistake of
 * loads that ask again when they are answered). Pinned to one core by whoever starts it.
 *
 *     bench_load awake|asleep PORT AUTHORIZATION WARM_S SECONDS -- GROUP [-- GROUP]…
 *
 * A GROUP is `RATE CLIENTS drop|again|later KIND…`: that many clients, each with a connection of its own. With a RATE,
 * requests become due by a Poisson process, so many a second, and wait for a client if all are busy (where refused
 * clients come again, nobody else asks); with 0, each client asks as soon as it has its answer. A client that is
 * answered 503 or 429 lets its request drop, asks again at once, or asks again after Retry-After. A KIND is
 * `NAME,WEIGHT,PATH,FILE`: a POST of the file, JSON if it ends so, or else a form; of FILE.lines each line in turn.
 *
 * The result is one JSON object. `late_p99_us` says how late requests were sent though a client was free: that is the
 * load's own fault, or the machine's; `stalled` is the share of the time in which another process had its core. `busy`
 * is the share in which it had something to do: near 1, the load is what bounds the result. */
#include "base/clock.h"
#include "bench/load_client.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
    EVENTS_MAX = 16, /* then it looks what is due */
    WAITING_MAX = 65536,
    CONNECTS_A_PAUSE = 32, /* the server's backlog has an end */
    CUT_OFF_PAUSE_MS = 10,
    DRAIN_S = 3,
    LOAD_NICE = -15,
    STALL_NS = 1000000, /* no turn takes so long by itself */
};

static const int64_t SECOND_NS = 1000000000;

/* A group at work. */
struct crowd {
    struct group *group;
    struct client *clients, *idle, **idle_last; /* first in, first out: all connections are used alike */
    int64_t next_ns;                            /* when the next request is due */
    int64_t *waiting;                           /* when those were due that found no client: a ring */
    size_t waiting_first, waiting_count;
    /* in the time that counts */
    uint64_t good, refused, unhelpful, other, cut_off, unsent, unanswered; /* unhelpful: refused without Retry-After */
    struct histogram took, refusals;                                       /* took: of all kinds */
};

/* Clients that ask again later: a heap, the next one first. */
struct sleeper {
    int64_t at_ns;
    struct client *client;
};

static struct {
    struct plan plan;
    struct crowd crowds[GROUPS_MAX];
    struct sleeper sleepers[CLIENTS_MAX];
    size_t sleeper_count, asking;
    int epoll_fd;
    struct sockaddr_in to;
    int64_t begin_ns, end_ns; /* of the time that counts */
    int64_t busy_ns, stalled_ns;
    struct histogram late;
    uint64_t random;
} load = { .random = UINT64_C(0x9e3779b97f4a7c15) }; /* the same arrivals in each run */

static _Noreturn void load_give_up(const char *what)
{
    fprintf(stderr, "bench_load: %s\n", what);
    exit(1);
}

/* Above 0, at most 1: xorshift. */
static double load_random(void)
{
    load.random ^= load.random << 13;
    load.random ^= load.random >> 7;
    load.random ^= load.random << 17;
    return (double)((load.random >> 11) + 1) * 0x1p-53;
}

static bool load_counts(int64_t at_ns)
{
    return at_ns >= load.begin_ns && at_ns < load.end_ns;
}

/* --- clients that wait for their time ---------------------------------------------------------------------------- */

static void load_swap_sleepers(size_t a, size_t b)
{
    const struct sleeper one = load.sleepers[a];
    load.sleepers[a] = load.sleepers[b];
    load.sleepers[b] = one;
}

static void load_put_to_sleep(struct client *client, int64_t until_ns)
{
    size_t i = load.sleeper_count++;
    load.sleepers[i] = (struct sleeper){ until_ns, client };
    for (; i > 0 && load.sleepers[(i - 1) / 2].at_ns > load.sleepers[i].at_ns; i = (i - 1) / 2)
        load_swap_sleepers(i, (i - 1) / 2);
}

static struct sleeper load_take_sleeper(void)
{
    const struct sleeper first = load.sleepers[0];
    load.sleepers[0] = load.sleepers[--load.sleeper_count];
    for (size_t i = 0, least = 1; least < load.sleeper_count; i = least, least = 2 * i + 1) {
        if (least + 1 < load.sleeper_count && load.sleepers[least + 1].at_ns < load.sleepers[least].at_ns)
            least++;
        if (load.sleepers[i].at_ns <= load.sleepers[least].at_ns)
            break;
        load_swap_sleepers(i, least);
    }
    return first;
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

static struct kind *load_choose_kind(struct group *group)
{
    size_t i = 0;
    double at = load_random() * group->weights;
    while (i + 1 < group->kind_count && at > group->kinds[i].weight)
        at -= group->kinds[i++].weight;
    return &group->kinds[i];
}

static void load_is_idle(struct client *client)
{
    struct crowd *crowd = client->crowd;
    client->next = NULL;
    *crowd->idle_last = client;
    crowd->idle_last = &client->next;
}

static struct client *load_take_idle(struct crowd *crowd)
{
    struct client *client = crowd->idle;
    if (client && !(crowd->idle = client->next))
        crowd->idle_last = &crowd->idle;
    return client;
}

/* The request that it has; a connection that fails is looked at after a pause. */
static void load_ask(struct client *client, int64_t due_ns)
{
    client->due_ns = due_ns;
    if (client_ask(client, load.epoll_fd, &load.to)) {
        load.asking++;
        return;
    }
    client->crowd->cut_off += load_counts(due_ns);
    client_close(client);
    load_put_to_sleep(client, clock_ns() + CUT_OFF_PAUSE_MS * INT64_C(1000000));
}

static void load_ask_new(struct client *client, int64_t due_ns)
{
    struct kind *kind = load_choose_kind(client->crowd->group);
    client->kind = kind;
    client->body = kind->bodies[kind->next_body++ % kind->body_count];
    client->wish_ns = due_ns;
    load_ask(client, due_ns);
}

/* What a client does that has nothing more to ask for. */
static void load_go_on(struct client *client, int64_t now_ns)
{
    struct crowd *crowd = client->crowd;
    if (crowd->waiting_count > 0) {
        const int64_t due_ns = crowd->waiting[crowd->waiting_first];
        crowd->waiting_first = (crowd->waiting_first + 1) % WAITING_MAX;
        crowd->waiting_count--;
        load_ask_new(client, due_ns);
    } else if (crowd->group->rate > 0 || now_ns >= load.end_ns) {
        load_is_idle(client);
    } else {
        load_ask_new(client, now_ns);
    }
}

/* Clients who come again are all that there are: when each of them has a request, nobody asks. */
static void load_arrive(struct crowd *crowd, int64_t due_ns, int64_t now_ns)
{
    struct client *client = load_take_idle(crowd);
    if (client) {
        if (load_counts(due_ns))
            histogram_add(&load.late, now_ns - due_ns);
        load_ask_new(client, due_ns);
    } else if (crowd->group->when_refused == REFUSED_DROPS && crowd->waiting_count < WAITING_MAX) {
        crowd->waiting[(crowd->waiting_first + crowd->waiting_count++) % WAITING_MAX] = due_ns;
    } else {
        crowd->unsent += load_counts(due_ns);
    }
}

/* False: nothing was. */
static bool load_send_due(int64_t now_ns)
{
    bool was_due = false;
    for (size_t i = 0; i < load.plan.group_count; i++) {
        struct crowd *crowd = &load.crowds[i];
        for (; crowd->group->rate > 0 && crowd->next_ns <= now_ns && crowd->next_ns < load.end_ns; was_due = true) {
            load_arrive(crowd, crowd->next_ns, clock_ns());
            crowd->next_ns += 1 + (int64_t)(-log(load_random()) / crowd->group->rate * 1e9);
        }
    }
    for (; load.sleeper_count > 0 && load.sleepers[0].at_ns <= now_ns && now_ns < load.end_ns; was_due = true) {
        const struct sleeper sleeper = load_take_sleeper();
        if (sleeper.client->kind)
            load_ask(sleeper.client, sleeper.at_ns);
        else /* its first request */
            load_ask_new(sleeper.client, sleeper.at_ns);
    }
    return was_due;
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void load_count_time(struct client *client, int64_t now_ns)
{
    if (!load_counts(client->wish_ns))
        return;
    histogram_add(&client->kind->took, now_ns - client->wish_ns);
    histogram_add(&client->crowd->took, now_ns - client->wish_ns);
}

static void load_count_good(struct client *client, int64_t now_ns)
{
    if (load_counts(now_ns)) {
        client->crowd->good++;
        client->kind->good++;
    }
    load_count_time(client, now_ns);
}

static void load_was_refused(struct client *client, int64_t now_ns)
{
    struct crowd *crowd = client->crowd;
    crowd->refused += load_counts(now_ns);
    crowd->unhelpful += client->retry_after_s <= 0;
    if (load_counts(client->due_ns))
        histogram_add(&crowd->refusals, now_ns - client->due_ns);
    if (crowd->group->when_refused == REFUSED_DROPS || now_ns >= load.end_ns)
        load_go_on(client, now_ns);
    else if (crowd->group->when_refused == REFUSED_LATER && client->retry_after_s > 0)
        load_put_to_sleep(client, now_ns + client->retry_after_s * SECOND_NS);
    else
        load_ask(client, now_ns);
}

static void load_was_cut_off(struct client *client, int64_t now_ns)
{
    const bool was_idle = client->state == CLIENT_IDLE;
    client_close(client);
    if (was_idle) /* the next request makes a new connection */
        return;
    client->crowd->cut_off += load_counts(now_ns);
    load.asking--;
    load_put_to_sleep(client, now_ns + CUT_OFF_PAUSE_MS * INT64_C(1000000));
}

static void load_was_answered(struct client *client, int64_t now_ns)
{
    load.asking--;
    client->state = CLIENT_IDLE;
    if (client->closes)
        client_close(client);
    if (client->status == 503 || client->status == 429) {
        load_was_refused(client, now_ns);
        return;
    }
    if (client->status / 100 == 2)
        load_count_good(client, now_ns);
    else
        client->crowd->other++;
    load_go_on(client, now_ns);
}

/* Until something happens, or the next request is due. */
static void load_sleep(int64_t now_ns)
{
    int64_t until_ns = now_ns < load.end_ns ? load.end_ns : now_ns + SECOND_NS / 10;
    for (size_t i = 0; i < load.plan.group_count; i++)
        if (load.crowds[i].group->rate > 0 && load.crowds[i].next_ns < until_ns)
            until_ns = load.crowds[i].next_ns;
    if (load.sleeper_count > 0 && load.sleepers[0].at_ns < until_ns)
        until_ns = load.sleepers[0].at_ns;
    if (until_ns <= now_ns)
        return;
    const struct timespec wait = { (until_ns - now_ns) / SECOND_NS, (until_ns - now_ns) % SECOND_NS };
    struct pollfd poll_fd = { .fd = load.epoll_fd, .events = POLLIN };
    (void)ppoll(&poll_fd, 1, &wait, NULL);
}

static void load_run_turn(int64_t now_ns)
{
    struct epoll_event events[EVENTS_MAX];
    bool worked = load_send_due(now_ns);
    if (!worked && load.plan.sleeps)
        load_sleep(now_ns);
    const int count = epoll_wait(load.epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        const enum client_news news = client_look(client);
        if (news == CLIENT_HAS_ANSWER)
            load_was_answered(client, clock_ns());
        else if (news == CLIENT_IS_CUT_OFF)
            load_was_cut_off(client, clock_ns());
    }
    const int64_t took_ns = clock_ns() - now_ns;
    if (worked || count > 0)
        load.busy_ns += took_ns;
    if (took_ns > STALL_NS && !load.plan.sleeps)
        load.stalled_ns += took_ns;
}

/* --- beginning and end ------------------------------------------------------------------------------------------- */

/* Connected, all of them; those that ask by themselves begin one after the other, while it does not count yet. */
static void load_gather(struct crowd *crowd, struct group *group)
{
    *crowd = (struct crowd){ .group = group, .waiting = mem_alloc(WAITING_MAX * sizeof *crowd->waiting) };
    crowd->idle_last = &crowd->idle;
    crowd->clients = mem_alloc(group->client_count * sizeof *crowd->clients);
    for (size_t i = 0; i < group->client_count; i++) {
        struct client *client = &crowd->clients[i];
        *client = (struct client){ .crowd = crowd };
        if (!client_connect(client, load.epoll_fd, &load.to))
            load_give_up("no connection");
        if (group->rate > 0)
            load_is_idle(client);
        if (i % CONNECTS_A_PAUSE == CONNECTS_A_PAUSE - 1)
            clock_sleep_ms(1);
    }
}

static void load_begin(void)
{
    const struct plan *plan = &load.plan;
    const int64_t warm_ns = (int64_t)(plan->warm_s * 1e9), now_ns = clock_ns();
    load.begin_ns = now_ns + warm_ns;
    load.end_ns = load.begin_ns + (int64_t)(plan->seconds * 1e9);
    for (size_t i = 0; i < plan->group_count; i++) {
        struct crowd *crowd = &load.crowds[i];
        const size_t count = crowd->group->client_count;
        crowd->next_ns = now_ns;
        for (size_t each = 0; crowd->group->rate == 0 && each < count; each++)
            load_put_to_sleep(&crowd->clients[each], now_ns + warm_ns / 2 * (int64_t)each / (int64_t)count);
    }
}

/* What is still under way at the end, or waits for a client, counts with the time that it has waited. */
static void load_count_unanswered(struct crowd *crowd, int64_t now_ns)
{
    for (size_t i = 0; i < crowd->group->client_count; i++) {
        struct client *client = &crowd->clients[i];
        if (client->state != CLIENT_ASKING && client->state != CLIENT_CONNECTING)
            continue;
        crowd->unanswered += load_counts(client->wish_ns);
        load_count_time(client, now_ns);
    }
    crowd->unsent += crowd->waiting_count;
}

static void load_print_times(const struct histogram *took)
{
    printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f", (double)histogram_at(took, 0.5) / 1000,
           (double)histogram_at(took, 0.99) / 1000, (double)histogram_at(took, 0.999) / 1000,
           (double)took->max_ns / 1000);
}

static void load_print_crowd(const struct crowd *crowd)
{
    printf("{\"good\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unhelpful\":%" PRIu64 ",\"other\":%" PRIu64
           ",\"cut_off\":%" PRIu64 ",\"unsent\":%" PRIu64 ",\"unanswered\":%" PRIu64 ",\"refusals\":{",
           crowd->good, crowd->refused, crowd->unhelpful, crowd->other, crowd->cut_off, crowd->unsent,
           crowd->unanswered);
    load_print_times(&crowd->refusals);
    printf("},\"all\":{");
    load_print_times(&crowd->took);
    printf("},\"kinds\":{");
    for (size_t i = 0; i < crowd->group->kind_count; i++) {
        const struct kind *kind = &crowd->group->kinds[i];
        printf("%s\"%.*s\":{\"good\":%" PRIu64 ",", i > 0 ? "," : "", (int)kind->name.len, kind->name.at, kind->good);
        load_print_times(&kind->took);
        printf("}");
    }
    printf("}}");
}

static void load_print(int64_t took_ns)
{
    printf("{\"duration_us\":%.0f,\"busy\":%.3f,\"stalled\":%.3f,\"late_p99_us\":%.1f,\"late_max_us\":%.1f,\"groups\":"
           "[",
           load.plan.seconds * 1e6, (double)load.busy_ns / (double)took_ns, (double)load.stalled_ns / (double)took_ns,
           (double)histogram_at(&load.late, 0.99) / 1000, (double)load.late.max_ns / 1000);
    for (size_t i = 0; i < load.plan.group_count; i++) {
        printf("%s", i > 0 ? "," : "");
        load_print_crowd(&load.crowds[i]);
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (!plan_read(&load.plan, argc, argv))
        return 2;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)setpriority(PRIO_PROCESS, 0, LOAD_NICE); /* where it is allowed: else others make it late */
    load.to = (struct sockaddr_in){ .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)strtoul(load.plan.port, NULL, 10)),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < load.plan.group_count; i++)
        load_gather(&load.crowds[i], &load.plan.groups[i]);
    load_begin();
    const int64_t started_ns = clock_ns(), patience_ns = load.end_ns + DRAIN_S * SECOND_NS;
    int64_t now_ns;
    while ((now_ns = clock_ns()) < load.end_ns || (load.asking > 0 && now_ns < patience_ns))
        load_run_turn(now_ns);
    for (size_t i = 0; i < load.plan.group_count; i++)
        load_count_unanswered(&load.crowds[i], now_ns);
    load_print(now_ns - started_ns);
    return fflush(stdout) == 0 ? 0 : 3;
}
