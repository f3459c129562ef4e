/* revocation/feed.c: which pages are kept, when one is still good enough to be sent, and which thread writes the next.
 *
 * Positions are cut into pages of fixed size, so that all readers ask for the same few URLs. Only the last page, the
 * tail, is current: it is compared with the store at most every TAIL_CHECK_MS, and only when it is requested; it is
 * signed again when there is something new, or when it gets old. All pages before it are closed: no position below one
 * that is visible in the store appears later (store.h), so nothing is ever added to them, and entries leave as they
 * expire. When the store's positions start over (struct sequence), so does the feed: no earlier page is sent any more,
 * and each page's epoch says which positions are meant.
 *
 * Anyone may send requests, so requests must not cost much work: the tail costs what its interval allows, for any
 * number of readers; closed pages that have to be read and signed have an allowance; one thread writes a page at a
 * time, and few wait for it, so that workers stay free for known callers. When the store or the signer fails, the
 * existing page is sent until its exp: readers notice that no newer one comes. */
#include "revocation/feed.h"
#include "base/clock.h"
#include "base/wall_clock.h"
#include "keys/keyring.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "revocation/catchup.h"
#include "revocation/feed_cache.h"
#include "revocation/inside.h"
#include "revocation/store_pages.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    TAIL_CHECK_MS = 100,
    TAIL_RENEW_S = 10, /* signed again when it is that old, and so a reader always has one that is good for a while */
    TAIL_EXP_S = 60,
    CLOSED_RENEW_S = 300, /* read again, without entries that have expired since */
    CLOSED_EXP_S = 600,
    CLOSED_BURST = 256, /* a million revocations are 245 pages */
    CLOSED_RATE = 20,   /* a second, in the long run */
    WAITERS_MAX = 4,
    WAIT_S = 1,
    FIRST_LOOK = 64, /* new revocations that the first look of a check takes */
};

struct feed {
    struct revocations *revocations;
    pthread_mutex_t authoring; /* held by the author, across the store and the signer */
    atomic_size_t waiting;     /* for it */
    struct sequence sequence;  /* that positions are of; the author's */
    atomic_llong head;         /* the highest position known; only an author changes it */
    atomic_llong checked_ms;   /* clock_coarse_ms() when the last check of the tail began */
    struct feed_cache *cache;
    pthread_mutex_t lock;          /* of what follows; never held while anything waits */
    int64_t allowance, allowed_ms; /* in ms, of which a closed page costs 1000 / CLOSED_RATE; counted until when */
};

/* --- which page answers ------------------------------------------------------------------------------------------ */

/* Where the tail begins. A page that would lie behind it is answered by the tail: URLs that anyone can invent cost
 * nothing. */
static int64_t feed_tail_since(struct feed *feed)
{
    return feed_page_after(atomic_load(&feed->head));
}

/* Whether a reader can still believe it: before its exp, by a key that is still published. */
static bool feed_is_good(const struct feed *feed, const struct feed_kept *page, int64_t now_s)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(feed->revocations->keyring);
    return now_s < page->exp && keyring_find(view, str_of(page->kid));
}

static bool feed_is_older(const struct feed_kept *page, int64_t age_s, int64_t now_s)
{
    return now_s >= page->iat + age_s || now_s < page->iat; /* or the clock was set back */
}

/* Whether it need not be checked again. */
static bool feed_is_fresh(struct feed *feed, const struct feed_kept *page, int64_t now_s)
{
    return page->is_tail ? clock_coarse_ms() - atomic_load(&feed->checked_ms) < TAIL_CHECK_MS
                         : !feed_is_older(page, CLOSED_RENEW_S, now_s);
}

/* The page for `since`, held for the caller, if there is one that a reader can believe; else NULL. */
static struct feed_kept *feed_find_kept(struct feed *feed, int64_t since, int64_t now_s)
{
    int64_t first = feed_page_after(since), tail = feed_tail_since(feed);
    struct feed_kept *page = first < tail ? feed_cache_find(feed->cache, first, false)
                                          : feed_cache_find(feed->cache, tail, true);
    if (!page || feed_is_good(feed, page, now_s))
        return page;
    feed_kept_release(page);
    return NULL;
}

/* Of the callers that find a page that has to be checked again, one has it done; the others use it as it is. */
static bool feed_claim(struct feed_kept *page)
{
    long long now_ms = clock_coarse_ms(), last_ms = atomic_load(&page->claimed_ms);
    return now_ms - last_ms >= TAIL_CHECK_MS && atomic_compare_exchange_strong(&page->claimed_ms, &last_ms, now_ms);
}

/* --- writing one ------------------------------------------------------------------------------------------------- */

static struct err feed_sign_page(struct feed *feed, struct arena *arena, const struct feed_page *content, bool is_tail)
{
    struct buf payload, jws;
    buf_init(&payload, arena, 1024, FEED_PAGE_MAX);
    buf_init(&jws, arena, 2048, FEED_PAGE_MAX);
    feed_page_write(&payload, content);
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(feed->revocations->keyring);
    TRY(keyring_sign(feed->revocations->keyring, view, is_tail ? SIGN_CLIENT_CREDENTIALS : SIGN_BACKGROUND, FEED_TYP,
                     buf_str(&payload), &jws));
    if (payload.overflowed || jws.overflowed)
        return failed(ERR_INTERNAL, "a page of the revocation feed is too large");
    metrics_count(COUNT_FEED_SIGNED, 1);
    feed_cache_keep(feed->cache, content, is_tail, view->active->kid, buf_str(&jws));
    return OK;
}

/* From where this instance stands among the new positions; not yet, when it has not read them. */
static struct err feed_begin_anew(struct feed *feed, const struct sequence *read)
{
    struct sequence known;
    int64_t position = catchup_position(feed->revocations->catchup, &known);
    if (sequence_goes_on(&known, read)) {
        feed->sequence = known;
        atomic_store(&feed->head, position);
        feed_cache_clear(feed->cache);
    }
    return failed(ERR_UNAVAILABLE, "the revocation feed is starting over; try again");
}

static struct err feed_read_behind(struct feed *feed, struct arena *arena, int64_t after, int64_t now_s, size_t max,
                                   struct revocation **found, size_t *count)
{
    struct store *store = feed->revocations->store;
    struct sequence sequence;
    TRY(store->ops->revocations_since(store, arena, after, wall_clock_by_all_s(now_s), max, found, count, &sequence));
    return sequence_goes_on(&feed->sequence, &sequence) ? OK : feed_begin_anew(feed, &sequence);
}

/* Reads the page that begins at `since` and keeps it, signed. Of the tail nothing beyond the head is told, which a
 * later look will find. */
static struct err feed_write_page(struct feed *feed, int64_t since, int64_t now_s)
{
    AUTO(arena_release) struct arena arena;
    struct revocation *found = NULL;
    size_t count = 0, inside = 0;
    int64_t head = atomic_load(&feed->head), tail = feed_page_after(head);
    bool is_tail = since == tail;
    int64_t last = is_tail ? head : since + FEED_BLOCK;
    arena_init(&arena, NULL, 0);
    TRY(feed_read_behind(feed, &arena, since, now_s, FEED_BLOCK + 1, &found, &count));
    while (inside < count && found[inside].position <= last)
        inside++;
    int64_t next = is_tail || inside == count ? tail : feed_page_of(found[inside].position);
    const struct feed_page content = { .issuer = str_of(feed->revocations->settings->issuer),
                                       .iat = now_s,
                                       .exp = now_s + (is_tail ? TAIL_EXP_S : CLOSED_EXP_S),
                                       .epoch = feed->sequence.epoch,
                                       .since = since,
                                       .next = next,
                                       .position = is_tail ? head : next,
                                       .entries = found,
                                       .count = inside };
    return feed_sign_page(feed, &arena, &content, is_tail);
}

/* --- the author -------------------------------------------------------------------------------------------------- */

/* Raises the head to the last revocation in the store. */
static struct err feed_look_ahead(struct feed *feed, int64_t now_s)
{
    size_t max = FIRST_LOOK, asked, count;
    do {
        AUTO(arena_release) struct arena arena;
        struct revocation *found = NULL;
        arena_init(&arena, NULL, 0);
        TRY(feed_read_behind(feed, &arena, atomic_load(&feed->head), now_s, max, &found, &count));
        if (count > 0)
            atomic_store(&feed->head, found[count - 1].position);
        asked = max;
        max = FEED_BLOCK;
    } while (count == asked);
    return OK;
}

static struct err feed_check_tail(struct feed *feed, int64_t now_s)
{
    atomic_store(&feed->checked_ms, clock_coarse_ms()); /* when it begins, and also when it fails */
    TRY(feed_look_ahead(feed, now_s));
    int64_t head = atomic_load(&feed->head);
    AUTO(feed_kept_releasep) struct feed_kept *page = feed_find_kept(feed, head, now_s);
    if (page && page->position == head && !feed_is_older(page, TAIL_RENEW_S, now_s))
        return OK;
    return feed_write_page(feed, feed_page_after(head), now_s);
}

/* Whether a closed page may be signed now; with `take`, one is. */
static bool feed_may_sign_closed(struct feed *feed, bool take)
{
    enum { COST_MS = 1000 / CLOSED_RATE };
    int64_t now_ms = clock_ms();
    pthread_mutex_lock(&feed->lock);
    feed->allowance += now_ms - feed->allowed_ms;
    feed->allowed_ms = now_ms;
    if (feed->allowance > (int64_t)CLOSED_BURST * COST_MS)
        feed->allowance = (int64_t)CLOSED_BURST * COST_MS;
    bool may = feed->allowance >= COST_MS;
    if (may && take)
        feed->allowance -= COST_MS;
    pthread_mutex_unlock(&feed->lock);
    return may;
}

static struct err feed_limited(void)
{
    metrics_count(COUNT_FEED_LIMITED, 1);
    return failed(ERR_UNAVAILABLE, "too many pages of the revocation feed are being requested; try again");
}

/* As the author. The page is kept afterwards. */
static struct err feed_make_page(struct feed *feed, int64_t since, int64_t now_s)
{
    if (feed_page_after(since) >= feed_tail_since(feed))
        TRY(feed_check_tail(feed, now_s));
    if (feed_page_after(since) >= feed_tail_since(feed))
        return OK;
    return feed_may_sign_closed(feed, true) ? feed_write_page(feed, feed_page_after(since), now_s) : feed_limited();
}

/* Becomes the author, or waits for who is; false when too many do, or it takes too long. */
static bool feed_begin_authoring(struct feed *feed)
{
    struct timespec until;
    if (atomic_fetch_add(&feed->waiting, 1) >= WAITERS_MAX) {
        atomic_fetch_sub(&feed->waiting, 1);
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    bool is_author = pthread_mutex_timedlock(&feed->authoring, &until) == 0;
    atomic_fetch_sub(&feed->waiting, 1);
    return is_author;
}

static bool feed_is_limited(struct feed *feed, int64_t since)
{
    return feed_page_after(since) < feed_tail_since(feed) && !feed_may_sign_closed(feed, false);
}

/* For callers that may wait: the page for `since`, checked again or made. If that fails, a page that is still good is
 * used. */
static struct err feed_fetch(struct feed *feed, int64_t since, int64_t now_s, struct feed_kept **out)
{
    struct err err = failed(ERR_UNAVAILABLE, "the page of the revocation feed is being made; try again");
    if (feed_is_limited(feed, since)) {
        err = feed_limited();
    } else if (feed_begin_authoring(feed)) {
        AUTO(feed_kept_releasep) struct feed_kept *page = feed_find_kept(feed, since, now_s);
        err = page && feed_is_fresh(feed, page, now_s)
                  ? OK
                  : feed_make_page(feed, since, now_s); /* or somebody was faster */
        pthread_mutex_unlock(&feed->authoring);
    }
    *out = feed_find_kept(feed, since, now_s);
    return *out ? OK : err.code ? err : failed(ERR_UNAVAILABLE, "the revocation feed has moved on; try again");
}

struct err feed_find(struct feed *feed, int64_t since, int64_t now_s, bool may_wait, struct feed_kept **out)
{
    struct feed_kept *page = feed_find_kept(feed, since, now_s);
    if (page && (feed_is_fresh(feed, page, now_s) || (!may_wait && !feed_claim(page)))) {
        *out = page;
        return OK;
    }
    bool is_missing = page == NULL;
    feed_kept_release(page);
    if (may_wait)
        return feed_fetch(feed, since, now_s, out);
    if (is_missing && feed_is_limited(feed, since))
        return feed_limited();
    return failed(ERR_NEEDS_WORKER, "the page of the revocation feed has to be checked again");
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct feed *feed_new(struct revocations *revocations)
{
    const struct settings *settings = revocations->settings;
    bool is_whole = !revocations->replication || revocations->store->ops->is_shared;
    if (settings->revocation_feed == FEED_OFF || !is_whole) {
        LOG(is_whole ? LOG_INFO : LOG_WARN, "no_revocation_feed",
            LOG_TEXT_("why", is_whole ? "it is turned off" : "it needs one database that all instances share"));
        return NULL;
    }
    struct feed *feed = mem_alloc(sizeof *feed);
    *feed = (struct feed){ .revocations = revocations,
                           .cache = feed_cache_new(),
                           .allowance = INT64_C(1000) * CLOSED_BURST / CLOSED_RATE,
                           .allowed_ms = clock_ms() };
    atomic_store(&feed->head, catchup_position(revocations->catchup, &feed->sequence));
    atomic_store(&feed->checked_ms, clock_coarse_ms() - TAIL_CHECK_MS);
    pthread_mutex_init(&feed->authoring, NULL);
    pthread_mutex_init(&feed->lock, NULL);
    return feed;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    feed_cache_free(feed->cache);
    pthread_mutex_destroy(&feed->lock);
    pthread_mutex_destroy(&feed->authoring);
    free(feed);
}

size_t feed_bytes(struct feed *feed)
{
    return feed ? feed_cache_bytes(feed->cache) : 0;
}
