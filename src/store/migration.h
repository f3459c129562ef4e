/* store/migration.h: what the platform's schema lacks, as SQL: deploy/supabase/migrations, built into the program. */
#ifndef STORE_MIGRATION_H
#define STORE_MIGRATION_H

#include "base/settings.h"

/* Each may be run again; the second takes back what the first made. */
extern const char store_migration_up[], store_migration_down[];

/* Runs one of them over settings->database_url, as one transaction. The user must own the platform's tables.
 * ERR_UNAVAILABLE with the database's own words on standard error. */
MUST_USE struct err store_migrate(const struct settings *settings, const char *sql);

#endif
