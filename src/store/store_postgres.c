/* store/store_postgres.c: the platform's tables over a connection: each operation is one statement, which calls one
 * function. */
#include "base/sentence.h"
#include "store/platform.h"
#include "store/postgres.h"
#include <stdlib.h>

struct store_postgres {
    struct platform platform; /* first */
    struct postgres *postgres;
};

/* What it said of the call, when that is about the user or the server. */
static enum platform_outcome store_postgres_refusal(const char *sqlstate, const char **why)
{
    enum platform_outcome outcome = platform_outcome_of(str_of(sqlstate));
    if (outcome == PLATFORM_DENIED)
        *why = sentence_keep("the database refuses this service",
                             "DATABASE_URL: its user may not do what the service needs (SQLSTATE %s): make it a member "
                             "of service_role",
                             sqlstate);
    if (outcome == PLATFORM_TROUBLED || outcome == PLATFORM_LOST)
        *why = sentence_keep("the database is full, too busy or read-only",
                             "DATABASE_URL: PostgreSQL is full, too busy, read-only or stopping (SQLSTATE %s)",
                             sqlstate);
    return outcome;
}

static enum platform_outcome store_postgres_ask(struct platform *platform, struct arena *arena, const char *function,
                                                struct str args, bool is_repeatable, struct str *answer,
                                                const char **why)
{
    struct postgres *postgres = ((struct store_postgres *)platform)->postgres;
    struct postgres_answer got = { 0 };
    struct str sql = arena_printf(arena, "SELECT public.%s($1::jsonb)", function);
    enum postgres_fault fault = postgres_ask(postgres, arena, sql.at, args, &got);
    if (fault == POSTGRES_LOST && is_repeatable) /* the server was restarted, perhaps */
        fault = postgres_ask(postgres, arena, sql.at, args, &got);
    if (fault == POSTGRES_SAID)
        return store_postgres_refusal(got.sqlstate, why);
    if (fault != POSTGRES_OK)
        *why = got.why;
    *answer = got.value;
    return fault == POSTGRES_OK ? PLATFORM_OK : fault == POSTGRES_UNSENT ? PLATFORM_UNREACHED : PLATFORM_LOST;
}

static void store_postgres_close_postgres(struct store *store)
{
    struct store_postgres *self = (struct store_postgres *)store;
    postgres_close(self->postgres);
    free(self);
}

static const struct store_ops ops = { .name = "postgres", PLATFORM_OPERATIONS, .close = store_postgres_close_postgres };

struct err store_postgres_open(const struct settings *settings, struct store **out)
{
    const struct postgres_terms terms = { .url = settings->database_url,
                                          .connections = (size_t)settings->database_connections,
                                          .timeout_ms = settings->store_timeout_s * 1000 };
    struct postgres *postgres = NULL;
    TRY(postgres_open(&terms, &postgres));
    struct store_postgres *self = mem_alloc(sizeof *self);
    *self = (struct store_postgres){ .postgres = postgres };
    platform_init(&self->platform, &ops, store_postgres_ask);
    struct err err = platform_check_keys(&self->platform.store, settings->data_dir);
    if (err.code) {
        store_postgres_close_postgres(&self->platform.store);
        return err;
    }
    *out = &self->platform.store;
    return OK;
}
