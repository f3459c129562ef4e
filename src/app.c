/* app.c: the start-up list, read from top to bottom; app_close() is the same list backwards. */
#include "app.h"
#include "aws/kms.h"
#include "aws/secret_values.h"
#include "base/clock.h"
#include "base/trusted.h"
#include "cache/cache.h"
#include "cache/uses.h"
#include "cache/verified.h"
#include "http/listen.h"
#include "http/server.h"
#include "http/tls.h"
#include "jose/private_memory.h"
#include "keys/keyring.h"
#include "keys/rotation.h"
#include "keys/signer.h"
#include "lambda/lambda.h"
#include "oauth/oauth.h"
#include "oauth/opaque_tokens.h"
#include "oauth/operations.h"
#include "oauth/sector.h"
#include "observe/emf.h"
#include "observe/log.h"
#include "revocation/revocations.h"
#include "service/clients.h"
#include "service/clock_check.h"
#include "service/event_bus.h"
#include "service/events.h"
#include "service/emf_flush.h"
#include "service/failures.h"
#include "service/housekeeping.h"
#include "store/commit.h"
#include "store/data_dir.h"
#include "store/migration.h"
#include "store/store.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS_THAT_WAIT = 256, /* 200 calls of KMS in flight, and some that sign nothing */
    LOOK_INTERVAL_S = 600,
    WORKERS_THAT_ASK = 16, /* revocations wait for Redis, or a database: some tenths of a millisecond each */
};

static bool is_memory_locked; /* OpenSSL's part of it, where private keys lie */

void app_prepare(void)
{
    const struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
    trusted_find();
    is_memory_locked = private_memory_open();
}

/* An unwrapped envelope key exists only in memory, and so may AWS's credentials: only root may look into the process or
 * have the kernel dump it. A key file's owner could read the file as well. */
static void app_protect_memory(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (!is_memory_locked)
        LOG(LOG_WARN, "memory_not_locked",
            LOG_TEXT_("why", "RLIMIT_MEMLOCK is below 5 MB: private keys could be swapped out; raise it"));
}

/* Before anything that is opened with a secret: those that the settings only refer to. They are in no file, nor in the
 * environment. */
static struct err app_fetch_secrets(struct app *app)
{
    if (settings_have_references(&app->settings))
        (void)prctl(PR_SET_DUMPABLE, 0);
    return secret_values_fetch(&app->settings, &app->arena);
}

/* Who signs: a key file, AWS KMS, or a key that KMS wraps. */
static struct err app_choose_signer(struct app *app)
{
    const struct settings *settings = &app->settings;
    struct service *service = &app->service;
    enum signer_kind kind = SIGNER_LOCAL;
    if (settings->kms_key_id[0]) {
        TRY(kms_open(settings, &app->kms));
        app_protect_memory();
    }
    TRY(signer_open(settings, app->kms, service->store, &app->arena, &service->signer, &kind));
    app->settings.signer = (int64_t)kind; /* auto is decided */
    return OK;
}

bool app_shares_store(const struct settings *settings)
{
    return settings->database_url[0] || settings->supabase_url[0];
}

bool app_has_store(const struct settings *settings)
{
    return app_shares_store(settings) || store_sqlite_exists(settings);
}

/* A server's, before anything in it is opened, made or mended. What is refused is left as it was. */
static struct err app_take_data_dir(struct app *app)
{
    TRY(data_dir_check(&app->arena, app->settings.data_dir, false));
    TRY(store_make_dir(&app->settings));
    return data_dir_lock(app->settings.data_dir, &app->lock);
}

struct err app_open_store(struct app *app)
{
    const struct settings *settings = &app->settings;
    struct store **store = &app->service.store;
    app->service.settings = settings;
    app->service.check_sector = sector_check;
    TRY(app_fetch_secrets(app));
    app->makes = true;
    if (app->serves && !app_shares_store(settings))
        TRY(app_take_data_dir(app));
    TRY(data_dir_check(&app->arena, settings->data_dir, app->serves));
    if (!app_shares_store(settings))
        return store_sqlite_open(settings, store);
    TRY(store_make_dir(settings)); /* a signer may keep its keys there */
    return settings->database_url[0] ? store_postgres_open(settings, store) : store_supabase_open(settings, store);
}

struct err app_look(struct app *app)
{
    const struct settings *settings = &app->settings;
    struct store **store = &app->service.store;
    app->service.settings = settings;
    TRY(app_fetch_secrets(app));
    if (settings->database_url[0])
        return store_postgres_open(settings, store);
    if (settings->supabase_url[0])
        return store_supabase_open(settings, store);
    TRY(data_dir_check(&app->arena, settings->data_dir, false));
    return store_sqlite_look(settings, store);
}

struct err app_look_at_signer(struct app *app)
{
    return app_choose_signer(app);
}

const char *app_migration(bool down)
{
    return down ? store_migration_down : store_migration_up;
}

struct err app_migrate(struct app *app, bool down)
{
    TRY(app_fetch_secrets(app));
    return store_migrate(&app->settings, app_migration(down));
}

struct err app_check_settings(struct app *app)
{
    return lifecycle_check(&app->arena, &app->settings);
}

struct err app_open_signer(struct app *app)
{
    const struct settings *settings = &app->settings;
    struct service *service = &app->service;
    TRY(app_check_settings(app));
    TRY(app_open_store(app));
    TRY(app_choose_signer(app));
    service->rotation = rotation_new(service->store, service->signer, settings);
    return OK;
}

/* Redis if it is set, which many instances share; otherwise there is none. */
static struct err app_open_cache(struct app *app)
{
    if (!app->settings.redis_url[0])
        return OK;
    TRY(app_fetch_secrets(app));
    (void)signal(SIGPIPE, SIG_IGN); /* TLS writes to its socket without MSG_NOSIGNAL */
    return cache_open(&app->settings, &app->cache);
}

/* A server follows what other instances revoke; a command asks. */
static struct err app_open_revocations(struct app *app)
{
    struct service *service = &app->service;
    TRY(app_open_cache(app));
    service->revocations = revocations_new(&app->settings, service->store, app->cache, service->keyring);
    return app->serves ? revocations_follow(service->revocations, app->by_rounds ? FOLLOW_BY_ROUNDS : FOLLOW_BY_THREADS)
                       : OK;
}

struct err app_look_at_cache(struct app *app)
{
    return app_open_cache(app);
}

/* A command that only looks leaves it to the server to make the first key, or to write down what the settings allow. */
static struct err app_open_keys(struct app *app)
{
    struct service *service = &app->service;
    struct key *keys;
    size_t count = 1;
    if (app->looks)
        TRY(service->store->ops->list_keys(service->store, &app->arena, &keys, &count));
    if (count == 0)
        return failed(ERR_TOKEN_KEY, "there is no signing key yet, so this service has not issued any token");
    TRY(keyring_open(service->store, service->signer, (enum jwa)app->settings.signing_alg, (int64_t)time(NULL),
                     &app->arena, &service->keyring));
    return app->looks ? OK : rotation_allow_lifetime(service->rotation);
}

/* What is remembered from call to call. */
static void app_make_memories(struct app *app)
{
    const struct settings *settings = &app->settings;
    struct service *service = &app->service;
    service->verified = verified_cache_new((size_t)settings->verified_cache);
    if (app->serves && settings->usage_interval_s > 0 && service->store->ops->count_uses)
        service->uses = uses_new();
    service->clients = clients_new(service->store, settings->client_cache_s, settings->client_staleness_s);
    service->failures = failures_new(settings->failure_limit);
}

struct err app_look_at_events(struct app *app)
{
    return app->settings.event_bus_name[0] ? put_events_open(&app->settings, &app->put_events) : OK;
}

/* Events are written by all who issue, and told of by those that serve. */
static struct err app_open_events(struct app *app)
{
    const struct settings *settings = &app->settings;
    if (!settings->event_bus_name[0])
        return OK;
    if (app->serves) {
        TRY(put_events_open(settings, &app->put_events));
        app->event_bus = arena_zalloc(&app->arena, sizeof *app->event_bus);
        *app->event_bus = (struct event_bus){ .put = put_events, .context = app->put_events, .now_ns = clock_ns };
    }
    app->service.events = events_new(app->service.store, app->event_bus);
    return OK;
}

/* What others revoke, and what they are told. */
static struct err app_open_to_others(struct app *app)
{
    TRY(app_open_revocations(app));
    return app_open_events(app);
}

/* What is fixed by the settings alone. */
static void app_set_contract(struct service *service, const struct settings *settings)
{
    service->settings = settings;
    service->routes = settings_have_users(settings) ? &oauth_user_routes : &oauth_routes;
    service->opaque_tokens = &oauth_opaque_tokens;
    service->audience = str_of(settings->audience);
}

/* What goes on by itself, unless the process is frozen between calls. */
static struct err app_start_threads(struct app *app)
{
    if (app->by_rounds)
        return OK;
    if (app->serves)
        TRY(oauth_start(&app->service));
    return housekeeping_start(app->housekeeping);
}

struct err app_open(struct app *app)
{
    const struct settings *settings = &app->settings;
    struct service *service = &app->service;
    app_set_contract(service, settings);
    if (app->looks && !app_has_store(settings))
        return failed(ERR_NOT_FOUND, "there is no store in TOKEN_DATA_DIR, and this command does not create one");
    const bool is_told = settings->signer == SIGNER_LOCAL; /* before auto is decided */
    TRY(app_open_signer(app));
    if (is_told && app->serves)
        TRY(rotation_take_over(service->rotation, &app->arena, (int64_t)time(NULL)));
    TRY(app_open_keys(app));
    TRY(commit_open(service->store, &service->commit));
    if (settings->signer == SIGNER_KMS)
        commit_hurry(service->commit);
    TRY(app_open_to_others(app));
    app_make_memories(app);
    TRY(housekeeping_open(service, &app->housekeeping));
    service->housekeeping = app->housekeeping;
    if (app->serves)
        TRY(oauth_open(service, &app->oauth));
    return app_start_threads(app);
}

void app_close(struct app *app)
{
    struct service *service = &app->service;
    oauth_close(app->oauth);
    housekeeping_close(app->housekeeping);
    failures_free(service->failures);
    clients_free(service->clients);
    verified_cache_free(service->verified);
    uses_free(service->uses);
    events_free(service->events);
    put_events_close(app->put_events);
    revocations_close(service->revocations);
    cache_close(app->cache);
    commit_close(service->commit);
    keyring_close(service->keyring);
    rotation_free(service->rotation);
    if (service->signer)
        service->signer->ops->close(service->signer);
    kms_close(app->kms);
    store_closep(&service->store);
    arena_release(&app->arena);
    if (app->lock > 0)
        close(app->lock);
    if (app->makes)
        data_dir_give(app->settings.data_dir);
    *service = (struct service){ 0 };
    app->makes = false;
    app->housekeeping = NULL;
    app->kms = NULL;
    app->put_events = NULL;
    app->event_bus = NULL;
    app->cache = NULL;
    app->lock = 0;
}

/* --- serving ----------------------------------------------------------------------------------------------------- */

bool app_is_served(const struct settings *settings)
{
    return data_dir_is_locked(settings->data_dir);
}

/* Room for the connections that the settings allow. */
static void app_set_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    mem_few_arenas();
}

struct err app_try_data_dir(struct app *app)
{
    return data_dir_check(&app->arena, app->settings.data_dir, false);
}

struct err app_try_listen(const struct app *app)
{
    struct listeners listeners = { .count = 0 };
    int port = 0;
    TRY(listen_open(app->settings.listen, 1, &listeners, &port));
    listen_close(&listeners);
    return OK;
}

struct err app_try_tls(const struct app *app, const char **note)
{
    const int64_t now_s = (int64_t)time(NULL);
    struct tls *tls = NULL;
    *note = "none: plain HTTP";
    TRY(tls_open(app->settings.tls_cert, app->settings.tls_key, &tls));
    if (!tls)
        return OK;
    const struct tls_validity validity = tls_validity(tls);
    const char *complaint = tls_complaint(validity, now_s);
    tls_close(tls);
    *note = complaint ? complaint : "its files can be used";
    return now_s < validity.from || now_s >= validity.until ? failed(ERR_UNAVAILABLE, *note) : OK;
}

/* --- as a function of AWS Lambda --------------------------------------------------------------------------------- */

/* A function keeps no files: what lies in its /tmp is gone with the environment, and no other environment sees it. So
 * an unset data directory is one that nothing depends on, and only a setting makes it more than that. */
static struct err app_choose_lambda_dir(struct app *app)
{
    struct settings *settings = &app->settings;
    if (settings_are_given(settings, "TOKEN_DATA_DIR"))
        return OK;
    if (!app_shares_store(settings) || !settings->kms_key_id[0])
        return failed(ERR_INVALID_REQUEST,
                      "a Lambda function keeps no files: set SUPABASE_URL or DATABASE_URL, and KMS_KEY_ID; or, for a "
                      "trial whose tokens and keys may be lost at any time, TOKEN_DATA_DIR=/tmp/token-service");
    settings->data_dir = "/tmp/token-service";
    return OK;
}

static struct err app_open_lambda(struct app *app)
{
    app->serves = app->by_rounds = true;
    TRY(app_choose_lambda_dir(app));
    TRY(app_open(app));
    atomic_store(&app->service.moves_keys, true);
    revocations_open_feed(app->service.revocations);
    if (app->settings.emf != EMF_OFF)
        emf_open(app->settings.emf_service);
    LOG(LOG_INFO, "serving_lambda", LOG_TEXT_("issuer", app->settings.issuer),
        LOG_TEXT_("store", app->service.store->ops->name), LOG_TEXT_("signer", app->service.signer->ops->name),
        LOG_TEXT_("cache", app->cache ? "redis" : "memory"));
    return OK;
}

struct err app_serve_lambda(struct app *app, struct lambda *lambda)
{
    sigset_t signals;
    lambda_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* every thread inherits it: lambda_serve() takes them all */
    (void)signal(SIGPIPE, SIG_IGN);
    app_set_limits();
    TRY(lambda_wait_for_restore(lambda)); /* before anything that a copy of this process must not share */
    const struct err err = app_open_lambda(app);
    if (err.code) {
        lambda_tell_failed_start(lambda, err);
        return err;
    }
    return lambda_serve(lambda, &app->service, &signals);
}

/* --- as a server ------------------------------------------------------------------------------------------------- */

static void app_wait_for_the_end(struct housekeeping *housekeeping, struct server *server, const sigset_t *signals)
{
    const struct timespec a_while = { .tv_sec = LOOK_INTERVAL_S };
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &a_while);
        server_look(server);
        if (signal < 0)
            continue;
        if (signal != SIGHUP) {
            LOG(LOG_INFO, "stopping", LOG_INT("signal", signal));
            return;
        }
        LOG(LOG_INFO, "rereading", LOG_INT("signal", signal));
        housekeeping_nudge(housekeeping);
        server_reload(server);
    }
}

static void app_warn_of_clock(struct app *app)
{
    const struct err err = clock_check(&app->arena, &app->settings, app->service.store);
    if (err.code)
        LOG(LOG_WARN, "clock_wrong", LOG_TEXT_("why", err.why));
}

/* For Redis, for a database, or for passwords and what users' clients have published. */
static bool app_has_workers_that_wait(const struct settings *settings)
{
    return settings->redis_url[0] || app_shares_store(settings) || settings_have_users(settings);
}

static struct err app_serve_until(struct app *app, const sigset_t *signals, long cores)
{
    struct server *server = NULL;
    int port = 0;
    app->serves = true;
    TRY(app_open(app));
    if (app->settings.workers == 0)
        app->settings.workers = app->settings.signer == SIGNER_KMS          ? WORKERS_THAT_WAIT
                                : app_has_workers_that_wait(&app->settings) ? WORKERS_THAT_ASK
                                                                            : cores;
    atomic_store(&app->service.moves_keys, true);
    revocations_open_feed(app->service.revocations);
    if (app->settings.emf == EMF_ON)
        emf_open(app->settings.emf_service);
    TRY(server_open(&app->service, &server, &port));
    app_warn_of_clock(app);
    data_dir_give(app->settings.data_dir);
    LOG(LOG_INFO, "serving", LOG_TEXT_("listen", app->settings.listen), LOG_INT("port", port),
        LOG_TEXT_("issuer", app->settings.issuer), LOG_TEXT_("store", app->service.store->ops->name),
        LOG_TEXT_("signer", app->service.signer->ops->name), LOG_TEXT_("cache", app->cache ? "redis" : "memory"),
        LOG_INT("loops", app->settings.loops), LOG_INT("workers", app->settings.workers));
    app_wait_for_the_end(app->housekeeping, server, signals);
    server_close(server);
    emf_flush(&app->service);
    emf_close();
    LOG(LOG_INFO, "stopped", LOG_INT("port", port));
    return OK;
}

struct err app_serve(struct app *app)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        cores = CPU_COUNT(&allowed);
    if (cores < 1)
        cores = 1;
    if (app->settings.loops == 0)
        app->settings.loops = cores;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* every thread inherits it: app_wait_for_the_end() takes them all */
    (void)signal(SIGPIPE, SIG_IGN);
    app_set_limits();
    return app_serve_until(app, &signals, cores);
}
