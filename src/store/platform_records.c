/* store/platform_records.c: tokens and revocations in the platform's tables. What many callers wait on is one call.
 * When there are items among the records (platform_items.c), it is a call of another function, and each row of a list
 * with items says which list that is. */
#include "base/clock.h"
#include "base/hex.h"
#include "jose/jws.h"
#include "observe/metrics.h"
#include "store/batch.h"
#include "store/platform.h"

static struct str platform_records_kind_name(enum token_kind kind)
{
    return kind == TOKEN_REFRESH ? STR("refresh") : kind == TOKEN_ID ? STR("id") : STR("access");
}

/* Of a list without items, which depends on none. */
enum { LIST_NONE = -1 };

static void platform_records_begin_row(struct buf *args, const struct record *record, int64_t list)
{
    char hash[65];
    if (args->at[args->len - 1] != '[')
        buf_add_char(args, ',');
    buf_add_char(args, '{');
    platform_put_str(args, "kind",
                     record->revokes == REVOKED_TOKEN ? platform_records_kind_name(record->token_kind) : STR("rule"));
    platform_put_str(args, "hash", hex_write(record->token_hash, sizeof record->token_hash, hash));
    if (list != LIST_NONE)
        platform_put_int(args, "list", list);
}

static void platform_records_put_token(struct buf *args, const struct record *record, int64_t list)
{
    platform_records_begin_row(args, record, list);
    platform_put_str(args, "jti", record->jti);
    platform_put_str(args, "subject", record->subject);
    platform_put_str(args, "client", record->client_id);
    platform_put_str(args, "scope", record->scope);
    json_write_name(args, STR("audience"));
    buf_add(args, record->audience); /* a JSON list as it stands */
    platform_put_int(args, "issued", record->issued_at);
    platform_put_int(args, "expires", record->expires_at);
    buf_add_char(args, '}');
}

static void platform_records_put_revocation(struct buf *args, const struct record *record, int64_t list)
{
    platform_records_begin_row(args, record, list);
    platform_put_str(args, "reason", record->reason);
    platform_put_str(args, "revoked_by", record->revoked_by);
    platform_put_int(args, "at", record->issued_at);
    platform_put_int(args, "expires", record->expires_at);
    if (record->revokes != REVOKED_TOKEN) {
        platform_put_str(args, "rule", revocation_kind_name(record->revokes));
        platform_put_int(args, "before", record->before);
        platform_put_str(args, "target", record->target);
    }
    buf_add_char(args, '}');
}

static void platform_records_put_event(struct buf *args, const struct record *record, int64_t list)
{
    if (args->at[args->len - 1] != '[')
        buf_add_char(args, ',');
    buf_add_char(args, '{');
    platform_put_event(args, record->event);
    if (list != LIST_NONE)
        platform_put_int(args, "list", list);
    buf_add_char(args, '}');
}

static void (*const platform_records_put[])(struct buf *, const struct record *, int64_t list) = {
    [RECORD_TOKEN] = platform_records_put_token,
    [RECORD_REVOCATION] = platform_records_put_revocation,
    [RECORD_EVENT] = platform_records_put_event,
};

static bool platform_records_have(const struct record *const *lists, size_t count, enum record_kind kind)
{
    for (size_t i = 0; i < count; i++)
        for (const struct record *record = lists[i]; record; record = record->next)
            if (record->kind == kind)
                return true;
    return false;
}

static void platform_records_put_all(struct buf *args, const char *name, enum record_kind kind,
                                     const struct record *const *lists, size_t count, const struct err *verdicts)
{
    json_write_name(args, str_of(name));
    buf_add_char(args, '[');
    for (size_t i = 0; i < count; i++) {
        const int64_t list = item_is_among(lists[i]) ? (int64_t)i : LIST_NONE;
        for (const struct record *record = verdicts[i].code ? NULL : lists[i]; record && !args->overflowed;
             record = record->next)
            if (record->kind == kind)
                platform_records_put[kind](args, record, list);
    }
    buf_add_char(args, ']');
}

/* Of something else, it is no answer to this. */
static struct err platform_records_read_answer(const struct json *answer, const struct record *const *lists,
                                               size_t count, struct err *verdicts, bool has_items)
{
    int64_t unlinked = 0;
    if (!json_int(json_member(answer, STR("unlinked")), 0, INT64_MAX, &unlinked) ||
        (has_items && !platform_read_conflicts(answer, lists, count, verdicts)))
        return failed(ERR_UNAVAILABLE, "the database gave a response that is not understood");
    metrics_count(COUNT_RECORDS_UNLINKED, (uint64_t)unlinked);
    return OK;
}

static struct err platform_records_keep_lists(struct store *store, const struct record *const *lists, size_t count,
                                              struct err *verdicts, bool *is_of_records)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    enum platform_outcome outcome = PLATFORM_OK;
    struct buf args;
    const bool has_items = platform_check_items(lists, count, verdicts);
    platform_begin(&args, &arena);
    platform_records_put_all(&args, "tokens", RECORD_TOKEN, lists, count, verdicts);
    platform_records_put_all(&args, "revocations", RECORD_REVOCATION, lists, count, verdicts);
    if (platform_records_have(lists, count, RECORD_EVENT))
        platform_records_put_all(&args, "events", RECORD_EVENT, lists, count, verdicts);
    if (has_items)
        platform_put_items(&args, lists, count, verdicts);
    struct err err = platform_try(store, &arena, has_items ? "token_service_record_items" : "token_service_record",
                                  &args, PLATFORM_REPEATABLE, "", &answer, &outcome);
    *is_of_records = outcome == PLATFORM_REFUSED || outcome == PLATFORM_OVERTAKEN || outcome == PLATFORM_FAILED;
    return err.code ? err : platform_records_read_answer(answer, lists, count, verdicts, has_items);
}

void platform_record(struct store *store, const struct record *const *lists, size_t count, struct err *verdicts)
{
    batch_record(store, platform_records_keep_lists, lists, count, verdicts);
}

static bool platform_records_read_number(struct str text, int64_t least, int64_t *out)
{
    return json_int(&(const struct json){ .kind = JSON_NUMBER, .text = text }, least, INT64_MAX, out);
}

/* Of a rule, what stands after the reason: "kind before". */
static bool platform_records_read_rule(struct str line, struct revocation *out)
{
    struct str kind;
    bool is_read = str_cut(&line, ' ', &kind) && revocation_kind_find(kind, &out->kind) &&
                   platform_records_read_number(line, 0, &out->before);
    out->before = store_seconds(out->before);
    return is_read;
}

/* "position hash expiry reason", the last in hexadecimal; of a rule "position hash expiry reason kind before". */
static bool platform_records_read_revocation(struct arena *arena, struct str line, struct revocation *out)
{
    struct str position, hash, expires;
    if (!str_cut(&line, ' ', &position) || !str_cut(&line, ' ', &hash) || !str_cut(&line, ' ', &expires))
        return false;
    out->kind = REVOKED_TOKEN;
    out->before = 0;
    struct str reason = line;
    if (str_cut(&line, ' ', &reason) && !platform_records_read_rule(line, out))
        return false;
    unsigned char *text = arena_alloc(arena, reason.len / 2 + 1);
    out->reason = (struct str){ (char *)text, reason.len / 2 };
    bool is_read = hex_read(hash, out->hash, sizeof out->hash) &&
                   platform_records_read_number(position, 1, &out->position) &&
                   platform_records_read_number(expires, 0, &out->expires_at) &&
                   hex_read(reason, text, out->reason.len);
    out->expires_at = is_read ? store_seconds(out->expires_at) : 0;
    return is_read;
}

/* What names the sequence is the database's text: its hash does as well, and is shorter to keep and to compare. */
static bool platform_records_read_sequence(const struct json *answer, struct sequence *out)
{
    unsigned char hash[32];
    struct str epoch = platform_str(answer, "epoch");
    sha256(epoch, hash);
    memcpy(&out->epoch, hash, sizeof out->epoch);
    out->epoch |= 1; /* never 0 */
    return epoch.len > 0 && json_int(json_member(answer, STR("last")), 0, INT64_MAX, &out->last);
}

struct err platform_revocations_since(struct store *store, struct arena *arena, int64_t after, int64_t now_s,
                                      size_t max, struct revocation **out, size_t *count, struct sequence *sequence)
{
    AUTO(arena_release) struct arena work = { 0 };
    const struct json *answer = NULL;
    struct str rest, line;
    struct buf args;
    size_t found = 0;
    platform_begin(&args, &work);
    platform_put_int(&args, "after", after);
    platform_put_int(&args, "now_s", now_s);
    platform_put_int(&args, "max", (int64_t)max);
    TRY(platform_do(store, &work, "token_service_revocations_since", &args, PLATFORM_REPEATABLE, "", &answer));
    if (!platform_records_read_sequence(answer, sequence))
        return failed(ERR_UNAVAILABLE, "the database gave a response that is not understood");
    struct revocation *revocations = arena_alloc(arena, max * sizeof *revocations);
    for (rest = platform_rows(answer); found < max && rest.len > 0 && str_next_item(&rest, ',', &line); found++)
        if (!platform_records_read_revocation(arena, line,
                                              &revocations[found])) /* to leave one out would let a revoked token in */
            return failed(ERR_UNAVAILABLE, "the database gave a response that is not understood");
    *out = revocations;
    *count = found;
    return OK;
}

static void platform_records_put_uses(struct buf *args, const char *name, enum token_kind kind,
                                      const struct token_use *uses, size_t count)
{
    char hash[65];
    json_write_name(args, str_of(name));
    buf_add_char(args, '[');
    for (size_t i = 0; i < count; i++) {
        if (uses[i].kind != kind)
            continue;
        if (args->at[args->len - 1] != '[')
            buf_add_char(args, ',');
        buf_add_char(args, '{');
        platform_put_str(args, "hash", hex_write(uses[i].token_hash, sizeof uses[i].token_hash, hash));
        platform_put_int(args, "times", uses[i].times);
        platform_put_int(args, "at", uses[i].last_used_at);
        buf_add_char(args, '}');
    }
    buf_add_char(args, ']');
}

struct err platform_count_uses(struct store *store, const struct token_use *uses, size_t count)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    platform_begin(&args, &arena);
    platform_records_put_uses(&args, "access", TOKEN_ACCESS, uses, count);
    platform_records_put_uses(&args, "refresh", TOKEN_REFRESH, uses, count);
    return platform_do(store, &arena, "token_service_count_usage", &args, PLATFORM_ONCE, "", NULL);
}

struct err platform_purge(struct store *store, int64_t now_s, size_t max, size_t *deleted, int64_t *held_ns)
{
    const int64_t began_ns = clock_ns();
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    struct buf args;
    platform_begin(&args, &arena);
    platform_put_int(&args, "now_s", now_s);
    platform_put_int(&args, "max", (int64_t)max);
    platform_put_int(&args, "after", atomic_load(&platform_of(store)->purged));
    TRY(platform_do(store, &arena, "token_service_purge", &args, PLATFORM_REPEATABLE, "", &answer));
    const size_t rows = (size_t)platform_int(answer, "deleted");
    size_t items = 0;
    atomic_store(&platform_of(store)->purged, rows < max ? 0 : platform_int(answer, "until"));
    if (rows < max)
        TRY(platform_purge_items(store, now_s, max - rows, &items));
    *deleted = rows + items;
    if (held_ns)
        *held_ns = clock_ns() - began_ns;
    return OK;
}
