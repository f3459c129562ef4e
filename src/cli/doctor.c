/* cli/doctor.c: token-service doctor: tries every part that serving needs, and says of each whether it works. */
#include "cli/cli.h"
#include "jose/jws.h"
#include "observe/log.h"
#include "service/eviction.h"
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum {
    CLOCK_EARLIEST = 1767225600, /* 2026-01-01: an earlier clock is wrong, and its tokens would be born expired */
    STANDBY_MADE_S = 10,
};

struct finding {
    const char *part;
    struct err err;
    const char *note; /* said when all is well */
};

static struct err check_sign(struct app *app)
{
    struct arena arena;
    struct buf token;
    struct jws_parts parts;
    struct jws_header header;
    arena_init(&arena, NULL, 0);
    buf_init(&token, &arena, 1024, 4096);
    const struct keyring_view *view = keyring_acquire(app->service.keyring);
    struct err err = keyring_sign(app->service.keyring, view, SIGN_BACKGROUND, STR("JWT"), STR("{\"doctor\":true}"),
                                  &token);
    if (!err.code)
        err = jws_split(buf_str(&token), &parts);
    if (!err.code)
        err = jws_read_header(&arena, parts.header, &header);
    if (!err.code)
        err = jws_verify(view->active->jwk, &parts, &header);
    keyring_release(view);
    arena_release(&arena);
    return err;
}

/* Without a next key, neither a rotation nor an emergency finds one: a server that runs has made one in its first
 * seconds. */
static struct err check_standby(struct app *app, const char **note)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(app->service.keyring);
    struct signer *signer = app->service.signer;
    const struct lifecycle life = { view->records, view->count, &app->settings };
    const struct key *standby = lifecycle_standby(&life), *active = lifecycle_active(&life);
    if (standby) {
        struct str ready = lifecycle_time(&app->arena, lifecycle_standby_ready_at(&life));
        *note = arena_printf(&app->arena, "the next key is published, and may sign from %s on", ready.at).at;
        return signer->ops->load(signer, &app->arena, standby);
    }
    *note = "a server makes the next key in its first seconds";
    return app_is_served(&app->settings) && time(NULL) >= active->activated_at + STANDBY_MADE_S
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

/* Takes writes; and keeps what it was given, or is not relied upon for that. */
static struct err check_cache(struct service *service)
{
    TRY(service->cache->ops->check(service->cache));
    struct err err = eviction_check(service);
    if (err.code && service->settings->revocation_policy != POLICY_STRICT) {
        LOG(LOG_WARN, "redis_may_evict", LOG_TEXT_("why", err.why));
        return OK;
    }
    return err;
}

static struct err check_dir(const struct settings *settings)
{
    struct stat about;
    if (stat(settings->data_dir, &about) != 0 || !S_ISDIR(about.st_mode))
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR is no directory that can be reached");
    if (about.st_mode & (S_IRWXG | S_IRWXO))
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR is open to others: chmod 700 it");
    return OK;
}

static struct err check_clock(void)
{
    return time(NULL) > CLOCK_EARLIEST ? OK : failed(ERR_UNAVAILABLE, "the system's clock is wrong");
}

static struct err check_files(const struct settings *settings)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < (rlim_t)settings->connections + 64)
        return failed(ERR_UNAVAILABLE, "fewer files may be open than TOKEN_CONNECTIONS needs: raise ulimit -n");
    return OK;
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

static int examine(struct app *app, bool json)
{
    struct err opened = app_open(app);
    const struct service *service = &app->service;
    const char *standby_note = "";
    const struct err unopened = failed(ERR_UNAVAILABLE, "not tried, since the service could not be opened");
    const struct err standby = opened.code ? unopened : check_standby(app, &standby_note);
    const struct finding findings[] = {
        { "clock", check_clock(), "after 2026-01-01" },
        { "files", check_files(&app->settings), "enough may be open" },
        { "open", opened, "settings, store, keys and revocations could be read" },
        { "data", check_dir(&app->settings), "the data directory is the service's alone" },
        { "store", opened.code ? unopened : service->store->ops->check(service->store),
          opened.code ? "" : note_of_store(service->store) },
        { "cache", opened.code ? unopened : check_cache(&app->service),
          opened.code || !service->cache->ops->is_shared ? "memory: this instance is the only one"
                                                         : "redis: it takes writes" },
        { "signer", opened.code ? unopened : service->signer->ops->check(service->signer),
          opened.code ? "" : note_of(service->signer) },
        { "sign", opened.code ? unopened : check_sign(app), "a signature verifies against the published key" },
        { "standby", standby, standby_note },
    };
    return print_findings(findings, sizeof findings / sizeof *findings, json);
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
