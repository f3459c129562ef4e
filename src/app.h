/* app.h: builds the service from the settings, in order, and takes it down in reverse. */
#ifndef APP_H
#define APP_H

#include "base/settings.h"
#include "service/service.h"

struct cache;
struct event_bus;
struct housekeeping;
struct oauth;
struct kms;
struct put_events;

struct app {
    struct settings settings;
    struct service service;
    struct oauth *oauth;
    struct housekeeping *housekeeping;
    struct kms *kms;               /* AWS KMS; NULL without KMS_KEY_ID */
    struct put_events *put_events; /* EventBridge; NULL without EVENT_BUS_NAME, and in commands but `doctor` */
    struct event_bus *event_bus;   /* the way to it; NULL likewise */
    struct cache *cache;           /* the Redis of all instances; NULL without REDIS_URL */
    struct arena arena;            /* sentences of errors at start-up */
    bool serves;                   /* not a command, which ends */
    bool looks;     /* a command that only looks, or revokes: no store (ERR_NOT_FOUND) or key is made for it */
    bool by_rounds; /* it is frozen between calls: nothing goes on by itself */
    bool makes;     /* it may have made files in the data directory */
    int lock;       /* the data directory's, while serving; 0: none */
};

/* First of all, in every command: keeps private keys out of core dumps and of the ordinary heap. */
void app_prepare(void);
/* Whether the settings fit one another; opens nothing. */
MUST_USE struct err app_check_settings(struct app *app);
/* Opens only the store, which is what managing clients needs. The caller fills app->settings and keeps owning it. */
MUST_USE struct err app_open_store(struct app *app);
/* The same for a command that only looks: makes no directory, no store, no key. A store that isn't there yet is an
 * empty one. */
MUST_USE struct err app_look(struct app *app);
/* For `doctor`, after its checks: the signer, what the instances share, and the event bus. None creates anything. */
MUST_USE struct err app_look_at_signer(struct app *app);
MUST_USE struct err app_look_at_cache(struct app *app);
MUST_USE struct err app_look_at_events(struct app *app);
/* Whether only this user can reach the data directory and its files; changes nothing (store/data_dir.h). */
MUST_USE struct err app_try_data_dir(struct app *app);
/* Whether the address of TOKEN_LISTEN can be had, and TOKEN_TLS_CERT and _KEY be used now; both are given back. *note:
 * what there is to say when all is well; static. */
MUST_USE struct err app_try_listen(const struct app *app);
MUST_USE struct err app_try_tls(const struct app *app, const char **note);
/* Whether other instances may be at the same records; and whether there are any yet. */
bool app_shares_store(const struct settings *settings);
bool app_has_store(const struct settings *settings);
/* The SQL that a shared store's database needs, or, with `down`, what takes it back; and running it over DATABASE_URL.
 */
const char *app_migration(bool down);
MUST_USE struct err app_migrate(struct app *app, bool down);
/* Opens the store and the signer: what moving keys needs, also when the keys themselves can't be used. */
MUST_USE struct err app_open_signer(struct app *app);
/* Opens everything that a call needs: store, keys, caches, group commit. Makes the first signing key, unless it only
 * looks: then ERR_TOKEN_KEY when there is none, since no token can exist either. */
MUST_USE struct err app_open(struct app *app);
/* Opens everything and serves until SIGTERM or SIGINT; SIGHUP does a round of housekeeping at once. */
MUST_USE struct err app_serve(struct app *app);
/* The same as a function of AWS Lambda, until its environment ends: `lambda` brings the events. */
struct lambda;
MUST_USE struct err app_serve_lambda(struct app *app, struct lambda *lambda);
/* Whether a server serves from the data directory now. */
bool app_is_served(const struct settings *settings);
/* Closes what is open, and frees what an error's sentence may lie in: report it first. Safe on a zeroed struct. */
void app_close(struct app *app);

#endif
