/* store/migration.c: runs a migration. */
#include "store/migration.h"
#include "store/postgres.h"
#include <stdio.h>
#include <stdlib.h>

/* Of instances that migrate at once, the second waits, and finds nothing to do. */
static const char begin[] = "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL client_min_messages = warning; "
                            "SELECT pg_advisory_xact_lock(hashtextextended('token_service_migrate', 0)); ";
static const char end[] = "; COMMIT";

static struct err migration_run(const struct libpq_calls *calls, PGconn *pg, const char *sql)
{
    size_t room = sizeof begin + strlen(sql) + sizeof end;
    char *script = mem_alloc(room);
    snprintf(script, room, "%s%s%s", begin, sql, end);
    PGresult *result = calls->exec(pg, script);
    bool done = calls->resultStatus(result) == PGRES_COMMAND_OK;
    const char *says = calls->resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!done) /* of a statement that is known: it holds no value of a row */
        fprintf(stderr, "token-service: the database says: %s\n", says ? says : calls->errorMessage(pg));
    calls->clear(result);
    free(script);
    return done ? OK : failed(ERR_UNAVAILABLE, "nothing was changed: the database refused the migration");
}

struct err store_migrate(const struct settings *settings, const char *sql)
{
    const struct libpq_calls *calls = NULL;
    TRY(libpq_load(&calls));
    PGconn *pg = NULL;
    TRY(postgres_connect(calls, settings->database_url, settings->store_timeout_s, &pg));
    struct err err = migration_run(calls, pg, sql);
    calls->finish(pg);
    return err;
}
