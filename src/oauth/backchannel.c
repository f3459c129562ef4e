/* oauth/backchannel.c: the outbox. An attempt is noted before it is made, by compare-and-swap: so of several instances
 * one makes it, and when that one ends in the middle, the next attempt is made by any.
 *
 * A client that is away keeps nobody else waiting: in each round it is called once, whatever waits for it, and a round
 * begins where the last one had to end. */
#include "oauth/backchannel.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "jose/claims.h"
#include "keys/keyring.h"
#include "net/fetch.h"
#include "oauth/oauth.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/pairwise.h"
#include "service/service.h"
#include "store/commit.h"
#include "store/store.h"
#include <time.h>

enum {
    KEPT_S = 24 * 3600, /* then it is given up */
    FIRST_PAUSE_S = 10,
    LONGEST_PAUSE_S = 900,
    TOKEN_LASTS_S = 120, /* Back-Channel Logout section 2.4: two minutes or less */
    PAGES_A_ROUND = 20,
    AWAY_MAX = 32, /* that are known in a round */
    JTI_BYTES = 32,
    JTI_LEN = 43,
};

struct notice {
    struct item item;
    struct str uri, jti;
    int64_t tries, next_at; /* s */
};

/* --- the item ----------------------------------------------------------------------------------------------------- */

static struct str backchannel_write(struct arena *arena, const struct notice *notice)
{
    struct buf body;
    buf_init(&body, arena, 512, ITEM_BODY_MAX);
    buf_add_char(&body, '{');
    json_write_text(&body, STR("uri"), notice->uri);
    json_write_text(&body, STR("jti"), notice->jti);
    json_write_int(&body, STR("tries"), notice->tries);
    json_write_int(&body, STR("next_at"), notice->next_at);
    buf_add_char(&body, '}');
    return buf_str(&body);
}

static bool backchannel_read(struct arena *arena, const struct item *item, struct notice *out)
{
    const struct json *body = NULL, *uri, *jti;
    if (json_parse(arena, item->body, &body).code || body->kind != JSON_OBJECT)
        return false;
    uri = json_member(body, STR("uri"));
    jti = json_member(body, STR("jti"));
    if (!uri || uri->kind != JSON_STRING || !jti || jti->kind != JSON_STRING)
        return false;
    *out = (struct notice){ .item = *item, .uri = uri->text, .jti = jti->text };
    return json_int(json_member(body, STR("tries")), 0, 1000, &out->tries) &&
           json_int(json_member(body, STR("next_at")), 0, CLAIMS_TIME_MAX, &out->next_at);
}

/* User and session as the client knows them, which is as they go out. A client that can't be told of users is not told
 * of their ends either, and the session ends all the same. False: so it is. */
static bool backchannel_name_user(const struct call *call, const struct client_metadata *registered,
                                  const struct granted *login, struct item *item)
{
    const struct settings *settings = call->service->settings;
    struct arena *arena = call->request->arena;
    struct err err = pairwise_subject(settings, arena, registered, login->sub, &item->subject);
    if (!err.code)
        err = pairwise_session(settings, arena, registered, login->sid, &item->sid);
    if (err.code)
        LOG(LOG_WARN, "backchannel_logout_failed", LOG_STR("client_id", item->client_id), LOG_TEXT_("why", err.why));
    return !err.code;
}

struct err backchannel_note(const struct call *call, struct str client_id, const struct granted *login,
                            struct record **records)
{
    struct arena *arena = call->request->arena;
    struct client client;
    char random[JTI_BYTES];
    const struct err err = clients_find_active(call->service->clients, arena, client_id, &client);
    if (err.code == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    const struct client_metadata *registered = client_metadata_of(arena, &client);
    if (registered->backchannel_logout_uri.len == 0)
        return OK;
    struct notice notice = {
        .uri = registered->backchannel_logout_uri,
        .next_at = call->request->now_s,
        .item = { .kind = ITEM_NOTICE, .expires_at = call->request->now_s + KEPT_S, .client_id = client.id }
    };
    if (!backchannel_name_user(call, registered, login, &notice.item))
        return OK;
    random_bytes(random, sizeof random);
    notice.jti = (struct str){ arena_alloc(arena, JTI_LEN), JTI_LEN };
    b64url_encode((struct str){ random, sizeof random }, (char *)notice.jti.at);
    random_bytes(notice.item.id, sizeof notice.item.id);
    notice.item.body = backchannel_write(arena, &notice);
    *records = item_put(arena, &notice.item, 0, *records);
    return OK;
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

/* Section 2.4. Each attempt has a jti of its own: a client that heard of the last one, and whose answer was lost, may
 * take the same one again for a replay (section 2.6), and would be called for a day. */
static struct err backchannel_sign(const struct service *service, struct arena *arena, const struct notice *notice,
                                   int64_t now_s, struct buf *out)
{
    struct buf claims;
    buf_init(&claims, arena, 1024, 8192);
    buf_add_char(&claims, '{');
    json_write_text(&claims, STR("iss"), str_of(service->settings->issuer));
    json_write_text(&claims, STR("sub"), notice->item.subject);
    json_write_text(&claims, STR("aud"), notice->item.client_id);
    json_write_text(&claims, STR("jti"),
                    arena_printf(arena, "%.*s.%lld", (int)notice->jti.len, notice->jti.at, (long long)notice->tries));
    json_write_text(&claims, STR("sid"), notice->item.sid);
    json_write_int(&claims, STR("iat"), now_s);
    json_write_int(&claims, STR("exp"), now_s + TOKEN_LASTS_S);
    buf_add(&claims, STR(",\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}}"));
    if (claims.overflowed)
        return failed(ERR_INTERNAL, "a logout token is too large");
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    return keyring_sign(service->keyring, view, SIGN_INTERACTIVE, STR("logout+jwt"), buf_str(&claims), out);
}

/* *is_away: it can't be reached, or does not answer. */
static bool backchannel_send(const struct service *service, struct arena *arena, const struct notice *notice,
                             int64_t now_s, bool *is_away)
{
    struct buf form;
    int status = 0;
    buf_init(&form, arena, 2048, 16 * 1024);
    buf_add(&form, STR("logout_token=")); /* a compact JWS needs no encoding */
    struct err err = backchannel_sign(service, arena, notice, now_s, &form);
    if (!err.code) {
        err = fetch_post(service->oauth->fetch, arena, notice->uri, buf_str(&form), &status);
        *is_away = err.code != ERR_OK;
    }
    const bool is_taken = !err.code && (status == 200 || status == 204);
    metrics_count(is_taken ? COUNT_LOGOUTS_DELIVERED : COUNT_LOGOUTS_RETRIED, 1);
    if (!is_taken)
        LOG(LOG_WARN, "backchannel_logout_failed", LOG_STR("client_id", notice->item.client_id),
            LOG_INT("status", status), LOG_INT("tries", notice->tries), LOG_TEXT_("why", err.why ? err.why : ""));
    return is_taken;
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

struct round {
    unsigned char after[32]; /* the last item that was looked at */
    uint64_t begin;          /* where the round began; 0: with the first item */
    bool is_second_lap;      /* those before that */
    uint64_t away[AWAY_MAX]; /* whom it called in vain: hashes of their URIs */
    size_t away_count;
    size_t waiting; /* those that could not be told yet */
    bool is_over;   /* all have been looked at, or one of the next two */
    bool is_unread; /* the store can't be read */
    bool is_late;   /* time was over */
    int64_t until_ns;
};

/* The beginning of a hash, as a number: an item's place among all, by its id. */
static uint64_t backchannel_place(const unsigned char id[32])
{
    uint64_t place = 0;
    for (size_t i = 0; i < sizeof place; i++)
        place = place << 8 | id[i];
    return place;
}

static uint64_t backchannel_hash(struct str uri)
{
    unsigned char hash[32];
    sha256(uri, hash);
    return backchannel_place(hash);
}

static bool backchannel_is_away(const struct round *round, struct str uri)
{
    const uint64_t hash = backchannel_hash(uri);
    size_t i = 0;
    while (i < round->away_count && round->away[i] != hash)
        i++;
    return i < round->away_count;
}

/* Notes the attempt; false when another instance makes it, or the store is away. */
static bool backchannel_claim(struct service *service, struct arena *arena, struct notice *notice, int64_t now_s)
{
    struct item item = notice->item;
    notice->tries++;
    notice->next_at = now_s + backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, (uint64_t)notice->tries);
    item.body = backchannel_write(arena, notice);
    const bool is_ours = !commit_wait(service->commit, item_put(arena, &item, item.version, NULL)).code;
    notice->item.version++;
    return is_ours;
}

/* Whether the client knows. */
static bool backchannel_tell(struct service *service, struct round *round, struct arena *arena, struct notice *notice,
                             int64_t now_s)
{
    bool is_away = false;
    if (backchannel_is_away(round, notice->uri) || !backchannel_claim(service, arena, notice, now_s))
        return false;
    if (!backchannel_send(service, arena, notice, now_s, &is_away)) {
        if (is_away && round->away_count < AWAY_MAX)
            round->away[round->away_count++] = backchannel_hash(notice->uri);
        return false;
    }
    const struct err err = commit_wait(service->commit, item_delete(arena, &notice->item, NULL));
    if (err.code) /* it is told once more */
        LOG(LOG_INFO, "backchannel_logout_not_noted", LOG_STR("client_id", notice->item.client_id));
    return true;
}

/* Its time is over. Of several instances one does it. */
static void backchannel_give_up(struct service *service, struct arena *arena, const struct item *item)
{
    if (commit_wait(service->commit, item_delete(arena, item, NULL)).code)
        return;
    metrics_count(COUNT_LOGOUTS_GIVEN_UP, 1);
    LOG(LOG_WARN, "backchannel_logout_given_up", LOG_STR("client_id", item->client_id));
}

static void backchannel_look(struct service *service, struct round *round, struct arena *arena, const struct item *item,
                             int64_t now_s)
{
    struct notice notice;
    if (item->expires_at <= now_s)
        backchannel_give_up(service, arena, item);
    else if (!backchannel_read(arena, item, &notice) || notice.next_at > now_s ||
             !backchannel_tell(service, round, arena, &notice, now_s))
        round->waiting++;
}

/* Behind that place. */
static void backchannel_go_to(struct round *round, uint64_t place)
{
    memset(round->after, 0, sizeof round->after);
    for (size_t i = sizeof place; i-- > 0; place >>= 8)
        round->after[i] = (unsigned char)(place & 0xff);
}

/* After the last item the first ones follow, unless the round began with them. */
static void backchannel_turn(struct round *round)
{
    round->is_over = round->is_second_lap || round->begin == 0;
    round->is_second_lap = true;
    backchannel_go_to(round, 0);
}

static void backchannel_page(struct service *service, struct round *round, int64_t now_s)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct store *store = service->store;
    struct item_query query = { .kind = ITEM_NOTICE, .max = ITEMS_LISTED_MAX };
    struct item *items = NULL;
    size_t count = 0;
    memcpy(query.after, round->after, sizeof query.after);
    round->is_unread = store->ops->list_items(store, &arena, &query, &items, &count).code != ERR_OK;
    round->is_over = round->is_unread;
    for (size_t i = 0; i < count && !round->is_over; i++) {
        round->is_late = clock_ns() >= round->until_ns;
        round->is_over = round->is_late || (round->is_second_lap && backchannel_place(items[i].id) >= round->begin);
        if (round->is_over)
            return;
        backchannel_look(service, round, &arena, &items[i], now_s);
        memcpy(round->after, items[i].id, sizeof round->after);
    }
    if (!round->is_over && count < ITEMS_LISTED_MAX)
        backchannel_turn(round);
}

/* Of a round that did not come to all it is known that there are at least so many. */
static void backchannel_count(struct service *service, const struct round *round)
{
    if (!round->is_unread && (!round->is_late || round->waiting > atomic_load(&service->state.logouts_waiting)))
        atomic_store(&service->state.logouts_waiting, round->waiting);
}

bool backchannel_round(struct service *service, int64_t until_ns)
{
    struct round round = { .begin = atomic_load(&service->oauth->notices_begin), .until_ns = until_ns };
    backchannel_go_to(&round, round.begin);
    for (int i = 0; i < PAGES_A_ROUND && !round.is_over; i++)
        backchannel_page(service, &round, (int64_t)time(NULL));
    const bool has_seen_all = round.is_over && !round.is_unread && !round.is_late;
    atomic_store(&service->oauth->notices_begin, has_seen_all ? 0 : backchannel_place(round.after) + 1);
    backchannel_count(service, &round);
    return round.is_late;
}
