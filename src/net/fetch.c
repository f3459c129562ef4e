/* net/fetch.c: what is asked of an answer; the call itself is net/client.c's, with a guard. */
#include "net/fetch.h"
#include "base/sentence.h"
#include "base/settings.h"
#include "net/client.h"
#include "net/guard.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "wire/fields.h"
#include "wire/https_url.h"
#include <pthread.h>
#include <stdlib.h>

struct fetch {
    struct guard guard;
    const char *ca_file;
    pthread_mutex_t lock; /* of the pointer below, until it is set */
    struct net_client *client;
};

static struct err fetch_open_client(struct fetch *fetch, struct net_client **out)
{
    pthread_mutex_lock(&fetch->lock);
    const struct err err = fetch->client ? OK : net_open_guarded(fetch->ca_file, &fetch->guard, &fetch->client);
    *out = fetch->client;
    pthread_mutex_unlock(&fetch->lock);
    return err;
}

struct err fetch_open(const struct settings *settings, struct fetch **out)
{
    struct net_client *client = NULL;
    struct fetch *fetch = mem_alloc(sizeof *fetch);
    *fetch = (struct fetch){ .ca_file = settings->fetch_ca_file };
    pthread_mutex_init(&fetch->lock, NULL);
    const char *fault = networks_read(str_of(settings->fetch_allow), &fetch->guard.allowed);
    struct err err = fault               ? failed(ERR_INVALID_REQUEST, fault)
                     : fetch->ca_file[0] ? fetch_open_client(fetch, &client)
                                         : OK;
    if (err.code) {
        fetch_close(fetch);
        return fault
                   ? err
                   : failed(err.code, sentence_keep("a file of certificates can't be used",
                                                    "TOKEN_FETCH_CA_FILE (%s): %s", settings->fetch_ca_file, err.why));
    }
    *out = fetch;
    return OK;
}

void fetch_close(struct fetch *fetch)
{
    if (!fetch)
        return;
    net_close(fetch->client);
    pthread_mutex_destroy(&fetch->lock);
    free(fetch);
}

static const char *fetch_read_url(const struct fetch *fetch, struct str url, struct https_url *out)
{
    const char *fault = https_url_read(url, out);
    if (fault || !out->is_address || guard_allows_address(&fetch->guard, &out->address))
        return fault;
    return "its address is for special use, and TOKEN_FETCH_ALLOW does not allow it";
}

static struct err fetch_end(enum counter counter, struct err err)
{
    metrics_count(counter, 1);
    return err;
}

static struct err fetch_refuse(struct str host, const char *why)
{
    LOG(LOG_WARN, "fetch_failed", LOG_STR("host", host), LOG_TEXT_("detail", why));
    return fetch_end(COUNT_FETCHES_UNFIT, failed(ERR_UNAVAILABLE, why));
}

/* The URL, the method, and what else differs are the caller's; the bounds are here. */
static struct err fetch_send(struct fetch *fetch, struct arena *arena, struct net_request request, struct str url,
                             struct https_url *read, struct net_answer *out)
{
    struct net_client *client = NULL;
    const char *fault = fetch_read_url(fetch, url, read);
    if (fault)
        return fetch_end(COUNT_FETCHES_REFUSED,
                         failed(ERR_INVALID_REQUEST, arena_printf(arena, "the URL can't be fetched: %s", fault).at));
    struct err err = fetch_open_client(fetch, &client);
    if (err.code)
        return fetch_end(COUNT_FETCHES_FAILED, err);
    request.url = arena_copy(arena, url).at; /* visible characters alone: no NUL ends it early */
    request.timeout_ms = FETCH_TIME_MS;
    request.answer_max = FETCH_SIZE_MAX;
    err = net_send(client, arena, &request, out);
    return err.code ? fetch_end(COUNT_FETCHES_FAILED, err) : OK;
}

static int64_t fetch_lifetime_s(struct str cache_control)
{
    int64_t lifetime_s = FETCH_LIFETIME_S;
    if (field_has(cache_control, STR("no-store")) || field_has(cache_control, STR("no-cache")))
        return FETCH_LIFETIME_MIN_S;
    (void)field_max_age(cache_control, &lifetime_s);
    return lifetime_s < FETCH_LIFETIME_MIN_S   ? FETCH_LIFETIME_MIN_S
           : lifetime_s > FETCH_LIFETIME_MAX_S ? FETCH_LIFETIME_MAX_S
                                               : lifetime_s;
}

static struct err fetch_get(struct fetch *fetch, struct arena *arena, struct str url, const char *accept,
                            struct str other_type, struct fetched *out)
{
    const struct net_header header = { "Accept", accept };
    const struct net_request request = { .method = "GET", .headers = &header, .header_count = 1 };
    struct net_answer answer;
    struct https_url read;
    TRY(fetch_send(fetch, arena, request, url, &read, &answer));
    if (answer.status != 200)
        return fetch_refuse(read.host, answer.status >= 300 && answer.status < 400
                                           ? "the response is a redirect, which is not followed"
                                           : "the response is not 200 OK");
    if (!field_is_type(answer.content_type, STR("application/json")) &&
        !(other_type.len > 0 && field_is_type(answer.content_type, other_type)))
        return fetch_refuse(read.host, "the response is not JSON by its Content-Type");
    *out = (struct fetched){ answer.body, fetch_lifetime_s(answer.cache_control) };
    return fetch_end(COUNT_FETCHES_OK, OK);
}

struct err fetch_json(struct fetch *fetch, struct arena *arena, struct str url, struct fetched *out)
{
    return fetch_get(fetch, arena, url, "application/json", STR(""), out);
}

struct err fetch_jwks(void *fetch, struct arena *arena, struct str url, struct fetched *out)
{
    return fetch_get(fetch, arena, url, "application/jwk-set+json, application/json", STR("application/jwk-set+json"),
                     out);
}

struct err fetch_post(struct fetch *fetch, struct arena *arena, struct str url, struct str form, int *status)
{
    const struct net_header header = { "Content-Type", "application/x-www-form-urlencoded" };
    const struct net_request request = {
        .method = "POST", .headers = &header, .header_count = 1, .body = form, .is_unique = true
    };
    struct net_answer answer;
    struct https_url read;
    TRY(fetch_send(fetch, arena, request, url, &read, &answer));
    *status = answer.status;
    return fetch_end(COUNT_FETCHES_OK, OK);
}
