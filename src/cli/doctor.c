/* cli/doctor.c: token-service doctor: tries every part that serving needs, and says of each whether it works. It makes
 * nothing: no directory, no file, no key. (What it leaves is a counter that is one higher, in a store that takes
 * writes.) */
#include "base/json.h"
#include "base/rfc3339.h"
#include "cache/cache.h"
#include "cli/cli.h"
#include "keys/lifecycle.h"
#include "keys/signer.h"
#include "observe/log.h"
#include "revocation/eviction.h"
#include "service/clock_check.h"
#include "service/clock_step.h"
#include "store/store.h"
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STANDBY_MADE_S = 10 };

struct finding {
    const char *part;
    struct err err;
    const char *note; /* said when all is well */
};

/* The keys as the store has them. */
static struct err read_keys(struct app *app, struct lifecycle *life)
{
    struct store *store = app->service.store;
    struct key *keys = NULL;
    *life = (struct lifecycle){ .settings = &app->settings };
    TRY(store->ops->list_keys(store, &app->arena, &keys, &life->count));
    life->keys = keys;
    return OK;
}

/* A signer signs a test when it loads a key, and holds it against the public half. It would also have the alias
 * KMS_KEY_ID follow an active key: to it this one looks pending. */
static struct err load(struct app *app, const struct key *key)
{
    struct signer *signer = app->service.signer;
    struct key copy = *key;
    if (!signer) /* key files, and no directory to look for them in */
        return failed(ERR_UNAVAILABLE, "the store has a key, but there is no TOKEN_DATA_DIR with its file");
    copy.state = KEY_PENDING;
    return signer->ops->load(signer, &app->arena, &copy);
}

static struct err check_sign(struct app *app, const struct lifecycle *life, const char **note)
{
    const struct key *active = lifecycle_active(life);
    *note = active ? "a signature verifies against the published key" : "no key yet: the first start makes one";
    return active ? load(app, active) : OK;
}

/* Without a next key, neither a rotation nor an emergency finds one: a server that runs has made one in its first
 * seconds. */
static struct err check_standby(struct app *app, const struct lifecycle *life, const char **note)
{
    const struct key *standby = lifecycle_standby(life), *active = lifecycle_active(life);
    if (standby) {
        struct str ready = rfc3339_write(&app->arena, lifecycle_standby_ready_at(life));
        *note = arena_printf(&app->arena, "the next key is published, and may sign from %s on", ready.at).at;
        return load(app, standby);
    }
    *note = "a server makes the next key in its first seconds";
    return active && app_is_served(&app->settings) && time(NULL) >= active->activated_at + STANDBY_MADE_S
               ? failed(ERR_UNAVAILABLE, "no next key is published: the server's log says why, as keys_not_moved")
               : OK;
}

static const char *note_of(const struct signer *signer)
{
    struct str name = str_of(signer->ops->name);
    return str_eq(name, STR("kms"))        ? "kms: the key in AWS KMS is enabled"
           : str_eq(name, STR("envelope")) ? "envelope: the active key is unwrapped, its wrapping key enabled"
                                           : "local: its file is there";
}

static const char *note_of_store(const struct store *store)
{
    struct str name = str_of(store->ops->name);
    return str_eq(name, STR("postgres"))   ? "postgres: reads and writes in DATABASE_URL"
           : str_eq(name, STR("supabase")) ? "supabase: reads and writes in SUPABASE_URL"
                                           : "sqlite: reads and writes";
}

/* Where this instance hears of what others revoke. */
static const char *note_of_cache(const struct app *app)
{
    return app->cache                         ? "redis: it takes writes"
           : app_shares_store(&app->settings) ? "memory: instances hear of revocations by the store they share"
                                              : "memory: this instance is the only one";
}

/* Takes writes; and keeps what it was given, or is not relied upon for that. */
static struct err check_cache(struct app *app)
{
    TRY(cache_check(app->cache));
    struct err err = eviction_check(app->cache);
    if (err.code && app->settings.revocation_policy != POLICY_STRICT) {
        LOG(LOG_WARN, "redis_may_evict", LOG_TEXT_("why", err.why));
        return OK;
    }
    return err;
}

static struct err check_dir(struct app *app, const char **note)
{
    const char *dir = app->settings.data_dir;
    struct stat about;
    *note = "the data directory is the service's alone";
    if (stat(dir, &about) != 0 && errno == ENOENT) {
        *note = "the data directory is not there yet: the first start makes it";
        return OK;
    }
    if (stat(dir, &about) != 0 || !S_ISDIR(about.st_mode))
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR is no directory that can be reached");
    if (about.st_mode & S_IRWXO)
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR is open to others: chmod 700 it");
    if (about.st_mode & S_IRWXG)
        *note = "a group can reach the data directory: a start takes its rights to our own files away";
    return app_try_data_dir(app);
}

/* A server that runs has it: then that is the answer. */
static struct err check_listen(const struct app *app, const char **note)
{
    struct err err = app_try_listen(app);
    *note = err.code ? "a server serves from this data directory now" : "the address can be had";
    return err.code && app_is_served(&app->settings) ? OK : err;
}

/* Beside what the clock shows now: what a server saw of it. */
static struct err check_clock(struct app *app, const char **note)
{
    int64_t at_s, step_ms;
    *note = "after this program was made";
    if (clock_step_last(&app->settings, &at_s, &step_ms))
        *note = arena_printf(&app->arena, "it was set by %+lld s %lld minutes ago, while a server ran",
                             (long long)(step_ms / 1000), (long long)((time(NULL) - at_s) / 60))
                    .at;
    return clock_check(&app->arena, &app->settings, app->service.store);
}

static const char *note_of_files(const struct settings *settings)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < (rlim_t)settings->connections + 64)
        return "fewer connections than TOKEN_CONNECTIONS will be taken at once: raise ulimit -n";
    return "enough may be open";
}

/* A sentence may hold a value that was set, in quotes. */
static void print_json(const struct finding *finding, const char *says)
{
    AUTO(arena_release) struct arena arena;
    struct buf out;
    arena_init(&arena, NULL, 0);
    buf_init(&out, &arena, 256, 8192);
    buf_add(&out, STR("{"));
    json_write_name(&out, STR("check"));
    json_write_str(&out, str_of(finding->part));
    json_write_name(&out, STR("ok"));
    buf_add(&out, finding->err.code ? STR("false") : STR("true"));
    json_write_name(&out, STR("detail"));
    json_write_str(&out, str_of(says));
    buf_add(&out, STR("}"));
    printf("%.*s", (int)out.len, out.at);
}

static int print_findings(const struct finding *findings, size_t count, bool json)
{
    int bad = 0;
    for (size_t i = 0; i < count; i++) {
        const struct finding *each = &findings[i];
        const char *says = each->err.code ? each->err.why : each->note;
        bad += each->err.code != ERR_OK;
        if (json) {
            printf(i > 0 ? ",\n " : "[");
            print_json(each, says);
        } else {
            printf("%-8s %-7s %s\n", each->part, each->err.code ? "FAILS" : "ok", says);
        }
    }
    if (json)
        printf("]\n");
    return bad ? EXIT_FAILED : EXIT_OK;
}

static const struct err untried = { ERR_UNAVAILABLE, "not tried, since what it needs failed" };

/* Whatever is made at a first start is only said to be missing. */
static struct err look_at_store(struct app *app, const char **note)
{
    TRY(app_look(app));
    if (!app_shares_store(&app->settings) && !store_sqlite_exists(&app->settings)) {
        *note = "sqlite: no database yet: the first start makes it";
        return OK;
    }
    *note = note_of_store(app->service.store);
    return app->service.store->ops->check(app->service.store);
}

static struct err look_at_cache(struct app *app, const char **note)
{
    TRY(app_look_at_cache(app));
    *note = note_of_cache(app);
    return app->cache ? check_cache(app) : OK;
}

/* A key file lies in the data directory: before that is there, there is none to look for. */
static struct err look_at_signer(struct app *app, const char **note)
{
    if (access(app->settings.data_dir, F_OK) != 0 && !app->settings.kms_key_id[0]) {
        *note = "local: no key yet: the first start makes one";
        return OK;
    }
    TRY(app_look_at_signer(app));
    *note = note_of(app->service.signer);
    return OK;
}

/* What needs both the store and the signer. The signer says how it stands when a key is loaded. */
static void look_at_keys(struct app *app, struct finding *signer, struct finding *sign, struct finding *standby)
{
    struct lifecycle life;
    sign->err = standby->err = read_keys(app, &life);
    if (sign->err.code)
        return;
    sign->err = check_sign(app, &life, &sign->note);
    if (lifecycle_active(&life))
        signer->err = sign->err.code ? sign->err : app->service.signer->ops->check(app->service.signer);
    standby->err = check_standby(app, &life, &standby->note);
}

static int examine(struct app *app, bool json)
{
    enum { CLOCK, FILES, OPEN, DATA, LISTEN, TLS, STORE, CACHE, SIGNER, SIGN, STANDBY, FINDINGS };
    struct finding found[FINDINGS] = {
        [CLOCK] = { .part = "clock" },
        [FILES] = { "files", OK, note_of_files(&app->settings) },
        [OPEN] = { "open", OK, "the settings fit together" },
        [DATA] = { .part = "data" },
        [LISTEN] = { .part = "listen" },
        [TLS] = { .part = "tls" },
        [STORE] = { .part = "store" },
        [CACHE] = { .part = "cache" },
        [SIGNER] = { .part = "signer" },
        [SIGN] = { "sign", untried, "" },
        [STANDBY] = { "standby", untried, "" },
    };
    app->service.settings = &app->settings;
    found[OPEN].err = lifecycle_check(&app->arena, &app->settings);
    found[DATA].err = check_dir(app, &found[DATA].note);
    found[LISTEN].err = check_listen(app, &found[LISTEN].note);
    found[TLS].err = app_try_tls(app, &found[TLS].note);
    found[STORE].err = look_at_store(app, &found[STORE].note);
    found[CLOCK].err = check_clock(app, &found[CLOCK].note);
    found[CACHE].err = look_at_cache(app, &found[CACHE].note);
    found[SIGNER].err = app->service.store ? look_at_signer(app, &found[SIGNER].note) : untried;
    if (!found[STORE].err.code && !found[SIGNER].err.code)
        look_at_keys(app, &found[SIGNER], &found[SIGN], &found[STANDBY]);
    return print_findings(found, FINDINGS, json);
}

int command_doctor(int argc, char **argv)
{
    bool json = false;
    const struct option_row rows[] = { { "--json", OPTION_SWITCH, &json } };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, 1, NULL, 0, &app.settings))
        return EXIT_USAGE;
    log_configure(LOG_WARN, (enum log_format)app.settings.log_format);
    int code = examine(&app, json);
    app_close(&app);
    settings_release(&app.settings);
    return code;
}
