/* cli/doctor.c: token-service doctor: tries every part that serving needs, and says of each whether it works. It makes
 * nothing: no directory, no file, no key, no event. (What it leaves is a counter that is one higher, in a store that
 * takes writes.) */
#include "base/json.h"
#include "cli/cli.h"
#include "oauth/oauth.h"
#include "oauth/users.h"
#include "observe/log.h"
#include "service/clock_check.h"
#include "service/clock_step.h"
#include "service/examination.h"
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct err doctor_check_dir(struct app *app, const char **note)
{
    const char *dir = app->settings.data_dir;
    struct stat about;
    *note = "no other user can reach the data directory";
    if (stat(dir, &about) != 0 && errno == ENOENT) {
        *note = "the data directory does not exist yet: the first start creates it";
        return OK;
    }
    if (stat(dir, &about) != 0 || !S_ISDIR(about.st_mode))
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR is not a directory, or can't be reached");
    if (about.st_mode & S_IRWXO)
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR is open to others: chmod 700 it");
    if (about.st_mode & S_IRWXG)
        *note = "a group can reach the data directory: a start removes the group's rights to the service's files";
    return app_try_data_dir(app);
}

/* A server that runs has it: then that is the answer. */
static struct err doctor_check_listen(const struct app *app, const char **note)
{
    struct err err = app_try_listen(app);
    *note = err.code ? "a server is running on this data directory now" : "the address is free";
    return err.code && app_is_served(&app->settings) ? OK : err;
}

/* Beside what the clock shows now: what a server saw of it. */
static struct err doctor_check_clock(struct app *app, const char **note)
{
    int64_t at_s, step_ms;
    *note = "it is later than the day on which this program was built";
    if (clock_step_last(&app->settings, &at_s, &step_ms))
        *note = arena_printf(&app->arena, "it was set by %+lld s %lld minutes ago, while a server was running",
                             (long long)(step_ms / 1000), (long long)((time(NULL) - at_s) / 60))
                    .at;
    return clock_check(&app->arena, &app->settings, app->service.store);
}

static const char *doctor_note_of_files(const struct settings *settings)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < (rlim_t)settings->connections + 64)
        return "fewer connections than TOKEN_CONNECTIONS can be open at once: raise ulimit -n";
    return "enough files may be open";
}

/* A sentence may hold a value that was set, in quotes. */
static void doctor_print_json(const struct finding *finding, const char *says)
{
    AUTO(arena_release) struct arena arena;
    struct buf out;
    arena_init(&arena, NULL, 0);
    buf_init(&out, &arena, 256, 8192);
    buf_add(&out, STR("{"));
    json_write_text(&out, STR("check"), str_of(finding->part));
    json_write_bool(&out, STR("ok"), !finding->err.code);
    json_write_text(&out, STR("detail"), str_of(says));
    buf_add(&out, STR("}"));
    printf("%.*s", (int)out.len, out.at);
}

static int doctor_print_findings(const struct finding *findings, size_t count, bool json)
{
    int bad = 0;
    for (size_t i = 0; i < count; i++) {
        const struct finding *each = &findings[i];
        const char *says = each->err.code ? each->err.why : each->note;
        bad += each->err.code != ERR_OK;
        if (json) {
            printf(i > 0 ? ",\n " : "[");
            doctor_print_json(each, says);
        } else {
            printf("%-8s %-7s %s\n", each->part, each->err.code ? "FAILS" : "ok", says);
        }
    }
    if (json)
        printf("]\n");
    return bad ? EXIT_FAILED : EXIT_OK;
}

static const struct err untried = { ERR_UNAVAILABLE, "not checked, because a part that it needs failed" };

/* Whatever is made at a first start is only said to be missing. */
static struct err doctor_look_at_store(struct app *app, const char **note)
{
    TRY(app_look(app));
    if (app_has_store(&app->settings))
        return examine_store(app->service.store, note);
    *note = "sqlite: no database yet: the first start creates it";
    return OK;
}

static struct err doctor_look_at_cache(struct app *app, const char **note)
{
    TRY(app_look_at_cache(app));
    return examine_cache(&app->settings, app->cache, app_shares_store(&app->settings), note);
}

static struct err doctor_look_at_events(struct app *app, const char **note)
{
    TRY(app_look_at_events(app));
    return examine_events(app->put_events, &app->arena, note);
}

/* A key file is in the data directory: while that does not exist, there is none to look for. */
static struct err doctor_look_at_signer(struct app *app, const char **note)
{
    if (access(app->settings.data_dir, F_OK) != 0 && !app->settings.kms_key_id[0]) {
        *note = "local: no key yet: the first start creates one";
        return OK;
    }
    TRY(app_look_at_signer(app));
    *note = examine_signer(app->service.signer);
    return OK;
}

static struct err doctor_look_at_users(struct app *app, const char **note)
{
    struct user_list list;
    *note = app->settings.login_url[0] ? "at LOGIN_URL" : "none: neither LOGIN_URL nor TOKEN_LOGIN is set";
    if (app->settings.login != LOGIN_BUILTIN)
        return OK;
    TRY(users_list(&app->settings, &app->arena, &list));
    *note = arena_printf(&app->arena, "builtin: users in the file: %zu", list.count).at;
    return OK;
}

static struct err doctor_look_at_fetch(const struct app *app, const char **note)
{
    *note = app->settings.fetch_ca_file[0] ? "TOKEN_FETCH_CA_FILE is trusted where a client names a URL"
                                           : "the system's certificates are trusted where a client names a URL";
    return oauth_try_fetch(&app->settings);
}

static int doctor_examine(struct app *app, bool json)
{
    enum { CLOCK, FILES, OPEN, DATA, LISTEN, TLS, STORE, CACHE, EVENTS, SIGNER, SIGN, STANDBY, USERS, FETCH, FINDINGS };
    struct finding found[FINDINGS] = {
        [CLOCK] = { .part = "clock" },
        [FILES] = { "files", OK, doctor_note_of_files(&app->settings) },
        [OPEN] = { "open", OK, "the settings fit together" },
        [DATA] = { .part = "data" },
        [LISTEN] = { .part = "listen" },
        [TLS] = { .part = "tls" },
        [STORE] = { .part = "store" },
        [CACHE] = { .part = "cache" },
        [EVENTS] = { .part = "events" },
        [SIGNER] = { .part = "signer" },
        [SIGN] = { "sign", untried, "" },
        [STANDBY] = { "standby", untried, "" },
        [USERS] = { .part = "users" },
        [FETCH] = { .part = "fetch" },
    };
    found[OPEN].err = app_check_settings(app);
    found[DATA].err = doctor_check_dir(app, &found[DATA].note);
    found[LISTEN].err = doctor_check_listen(app, &found[LISTEN].note);
    found[TLS].err = app_try_tls(app, &found[TLS].note);
    found[STORE].err = doctor_look_at_store(app, &found[STORE].note);
    found[CLOCK].err = doctor_check_clock(app, &found[CLOCK].note);
    found[CACHE].err = doctor_look_at_cache(app, &found[CACHE].note);
    found[EVENTS].err = doctor_look_at_events(app, &found[EVENTS].note);
    found[SIGNER].err = app->service.store ? doctor_look_at_signer(app, &found[SIGNER].note) : untried;
    found[USERS].err = doctor_look_at_users(app, &found[USERS].note);
    found[FETCH].err = doctor_look_at_fetch(app, &found[FETCH].note);
    if (!found[STORE].err.code && !found[SIGNER].err.code)
        examine_keys(&app->service, &app->arena, app_is_served(&app->settings), &found[SIGNER], &found[SIGN],
                     &found[STANDBY]);
    return doctor_print_findings(found, FINDINGS, json);
}

int command_doctor(int argc, char **argv)
{
    bool json = false;
    const struct option_row rows[] = { { "--json", OPTION_SWITCH, &json, NULL } };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, 1, NULL, 0, &app.settings))
        return EXIT_USAGE;
    log_configure(LOG_WARN, (enum log_format)app.settings.log_format);
    int code = doctor_examine(&app, json);
    app_close(&app);
    settings_release(&app.settings);
    return code;
}
