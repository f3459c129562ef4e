/* cli/migrate.c: token-service migrate: what the platform's schema lacks. */
#include "cli/cli.h"
#include "observe/log.h"
#include <stdio.h>

static bool migrate_is_shared(const struct settings *settings)
{
    return settings->database_url[0] || settings->supabase_url[0];
}

/* Whether the database has it. */
static struct err migrate_look(struct app *app)
{
    struct err err = app_look(app);
    if (err.code)
        return err;
    puts("the database has what this version needs");
    return OK;
}

static struct err migrate_apply(struct app *app, bool down)
{
    if (!app->settings.database_url[0])
        return failed(ERR_INVALID_REQUEST, "--apply needs DATABASE_URL; without it, run what migrate --print prints in "
                                           "the project's SQL editor");
    TRY(app_migrate(app, down));
    puts(down ? "done: the platform's schema is as it was before" : "done: the database has what this version needs");
    return OK;
}

static struct err migrate(struct app *app, bool applies, bool prints, bool down)
{
    if (applies && prints)
        return failed(ERR_INVALID_REQUEST, "--print and --apply exclude each other");
    if (down && !applies && !prints)
        return failed(ERR_INVALID_REQUEST, "--down needs --print or --apply");
    if (prints) {
        fputs(app_migration(down), stdout);
        return OK;
    }
    if (!migrate_is_shared(&app->settings)) {
        puts("there is nothing to migrate: the embedded store migrates itself at each start");
        return OK;
    }
    if (applies)
        return migrate_apply(app, down);
    struct err err = migrate_look(app);
    if (err.code && !app->settings.database_url[0])
        fputs(app_migration(false), stdout);
    return err;
}

int command_migrate(int argc, char **argv)
{
    bool applies = false, prints = false, down = false;
    const struct option_row rows[] = { { "--apply", OPTION_SWITCH, &applies, NULL },
                                       { "--print", OPTION_SWITCH, &prints, NULL },
                                       { "--down", OPTION_SWITCH, &down, NULL } };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, 3, NULL, 0, &app.settings))
        return EXIT_USAGE;
    log_configure(LOG_ERROR, (enum log_format)app.settings.log_format);
    int code = report(migrate(&app, applies, prints, down));
    app_close(&app);
    settings_release(&app.settings);
    return code;
}
