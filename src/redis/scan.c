/* redis/scan.c: one connection, on which the server always works on the next step while the replies of the last one are
 * read: each step is SCAN for one page of keys, and PTTL or GET for the wanted keys of the page before. */
#include "redis/scan.h"
#include "base/clock.h"
#include "observe/metrics.h"

#define SCAN_COUNT "250" /* a page's keys are still in the processor's cache when their lives are asked for */

enum {
    CURSOR_ROOM = 32,
    PAGES_MAX = 1 << 22, /* a billion keys: a scan that goes on for longer is broken */
};

/* A page of keys. What it points to lies in its arena. */
struct page {
    struct arena arena;
    struct redis_command *asked; /* PTTL or GET, of each wanted key */
    size_t wanted;
};

struct scan {
    struct redis *redis;
    struct redis_loan loan;
    struct str pattern;
    const struct redis_scan_reader *reader;
    char cursor[CURSOR_ROOM]; /* of the next page; "0": there is no further page */
};

/* For the page at the cursor. */
static struct redis_command scan_next_scan(const struct scan *scan)
{
    return REDIS_COMMAND(NO_KEY, redis_form_page, STR("SCAN"), str_of(scan->cursor), STR("MATCH"), scan->pattern,
                         STR("COUNT"), STR(SCAN_COUNT));
}

/* SCAN for the next page, and what is wanted of this one. */
static struct err scan_send_step(const struct scan *scan, const struct page *page, bool has_next)
{
    struct redis_connection *connection = scan->loan.connection;
    int64_t deadline_ms = redis_deadline(scan->redis);
    const struct redis_command next = scan_next_scan(scan);
    if (has_next)
        TRY(redis_connection_send(connection, &next, 1, deadline_ms));
    return page->wanted > 0 ? redis_connection_send(connection, page->asked, page->wanted, deadline_ms) : OK;
}

/* The answer to SCAN: the page's keys, of which the reader chooses; and the cursor. */
static struct err scan_receive_keys(struct scan *scan, struct page *page)
{
    const struct reply *reply;
    const struct redis_command asked = scan_next_scan(scan);
    int64_t began_ns = clock_ns();
    TRY(redis_connection_receive(scan->loan.connection, &page->arena, &asked, redis_deadline(scan->redis), &reply));
    metrics_redis_command(clock_ns() - began_ns);
    if (reply->kind == REPLY_ERROR)
        return failed(ERR_UNAVAILABLE, "it refused to list its keys");
    const struct str next = reply->items[0]->text;
    const struct reply *keys = reply->items[1];
    memcpy(scan->cursor, next.at, next.len); /* a number of 64 bits: redis_form_page() */
    scan->cursor[next.len] = '\0';
    page->asked = arena_alloc(&page->arena, (keys->count + 1) * sizeof *page->asked);
    for (size_t i = 0; i < keys->count; i++) {
        const struct str key = keys->items[i]->text;
        const enum redis_question question = scan->reader->asks(scan->reader->context, key);
        if (question != REDIS_ASK_NOTHING)
            page->asked[page->wanted++] = question == REDIS_ASK_VALUE
                                              ? REDIS_COMMAND(key, redis_form_value, STR("GET"), key)
                                              : REDIS_COMMAND(key, redis_form_life, STR("PTTL"), key);
    }
    return OK;
}

/* In s, rounded up; without an end, or with one that no clock will see: as long as anything may stay. */
static int64_t scan_life_s(int64_t left_ms)
{
    return left_ms < 0 || left_ms / 1000 >= INT32_MAX ? INT32_MAX : (left_ms + 999) / 1000;
}

/* A key that is gone is left out. */
static void scan_show(const struct redis_scan_reader *reader, const struct redis_command *asked,
                      const struct reply *reply)
{
    if (reply->kind == REPLY_TEXT)
        reader->value(reader->context, asked->key, reply->text);
    else if (reply->kind == REPLY_NUMBER && (reply->number == -1 || reply->number > 0))
        reader->life(reader->context, asked->key, scan_life_s(reply->number));
}

/* The replies about wanted keys, in order. A key that has moved to another server is asked for there; one that no
 * longer exists is left out. */
static struct err scan_receive_wanted(const struct scan *scan, struct page *page)
{
    for (size_t i = 0; i < page->wanted; i++) {
        const struct reply *reply;
        TRY(redis_connection_receive(scan->loan.connection, &page->arena, &page->asked[i], redis_deadline(scan->redis),
                                     &reply));
        if (reply->kind == REPLY_ERROR)
            TRY(redis_run(scan->redis, &page->arena, &page->asked[i], &reply));
        scan_show(scan->reader, &page->asked[i], reply);
    }
    return OK;
}

static void scan_turn(struct page *page)
{
    arena_release(&page->arena);
    page->wanted = 0;
}

static struct err scan_pages(struct scan *scan, struct page pages[2])
{
    struct page *page = &pages[0], *before = &pages[1];
    TRY(scan_send_step(scan, before, true)); /* an empty one */
    int read = 0;
    for (bool has_next = true; has_next;) {
        struct page *next = before;
        if (++read > PAGES_MAX)
            return failed(ERR_UNAVAILABLE, "its list of keys does not end");
        TRY(scan_receive_keys(scan, page));
        has_next = strcmp(scan->cursor, "0") != 0;
        TRY(scan_send_step(scan, page, has_next));
        TRY(scan_receive_wanted(scan, before));
        scan_turn(before);
        before = page;
        page = next;
    }
    TRY(scan_receive_wanted(scan, before));
    return redis_connection_settle(scan->loan.connection, redis_deadline(scan->redis));
}

struct err redis_scan(struct redis *redis, size_t master, struct str pattern, const struct redis_scan_reader *reader)
{
    struct scan scan = { .redis = redis, .pattern = pattern, .reader = reader, .cursor = "0" };
    struct page pages[2] = { { .wanted = 0 } };
    TRY(redis_lend(redis, master, &scan.loan));
    struct err err = scan_pages(&scan, pages);
    arena_release(&pages[0].arena);
    arena_release(&pages[1].arena);
    redis_take_back(redis, &scan.loan, err.code ? err.why : NULL);
    return err;
}
