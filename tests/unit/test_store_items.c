/* test_store_items.c: items over every store (stores.h): what store.h and item.h promise, through the interface alone.
 * What the platform's tables have of them comes after. */
#include "stores.h"
#include <pthread.h>
#include <time.h>

#define BODY "{\"a\":1}"

static struct item item_of(enum item_kind item_kind, uint64_t number)
{
    struct item item = { .kind = item_kind, .expires_at = 2000, .body = STR_INIT(BODY) };
    hash_of(number, item.id);
    return item;
}

/* A change of its own, named as no other one. */
static struct record change_of(const struct item *item, int64_t version)
{
    static uint64_t changes = UINT64_MAX / 2; /* half of them are negative where numbers have a sign */
    return (struct record){ .kind = RECORD_ITEM, .item = item, .item_version = version, .item_change = changes++ };
}

static struct err put(struct store *store, const struct item *item, int64_t version)
{
    const struct record record = change_of(item, version);
    return record_one(store, &record);
}

static enum err_code look(struct store *store, const struct item *item, struct item *out)
{
    *out = (struct item){ .version = -1 };
    return store->ops->find_item(store, &arena, item->kind, item->id, out).code;
}

/* 0: there is none. */
static int64_t version_of(struct store *store, const struct item *item)
{
    struct item found;
    enum err_code code = look(store, item, &found);
    assert_true(code == ERR_OK || code == ERR_NOT_FOUND);
    return code ? 0 : found.version;
}

static bool is_same(const struct item *a, const struct item *b)
{
    return a->kind == b->kind && memcmp(a->id, b->id, 32) == 0 && a->expires_at == b->expires_at &&
           str_eq(a->client_id, b->client_id) && str_eq(a->subject, b->subject) && str_eq(a->sid, b->sid) &&
           str_eq(a->body, b->body);
}

/* Tokens and revocations. */
static int64_t others_kept(void)
{
    return kind == 0 ? sql("SELECT (SELECT count(*) FROM oauth_refresh_tokens) + (SELECT count(*) FROM revocations)")
                     : pg("SELECT (SELECT count(*) FROM token_service_unlinked_tokens) + (SELECT count(*) FROM "
                          "token_service_revocations)");
}

static int64_t items_kept(void)
{
    return kind == 0 ? sql("SELECT count(*) FROM items") : pg("SELECT count(*) FROM token_service_items");
}

/* --- an item ----------------------------------------------------------------------------------------------------- */

static void an_item_comes_back_as_it_was_written(void **state)
{
    OPEN(store);
    struct item item = item_of(ITEM_GRANT, 1), other = item_of(ITEM_CODE, 1), found;
    (void)state;
    item.client_id = STR("client");
    item.subject = STR("user-1");
    item.sid = STR("session-1");
    item.expires_at = 4102444800;
    assert_int_equal(look(store, &item, &found), ERR_NOT_FOUND);
    assert_ok(put(store, &item, 0));
    assert_int_equal(look(store, &item, &found), ERR_OK);
    assert_int_equal(found.version, 1);
    assert_true(is_same(&found, &item));
    assert_int_equal(look(store, &other, &found), ERR_NOT_FOUND); /* the same id of another kind */
    assert_ok(put(store, &other, 0));
    assert_int_equal(look(store, &other, &found), ERR_OK);
    assert_true(is_same(&found, &other));
}

static void each_kind_of_item_can_be_kept(void **state)
{
    OPEN(store);
    (void)state;
    for (int each = ITEM_CODE; each <= ITEM_NOTICE; each++) {
        struct item item = item_of((enum item_kind)each, 1), found;
        assert_ok(put(store, &item, 0));
        assert_int_equal(look(store, &item, &found), ERR_OK);
        assert_true(is_same(&found, &item));
    }
    assert_int_equal(items_kept(), ITEM_NOTICE);
}

static void an_item_changes_only_from_the_version_that_it_has(void **state)
{
    static const struct {
        int64_t from;
        enum err_code verdict;
        int64_t version; /* afterwards */
    } rows[] = {
        { 1, ERR_CONFLICT, 0 }, { 7, ERR_CONFLICT, 0 }, { 0, ERR_OK, 1 },       { 0, ERR_CONFLICT, 1 },
        { 2, ERR_CONFLICT, 1 }, { 1, ERR_OK, 2 },       { 1, ERR_CONFLICT, 2 }, { 0, ERR_CONFLICT, 2 },
        { 3, ERR_CONFLICT, 2 }, { 2, ERR_OK, 3 },       { 3, ERR_OK, 4 },
    };
    OPEN(store);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct item item = item_of(ITEM_SESSION, 1), found;
        item.body = arena_printf(&arena, "{\"row\":%zu}", i);
        item.expires_at = 3000 + (int64_t)i;
        assert_code(put(store, &item, rows[i].from), rows[i].verdict, item.body.at);
        assert_int_equal(version_of(store, &item), rows[i].version);
        if (rows[i].verdict == ERR_OK) {
            assert_int_equal(look(store, &item, &found), ERR_OK);
            assert_true(is_same(&found, &item));
        }
    }
}

/* An answer that was lost: the caller, or the way to the database, says it again. */
static void a_change_that_is_recorded_again_is_no_conflict(void **state)
{
    OPEN(store);
    struct item item = item_of(ITEM_CODE, 1), changed = item;
    struct record token = token_of(1, TOKEN_REFRESH, 2000), added = change_of(&item, 0),
                  change = change_of(&changed, 1);
    (void)state;
    changed.body = STR("{\"used\":true}");
    added.next = &token;
    for (int i = 0; i < 3; i++)
        assert_ok(record_one(store, &added));
    assert_int_equal(version_of(store, &item), 1);
    assert_int_equal(others_kept(), 1);
    for (int i = 0; i < 3; i++)
        assert_ok(record_one(store, &change));
    assert_int_equal(version_of(store, &item), 2);
    assert_code(put(store, &changed, 1), ERR_CONFLICT, "the same by somebody else");
    changed.body = STR("");
    change = change_of(&changed, 2);
    for (int i = 0; i < 3; i++)
        assert_ok(record_one(store, &change));
    assert_int_equal(version_of(store, &item), 0);
    assert_code(put(store, &changed, 2), ERR_CONFLICT, "deleted by somebody else");
}

static void a_deleted_item_is_found_no_more_and_may_be_made_anew(void **state)
{
    OPEN(store);
    const struct item item = item_of(ITEM_LOGIN, 1);
    struct item gone = item, found, *list = NULL;
    const struct item_query query = { .kind = ITEM_LOGIN, .max = 10 };
    size_t count = 77;
    (void)state;
    gone.body = STR("");
    assert_code(put(store, &gone, 1), ERR_CONFLICT, "there is none yet");
    assert_ok(put(store, &gone, 0)); /* there is none, and there shall be none */
    assert_ok(put(store, &item, 0));
    assert_code(put(store, &gone, 2), ERR_CONFLICT, "it is of another version");
    assert_ok(put(store, &gone, 1));
    assert_int_equal(look(store, &item, &found), ERR_NOT_FOUND);
    assert_ok(store->ops->list_items(store, &arena, &query, &list, &count));
    assert_int_equal(count, 0);
    assert_code(put(store, &item, 2), ERR_CONFLICT, "what was deleted has no version");
    assert_code(put(store, &item, 1), ERR_CONFLICT, "nor its last one");
    assert_ok(put(store, &item, 0));
    assert_int_equal(version_of(store, &item), 1);
    assert_ok(put(store, &gone, 1));
}

static void items_survive_a_restart(void **state)
{
    struct item item = item_of(ITEM_GRANT, 1);
    const struct record record = change_of(&item, 0);
    (void)state;
    struct store *store = open_store();
    assert_ok(record_one(store, &record));
    assert_ok(put(store, &item, 1));
    store_closep(&store);
    OPEN(again);
    assert_int_equal(version_of(again, &item), 2);
    assert_code(put(again, &item, 1), ERR_CONFLICT, "after a restart");
    assert_ok(put(again, &item, 2));
}

/* --- lists of records -------------------------------------------------------------------------------------------- */

static void of_several_items_in_a_list_all_change_or_none(void **state)
{
    OPEN(store);
    const struct item first = item_of(ITEM_CODE, 1), second = item_of(ITEM_GRANT, 2), third = item_of(ITEM_SESSION, 3);
    struct record records[] = { change_of(&first, 1), change_of(&second, 0), change_of(&third, 0),
                                token_of(1, TOKEN_REFRESH, 2000) };
    (void)state;
    for (size_t i = 0; i + 1 < COUNT(records); i++)
        records[i].next = &records[i + 1];
    for (int wrong = 0; wrong < 3; wrong++) { /* the first, the one in the middle, the last */
        struct item extra = wrong == 1 ? second : third;
        if (wrong > 0)
            assert_ok(put(store, &extra, 0));
        assert_code(record_one(store, records), ERR_CONFLICT, "one of them is not as it must be");
        assert_int_equal(version_of(store, &first), wrong > 0);
        assert_int_equal(version_of(store, &second), wrong == 1);
        assert_int_equal(version_of(store, &third), wrong == 2);
        assert_int_equal(others_kept(), 0);
        extra.body = STR("");
        assert_ok(wrong == 0 ? put(store, &first, 0) : put(store, &extra, 1));
    }
    assert_ok(record_one(store, records));
    assert_int_equal(version_of(store, &first), 2);
    assert_int_equal(version_of(store, &second), 1);
    assert_int_equal(version_of(store, &third), 1);
    assert_int_equal(others_kept(), 1);
}

enum { LISTS = 200 };
static struct {
    struct item item;
    struct record records[3];
} batch[LISTS];
static const struct record *lists[LISTS];
static struct err verdicts[LISTS];

/* Each list is a token, a revocation and a new item; every third has no item. */
static void fill_batch(uint64_t from)
{
    for (size_t i = 0; i < LISTS; i++) {
        batch[i].item = item_of(ITEM_ONCE, from + i);
        batch[i].records[0] = token_of(from + i, TOKEN_REFRESH, 2000);
        batch[i].records[1] = revocation_of(from + i, TOKEN_REFRESH, 2000);
        batch[i].records[2] = change_of(&batch[i].item, 0);
        batch[i].records[0].next = &batch[i].records[1];
        batch[i].records[1].next = i % 3 ? &batch[i].records[2] : NULL;
        lists[i] = &batch[i].records[0];
    }
}

static void a_list_in_conflict_leaves_nothing_and_touches_no_other(void **state)
{
    OPEN(store);
    (void)state;
    fill_batch(0);
    batch[100].records[2].item_version = 3; /* there is none */
    memset(verdicts, 0x5a, sizeof verdicts);
    store->ops->record(store, lists, LISTS, verdicts);
    for (size_t i = 0; i < LISTS; i++)
        assert_int_equal(verdicts[i].code, i == 100 ? ERR_CONFLICT : ERR_OK);
    assert_int_equal(others_kept(), 2 * (LISTS - 1));
    assert_int_equal(items_kept(), LISTS - LISTS / 3 - 1 - 1); /* 67 of 200 have none */
    assert_int_equal(version_of(store, &batch[100].item), 0);
    assert_int_equal(version_of(store, &batch[101].item), 1);
    store->ops->record(store, lists, LISTS, verdicts); /* all of it again */
    for (size_t i = 0; i < LISTS; i++)
        assert_int_equal(verdicts[i].code, i == 100 ? ERR_CONFLICT : ERR_OK);
    assert_int_equal(others_kept(), 2 * (LISTS - 1));
}

/* A batch with a list that can't be held is split, and what was in conflict still is. */
static void conflicts_and_bad_lists_in_one_batch_keep_their_verdicts(void **state)
{
    OPEN(store);
    (void)state;
    fill_batch(0);
    batch[17].item.body = STR("no object");
    batch[35].records[2].item_version = 1;
    batch[128].item.subject = STR("\xff");
    batch[199].records[2].item_version = 9;
    if (kind == 0)
        sql("CREATE TRIGGER poison BEFORE INSERT ON revocations WHEN NEW.reason = 'poison' BEGIN SELECT "
            "RAISE(ABORT, 'poisoned'); END");
    else
        pg("ALTER TABLE token_service_revocations ADD CONSTRAINT poison CHECK (reason <> 'poison')");
    batch[62].records[1].reason = batch[63].records[1].reason = STR("poison");
    store->ops->record(store, lists, LISTS, verdicts);
    if (kind == 0)
        sql("DROP TRIGGER poison");
    else
        pg("ALTER TABLE token_service_revocations DROP CONSTRAINT poison");
    for (size_t i = 0; i < LISTS; i++) {
        if (i == 17 || i == 128)
            assert_int_equal(verdicts[i].code, ERR_INVALID_REQUEST);
        else if (i == 35 || i == 199)
            assert_int_equal(verdicts[i].code, ERR_CONFLICT);
        else
            assert_int_equal(verdicts[i].code != ERR_OK, i == 62 || i == 63);
        assert_int_equal(version_of(store, &batch[i].item), i % 3 && !verdicts[i].code);
    }
    assert_int_equal(others_kept(), 2 * (LISTS - 6));
}

static void of_two_lists_of_a_batch_the_first_that_can_be_kept_gets_the_item(void **state)
{
    OPEN(store);
    const struct item wanted = item_of(ITEM_GRANT, 1), missing = item_of(ITEM_CODE, 2), later = item_of(ITEM_ONCE, 3);
    struct record first[] = { change_of(&wanted, 0), change_of(&missing, 4) }, second = change_of(&wanted, 0),
                  third = change_of(&wanted, 0), fourth[] = { change_of(&wanted, 1), change_of(&later, 0) };
    const struct record *all[] = { &first[0], &second, &third, &fourth[0] };
    (void)state;
    first[0].next = &first[1];
    fourth[0].next = &fourth[1];
    store->ops->record(store, all, COUNT(all), verdicts);
    assert_int_equal(verdicts[0].code, ERR_CONFLICT);
    assert_int_equal(verdicts[1].code, ERR_OK);
    assert_int_equal(verdicts[2].code, ERR_CONFLICT);
    assert_int_equal(verdicts[3].code, ERR_OK); /* it changes what the second has added */
    assert_int_equal(version_of(store, &wanted), 2);
    assert_int_equal(version_of(store, &missing), 0);
    assert_int_equal(version_of(store, &later), 1);
}

struct racer {
    struct store *store;
    struct record records[2];
    struct err err;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    racer->err = record_one(racer->store, racer->records);
    return NULL;
}

/* For a new item, for a change and for a deletion; on two handles, as instances have them. */
static void of_many_who_race_for_a_version_one_wins(void **state)
{
    enum { RACERS = 64 };
    OPEN(a);
    OPEN(b);
    static struct racer racers[RACERS];
    pthread_t threads[RACERS];
    struct item item = item_of(ITEM_CODE, 1);
    (void)state;
    for (int64_t version = 0; version < 3; version++) {
        size_t won = 0;
        item.body = version == 2 ? STR("") : STR(BODY);
        for (size_t i = 0; i < RACERS; i++) {
            racers[i] = (struct racer){ .store = i % 2 ? a : b };
            racers[i].records[0] = token_of((uint64_t)version * RACERS + i, TOKEN_REFRESH, 2000);
            racers[i].records[1] = change_of(&item, version);
            racers[i].records[0].next = &racers[i].records[1];
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (size_t i = 0; i < RACERS; i++) {
            pthread_join(threads[i], NULL);
            won += racers[i].err.code == ERR_OK;
            assert_true(racers[i].err.code == ERR_OK || racers[i].err.code == ERR_CONFLICT);
        }
        assert_int_equal(won, 1);
        assert_int_equal(version_of(a, &item), version == 2 ? 0 : version + 1);
        assert_int_equal(others_kept(), version + 1);
    }
}

struct crosser {
    struct store *store;
    bool is_backwards;
    size_t troubles, won;
};

enum { CROSSINGS = 40, CROSSED = 30 };

/* Items that somebody else wants too, in one order or in the other: each batch has lists of three. */
static void *cross(void *arg)
{
    struct crosser *crosser = arg;
    struct item items[CROSSED];
    struct record records[CROSSED];
    const struct record *few[CROSSED / 3];
    struct err told[CROSSED / 3];
    for (uint64_t round = 0; round < CROSSINGS; round++) {
        for (size_t i = 0; i < CROSSED; i++) {
            const size_t at = crosser->is_backwards ? CROSSED - 1 - i : i;
            items[i] = item_of(ITEM_ONCE, round / 4 * 1000 + at);
            records[i] = (struct record){ .kind = RECORD_ITEM,
                                          .item = &items[i],
                                          .item_version = (int64_t)(round % 4),
                                          .item_change = round * 10000 + i + (crosser->is_backwards ? 1000 : 0),
                                          .next = i % 3 < 2 ? &records[i + 1] : NULL };
            if (i % 3 == 0)
                few[i / 3] = &records[i];
        }
        crosser->store->ops->record(crosser->store, few, COUNT(few), told);
        for (size_t i = 0; i < COUNT(few); i++) {
            crosser->won += told[i].code == ERR_OK;
            crosser->troubles += told[i].code != ERR_OK && told[i].code != ERR_CONFLICT;
        }
    }
    return NULL;
}

static void batches_that_want_the_same_items_in_another_order_do_not_stop_each_other(void **state)
{
    struct store *stores[] = { open_store(), open_store() };
    struct crosser crossers[] = { { .store = stores[0] }, { .store = stores[1], .is_backwards = true } };
    pthread_t threads[COUNT(crossers)];
    (void)state;
    int64_t before = kind == 1 ? pg("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") : 0;
    for (size_t i = 0; i < COUNT(crossers); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, cross, &crossers[i]), 0);
    for (size_t i = 0; i < COUNT(crossers); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < COUNT(crossers); i++) {
        assert_int_equal(crossers[i].troubles, 0);
        store_closep(&stores[i]);
    }
    assert_true(crossers[0].won + crossers[1].won > 0);
    if (kind == 1) /* its connections have told what they counted when they ended */
        assert_int_equal(pg("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), before);
}

/* --- looking ----------------------------------------------------------------------------------------------------- */

static size_t count_items(struct store *store, enum item_kind item_kind, const char *client, const char *subject,
                          const char *sid)
{
    const struct item_query query = {
        .kind = item_kind, .client_id = str_of(client), .subject = str_of(subject), .sid = str_of(sid), .max = 50
    };
    struct item *list = NULL;
    size_t count = 77;
    assert_ok(store->ops->list_items(store, &arena, &query, &list, &count));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(list[i].kind, item_kind);
        assert_true(i == 0 || memcmp(list[i - 1].id, list[i].id, 32) < 0);
        assert_true(!client[0] || str_eq(list[i].client_id, query.client_id));
        assert_true(!subject[0] || str_eq(list[i].subject, query.subject));
        assert_true(!sid[0] || str_eq(list[i].sid, query.sid));
    }
    return count;
}

static void items_are_listed_by_what_they_name(void **state)
{
    OPEN(store);
    (void)state;
    for (uint64_t i = 0; i < 24; i++) {
        struct item item = item_of(i < 12 ? ITEM_GRANT : ITEM_SESSION, i * 37 % 24);
        item.client_id = i % 2 ? STR("one") : STR("two");
        item.subject = i % 3 ? STR("user-1") : STR("");
        item.sid = i % 4 ? STR("") : STR("s");
        item.expires_at = i % 5 ? 2000 : 1; /* expired ones too */
        assert_ok(put(store, &item, 0));
    }
    static const enum item_kind listed[] = { ITEM_GRANT, ITEM_SESSION }; /* SQLite has indexes for sessions only */
    for (size_t i = 0; i < COUNT(listed); i++) {
        const enum item_kind its = listed[i];
        assert_int_equal(count_items(store, its, "", "", ""), 12);
        assert_int_equal(count_items(store, its, "one", "", ""), 6);
        assert_int_equal(count_items(store, its, "", "user-1", ""), 8);
        assert_int_equal(count_items(store, its, "", "", "s"), 3);
        assert_int_equal(count_items(store, its, "two", "user-1", ""), 4);
        assert_int_equal(count_items(store, its, "two", "user-1", "s"), 2);
        assert_int_equal(count_items(store, its, "one", "", "s"), 0);
        assert_int_equal(count_items(store, its, "on", "", ""), 0);
        assert_int_equal(count_items(store, its, "%", "", ""), 0);
        assert_int_equal(count_items(store, its, "' OR ''='", "", ""), 0);
    }
    assert_int_equal(count_items(store, ITEM_CODE, "", "", ""), 0);
}

static void items_are_listed_page_by_page(void **state)
{
    enum { MANY = 2 * ITEMS_LISTED_MAX + 7 };
    OPEN(store);
    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        struct item item = item_of(ITEM_GRANT, i * 101);
        item.subject = STR("user-1");
        assert_ok(put(store, &item, 0));
    }
    static const size_t sizes[] = { 1, 10, ITEMS_LISTED_MAX, SIZE_MAX };
    for (size_t size = 0; size < COUNT(sizes); size++) {
        struct item_query query = { .kind = ITEM_GRANT, .subject = STR("user-1"), .max = sizes[size] };
        struct item *page = NULL;
        size_t count = 77, seen = 0;
        do {
            assert_ok(store->ops->list_items(store, &arena, &query, &page, &count));
            assert_true(count <= sizes[size] && count <= ITEMS_LISTED_MAX);
            for (size_t i = 0; i < count; i++) {
                assert_true(memcmp(page[i].id, query.after, 32) > 0);
                memcpy(query.after, page[i].id, 32);
            }
            seen += count;
        } while (count > 0);
        assert_int_equal(seen, MANY);
    }
    const struct item_query none = { .kind = ITEM_GRANT };
    struct item *page = NULL;
    size_t count = 77;
    assert_ok(store->ops->list_items(store, &arena, &none, &page, &count));
    assert_int_equal(count, 0);
}

static void any_text_of_an_item_comes_back_byte_by_byte(void **state)
{
    static const struct str texts[] = { ROW("'; DROP TABLE items; --"),
                                        ROW("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
                                        ROW("\"\\\r\n\t\x01\x7f"),
                                        ROW(" "),
                                        ROW("%_*?"),
                                        ROW("\\u0000") };
    OPEN(store);
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct item item = item_of(ITEM_NOTICE, i), found, *list = NULL;
        struct item_query query = { .kind = ITEM_NOTICE, .client_id = texts[i], .subject = texts[i], .max = 2 };
        size_t count = 77;
        item.client_id = item.subject = item.sid = query.sid = texts[i];
        item.body = arena_printf(&arena, "{%.*s}", (int)texts[i].len, texts[i].at);
        assert_code(put(store, &item, 0), ERR_OK, texts[i].at);
        assert_int_equal(look(store, &item, &found), ERR_OK);
        assert_row(is_same(&found, &item), texts[i].at);
        assert_ok(store->ops->list_items(store, &arena, &query, &list, &count));
        assert_int_equal(count, 1);
        assert_row(is_same(&list[0], &item), texts[i].at);
    }
}

/* The same everywhere, so that nothing works with one store and fails with another. */
static void what_is_no_item_is_refused_by_every_store(void **state)
{
    OPEN(store);
    static char long_text[ITEM_TEXT_MAX + 1], long_body[ITEM_BODY_MAX + 1];
    static const struct str bad_texts[] = { ROW("a\0b"), ROW("\xff"), ROW("\xc0\x80"), ROW("\xed\xa0\x80") };
    static const struct str bad_bodies[] = { ROW("{\"\0\":1}"), ROW("{\"\xff\":1}"), ROW("[]"), ROW("x"), ROW("{") };
    const struct item good = item_of(ITEM_CODE, 1);
    struct item items[20];
    size_t count = 0;
    (void)state;
    memset(long_text, 'x', sizeof long_text);
    memset(long_body, ' ', sizeof long_body);
    long_body[0] = '{';
    long_body[ITEM_BODY_MAX - 1] = long_body[ITEM_BODY_MAX] = '}';
    for (size_t i = 0; i < COUNT(items); i++)
        items[i] = good;
    for (size_t i = 0; i < COUNT(bad_texts); i++) {
        items[count++].client_id = bad_texts[i];
        items[count++].subject = bad_texts[i];
    }
    items[count++].sid = bad_texts[0];
    items[count++].sid = (struct str){ long_text, sizeof long_text };
    for (size_t i = 0; i < COUNT(bad_bodies); i++)
        items[count++].body = bad_bodies[i];
    items[count++].body = (struct str){ long_body, sizeof long_body };
    items[count++].kind = (enum item_kind)0;
    items[count++].kind = (enum item_kind)(ITEM_NOTICE + 1);
    items[count++].expires_at = -1;
    items[count++].expires_at = CLAIMS_TIME_MAX + 1;
    assert_int_equal(count, COUNT(items));
    for (size_t i = 0; i < count; i++)
        assert_code(put(store, &items[i], 0), ERR_INVALID_REQUEST, arena_printf(&arena, "row %zu", i).at);
    assert_code(put(store, &good, -1), ERR_INVALID_REQUEST, "no version");
    assert_code(put(store, &good, INT64_MAX), ERR_INVALID_REQUEST, "no version");
    assert_int_equal(items_kept(), 0);
    items[0] = good; /* and the most that may be is kept */
    items[0].client_id = items[0].subject = items[0].sid = (struct str){ long_text, ITEM_TEXT_MAX };
    items[0].body = (struct str){ long_body, ITEM_BODY_MAX };
    items[0].expires_at = 0;
    assert_ok(put(store, &items[0], 0));
    assert_int_equal(look(store, &good, &items[1]), ERR_OK);
    assert_true(is_same(&items[0], &items[1]));
    for (size_t i = 0; i < COUNT(bad_texts); i++) { /* and nothing is found by what can't be */
        const struct item_query query = { .kind = ITEM_CODE, .subject = bad_texts[i], .max = 10 };
        struct item *list = NULL;
        assert_ok(store->ops->list_items(store, &arena, &query, &list, &count));
        assert_int_equal(count, 0);
    }
}

static void a_list_has_an_item_once_and_not_too_many(void **state)
{
    OPEN(store);
    static struct item items[ITEMS_TOGETHER_MAX + 1];
    static struct record records[ITEMS_TOGETHER_MAX + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(items); i++) {
        items[i] = item_of(ITEM_NOTICE, i);
        records[i] = change_of(&items[i], 0);
        records[i].next = i + 1 < COUNT(items) ? &records[i + 1] : NULL;
    }
    assert_code(record_one(store, records), ERR_INVALID_REQUEST, "too many");
    records[ITEMS_TOGETHER_MAX - 1].next = NULL;
    items[200] = items[7];
    assert_code(record_one(store, records), ERR_INVALID_REQUEST, "one of them twice");
    assert_int_equal(items_kept(), 0);
    items[200] = item_of(ITEM_CODE, 7); /* the same id of another kind */
    assert_ok(record_one(store, records));
    assert_int_equal(items_kept(), ITEMS_TOGETHER_MAX);
}

/* --- purge ------------------------------------------------------------------------------------------------------- */

static void items_are_purged_some_time_after_they_expired(void **state)
{
    OPEN(store);
    size_t deleted = 77, total = 0;
    (void)state;
    for (uint64_t i = 0; i < 30; i++) {
        struct item item = item_of(i % 2 ? ITEM_GRANT : ITEM_CODE, i);
        item.expires_at = 1000 + (int64_t)i;
        assert_ok(put(store, &item, 0));
    }
    assert_ok(store->ops->purge(store, 1000 + STORE_TOKEN_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 0);
    do {
        assert_ok(store->ops->purge(store, 1020 + STORE_TOKEN_KEPT_S, 7, &deleted, NULL));
        assert_true(deleted <= 7);
        total += deleted;
    } while (deleted > 0);
    assert_int_equal(total, 20);
    assert_int_equal(items_kept(), 10);
    const struct item kept = item_of(ITEM_CODE, 20);
    assert_int_equal(version_of(store, &kept), 1);
    const struct item purged = item_of(ITEM_GRANT, 19);
    assert_ok(put(store, &purged, 0)); /* it may come again */
}

/* Not when it would have expired: what was deleted is only kept so that a lost answer can be given again. */
static void a_deleted_item_is_purged_soon(void **state)
{
    OPEN(store);
    struct item item = item_of(ITEM_SESSION, 1);
    size_t deleted = 77;
    (void)state;
    item.expires_at = CLAIMS_TIME_MAX;
    assert_ok(put(store, &item, 0));
    item.body = STR("");
    assert_ok(put(store, &item, 1));
    assert_int_equal(items_kept(), 1);
    if (kind > 0) /* as if time had gone by, for the database too */
        pg("UPDATE token_service_items SET expires_at = expires_at - interval '2 hours'");
    assert_ok(store->ops->purge(store, time(NULL) + STORE_TOKEN_KEPT_S + 60, 100, &deleted, NULL));
    assert_int_equal(deleted, 1);
    assert_int_equal(items_kept(), 0);
}

/* --- stores that instances share --------------------------------------------------------------------------------- */

static void an_item_is_purged_by_the_databases_clock(void **state)
{
    OPEN(store);
    const int64_t now_s = pg("SELECT extract(epoch FROM now())::bigint"), ahead_s = now_s + 100 * 24 * 3600;
    struct item item = item_of(ITEM_GRANT, 1);
    size_t deleted = 77;
    (void)state;
    item.expires_at = now_s + 600;
    assert_ok(put(store, &item, 0));
    assert_ok(store->ops->purge(store, ahead_s, 100, &deleted, NULL));
    assert_int_equal(deleted, 0);
    item.expires_at = now_s - STORE_TOKEN_KEPT_S - 600;
    assert_ok(put(store, &item, 1));
    assert_ok(store->ops->purge(store, now_s - 7200, 100, &deleted, NULL));
    assert_int_equal(deleted, 0);
    assert_ok(store->ops->purge(store, ahead_s, 100, &deleted, NULL));
    assert_int_equal(deleted, 1);
}

/* The answer may be lost for so long that others have gone on meanwhile. */
static void a_change_is_known_after_the_next_ones_too(void **state)
{
    OPEN(store);
    const struct item item = item_of(ITEM_GRANT, 1);
    struct record first = change_of(&item, 0), token = token_of(1, TOKEN_REFRESH, 2000);
    (void)state;
    first.next = &token;
    assert_ok(record_one(store, &first));
    for (int64_t version = 1; version < 4; version++) {
        assert_ok(put(store, &item, version));
        assert_ok(record_one(store, &first));
        assert_int_equal(version_of(store, &item), version + 1);
    }
    assert_ok(put(store, &item, 4));
    assert_code(record_one(store, &first), ERR_CONFLICT, "four changes later");
    assert_int_equal(others_kept(), 1);
}

#define USER "6f1b0f5e-2c3a-4d21-9c52-1d1f0a5be001"
#define STRANGER "6f1b0f5e-2c3a-4d21-9c52-1d1f0a5be002"

static struct item linked_of(enum item_kind item_kind, uint64_t number, const char *text)
{
    struct item item = item_of(item_kind, number);
    item.client_id = STR("client");
    item.subject = STR(USER);
    item.sid = STR("session-1");
    item.body = str_of(text);
    return item;
}

static void add_user_and_client(void)
{
    pg("INSERT INTO auth.users (id) VALUES ('" USER "')");
    pg("INSERT INTO oauth_clients (client_id, client_name, client_type, redirect_uris) VALUES ('client', 'c', "
       "'public', '{}')");
}

static void codes_are_in_the_platforms_table(void **state)
{
    OPEN(store);
    struct item code = linked_of(ITEM_CODE, 1,
                                 "{\"redirect_uri\":\"https://app.example/cb\",\"scope\":\"openid a\",\"nonce\":\"n\","
                                 "\"code_challenge\":\"c\",\"auth_time\":1500,\"used\":false,\"sub\":\"x\"}");
    size_t deleted = 0;
    (void)state;
    add_user_and_client();
    assert_ok(put(store, &code, 0));
    assert_int_equal(pg("SELECT count(*) FROM oauth_authorization_codes WHERE code = '0100000000000000' || "
                        "repeat('ab', 24) AND client_id = 'client' AND user_id = '" USER "' AND redirect_uri = "
                        "'https://app.example/cb' AND scope = 'openid a' AND nonce = 'n' AND code_challenge = 'c' AND "
                        "code_challenge_method = 'S256' AND session_id = 'session-1' AND auth_time = "
                        "to_timestamp(1500) AND expires_at = to_timestamp(2000) AND used_at IS NULL"),
                     1);
    code.body = STR("{\"used\":true}");
    assert_ok(put(store, &code, 1));
    assert_int_equal(pg("SELECT count(*) FROM oauth_authorization_codes WHERE used_at IS NOT NULL AND scope = "
                        "'openid a'"),
                     1);
    pg("INSERT INTO oauth_authorization_codes (code, client_id, user_id, redirect_uri, scope, expires_at) VALUES "
       "('the-platforms-own', 'client', '" USER "', '', '', to_timestamp(2000))");
    assert_ok(store->ops->purge(store, 3000 + STORE_TOKEN_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_authorization_codes WHERE code = 'the-platforms-own'"), 1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_authorization_codes"), 1);
    assert_ok(put(store, &code, 0));
    assert_int_equal(pg("SELECT count(*) FROM oauth_authorization_codes"), 2);
    code.body = STR("");
    assert_ok(put(store, &code, 1));
    assert_int_equal(pg("SELECT count(*) FROM oauth_authorization_codes"), 1);
}

static void grants_are_in_the_platforms_table_with_their_present_token(void **state)
{
    OPEN(store);
    struct item grant = linked_of(ITEM_GRANT, 1,
                                  "{\"token_hash\":\"aa\",\"rotation_count\":0,\"scope\":\"a b\",\"issued_at\":1500,"
                                  "\"resource\":[\"https://api.example\"],\"revoked_at\":0}");
    (void)state;
    add_user_and_client();
    assert_ok(put(store, &grant, 0));
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE token_hash = 'aa' AND id = "
                        "('0100000000000000' || repeat('ab', 8))::uuid AND previous_token_hash IS NULL AND "
                        "rotation_count = 0 AND client_id = 'client' AND user_id = '" USER "' AND scope = 'a b' AND "
                        "session_id = 'session-1' AND audience = '{https://api.example}' AND issued_at = "
                        "to_timestamp(1500) AND expires_at = to_timestamp(2000) AND last_used_at IS NULL AND "
                        "revoked_at IS NULL"),
                     1);
    grant.body = STR("{\"token_hash\":\"bb\",\"previous_token_hash\":\"aa\",\"rotation_count\":1,\"scope\":\"a\"}");
    assert_ok(put(store, &grant, 1));
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE token_hash = 'bb' AND previous_token_hash = "
                        "'aa' AND rotation_count = 1 AND scope = 'a' AND last_used_at > now() - interval '1 hour'"),
                     1);
    grant.body = STR("{\"token_hash\":\"bb\",\"revoked_at\":1600,\"revocation_reason\":\"reuse\"}");
    assert_ok(put(store, &grant, 2));
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE revoked_at = to_timestamp(1600) AND "
                        "revocation_reason = 'reuse'"),
                     1);
    grant.body = STR("{\"token_hash\":\"bb\"}"); /* nothing makes it good again */
    assert_ok(put(store, &grant, 3));
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE revoked_at = to_timestamp(1600) AND "
                        "revocation_reason = 'reuse'"),
                     1);
    struct item another = linked_of(ITEM_GRANT, 2, "{\"token_hash\":\"cc\"}");
    assert_ok(put(store, &another, 0));
    another.body = STR("");
    assert_ok(put(store, &another, 1));
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE revoked_at > now() - interval '1 hour'"), 1);
    const struct item without = linked_of(ITEM_GRANT, 3, "{\"scope\":\"a\"}"); /* it has no refresh token */
    assert_ok(put(store, &without, 0));
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens"), 2);
}

static void consents_are_in_the_platforms_table_one_for_a_user_and_a_client(void **state)
{
    OPEN(store);
    struct item consent = linked_of(ITEM_CONSENT, 1, "{\"granted_scopes\":[\"openid\",\"a\"],\"expires_at\":1900}");
    (void)state;
    add_user_and_client();
    assert_ok(put(store, &consent, 0));
    assert_int_equal(pg("SELECT count(*) FROM oauth_consent_records WHERE user_id = '" USER "' AND client_id = "
                        "'client' AND granted_scopes = '{openid,a}' AND consent_expires_at = to_timestamp(1900) AND "
                        "consent_revoked_at IS NULL"),
                     1);
    consent.body = STR("{\"granted_scopes\":[\"openid\"],\"revoked_at\":1800}");
    assert_ok(put(store, &consent, 1));
    assert_int_equal(pg("SELECT count(*) FROM oauth_consent_records WHERE granted_scopes = '{openid}' AND "
                        "consent_expires_at IS NULL AND consent_revoked_at = to_timestamp(1800)"),
                     1);
    consent.body = STR("{\"granted_scopes\":[\"openid\"]}");
    assert_ok(put(store, &consent, 2));
    assert_int_equal(pg("SELECT count(*) FROM oauth_consent_records WHERE consent_revoked_at IS NULL"), 1);
    consent.body = STR("");
    assert_ok(put(store, &consent, 3));
    assert_int_equal(pg("SELECT count(*) FROM oauth_consent_records WHERE consent_revoked_at IS NOT NULL"), 1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_consent_records"), 1);
}

/* The items are kept whatever the platform's tables can hold, and a row that they refuse keeps no other one away. */
static void what_the_platform_cannot_hold_fails_no_item(void **state)
{
    OPEN(store);
    struct item items[] = {
        linked_of(ITEM_GRANT, 1, "{\"token_hash\":\"aa\"}"),
        linked_of(ITEM_GRANT, 2, "{\"token_hash\":\"aa\"}"), /* it is unique there */
        linked_of(ITEM_GRANT, 3, "{\"token_hash\":\"cc\",\"rotation_count\":\"many\"}"),
        linked_of(ITEM_GRANT, 4, "{\"token_hash\":\"dd\",\"rotation_count\":99999999999}"),
        linked_of(ITEM_GRANT, 5, "{\"token_hash\":\"ee\",\"resource\":\"no list\"}"),
        linked_of(ITEM_GRANT, 6, "{\"token_hash\":\"\\u0000\"}"),
        linked_of(ITEM_GRANT, 7, "{no JSON}"),
        linked_of(ITEM_GRANT, 8, "{\"token_hash\":\"too-long\"}"),
        linked_of(ITEM_GRANT, 9, "{\"token_hash\":\"ff\"}"),  /* of no user */
        linked_of(ITEM_GRANT, 10, "{\"token_hash\":\"gg\"}"), /* of no uuid */
        linked_of(ITEM_GRANT, 11, "{\"token_hash\":\"hh\"}"), /* of no client */
        linked_of(ITEM_CODE, 12, "{\"used\":\"perhaps\"}"),
        linked_of(ITEM_CODE, 13, "{}"),
        linked_of(ITEM_CONSENT, 14, "{\"granted_scopes\":{}}"),
        linked_of(ITEM_CONSENT, 15, "{\"granted_scopes\":null}"),
        linked_of(ITEM_GRANT, 16, "{\"token_hash\":\"ii\"}"),
    };
    struct record records[COUNT(items)];
    const struct record *each[COUNT(items)];
    (void)state;
    add_user_and_client();
    items[8].subject = STR(STRANGER);
    items[9].subject = STR("user-1");
    items[10].client_id = STR("nobody");
    for (size_t i = 0; i < COUNT(items); i++) {
        records[i] = change_of(&items[i], 0);
        each[i] = &records[i];
    }
    pg("ALTER TABLE oauth_refresh_tokens ADD CONSTRAINT strict CHECK (token_hash <> 'too-long')");
    assert_ok(record_many(store, each, COUNT(each)));
    pg("ALTER TABLE oauth_refresh_tokens DROP CONSTRAINT strict");
    for (size_t i = 0; i < COUNT(items); i++)
        assert_int_equal(version_of(store, &items[i]), 1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE token_hash IN ('aa', 'ii')"), 2);
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens"), 2);
    assert_int_equal(pg("SELECT count(*) FROM oauth_authorization_codes"), 1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_consent_records WHERE granted_scopes = '{}'"), 1);
    pg("DELETE FROM auth.users"); /* with all that hangs on them */
    for (size_t i = 0; i < COUNT(items); i++)
        assert_ok(put(store, &items[i], 1));
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens"), 0);
}

/* Somebody of the platform's holds it, for longer than anybody may wait. */
static void a_row_that_is_locked_fails_no_item(void **state)
{
    OPEN(store);
    struct item grant = linked_of(ITEM_GRANT, 1, "{\"token_hash\":\"aa\"}");
    (void)state;
    add_user_and_client();
    assert_ok(put(store, &grant, 0));
    PGconn *holder = PQconnectdb(environment("TOKEN_TEST_DATABASE_URL"));
    PQclear(PQexec(holder, "BEGIN"));
    PQclear(PQexec(holder, "SELECT 1 FROM oauth_refresh_tokens FOR UPDATE"));
    grant.body = STR("{\"token_hash\":\"bb\"}");
    struct err err = put(store, &grant, 1);
    PQfinish(holder);
    assert_ok(err);
    assert_int_equal(version_of(store, &grant), 2);
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE token_hash = 'aa'"), 1);
    grant.body = STR("{\"token_hash\":\"cc\"}");
    assert_ok(put(store, &grant, 2)); /* the next change brings all of it */
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE token_hash = 'cc'"), 1);
}

int main(void)
{
    const struct CMUnitTest conformance[] = {
        IN_EACH(an_item_comes_back_as_it_was_written),
        IN_EACH(each_kind_of_item_can_be_kept),
        IN_EACH(an_item_changes_only_from_the_version_that_it_has),
        IN_EACH(a_change_that_is_recorded_again_is_no_conflict),
        IN_EACH(a_deleted_item_is_found_no_more_and_may_be_made_anew),
        IN_EACH(items_survive_a_restart),
        IN_EACH(of_several_items_in_a_list_all_change_or_none),
        IN_EACH(a_list_in_conflict_leaves_nothing_and_touches_no_other),
        IN_EACH(conflicts_and_bad_lists_in_one_batch_keep_their_verdicts),
        IN_EACH(of_two_lists_of_a_batch_the_first_that_can_be_kept_gets_the_item),
        IN_EACH(of_many_who_race_for_a_version_one_wins),
        IN_EACH(batches_that_want_the_same_items_in_another_order_do_not_stop_each_other),
        IN_EACH(items_are_listed_by_what_they_name),
        IN_EACH(items_are_listed_page_by_page),
        IN_EACH(any_text_of_an_item_comes_back_byte_by_byte),
        IN_EACH(what_is_no_item_is_refused_by_every_store),
        IN_EACH(a_list_has_an_item_once_and_not_too_many),
        IN_EACH(items_are_purged_some_time_after_they_expired),
        IN_EACH(a_deleted_item_is_purged_soon),
    };
    const struct CMUnitTest shared[] = {
        IN_EACH(an_item_is_purged_by_the_databases_clock),
        IN_EACH(a_change_is_known_after_the_next_ones_too),
        IN_EACH(codes_are_in_the_platforms_table),
        IN_EACH(grants_are_in_the_platforms_table_with_their_present_token),
        IN_EACH(consents_are_in_the_platforms_table_one_for_a_user_and_a_client),
        IN_EACH(what_the_platform_cannot_hold_fails_no_item),
        IN_EACH(a_row_that_is_locked_fails_no_item),
    };
    return RUN_OVER_STORES(conformance, shared);
}
