/* aws/credentials.c: the chain of sources, and the one set of credentials that is in use. Callers hold it by counted
 * references, so that a set is wiped when its last caller has put it back. */
#include "aws/credentials.h"
#include "base/clock.h"
#include "aws/credentials_source.h"
#include "aws/retry.h"
#include "base/random.h"
#include "base/sentence.h"
#include "observe/log.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { REFRESH_MS = 5000, TRY_MS = 2000, ANSWER_MAX = 64 * 1024, SECRETS_MAX = 16 * 1024 };

static const struct credentials_source *const chain[] = { &credentials_environment, &credentials_web_identity,
                                                          &credentials_profile, &credentials_container,
                                                          &credentials_metadata };

struct held {
    struct aws_credentials view; /* first: it is what callers have */
    struct secret memory;        /* of its texts */
    bool outlives_expiry;        /* credentials_source.h */
    size_t references;           /* under the lock */
};

struct credentials {
    struct net_client *net;
    const struct settings *settings;
    pthread_mutex_t lock;
    pthread_cond_t refreshed;
    struct held *current; /* NULL: none yet */
    uint64_t serials;
    bool is_refused;      /* the current ones, by a service */
    bool is_refreshing;   /* by one caller */
    bool is_extended;     /* the current ones had expired when they came, and are still used */
    int64_t not_before_s; /* the next refresh, after one that failed or was asked for */
    int64_t wait_s;       /* how far ahead that lay then */
    struct err last;      /* of the last refresh */
};

/* --- what the sources share -------------------------------------------------------------------------------------- */

struct err credentials_read_file(struct arena *arena, const char *path, struct str *out)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0)
        return failed(errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_INVALID_REQUEST,
                      "a file can't be opened");
    char *text = arena_alloc(arena, CREDENTIALS_FILE_MAX + 2);
    size_t len = 0;
    ssize_t got;
    while (len <= CREDENTIALS_FILE_MAX && (got = read(file, text + len, CREDENTIALS_FILE_MAX + 1 - len)) > 0)
        len += (size_t)got;
    close(file);
    if (got < 0 || len > CREDENTIALS_FILE_MAX)
        return failed(ERR_INVALID_REQUEST, "a file can't be read, or is too long");
    text[len] = '\0';
    *out = (struct str){ text, len };
    return OK;
}

struct err credentials_unreachable(const char *setting, struct err err)
{
    return failed(ERR_UNAVAILABLE, sentence_keep("the source of the AWS credentials can't be reached; try again later",
                                                 "%s: %s", setting, err.why));
}

bool credentials_nothing_is_final(const struct net_answer *answer)
{
    (void)answer;
    return false;
}

struct err credentials_send(const struct credentials_ask *ask, struct arena *arena, struct net_request *request,
                            bool (*is_final)(const struct net_answer *), struct net_answer *out)
{
    request->answer_max = ANSWER_MAX;
    request->is_secret = true;
    for (unsigned tries = 1;; tries++) {
        int64_t left_ms = ask->deadline_ms - clock_ms();
        request->timeout_ms = left_ms < TRY_MS ? left_ms : TRY_MS;
        struct err err = net_send(ask->net, arena, request, out);
        if (tries == CREDENTIALS_TRIES || (!err.code && (out->status == 200 || is_final(out))))
            return err;
        clock_sleep_ms(retry_delay_ms(tries + 1, random_number()));
    }
}

/* --- a set ------------------------------------------------------------------------------------------------------- */

static bool credentials_is_header_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    return true;
}

/* Whatever they came from, they become parts of a header. */
static bool credentials_is_usable(const struct credentials_found *found)
{
    return found->access_key.len > 0 && found->access_key.len <= 128 && credentials_is_header_text(found->access_key) &&
           !str_has(found->access_key, '/') && found->secret_key.len > 0 && found->secret_key.len <= 256 &&
           credentials_is_header_text(found->secret_key) && found->token.len <= SECRETS_MAX - 1024 &&
           credentials_is_header_text(found->token);
}

/* Copies into *room, with a NUL, and moves it on. */
static struct str credentials_keep(char **room, struct str text)
{
    struct str kept = { *room, text.len };
    if (text.len > 0)
        memcpy(*room, text.at, text.len);
    (*room)[text.len] = '\0';
    *room += text.len + 1;
    return kept;
}

static struct err credentials_hold(const struct credentials_found *found, struct held **out)
{
    if (!credentials_is_usable(found))
        return failed(ERR_UNAVAILABLE, "the AWS credentials that were found are malformed");
    struct held *held = mem_alloc(sizeof *held);
    *held = (struct held){ .references = 1 };
    struct err err = secret_init(&held->memory, found->access_key.len + found->secret_key.len + found->token.len + 3,
                                 NULL);
    if (err.code) {
        free(held);
        return err;
    }
    char *room = held->memory.at;
    held->view.access_key = credentials_keep(&room, found->access_key);
    held->view.secret_key = credentials_keep(&room, found->secret_key);
    held->view.token = credentials_keep(&room, found->token);
    held->view.expires_s = found->expires_s;
    held->outlives_expiry = found->outlives_expiry;
    *out = held;
    return OK;
}

/* With the lock, or when no other thread is left. */
static void credentials_release_held(struct held *held)
{
    if (!held || --held->references > 0)
        return;
    secret_release(&held->memory);
    free(held);
}

static struct err credentials_report(const char *source, struct err err)
{
    LOG(LOG_ERROR, "credentials_failed", LOG_TEXT_("source", source), LOG_TEXT_("detail", err.why));
    return failed(ERR_UNAVAILABLE, err.why);
}

static struct err credentials_search(const struct credentials_ask *ask, struct arena *arena, struct held **out)
{
    struct err err = credentials_check_profile(arena);
    if (err.code)
        return credentials_report("profile", err);
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++) {
        struct credentials_found found = { 0 };
        err = chain[i]->read(ask, arena, &found);
        if (err.code == ERR_NOT_FOUND)
            continue;
        if (!err.code)
            err = credentials_hold(&found, out);
        if (err.code)
            return credentials_report(chain[i]->name, err);
        LOG(LOG_INFO, "credentials_loaded", LOG_TEXT_("source", chain[i]->name), LOG_INT("expires", found.expires_s));
        return OK;
    }
    return credentials_report("none", failed(ERR_UNAVAILABLE, "there are no AWS credentials: not in the environment, a "
                                                              "web identity, a profile, a "
                                                              "container's address or an instance's metadata"));
}

/* Without the lock: it may wait. */
static struct err credentials_refresh(const struct credentials *credentials, struct held **out)
{
    const struct credentials_ask ask = { credentials->net, credentials->settings, clock_ms() + REFRESH_MS };
    struct arena arena = { 0 };
    struct err err = credentials_search(&ask, &arena, out);
    arena_wipe(&arena, NULL, 0);
    arena_release(&arena);
    return err;
}

/* --- the set in use ---------------------------------------------------------------------------------------------- */

struct credentials *credentials_new(struct net_client *net, const struct settings *settings)
{
    struct credentials *credentials = mem_alloc(sizeof *credentials);
    *credentials = (struct credentials){ .net = net, .settings = settings };
    pthread_mutex_init(&credentials->lock, NULL);
    pthread_cond_init(&credentials->refreshed, NULL);
    return credentials;
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials)
        return;
    credentials_release_held(credentials->current);
    pthread_cond_destroy(&credentials->refreshed);
    pthread_mutex_destroy(&credentials->lock);
    free(credentials);
}

static bool credentials_lasts_until(const struct held *held, int64_t at_s)
{
    return held && (held->view.expires_s == 0 || at_s < held->view.expires_s);
}

/* A time that lies further ahead than it did when it was planned: the clock was set back, and says nothing of it. */
static bool credentials_waits(const struct credentials *credentials, int64_t now_s)
{
    return now_s < credentials->not_before_s && credentials->not_before_s - now_s <= credentials->wait_s;
}

static bool credentials_may_be_used(const struct held *held, int64_t now_s)
{
    return held && (held->outlives_expiry || credentials_lasts_until(held, now_s));
}

/* With the lock, after a refresh that gave `fresh` or NULL. When the next one is due, if the set in use does not say so
 * by its life: or every call would ask again. */
static void credentials_plan_next(struct credentials *credentials, const struct held *fresh, int64_t now_s)
{
    credentials->is_extended = fresh && !credentials->is_refused && fresh->outlives_expiry &&
                               !credentials_lasts_until(fresh, now_s);
    if (credentials->is_extended)
        credentials->not_before_s = now_s + CREDENTIALS_EXTENDED_S +
                                    (int64_t)(random_number() % CREDENTIALS_EXTENDED_S);
    else if (!fresh || credentials->is_refused || !credentials_lasts_until(fresh, now_s + CREDENTIALS_EARLY_S))
        credentials->not_before_s = now_s + CREDENTIALS_AGAIN_S;
    const int64_t end_s = fresh ? fresh->view.expires_s : 0;
    if (!credentials->is_refused && end_s > now_s && end_s < credentials->not_before_s)
        credentials->not_before_s = end_s; /* so short a life is no reason to use them beyond it */
    credentials->wait_s = credentials->not_before_s - now_s;
}

/* With the lock, which is given up while the sources are asked. */
static void credentials_refresh_current(struct credentials *credentials, int64_t now_s)
{
    struct held *fresh = NULL;
    credentials->is_refreshing = true;
    pthread_mutex_unlock(&credentials->lock);
    struct err err = credentials_refresh(credentials, &fresh);
    pthread_mutex_lock(&credentials->lock);
    credentials->is_refreshing = false;
    credentials->last = err;
    credentials_plan_next(credentials, fresh, now_s);
    if (!err.code) {
        fresh->view.serial = ++credentials->serials;
        credentials_release_held(credentials->current);
        credentials->current = fresh;
        credentials->is_refused = false;
    }
    pthread_cond_broadcast(&credentials->refreshed);
}

/* With the lock. Good ones are used; old ones too, while somebody fetches others or that has failed just now. */
static bool credentials_has_usable(const struct credentials *credentials, int64_t now_s)
{
    if (credentials_lasts_until(credentials->current, now_s + CREDENTIALS_EARLY_S) && !credentials->is_refused)
        return true;
    return credentials_may_be_used(credentials->current, now_s) &&
           (credentials->is_refreshing || credentials_waits(credentials, now_s));
}

struct err credentials_get(struct credentials *credentials, int64_t now_s, const struct aws_credentials **out)
{
    struct err err = OK;
    pthread_mutex_lock(&credentials->lock);
    while (!credentials_has_usable(credentials, now_s)) {
        if (credentials->is_refreshing) {
            pthread_cond_wait(&credentials->refreshed, &credentials->lock);
        } else if (credentials->last.code && credentials_waits(credentials, now_s)) {
            err = credentials->last;
            break;
        } else {
            credentials_refresh_current(credentials, now_s);
            if (!credentials->last.code && !credentials_may_be_used(credentials->current, now_s)) {
                err = failed(ERR_UNAVAILABLE, "the AWS credentials that were found have expired");
                credentials->last = err;
                break;
            }
        }
    }
    if (!err.code) {
        credentials->current->references++;
        *out = &credentials->current->view;
    }
    pthread_mutex_unlock(&credentials->lock);
    return err;
}

void credentials_put(struct credentials *credentials, const struct aws_credentials *view)
{
    struct held *held = (struct held *)(uintptr_t)view; /* its first member, which callers may only read */
    pthread_mutex_lock(&credentials->lock);
    credentials_release_held(held);
    pthread_mutex_unlock(&credentials->lock);
}

void credentials_refused(struct credentials *credentials, uint64_t serial)
{
    pthread_mutex_lock(&credentials->lock);
    if (credentials->current && credentials->current->view.serial == serial) {
        credentials->is_refused = true;
        if (credentials->is_extended)
            credentials->not_before_s = 0; /* they are not good after all: others are wanted now */
    }
    pthread_mutex_unlock(&credentials->lock);
}
