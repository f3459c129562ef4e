/* store/sqlite.h: one SQLite connection: opened the way this program needs it, its statements prepared, its failures
 * logged and turned into errors. A connection is used by one thread at a time: the caller holds the lock. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "base/mem.h"
#include <sqlite3.h>
#include <sys/types.h>

/* A file by what a name can't change. */
struct sqlite_file {
    dev_t device;
    ino_t inode; /* 0: not seen yet */
};

struct sqlite {
    char *path, *log_path; /* owned; the log is the write-ahead log */
    struct sqlite_file file, log;
    sqlite3 *db;
    sqlite3_stmt **statements; /* in the order of the texts given */
    size_t count;
    bool owes_flush; /* commits are to be flushed again, which could not be set */
};

/* Opens `path` (made with mode 0600 when absent): WAL, synchronous=FULL, waits up to 5 s for another process's write.
 * ERR_UNAVAILABLE with a sentence that names the file. */
MUST_USE struct err sqlite_open(const char *path, struct sqlite *out);
/* The same for one that only looks: makes no file and changes no mode of one; ":memory:" is an empty database. */
MUST_USE struct err sqlite_open_as_it_is(const char *path, struct sqlite *out);
/* ERR_UNAVAILABLE, with a sentence, unless the schema is of version `count`. */
MUST_USE struct err sqlite_check_version(struct sqlite *sqlite, size_t count);
/* Brings the schema to version `count` of `migrations`, one SQL text a version, in one transaction: PRAGMA user_version
 * says where it stands. ERR_UNAVAILABLE with a clear sentence when the file is of a newer version. */
MUST_USE struct err sqlite_migrate(struct sqlite *sqlite, const char *const *migrations, size_t count);
/* Prepares all statements; `texts` must outlive the connection. */
MUST_USE struct err sqlite_prepare(struct sqlite *sqlite, const char *const *texts, size_t count);
/* Safe on a zeroed struct. */
void sqlite_close(struct sqlite *sqlite);

/* Whether a commit reaches the disk before it returns, as it does from the opening on; or with a later one that does.
 * Outside of a transaction. When it can't be set to true, nothing is written by sqlite_do() until it can. */
MUST_USE struct err sqlite_flush(struct sqlite *sqlite, bool flushes);

/* Steps a statement that gives no row, then resets it. When that commits, the file and its log must still have their
 * names: what is written to a file that was taken away or replaced is lost at the next start, and is a failure. */
MUST_USE struct err sqlite_do(struct sqlite *sqlite, sqlite3_stmt *statement);
/* Steps to the next row. False at the end or on failure; the statement is reset then, and *failure says which. */
MUST_USE bool sqlite_next(struct sqlite *sqlite, sqlite3_stmt *statement, struct err *failure);

/* Binds without a copy: the bytes must live until the statement is reset. */
void sqlite_bind_str(sqlite3_stmt *statement, int at, struct str text);
void sqlite_bind_bytes(sqlite3_stmt *statement, int at, const void *bytes, size_t len);
/* A column as a copy in the arena. */
struct str sqlite_column_str(struct arena *arena, sqlite3_stmt *statement, int at);
/* A column as exactly `len` bytes; zero bytes when it is of another length. */
void sqlite_column_bytes(sqlite3_stmt *statement, int at, void *out, size_t len);

#endif
