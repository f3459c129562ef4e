/* store/sqlite.c: one SQLite connection. */
#include "store/sqlite.h"
#include "base/clock.h"
#include "base/sentence.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 5000, WAL_TRIES = 50, WAL_PAUSE_MS = 100 };

/* Logs what SQLite says of its last failure, counts it, and returns ERR_UNAVAILABLE. */
static struct err sqlite_failed(struct sqlite *sqlite, const char *what)
{
    metrics_count(COUNT_STORE_ERRORS, 1);
    LOG(LOG_ERROR, "store_failed", LOG_TEXT_("what", what),
        LOG_INT("code", sqlite->db ? sqlite3_extended_errcode(sqlite->db) : 0),
        LOG_TEXT_("why", sqlite->db ? sqlite3_errmsg(sqlite->db) : "out of memory"));
    return failed(ERR_UNAVAILABLE, "the store failed; see the log");
}

/* Runs a text without results. */
static struct err sqlite_run(struct sqlite *sqlite, const char *sql)
{
    return sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : sqlite_failed(sqlite, "run");
}

struct err sqlite_flush(struct sqlite *sqlite, bool flushes)
{
    const struct err err = sqlite_run(sqlite, flushes ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    sqlite->owes_flush = err.code != ERR_OK; /* it may have been set all the same */
    return err;
}

/* Whether that name is still the file's; of one not seen before, it is. */
static bool sqlite_is_in_place(const char *path, struct sqlite_file *file)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return file->inode == 0;
    if (file->inode == 0)
        *file = (struct sqlite_file){ about.st_dev, about.st_ino };
    return about.st_dev == file->device && about.st_ino == file->inode;
}

static struct err sqlite_check_place(struct sqlite *sqlite)
{
    if (sqlite_is_in_place(sqlite->path, &sqlite->file) && sqlite_is_in_place(sqlite->log_path, &sqlite->log))
        return OK;
    metrics_count(COUNT_STORE_ERRORS, 1);
    LOG(LOG_ERROR, "store_replaced", LOG_TEXT_("file", sqlite->path));
    return failed(ERR_UNAVAILABLE,
                  sentence_keep("the store failed; see the log",
                                "%s or its -wal was removed or replaced while the service runs, and what is written "
                                "now would be lost: put both back, or restart the service with the one that is there",
                                sqlite->path));
}

struct err sqlite_do(struct sqlite *sqlite, sqlite3_stmt *statement)
{
    if (sqlite->owes_flush)
        TRY(sqlite_flush(sqlite, true));
    int code = sqlite3_step(statement);
    struct err err = code == SQLITE_DONE ? OK : sqlite_failed(sqlite, "write");
    sqlite3_reset(statement);
    if (!err.code && sqlite3_get_autocommit(sqlite->db))
        err = sqlite_check_place(sqlite);
    return err;
}

bool sqlite_next(struct sqlite *sqlite, sqlite3_stmt *statement, struct err *failure)
{
    int code = sqlite3_step(statement);
    *failure = code == SQLITE_ROW || code == SQLITE_DONE ? OK : sqlite_failed(sqlite, "read");
    if (code == SQLITE_ROW)
        return true;
    sqlite3_reset(statement);
    return false;
}

void sqlite_bind_str(sqlite3_stmt *statement, int at, struct str text)
{
    sqlite3_bind_text(statement, at, text.at ? text.at : "", (int)text.len, SQLITE_STATIC);
}

void sqlite_bind_bytes(sqlite3_stmt *statement, int at, const void *bytes, size_t len)
{
    sqlite3_bind_blob(statement, at, bytes, (int)len, SQLITE_STATIC);
}

struct str sqlite_column_str(struct arena *arena, sqlite3_stmt *statement, int at)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    return arena_copy(arena, (struct str){ text, text ? (size_t)sqlite3_column_bytes(statement, at) : 0 });
}

void sqlite_column_bytes(sqlite3_stmt *statement, int at, void *out, size_t len)
{
    const void *bytes = sqlite3_column_blob(statement, at);
    if (bytes && (size_t)sqlite3_column_bytes(statement, at) == len)
        memcpy(out, bytes, len);
    else
        memset(out, 0, len);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* Made here, so that no umask opens it to others; SQLite gives its side files the same mode. A file that is there
 * already is not touched: closing any descriptor of it would drop the locks that this process's other connections hold,
 * and then another process would take itself for the last one, and the write-ahead log with what is in it away. */
static struct err sqlite_make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno != EEXIST)
        return failed(ERR_UNAVAILABLE, sentence_keep("the store failed; see the log",
                                                     "the database file %s (TOKEN_DATA_DIR) can't be created: %s", path,
                                                     strerror(errno)));
    if (fd >= 0)
        close(fd);
    return OK;
}

static struct err sqlite_open_failed(struct sqlite *sqlite)
{
    struct err err = sqlite_failed(sqlite, "open");
    err.why = sentence_keep("the store failed; see the log",
                            "the database file %s (TOKEN_DATA_DIR) can't be opened: %s", sqlite->path,
                            sqlite->db ? sqlite3_errmsg(sqlite->db) : "out of memory");
    return err;
}

/* The switch to WAL needs the file for itself, and does not wait for it as other statements do. */
static struct err sqlite_use_wal(struct sqlite *sqlite)
{
    for (int i = 0; i < WAL_TRIES; i++) {
        int code = sqlite3_exec(sqlite->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
        if (code == SQLITE_OK)
            return OK;
        if ((code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_LOCKED)
            break;
        clock_sleep_ms(WAL_PAUSE_MS);
    }
    return sqlite_open_failed(sqlite);
}

static char *sqlite_joined(const char *path, const char *end)
{
    const size_t room = strlen(path) + strlen(end) + 1;
    char *text = mem_alloc(room);
    snprintf(text, room, "%s%s", path, end);
    return text;
}

struct err sqlite_open_as_it_is(const char *path, struct sqlite *out)
{
    *out = (struct sqlite){ .path = sqlite_joined(path, ""), .log_path = sqlite_joined(path, "-wal") };
    if (sqlite3_open_v2(path, &out->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL) !=
        SQLITE_OK)
        return sqlite_open_failed(out);
    sqlite3_extended_result_codes(out->db, 1);
    sqlite3_busy_timeout(out->db, BUSY_MS);
    return sqlite_run(out, "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                           "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-1024;"
                           /* of a log that somebody's long transaction kept from being begun anew, this much stays */
                           "PRAGMA journal_size_limit=16777216");
}

struct err sqlite_open(const char *path, struct sqlite *out)
{
    *out = (struct sqlite){ 0 };
    TRY(sqlite_make_file(path));
    TRY(sqlite_open_as_it_is(path, out));
    TRY(sqlite_use_wal(out));
    return sqlite_check_place(out); /* remembers them */
}

static struct err sqlite_read_version(struct sqlite *sqlite, size_t *out)
{
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_prepare_v2(sqlite->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (good)
        *out = (size_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return good ? OK : sqlite_failed(sqlite, "migrate");
}

struct err sqlite_check_version(struct sqlite *sqlite, size_t count)
{
    size_t version = 0;
    TRY(sqlite_read_version(sqlite, &version));
    return version == count
               ? OK
               : failed(ERR_UNAVAILABLE, version < count ? "the database in TOKEN_DATA_DIR has an earlier version: a "
                                                           "server brings it up to date when it starts"
                                                         : "the database in TOKEN_DATA_DIR has a newer version");
}

/* Within the transaction. */
static struct err sqlite_migrate_within(struct sqlite *sqlite, const char *const *migrations, size_t count)
{
    size_t version = 0;
    char text[64];
    TRY(sqlite_read_version(sqlite, &version)); /* again: another process may have been faster */
    const bool is_new = version == 0;
    if (version > count)
        return failed(ERR_UNAVAILABLE, "the database in TOKEN_DATA_DIR has a newer version than this program");
    for (; version < count; version++) {
        TRY(sqlite_run(sqlite, migrations[version]));
        if (!is_new) /* what a command looks into may be empty, and in memory alone */
            LOG(LOG_INFO, "store_migrated", LOG_INT("version", (int64_t)version + 1));
    }
    snprintf(text, sizeof text, "PRAGMA user_version=%zu", count);
    return sqlite_run(sqlite, text);
}

struct err sqlite_migrate(struct sqlite *sqlite, const char *const *migrations, size_t count)
{
    size_t version = 0;
    TRY(sqlite_read_version(sqlite, &version));
    if (version == count)
        return OK;
    TRY(sqlite_run(sqlite, "BEGIN EXCLUSIVE"));
    struct err err = sqlite_migrate_within(sqlite, migrations, count);
    if (!err.code)
        return sqlite_run(sqlite, "COMMIT");
    (void)sqlite3_exec(sqlite->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

struct err sqlite_prepare(struct sqlite *sqlite, const char *const *texts, size_t count)
{
    sqlite->statements = mem_alloc(count * sizeof(sqlite3_stmt *));
    for (sqlite->count = 0; sqlite->count < count; sqlite->count++) {
        sqlite->statements[sqlite->count] = NULL;
        if (sqlite3_prepare_v3(sqlite->db, texts[sqlite->count], -1, SQLITE_PREPARE_PERSISTENT,
                               &sqlite->statements[sqlite->count], NULL) != SQLITE_OK)
            return sqlite_failed(sqlite, "prepare");
    }
    return OK;
}

void sqlite_close(struct sqlite *sqlite)
{
    for (size_t i = 0; i < sqlite->count; i++)
        sqlite3_finalize(sqlite->statements[i]);
    free(sqlite->statements);
    sqlite3_close(sqlite->db);
    free(sqlite->path);
    free(sqlite->log_path);
    *sqlite = (struct sqlite){ 0 };
}
