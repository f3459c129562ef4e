/* store/store_sqlite_schema.c: the embedded store's schema, a text a version (a published one is never changed), and
 * every statement's text. */
#include "store/store_sqlite.h"

/* The longest lifetime that a client has of its own. */
#define CLIENT_LIFETIME                                                                                                \
    "(SELECT coalesce(max(max(access_token_ttl, refresh_token_ttl, id_token_ttl)), 0) FROM oauth_clients)"

const char *const store_sqlite_migrations[STORE_SQLITE_VERSION] = {
    /* 1 */
    "CREATE TABLE oauth_clients("
    " client_id TEXT PRIMARY KEY, client_name TEXT NOT NULL,"
    " client_type TEXT NOT NULL CHECK (client_type IN ('confidential', 'public')),"
    " client_secret_hash BLOB NOT NULL, allowed_scopes TEXT NOT NULL,"
    " access_token_ttl INTEGER NOT NULL, refresh_token_ttl INTEGER NOT NULL, id_token_ttl INTEGER NOT NULL,"
    " is_active INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT;"

    "CREATE TABLE oauth_jwks("
    " kid TEXT PRIMARY KEY, alg TEXT NOT NULL, public_key TEXT NOT NULL, private_key_ref TEXT NOT NULL,"
    " state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5), created_at INTEGER NOT NULL, activated_at INTEGER NOT NULL,"
    " retired_at INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX oauth_jwks_one_active ON oauth_jwks(state) WHERE state = 2;"

    "CREATE TABLE oauth_access_tokens("
    " expires_at INTEGER NOT NULL, token_hash BLOB NOT NULL, jti TEXT NOT NULL, subject TEXT NOT NULL,"
    " client_id TEXT NOT NULL, scope TEXT NOT NULL, audience TEXT NOT NULL, issued_at INTEGER NOT NULL,"
    " revoked_at INTEGER, revoked_by TEXT, revocation_reason TEXT,"
    " id INTEGER PRIMARY KEY) STRICT;"
    "CREATE INDEX oauth_access_tokens_expiry ON oauth_access_tokens(expires_at);"

    "CREATE TABLE oauth_refresh_tokens("
    " id INTEGER PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, expires_at INTEGER NOT NULL, jti TEXT NOT NULL,"
    " subject TEXT NOT NULL, client_id TEXT NOT NULL, scope TEXT NOT NULL, audience TEXT NOT NULL,"
    " issued_at INTEGER NOT NULL, revoked_at INTEGER, revoked_by TEXT, revocation_reason TEXT) STRICT;"
    "CREATE INDEX oauth_refresh_tokens_expiry ON oauth_refresh_tokens(expires_at);"

    /* AUTOINCREMENT: a position is never given twice, or followers would miss a revocation */
    "CREATE TABLE revocations("
    " position INTEGER PRIMARY KEY AUTOINCREMENT, token_hash BLOB NOT NULL UNIQUE, expires_at INTEGER NOT NULL,"
    " reason TEXT NOT NULL, revoked_by TEXT NOT NULL, revoked_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX revocations_expiry ON revocations(expires_at);"

    "CREATE TABLE checks(id INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;"
    "INSERT INTO checks VALUES (1, 0);",

    /* 2: the life of a key. Only for ID tokens it is not known what was signed before; for the rest, a key's last token
     * expires at most that long after its activation. */
    "ALTER TABLE oauth_jwks ADD COLUMN published_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE oauth_jwks ADD COLUMN retiring_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE oauth_jwks ADD COLUMN revoked_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE oauth_jwks ADD COLUMN rotate_requested_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE oauth_jwks ADD COLUMN lifetime_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE oauth_jwks ADD COLUMN retire_after INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE oauth_jwks ADD COLUMN disposed_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE oauth_jwks ADD COLUMN revocation_reason TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE oauth_jwks ADD COLUMN rotated_from_kid TEXT NOT NULL DEFAULT '';"
    "UPDATE oauth_jwks SET published_at = created_at, lifetime_s = max(" CLIENT_LIFETIME ","
    " (SELECT coalesce(max(expires_at), 0) FROM oauth_refresh_tokens) - activated_at,"
    " (SELECT coalesce(max(expires_at), 0) FROM oauth_access_tokens) - activated_at);"
    "CREATE UNIQUE INDEX oauth_jwks_one_pending ON oauth_jwks(state) WHERE state = 1;"

    /* what is to be told to others, written with what it tells */
    "CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, detail TEXT NOT NULL,"
    " created_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX events_created ON events(created_at);",

    /* 3: revocations of more than one token, enum revocation_kind. Of a rule, token_hash is its own, and target the
     * subject, client or session */
    "ALTER TABLE revocations ADD COLUMN kind INTEGER NOT NULL DEFAULT 0 CHECK (kind BETWEEN 0 AND 4);"
    "ALTER TABLE revocations ADD COLUMN issued_before INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE revocations ADD COLUMN target TEXT NOT NULL DEFAULT '';",

    /* 4: access tokens lie in the order in which they expire: the id begins with it. So there is one tree, not two, and
     * what is issued goes to its end. 2^24 a second. */
    "CREATE TABLE access_tokens_by_expiry("
    " id INTEGER PRIMARY KEY, token_hash BLOB NOT NULL, jti TEXT NOT NULL, subject TEXT NOT NULL,"
    " client_id TEXT NOT NULL, scope TEXT NOT NULL, audience TEXT NOT NULL, issued_at INTEGER NOT NULL,"
    " revoked_at INTEGER, revoked_by TEXT, revocation_reason TEXT,"
    " expires_at INTEGER GENERATED ALWAYS AS (id >> 24) VIRTUAL) STRICT;"
    "INSERT INTO access_tokens_by_expiry SELECT (expires_at << 24) | (id & 0xffffff), token_hash, jti, subject,"
    " client_id, scope, audience, issued_at, revoked_at, revoked_by, revocation_reason FROM oauth_access_tokens"
    " ORDER BY expires_at, id & 0xffffff;"
    "DROP TABLE oauth_access_tokens;"
    "ALTER TABLE access_tokens_by_expiry RENAME TO oauth_access_tokens;",

    /* 5: which database this is (store/identity.h) */
    ("CREATE TABLE identity(one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL) STRICT;"
     "INSERT INTO identity VALUES (1, lower(hex(randomblob(16))));"),

    /* 6: items (store/item.h). One without a body was deleted: it is no longer found, but its last change is known
     * until it is purged. `place` keeps bodies out of the tree that is searched. */
    "CREATE TABLE items("
    " place INTEGER PRIMARY KEY, kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 7), id BLOB NOT NULL,"
    " version INTEGER NOT NULL, change INTEGER NOT NULL, expires_at INTEGER NOT NULL, client_id TEXT NOT NULL,"
    " subject TEXT NOT NULL, sid TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, id)) STRICT;"
    "CREATE INDEX items_expiry ON items(expires_at);"
    "CREATE INDEX items_client ON items(kind, client_id, id) WHERE client_id <> '';"
    "CREATE INDEX items_subject ON items(kind, subject, id) WHERE subject <> '';"
    "CREATE INDEX items_sid ON items(kind, sid, id) WHERE sid <> '';",
    /* 7: what OAuth and OpenID Connect need of a client, a second secret for an overlap, and a version for changes */
    ("ALTER TABLE oauth_clients ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';"
     "ALTER TABLE oauth_clients ADD COLUMN old_secret_hash BLOB NOT NULL DEFAULT x'';"
     "ALTER TABLE oauth_clients ADD COLUMN old_secret_until INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE oauth_clients ADD COLUMN version INTEGER NOT NULL DEFAULT 1;"),
    /* 8: only sessions are looked for by the texts that they name. In an index of another kind's, each new code and
     * grant would dirty a page of its own, three times over. */
    ("DROP INDEX items_client; DROP INDEX items_subject; DROP INDEX items_sid;"
     "CREATE INDEX items_sessions_subject ON items(subject, id) WHERE kind = 3 AND subject <> '';"
     "CREATE INDEX items_sessions_sid ON items(sid, id) WHERE kind = 3 AND sid <> '';"),
};

#define CLIENT_COLUMNS                                                                                                 \
    "client_id, client_name, client_type, client_secret_hash, allowed_scopes, access_token_ttl, refresh_token_ttl, "   \
    "id_token_ttl, is_active, created_at, metadata, old_secret_hash, old_secret_until"
#define KEY_COLUMNS                                                                                                    \
    "kid, alg, public_key, private_key_ref, state, created_at, published_at, activated_at, retiring_at, retired_at, "  \
    "revoked_at, rotate_requested_at, lifetime_s, retire_after, disposed_at, revocation_reason, rotated_from_kid"
#define ITEM_COLUMNS "kind, id, version, expires_at, client_id, subject, sid, body"
/* INDEXED BY: or the planner takes the index on ids, and looks at all sessions. */
#define LIST_ITEMS_BY(index, condition)                                                                                \
    "SELECT " ITEM_COLUMNS " FROM items " index "WHERE kind = ?1 AND id > ?2 AND " condition                           \
    "(?3 = '' OR client_id = ?3) AND (?4 = '' OR subject = ?4) AND (?5 = '' OR sid = ?5) AND body <> '' "              \
    "ORDER BY id LIMIT ?6"
#define LIST_SESSIONS_BY(column, parameter)                                                                            \
    LIST_ITEMS_BY("INDEXED BY items_sessions_" column " ",                                                             \
                  "kind = 3 AND " column " = " parameter " AND " column " <> '' AND ")
#define REVOKE_ROW " SET revoked_at = ?1, revoked_by = ?2, revocation_reason = ?3 "

const char *const store_sqlite_texts[STATEMENTS] = {
    [FIND_CLIENT] = "SELECT " CLIENT_COLUMNS ", version FROM oauth_clients WHERE client_id = ?1",
    [LIST_CLIENTS] = "SELECT " CLIENT_COLUMNS ", version FROM oauth_clients WHERE client_id > ?1 ORDER BY client_id "
                     "LIMIT ?2",
    [ADD_CLIENT] = "INSERT INTO oauth_clients(" CLIENT_COLUMNS ") "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING",
    [CHANGE_CLIENT] = "UPDATE oauth_clients SET client_name = ?2, client_type = ?3, client_secret_hash = ?4, "
                      "allowed_scopes = ?5, access_token_ttl = ?6, refresh_token_ttl = ?7, id_token_ttl = ?8, "
                      "is_active = ?9, metadata = ?11, old_secret_hash = ?12, old_secret_until = ?13, "
                      "version = version + 1 WHERE client_id = ?1 AND version = ?14",
    [DELETE_CLIENT] = "DELETE FROM oauth_clients WHERE client_id = ?1",
    [LIST_KEYS] = "SELECT " KEY_COLUMNS " FROM oauth_jwks WHERE state IN (1, 2, 3) "
                  "ORDER BY created_at DESC, kid LIMIT ?1",
    [LIST_PAST_KEYS] = "SELECT " KEY_COLUMNS " FROM oauth_jwks WHERE state IN (4, 5) AND (NOT ?2 OR disposed_at = 0) "
                       "ORDER BY max(retired_at, revoked_at) DESC, kid LIMIT ?1",
    [FIND_KEY] = "SELECT " KEY_COLUMNS " FROM oauth_jwks WHERE kid = ?1",
    [ADD_KEY] = "INSERT INTO oauth_jwks(kid, alg, public_key, private_key_ref, state, created_at, published_at, "
                "activated_at, lifetime_s, retired_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
                "CASE ?5 WHEN 2 THEN max(?9, " CLIENT_LIFETIME ") ELSE 0 END, 0) ON CONFLICT DO NOTHING",
    [ACTIVATE_KEY] = "UPDATE oauth_jwks SET state = 2, activated_at = ?2, rotated_from_kid = ?3, "
                     "lifetime_s = max(?4, " CLIENT_LIFETIME ") WHERE kid = ?1 AND state = 1",
    [RETIRE_PREVIOUS] = "UPDATE oauth_jwks SET state = 3, retiring_at = ?2, "
                        "retire_after = ?2 + max(?3, lifetime_s + ?4) WHERE kid = ?1 AND state = 2",
    [RETIRE_KEY] = "UPDATE oauth_jwks SET state = 4, retired_at = ?2 WHERE kid = ?1 AND state = 3 AND "
                   "retire_after <= ?2",
    [REVOKE_KEY] = "UPDATE oauth_jwks SET state = 5, revoked_at = ?2, revocation_reason = ?3 "
                   "WHERE kid = ?1 AND state = ?4",
    [REQUEST_ROTATION] = "UPDATE oauth_jwks SET rotate_requested_at = CASE rotate_requested_at WHEN 0 THEN ?2 "
                         "ELSE rotate_requested_at END WHERE kid = ?1 AND state = 2",
    [RAISE_LIFETIME] = "UPDATE oauth_jwks SET lifetime_s = ?1 WHERE state = 2 AND lifetime_s < ?1",
    [MARK_DISPOSED] = "UPDATE oauth_jwks SET disposed_at = ?2 WHERE kid = ?1 AND state IN (4, 5)",
    /* a merge patch leaves null members out (RFC 7396) */
    [ADD_KEY_EVENT] = "INSERT INTO events(type, detail, created_at) VALUES ('keys_rotated', json_patch('{}', "
                      "json_object('eventId', lower(hex(randomblob(16))), 'newKeyId', nullif(?1, ''), "
                      "'oldKeyId', nullif(?2, ''), 'transition', ?3, 'reason', nullif(?4, ''))), ?5)",
    [ADD_EVENT] = "INSERT INTO events(type, detail, created_at) VALUES (?1, ?2, ?3)",
    [LIST_EVENTS] = "SELECT id, type, detail, created_at FROM events WHERE id > ?1 ORDER BY id LIMIT ?2",
    [DROP_EVENT] = "DELETE FROM events WHERE id = ?1",
    [COUNT_EVENTS] = "SELECT (SELECT count(*) FROM (SELECT 1 FROM events LIMIT ?1)), "
                     "coalesce((SELECT created_at FROM events ORDER BY id LIMIT 1), 0)",
    [ADD_ACCESS] = "INSERT INTO oauth_access_tokens(token_hash, jti, subject, client_id, scope, audience, issued_at, "
                   "id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (?8 << 24) | ?9) ON CONFLICT DO NOTHING",
    [ADD_REFRESH] = "INSERT INTO oauth_refresh_tokens(token_hash, jti, subject, client_id, scope, audience, issued_at, "
                    "expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
                    "ON CONFLICT (token_hash) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)",
    /* an entry that must be kept for longer, or refuse more, gets a new position, so that followers see it; the
     * replaced row has its old one */
    [ADD_REVOCATION] = "INSERT OR REPLACE INTO revocations(token_hash, expires_at, reason, revoked_by, revoked_at, "
                       "kind, issued_before, target) "
                       "SELECT ?1, max(?2, coalesce(old.expires_at, 0)), ?3, ?4, ?5, ?6, "
                       "max(?7, coalesce(old.issued_before, 0)), ?8 "
                       "FROM (SELECT 1) LEFT JOIN revocations AS old ON old.token_hash = ?1 "
                       "WHERE old.token_hash IS NULL OR old.expires_at < ?2 OR old.issued_before < ?7",
    [REVOKE_ACCESS] = "UPDATE oauth_access_tokens" REVOKE_ROW
                      "WHERE id BETWEEN (?5 << 24) AND ((?5 << 24) | 0xffffff) AND token_hash = ?4 AND "
                      "revoked_at IS NULL",
    [REVOKE_REFRESH] = "UPDATE oauth_refresh_tokens" REVOKE_ROW "WHERE token_hash = ?4 AND revoked_at IS NULL",
    [REVOCATIONS_SINCE] = "SELECT position, token_hash, expires_at, reason, kind, issued_before FROM revocations "
                          "WHERE position > ?1 AND expires_at > ?2 ORDER BY position LIMIT ?3",
    [FIND_ITEM] = "SELECT " ITEM_COLUMNS " FROM items WHERE kind = ?1 AND id = ?2 AND body <> ''",
    [LIST_ITEMS] = LIST_ITEMS_BY("", ""),
    [LIST_SESSIONS_OF_SUBJECT] = LIST_SESSIONS_BY("subject", "?4"),
    [LIST_SESSIONS_OF_SID] = LIST_SESSIONS_BY("sid", "?5"),
    [READ_ITEM_CHANGE] = "SELECT version, change, body <> '' FROM items WHERE kind = ?1 AND id = ?2",
    /* nothing that an index holds */
    [CHANGE_ITEM] = "UPDATE items SET version = ?3, change = ?4, body = ?9 WHERE kind = ?1 AND id = ?2 AND "
                    "expires_at = ?5 AND client_id = ?6 AND subject = ?7 AND sid = ?8",
    /* a deleted one is soon purged, whenever it would have expired */
    [PUT_ITEM] = "INSERT INTO items(kind, id, version, change, expires_at, client_id, subject, sid, body) "
                 "VALUES (?1, ?2, ?3, ?4, CASE ?9 WHEN '' THEN min(?5, unixepoch()) ELSE ?5 END, ?6, ?7, ?8, ?9) "
                 "ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, change = excluded.change, "
                 "expires_at = excluded.expires_at, client_id = excluded.client_id, subject = excluded.subject, "
                 "sid = excluded.sid, body = excluded.body",
    /* the id before which there are ?2 rows that expired before ?1, or all of these */
    [FIND_PURGE_END] = "SELECT coalesce((SELECT id FROM oauth_access_tokens WHERE id < (min(?1, 0x7fffffffff) << 24) "
                       "ORDER BY id LIMIT 1 OFFSET ?2), min(?1, 0x7fffffffff) << 24)",
    [PURGE_ACCESS] = "DELETE FROM oauth_access_tokens WHERE id < ?1",
    [PURGE_REFRESH] = "DELETE FROM oauth_refresh_tokens WHERE id IN "
                      "(SELECT id FROM oauth_refresh_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    [PURGE_REVOCATIONS] = "DELETE FROM revocations WHERE position IN "
                          "(SELECT position FROM revocations WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    [PURGE_EVENTS] = "DELETE FROM events WHERE id IN "
                     "(SELECT id FROM events WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)",
    [PURGE_ITEMS] = "DELETE FROM items WHERE place IN "
                    "(SELECT place FROM items WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    [READ_IDENTITY] = "SELECT id FROM identity WHERE one = 1",
    [CHECK] = "UPDATE checks SET count = count + 1 WHERE id = 1",
    [DATA_VERSION] = "PRAGMA data_version",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};
